"""What a run tells of itself, in its model and its run folder, the same wherever it ran."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from federation.learning.federate import Federated
from federation.learning.settings import TrainingSettings

PACKAGES = ("flwr", "scikit-learn", "numpy")
"""Those that the result depends on."""


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """How a run was made, as ``run.json`` tells it.

    Parameters
    ----------
    training : TrainingSettings
        Strategy, rounds, quorum.
    started : datetime
        When.
    """

    training: TrainingSettings
    started: dt.datetime


def versions() -> dict[str, str]:
    """Return the versions of the packages that the result depends on."""
    return {package: version(package) for package in PACKAGES}


def provenance_of(training: TrainingSettings, *, clients: int, started: dt.datetime) -> Mapping[str, Any]:
    """Return what a model tells of the run that trained it, wherever that ran.

    Parameters
    ----------
    training : TrainingSettings
        Strategy, rounds, quorum.
    clients : int
        How many clients the federation has.
    started : datetime
        When the run began.
    """
    return {
        "strategy": training.strategy,
        "clients": clients,
        "trained": started.isoformat(timespec="seconds"),
        **versions(),
    }


def facts_of(settings: RunSettings, federated: Federated) -> dict[str, Any]:
    """Return the fields of `federation.report.facts.Run` that are found in the same way wherever it ran.

    Parameters
    ----------
    settings : RunSettings
        How the run was made.
    federated : Federated
        The model and its rounds.
    """
    training, started = federated.taken or settings.training, settings.started
    encoding = federated.model.preprocessing.encoding
    return {
        "strategy": training.strategy,
        "parameters": {
            **training.parameters,
            "penalty": training.penalty,
            **({"c": training.c} if training.penalty == "l2" else {}),
            "max_iter": training.max_iter,
            **({"site_intercepts": True} if training.site_intercepts else {}),
        },
        "rounds": federated.rounds[-1].round,
        "resample": federated.model.provenance["resample"],
        "conclusion": federated.conclusion,
        "warnings": federated.notes,
        "columns": len(encoding.columns),
        "features": len(encoding.features),
        "left_out": dict(federated.model.left_out or {}),
        "seconds": (dt.datetime.now(dt.UTC) - started).total_seconds(),
        "versions": versions(),
        "started": f"{started:%Y-%m-%d %H:%M UTC}",
    }
