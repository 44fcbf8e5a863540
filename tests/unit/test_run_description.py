"""What a run tells of itself is the same wherever it ran."""

import datetime as dt

import numpy as np

from client_code.protocol.features import Feature
from federation.learning.federate import Federated
from federation.learning.rounds.figures import Round
from federation.learning.settings import TrainingSettings
from federation.model.linear import LinearModel, Preprocessing
from federation.report.facts import Run
from federation.runs.description import PACKAGES, RunSettings, facts_of, provenance_of

STARTED = dt.datetime(2026, 11, 27, 9, 30, 12, tzinfo=dt.UTC)
TRAINING = TrainingSettings(
    strategy="fedavgm", parameters={"server_momentum": "0.5"}, penalty="none", max_iter=7
)


def test_a_model_tells_how_when_and_with_what_it_was_trained() -> None:
    """To the second, and with the versions that the result depends on."""
    told = provenance_of(TRAINING, clients=4, started=STARTED)
    assert {key: told[key] for key in ("strategy", "clients", "trained")} == {
        "strategy": "fedavgm",
        "clients": 4,
        "trained": "2026-11-27T09:30:12+00:00",
    }
    assert set(PACKAGES) <= told.keys()


def test_the_shared_facts_are_fields_of_a_run() -> None:
    """Parameters are the strategy's own and what every fit has."""
    federated = made()
    facts = facts_of(RunSettings(training=TRAINING, started=STARTED), federated)
    assert facts.keys() <= Run.__dataclass_fields__.keys()
    assert facts["parameters"] == {"server_momentum": "0.5", "penalty": "none", "max_iter": 7}
    under_l2 = RunSettings(training=TrainingSettings(c=0.5), started=STARTED)
    assert facts_of(under_l2, federated)["parameters"] == {"penalty": "l2", "c": 0.5, "max_iter": 10}
    assert (facts["rounds"], facts["started"]) == (2, "2026-11-27 09:30 UTC")
    assert (facts["columns"], facts["features"], facts["left_out"]) == (2, 3, {"id": "an identifier"})


def made(taken: TrainingSettings | None = None) -> Federated:
    """Return what a training left."""
    model = LinearModel(
        label="y",
        preprocessing=Preprocessing(
            features=("age", "sex = M", "sex = X"),
            log1p=(False,) * 3,
            mean=np.zeros(3),
            scale=np.ones(3),
            made_of=(
                Feature(column="age"),
                *(Feature(column="sex", kind="level", level=level) for level in ("M", "X")),
            ),
        ),
        coef=np.zeros(3),
        intercept=0.0,
        provenance={"resample": "none"},
        left_out={"id": "an identifier"},
    )
    return Federated(
        model=model, rounds=[Round(round=2)], statistics=[], notes=[], at_clients={}, taken=taken
    )


def test_what_was_taken_is_told() -> None:
    """Where the settings left the strategy open."""
    taken = TrainingSettings(strategy="fednewton")
    facts = facts_of(RunSettings(training=TrainingSettings(strategy="auto"), started=STARTED), made(taken))
    assert facts["strategy"] == "fednewton"
