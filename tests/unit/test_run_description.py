"""What a run tells of itself is the same wherever it ran."""

import datetime as dt
from unittest.mock import Mock

from federation.learning.federate import Federated
from federation.learning.rounds import Round
from federation.learning.settings import TrainingSettings
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
    model = Mock(provenance={"resample": "none"})
    federated = Federated(model=model, rounds=[Round(round=2)], statistics=[], notes=[], at_clients={})
    facts = facts_of(RunSettings(training=TRAINING, started=STARTED), federated)
    assert facts.keys() <= Run.__dataclass_fields__.keys()
    assert facts["parameters"] == {"server_momentum": "0.5", "penalty": "none", "max_iter": 7}
    assert (facts["rounds"], facts["started"]) == (2, "2026-11-27 09:30 UTC")
