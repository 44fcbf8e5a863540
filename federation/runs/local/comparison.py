"""What only a run on one machine can tell: the yardsticks, and what data preparation did."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from federation.data.preparation.manifest import Manifest
from federation.data.table import Table
from federation.learning.federate import Federated
from federation.model.features import encoded
from federation.model.yardsticks import fit_local, fit_pooled
from federation.report.facts import ClientData, Run, Scores
from federation.report.sites import Model, cross_site
from federation.runs.description import RunSettings, facts_of


def compare(
    federated: Federated,
    test: Table,
    train: Mapping[str, Table],
    validation: Mapping[str, Table],
    settings: RunSettings,
    *,
    balanced: bool,
) -> Scores:
    """Score the test rows with the federated model, the pooled one, and each client's own.

    Parameters
    ----------
    federated : Federated
        The model and its rounds.
    test : Table
        The server's held-back rows.
    train : mapping of str to Table
        The training rows of every client: known only where all data are on one machine.
    validation : mapping of str to Table
        The validation rows of every client.
    settings : RunSettings
        How the run was made.
    balanced : bool
        Whether the classes were weighted.
    """
    encoding = federated.model.preprocessing.encoding
    rows = encoded(encoding, test)
    train, validation = (
        {name: encoded(encoding, table) for name, table in tables.items()} for tables in (train, validation)
    )

    def proba(model: Model) -> NDArray[np.float64]:
        return model.predict_proba(rows.X)

    agreed = federated.model.preprocessing
    how: dict[str, Any] = {
        "penalty": settings.training.penalty,
        "C": settings.training.c,
        "class_weight": "balanced" if balanced else None,
    }
    plain = tuple(feature.kind != "number" for feature in encoding.features)
    alone = fit_local(train, **how, log1p=agreed.log1p, plain=plain)
    return Scores(
        y=test.y,
        federated=proba(federated.model),
        pooled=proba(fit_pooled(train, **how, preprocessing=replace(agreed, made_of=()))),
        local={name: proba(model) for name, model in alone.items()},
        cross_site=cross_site(alone, validation),
    )


def describe(manifest: Manifest, data: Path, settings: RunSettings, federated: Federated) -> Run:
    """Describe the run, from the manifest in the folder ``data``."""
    clients = {
        name: ClientData(
            train_rows=rows.train_before.rows,
            train_positives=rows.train_before.positives,
            validation_rows=rows.validation.rows,
            validation_positives=rows.validation.positives,
            data_bytes=sum(path.stat().st_size for path in (data / name).iterdir()),
        )
        for name, rows in manifest.clients.items()
    }
    return Run(
        title="Federated training on one machine",
        data="synthetic table with the CMS schema" if manifest.source is None else manifest.source.name,
        synthetic=manifest.synthetic,
        label=manifest.label,
        clients=clients,
        seed=manifest.seed,
        resample=manifest.resample,
        duplicates={
            "found": manifest.duplicates.rows,
            "dropped": manifest.duplicates.rows if manifest.drop_duplicates else 0,
        },
        **facts_of(settings, federated),
    )
