"""One client lies before round 1: a robust strategy's model is hardly worse, and the client is named."""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Message

from client_code.protocol.contract import Contract, Rule
from federation.errors import RoundError
from federation.learning.preprocessing.prepared import Prepared
from federation.runs.record.record import RunRecord
from tests.attacks.lies import (
    Federation,
    auc,
    levels,
    moments,
    more_rows,
    observed,
    positives,
    scaled,
    signs,
)
from tests.unit.test_checked_strategy import Spoil

Seen = Callable[[str], None]
NEAR = 0.03
"""Of the ROC-AUC: what a lie may cost under a robust strategy."""
ONE_LIAR = {"num_malicious_nodes": "1"}
ROBUST: Mapping[str, tuple[int, Mapping[str, str]]] = {
    "fedmedian": (5, {}),
    "fedtrimmedavg": (5, {}),
    "krum": (7, ONE_LIAR),
    "multikrum": (7, ONE_LIAR),
    "bulyan": (7, ONE_LIAR),
}
"""How many clients each has here, and its parameters."""
LIES: Mapping[str, tuple[Spoil, bool]] = {
    "m2 = 1e30": (moments(m2=1e30, log1p_m2=1e30), True),
    "mean = 1e9": (moments(mean=1e9, log1p_mean=20.0), True),
    "m3 = 1e30": (moments(m3=1e30, log1p_m3=-1e30), True),
    "m3 = -1e30": (moments(m3=-1e30, log1p_m3=1e30), True),
    "m2 a hundred times too large": (scaled(m2=100.0, log1p_m2=100.0), True),
    "m2 = 0": (moments(m2=0.0, m3=0.0, log1p_m2=0.0, log1p_m3=0.0), False),
    "a million times the rows, in every figure": (more_rows(10**6), True),
    "a tenth of the values": (observed(0.1), True),
    "no values": (observed(0.0), True),
    "all rows are positive": (positives(1.0), False),
    "no row is positive": (positives(0.0), False),
    "negative values in every column": (signs(non_negative=False), True),
}
"""What is told, and whether that makes the client stand out."""


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Federation]:
    """Return the federation of so many clients."""
    return cache(lambda clients: Federation(tmp_path_factory.mktemp("clients"), clients))


@pytest.fixture(scope="module")
def honest(federation: Callable[[int], Federation]) -> Callable[[str], float]:
    """Return the ROC-AUC of a strategy without a liar."""

    @cache
    def of(strategy: str) -> float:
        clients, parameters = ROBUST[strategy]
        result = federation(clients).run(strategy=strategy, parameters=parameters)
        assert result.model.outliers is None
        return auc(result)

    return of


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("strategy", ROBUST)
@pytest.mark.fault("{strategy}, statistics: {lie}", "ROC-AUC within 0.03 of the honest run's; named if far")
def test_a_lie_in_statistics_hardly_bends_a_robust_model(
    strategy: str,
    lie: str,
    federation: Callable[[int], Federation],
    honest: Callable[[str], float],
    seen: Seen,
) -> None:
    """The client goes on to train as the others do; what it told that is far does not count."""
    (clients, parameters), (spoil, stands_out) = ROBUST[strategy], LIES[lie]
    without, run = honest(strategy), federation(clients)
    result = run.run(spoil, strategy=strategy, parameters=parameters)
    assert abs(auc(result) - without) < NEAR
    assert set(result.model.outliers or {}) == ({"c3"} if stands_out else set())
    for found in (result.model.outliers or {}).values():
        assert f'client "c3": {found}.' in run.watcher.notes
    assert not any(one.rejected for one in result.rounds)
    seen(f"{auc(result):.3f}, without the lie {without:.3f}{', c3 named' * stands_out}")


@pytest.mark.parametrize("strategy", ["fedavg", "fednewton"])
@pytest.mark.fault("{strategy}, statistics: mean = 1e9", "the client is named before round 1")
def test_other_strategies_name_who_is_far(
    strategy: str, federation: Callable[[int], Federation], seen: Seen
) -> None:
    """They promise nothing against liars, and count what it told; terminal, report and model name it."""
    run = federation(5)
    result = run.run(moments(mean=1e9, log1p_mean=20.0), strategy=strategy)
    assert result.model.outliers is not None
    assert list(result.model.outliers) == ["c3"]
    (note,) = (note for note in run.watcher.notes if "bend the means and scales of all" in note)
    assert note.startswith('client "c3": its values lie farther from the middle')
    seen(f"ROC-AUC {auc(result):.3f}; {note[:60]}…")


@pytest.mark.fault("fedavg, statistics: m2 = 1e30", "ends with exit code 32, the client and the column named")
def test_moments_of_no_values_are_refused(federation: Callable[[int], Federation], seen: Seen) -> None:
    """Values of 0 and above whose mean is small cannot spread so far."""
    with pytest.raises(RoundError, match='client "c3": no values have the moments') as caught:
        federation(5).run(moments(m2=1e30, log1p_m2=1e30), strategy="fedavg")
    seen(caught.value.problem)


def test_many_more_rows_are_said_to_count(federation: Callable[[int], Federation]) -> None:
    """A mean weighted by rows is this client's own update: at least the run says so."""
    result = federation(5).run(more_rows(10**6), strategy="fedavg")
    assert result.model.outliers == {
        "c3": "it tells of 800,000,000 rows, 1e+06 times the median of the others, and counts for as many"
    }


@pytest.mark.parametrize(
    ("what", "lie"),
    [
        ("a mean outside", moments(mean=1e9, log1p_mean=20.0)),
        ("a spread of more than half the range", moments(m2=1e30, log1p_m2=1e30)),
        ("negative values", signs(non_negative=False)),
    ],
)
@pytest.mark.parametrize("strategy", ["fedavg", "fedmedian"])
@pytest.mark.fault(
    "{strategy}, statistics: {what}, of a column with a range in the contract",
    "ends with exit code 32, the client and the column named",
)
def test_what_the_contract_rules_out_is_refused(
    strategy: str, what: str, lie: Spoil, federation: Callable[[int], Federation], seen: Seen
) -> None:
    """Where the parties agreed on a range, no mean lies outside it, whatever the strategy."""
    assert what
    run = federation(5)
    column = "tot_suplrs_mean"
    top = 2.0 * run.test.X[:, run.test.features.index(column)].max()
    rules = {name: Rule(type="numeric") for name in run.test.features}
    rules |= {column: Rule(type="numeric", minimum=0.0, maximum=10.0 * top)}
    prepared = Prepared(contract=Contract(label=run.test.label, columns=rules))
    run.run(strategy=strategy, prepared=prepared)  # honest clients keep to it
    with pytest.raises(RoundError, match=f'client "c3": its statistics break .*"{column}"') as caught:
        run.run(lie, prepared=prepared, strategy=strategy)
    seen(caught.value.problem)


def test_levels_with_huge_counts_change_little(tmp_path: Path) -> None:
    """A client's levels count as its rows do: levels that it makes up displace rarer ones at most."""
    run = Federation(tmp_path, 5, words=True)
    without, result = run.run(strategy="fedmedian"), run.run(levels(10**6), strategy="fedmedian")
    assert abs(auc(result) - auc(without)) < NEAR
    known = {it.level for it in without.model.preprocessing.encoding.features if it.kind == "level"}
    still = {it.level for it in result.model.preprocessing.encoding.features if it.kind == "level"}
    assert len(known - still) <= 1  # the reference
    assert result.model.outliers is not None
    assert "it tells of" in result.model.outliers["c3"]


def test_a_resumed_run_counts_as_the_first_part_did(
    federation: Callable[[int], Federation], tmp_path: Path
) -> None:
    """What does not count follows from what was agreed, and is not forgotten when the run goes on."""
    lie, parameters = more_rows(10**6), ONE_LIAR
    run = federation(7)

    def stopping(reply: Message) -> Message:
        if reply.metadata.message_type == "train" and next(replies) == 2:
            raise ConnectionError
        return lie(reply)

    replies = iter(range(1, 99))
    with pytest.raises(ConnectionError):
        run.run(stopping, record=RunRecord(tmp_path), strategy="multikrum", parameters=parameters)
    resumed = run.run(lie, record=RunRecord(tmp_path), strategy="multikrum", parameters=parameters)
    whole = run.run(lie, strategy="multikrum", parameters=parameters)
    assert len(resumed.rounds) == len(whole.rounds) == 4
    np.testing.assert_array_equal(resumed.model.coef, whole.model.coef)
    assert resumed.model.intercept == whole.model.intercept
    assert resumed.model.outliers == whole.model.outliers
    assert whole.model.outliers
