"""What only a run on one machine can tell: the yardsticks, and what data preparation did."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from federation.data.preparation.manifest import ClientRows, Count, Manifest
from federation.data.table import Table
from federation.learning.federate import Federated
from federation.learning.preprocessing.prevalence import EVEN, corrected, prior_shift, resampling_told
from federation.model.features import encoded
from federation.model.linear import LinearModel
from federation.model.quality.yardsticks import fit_local, fit_pooled
from federation.model.sampling import UNKNOWN
from federation.report.facts import ClientData, Run, Scores
from federation.report.sites import Model, cross_site
from federation.runs.description import RunSettings, facts_of


def compare(
    federated: Federated,
    test: Table,
    train: Mapping[str, Table],
    validation: Mapping[str, Table],
    settings: RunSettings,
    manifest: Manifest,
) -> Scores:
    """Score the test rows with the federated model, the pooled one, and each client's own.

    All of them at the true prevalence: resampling and class weights are corrected for in each.

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
    manifest : Manifest
        How the rows were prepared.
    """
    encoding = federated.model.preprocessing.encoding
    rows = encoded(encoding, test)
    train, validation = (
        {name: _as_clients_see(encoded(encoding, table), federated) for name, table in tables.items()}
        for tables in (train, validation)
    )

    def proba(model: Model) -> NDArray[np.float64]:
        return model.predict_proba(rows.X)

    agreed, balanced = federated.model.preprocessing, manifest.resample == "balanced"
    how: dict[str, Any] = {
        "penalty": settings.training.penalty,
        "C": settings.training.c,
        "class_weight": "balanced" if balanced else None,
    }
    plain = tuple(feature.kind != "number" for feature in encoding.features)
    alone = {
        name: _at_true_prevalence(model, [manifest.clients[name]], balanced=balanced)
        for name, model in fit_local(train, **how, log1p=agreed.log1p, plain=plain).items()
    }
    pooled = _at_true_prevalence(
        fit_pooled(train, **how, preprocessing=replace(agreed, made_of=())),
        list(manifest.clients.values()),
        balanced=balanced,
    )
    return Scores(
        y=test.y,
        federated=proba(federated.model),
        pooled=proba(pooled),
        local={name: proba(model) for name, model in alone.items()},
        cross_site=cross_site(alone, validation),
    )


def _as_clients_see(table: Table, federated: Federated) -> Table:
    """Return rows with 0 for negative values whose logarithm is taken, as the clients' own code does it."""
    logged = np.flatnonzero(federated.model.preprocessing.log1p)
    X = table.X.copy()
    X[:, logged] = np.maximum(X[:, logged], 0.0)
    return replace(table, X=X)


def _at_true_prevalence(model: LinearModel, rows: Sequence[ClientRows], *, balanced: bool) -> LinearModel:
    """Correct the intercept of a model of these rows, as that of the federated model is."""
    trained, original = (
        Count(rows=sum(one.rows for one in counts), positives=sum(one.positives for one in counts))
        for counts in ([one.train for one in rows], [one.train_before for one in rows])
    )
    positives, negatives = float(trained.positives), float(trained.rows - trained.positives)
    weights = (positives, negatives) if balanced and positives and negatives else EVEN
    shift = prior_shift(trained, original, weights)
    return replace(model, intercept=corrected(model.intercept, shift))


def describe(manifest: Manifest, data: Path, settings: RunSettings, federated: Federated) -> Run:
    """Describe the run, from the manifest in the folder ``data``."""
    resampling = resampling_told(federated.statistics)
    clients = {
        name: ClientData(
            train_rows=rows.train.rows,
            train_positives=rows.train.positives,
            validation_rows=rows.validation.rows,
            validation_positives=rows.validation.positives,
            data_bytes=sum(path.stat().st_size for path in (data / name).iterdir()),
            observed_rows=rows.train_before.rows,
            observed_positives=rows.train_before.positives,
            resample=resampling.get(name, UNKNOWN),
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
        duplicates={
            "found": manifest.duplicates.rows,
            "dropped": manifest.duplicates.rows if manifest.drop_duplicates else 0,
        },
        **facts_of(settings, federated),
    )
