"""One client lies while it trains, in its updates or in the calibration: a robust model is hardly worse."""

from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
import pytest
from flwr.app import Message

from federation.learning.federate import Federated
from tests.attacks.lies import Federation, Floats, auc, sending
from tests.attacks.test_statistics import NEAR, ROBUST
from tests.unit.test_checked_strategy import Spoil

Seen = Callable[[str], None]


def _each(change: Callable[[Floats], Floats]) -> Spoil:
    """Change every array of an update."""
    return sending(lambda values: {name: change(array) for name, array in values.items()})


def _one_large(values: Floats) -> Floats:
    values.flat[0] = 1e3
    return values


def _random(values: Floats) -> Floats:
    return np.random.default_rng(0).normal(0.0, max(float(abs(values).max()), 1.0), values.shape)


def _calibration(share: float) -> Spoil:
    """Tell that the model expects so large a share of the rows to be positive."""

    def spoil(reply: Message) -> Message:
        if reply.metadata.message_type == "evaluate.calibration":
            metrics = reply.content.metric_records["metrics"]
            rows = float(str(metrics["num-examples"]))
            metrics["expected"] = share * rows
            metrics["variance"] = 0.5 * share * (1.0 - share) * rows
        return reply

    return spoil


LIES: Mapping[str, Spoil] = {
    "ten times the opposite": _each(lambda values: -10.0 * values),
    "the opposite sign": _each(lambda values: -values),
    "random numbers": _each(_random),
    "zeros": _each(np.zeros_like),
    "one coefficient of 1,000": _each(_one_large),
}


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Federation]:
    """Return the federation of so many clients."""
    return cache(lambda clients: Federation(tmp_path_factory.mktemp("clients"), clients))


@pytest.fixture(scope="module")
def honest(federation: Callable[[int], Federation]) -> Callable[[str], Federated]:
    """Return what a strategy makes without a liar."""
    return cache(
        lambda strategy: federation(ROBUST[strategy][0]).run(
            strategy=strategy, parameters=ROBUST[strategy][1]
        )
    )


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("strategy", ROBUST)
@pytest.mark.fault("{strategy}, updates: {lie}", "ROC-AUC within 0.03 of the honest run's")
def test_a_lie_in_updates_hardly_bends_a_robust_model(
    strategy: str,
    lie: str,
    federation: Callable[[int], Federation],
    honest: Callable[[str], Federated],
    seen: Seen,
) -> None:
    """No check rejects it: what it is worth is up to the strategy."""
    (clients, parameters), without = ROBUST[strategy], honest(strategy)
    result = federation(clients).run(LIES[lie], strategy=strategy, parameters=parameters)
    assert auc(result) > auc(without) - NEAR
    assert not any(one.rejected for one in result.rounds)
    seen(f"{auc(result):.3f}, without the lie {auc(without):.3f}")


@pytest.mark.parametrize("strategy", ROBUST)
@pytest.mark.fault(
    "{strategy}, calibration: hardly any positive rows are expected, or nearly all",
    "the intercept moves less than 0.3 in log-odds",
)
def test_a_lie_in_the_calibration_moves_the_intercept_little(
    strategy: str,
    federation: Callable[[int], Federation],
    honest: Callable[[str], Federated],
    seen: Seen,
) -> None:
    """The median of the clients' own steps: the liar shifts it to a neighbour's."""
    (clients, parameters), without = ROBUST[strategy], honest(strategy)
    moved = []
    for share in (0.001, 0.999):
        result = federation(clients).run(_calibration(share), strategy=strategy, parameters=parameters)
        np.testing.assert_array_equal(result.model.coef, without.model.coef)
        moved.append(result.model.intercept - without.model.intercept)
    assert 0 < max(map(abs, moved)) < 0.3
    seen(f"moved by {moved[0]:+.2f} and {moved[1]:+.2f}")


@pytest.mark.fault("fedavg, updates: ten times the opposite", "as the page says: a mean is bent")
def test_a_mean_withstands_nothing(
    federation: Callable[[int], Federation], honest: Callable[[str], Federated], seen: Seen
) -> None:
    """What the robust strategies are compared with."""
    result = federation(5).run(LIES["ten times the opposite"], strategy="fedavg")
    assert auc(result) < 0.5
    seen(f"ROC-AUC {auc(result):.3f}, with fedmedian and no liar {auc(honest('fedmedian')):.3f}")
