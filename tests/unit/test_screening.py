"""Clients whose statistics are far from all others' are named; without one the pooled ones are exact."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from client_code.protocol.contract import Rule
from client_code.protocol.preparation import Preparation
from federation.data.synthetic import LABEL, SITE, generate
from federation.data.table import Table
from federation.errors import RoundError
from federation.learning.agreement import agree, refuse_impossible
from federation.learning.preprocessing.pooling import pool
from federation.learning.preprocessing.screening import counted, counted_rows, distances
from federation.learning.preprocessing.statistics import ClientStatistics, class_weight
from tests.unit.test_balance import told

Floats = NDArray[np.float64]


def server(*columns: Floats) -> Table:
    """Return the server's rows, of these columns."""
    X = np.column_stack(columns)
    names = tuple(f"x{i}" for i in range(X.shape[1]))
    return Table(features=names, X=X, y=np.arange(len(X)) % 2, label="y")


def alike(clients: int, *, rows: int = 100) -> list[list[Floats]]:
    """Return two columns of each of some clients: normal numbers, and heavy-tailed ones."""
    rng = np.random.default_rng(0)
    return [[rng.normal(size=rows), rng.lognormal(2.0, 1.0, rows)] for _ in range(clients)]


def tell(tables: Sequence[Sequence[Floats]]) -> list[ClientStatistics]:
    """Return what clients with these columns tell."""
    return [told(f"c{i}", *columns, positives=len(columns[0]) // 2) for i, columns in enumerate(tables)]


def assert_same(statistics: list[ClientStatistics], test: Table) -> None:
    """Check that a robust strategy gets what every other one gets, to the last bit, and names nobody."""
    plain, robust = (agree(statistics, test, robust=robust) for robust in (False, True))
    for name in ("mean", "scale", "log1p"):
        np.testing.assert_array_equal(getattr(plain.preprocessing, name), getattr(robust.preprocessing, name))
    assert robust.preprocessing.made_of == plain.preprocessing.made_of
    assert robust.counted == statistics
    assert robust.outliers == plain.outliers == {}


# Without a liar ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clients", [1, 2, 3, 5, 7])
def test_alike_clients_count_in_full(clients: int) -> None:
    """The preprocessing is that of the pooled rows, bit for bit."""
    assert_same(tell(alike(clients)), server(*alike(1)[0]))


@pytest.mark.parametrize("sizes", [(400, 100, 100), (60, 100, 150, 220, 380), (30, 30, 30, 30, 120)])
def test_clients_of_other_sizes_count_in_full(sizes: tuple[int, ...]) -> None:
    """Up to four times the median of the others every row counts."""
    assert_same(tell([alike(1, rows=rows)[0] for rows in sizes]), server(*alike(1)[0]))


def test_sites_that_differ_count_in_full() -> None:
    """The synthetic sites, whose levels and volumes differ, are no outliers of each other."""
    frame = generate(3000)
    tables = [part.drop(columns=[LABEL, SITE]).to_numpy(float) for _, part in frame.groupby(SITE)]
    assert len(tables) == 3
    assert_same(tell([list(X[:500].T) for X in tables]), server(*tables[0].T))


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_clients_that_are_apart_count_in_full(shift: float) -> None:
    """Means that lie several standard deviations apart are still those of clients that differ."""
    tables = [[column + shift * i for column in columns] for i, columns in enumerate(alike(5))]
    assert_same(tell(tables), server(*alike(1)[0]))


def test_a_value_that_is_rare_elsewhere_counts_in_full() -> None:
    """A column of 0 and 1 has few ones at most clients, and many at one; or the same value at most."""
    rare = [np.eye(1, 100, 0)[0] * (i < 4) for i in range(5)]
    tables = [[one, np.zeros(100)] for one in rare]
    tables[4] = [np.repeat([0.0, 1.0], 50), np.repeat([0.0, 7.0], 50)]
    assert_same(tell(tables), server(*tables[4]))


def test_a_year_of_its_own_at_each_client_counts_in_full() -> None:
    """Columns that are constant at each client are compared by what is usual between clients."""
    tables = [[np.full(50, 2018.0 + i), np.arange(50.0)] for i in range(5)]
    assert_same(tell(tables), server(np.arange(5.0) + 2018.0, np.arange(5.0)))


values = st.lists(
    st.floats(-1e6, 1e6, allow_subnormal=False) | st.sampled_from([0.0, 1.0, 1e-9, 3e8, 0.1, 36.6]),
    min_size=1,
    max_size=40,
)


@given(values)
def test_moments_that_values_have_are_possible(column: list[float]) -> None:
    """No honest client is refused: whatever it holds, also with the narrowest range in the contract."""
    each: list[Floats] = [np.array(column), abs(np.array(column)), np.full(300, column[0])]
    for values in each:
        one = told("c0", values, np.zeros(len(values)))
        assert not one.impossible.any()
        low, high = float(values.min()), float(values.max())
        rule = Rule(type="numeric", minimum=low, maximum=high)
        assert one.against({"x0": rule}) == ""
        assert one.against({"x0": replace(rule, maximum=None)}) == ""


# With one ---------------------------------------------------------------------------------------------------


def test_another_unit_is_named_and_does_not_count() -> None:
    """In its column alone: the others' statistics are those of the pool, and its own count elsewhere."""
    tables = alike(5)
    statistics, test = tell(tables), server(*alike(1)[0])
    mixed = tell([*tables[:4], [tables[4][0] * 1000.0, tables[4][1]]])
    agreed = agree(mixed, test, robust=True)
    assert agreed.outliers["c4"].startswith("its values lie farther from the middle than is usual")
    assert '"x0"' in agreed.outliers["c4"]
    assert '"x1"' not in agreed.outliers["c4"]
    others, everybody = pool(statistics[:4], test), pool(statistics, test)
    assert agreed.preprocessing.scale[0] == others.scale[0]
    assert agreed.preprocessing.scale[1] == everybody.scale[1]
    assert agree(mixed, test).preprocessing.scale[0] > 100 * others.scale[0]


def test_two_clients_cannot_tell_which_is_odd() -> None:
    """With three one of them is in the middle; with two nobody is."""
    tables = alike(3)
    tables[0] = [tables[0][0] * 1000.0, tables[0][1]]
    assert list(agree(tell(tables), server(*alike(1)[0]), robust=True).outliers) == ["c0"]
    assert_same(tell(tables[:2]), server(*alike(1)[0]))


@pytest.mark.parametrize("factor", [5.0, 9.0])
def test_what_is_not_far_moves_the_scale_little(factor: float) -> None:
    """One of five clients within the bound makes the common scale at most five times as large."""
    tables = alike(5)
    tables[0] = [tables[0][0] * factor, tables[0][1]]
    test = server(*alike(1)[0])
    agreed = agree(tell(tables), test, robust=True)
    assert agreed.preprocessing.scale[0] < 5.0 * pool(tell(alike(5)), test).scale[0]


def test_distances_are_of_mean_and_spread_alike() -> None:
    """A mean ten spreads off, and a spread ten times as large, are as far; a small spread is not."""
    tables = [[np.array([-1.0, 1.0]) * spread + mean] for mean, spread in [(0, 1)] * 4 + [(10, 0), (0, 10)]]
    found = distances([one.raw for one in tell(tables)])
    np.testing.assert_allclose(found[:, 0], [1, 1, 1, 1, 10, 10])
    tables[0] = [np.zeros(2)]
    assert distances([one.raw for one in tell(tables)])[0, 0] == 0.0


# Rows -------------------------------------------------------------------------------------------------------


def test_no_client_counts_for_more_than_four_times_the_others() -> None:
    """The median of the others, so that two that lie together do not vouch for each other among five."""
    assert counted_rows({"a": 100, "b": 120, "c": 80, "d": 10**9}) == {"a": 100, "b": 120, "c": 80, "d": 400}
    lying = {"a": 100, "b": 100, "c": 100, "d": 10**9, "e": 10**9}
    assert counted_rows(lying) == {"a": 100, "b": 100, "c": 100, "d": 400, "e": 400}
    assert counted_rows({"a": 1, "b": 10**9}) == {"a": 1, "b": 10**9}


def test_a_client_that_counts_for_less_keeps_its_shape() -> None:
    """What counts of it is what it would tell of fewer rows of the same kind, both classes among them."""
    *others, large = tell([*alike(4), alike(1, rows=10_000)[0]])
    large = replace(
        large,
        positives=3,
        levels={"x1": {"a": 6000, "b": 20}},
        preparation=Preparation(resample="smote", rows=20_000, positives=2, synthetic=False),
    )
    *same, less = counted([*others, large])
    assert same == others
    assert (less.rows, less.positives, less.observed.tolist()) == (400, 1, [400.0, 400.0])
    assert less.levels == {"x1": {"a": 240, "b": 1}}
    assert less.preparation == Preparation(resample="smote", rows=400, positives=1, synthetic=False)
    np.testing.assert_allclose(less.raw.variance, large.raw.variance)
    np.testing.assert_allclose(less.logs.skewness, large.logs.skewness)
    assert class_weight([*same, less], balanced=True) == (800 / (2 * 599), 800 / (2 * 201))


# Signs ------------------------------------------------------------------------------------------------------


def test_one_client_with_negative_values_keeps_no_logarithm_from_the_others() -> None:
    """It is named, and its negative values are as good as 0 in its own fit, which stays finite."""
    tables = alike(5)
    tables[2][1][:3] = -50.0
    statistics, test = tell(tables), server(*alike(1)[0])
    assert agree(statistics, test).preprocessing.log1p == (False, False)
    agreed = agree(statistics, test, robust=True)
    assert agreed.preprocessing.log1p == (False, True)
    assert list(agreed.outliers) == ["c2"]
    assert 'it tells of negative values in "x1"' in agreed.outliers["c2"]
    others = pool([one for one in statistics if one.client != "c2"], test)
    assert agreed.preprocessing.mean[1] == others.mean[1]


def test_negative_values_at_most_clients_keep_the_logarithm_away() -> None:
    """And so do those of the server's own rows."""
    tables = alike(5)
    for columns in tables[:3]:
        columns[1][:3] = -1.0
    assert agree(tell(tables), server(*alike(1)[0]), robust=True).preprocessing.log1p == (False, False)
    below = alike(1)[0]
    below[1][0] = -1.0
    assert agree(tell(alike(5)), server(*below), robust=True).preprocessing.log1p == (False, False)


def test_a_client_takes_the_logarithm_of_its_negative_values_as_of_0() -> None:
    """Its features are finite, and those of other values as ever."""
    from preprocessing import Preprocessing  # noqa: PLC0415

    agreed = Preprocessing(features=("x",), log1p=np.array([True]), mean=np.zeros(1), scale=np.ones(1))
    X = np.array([[-50.0], [-0.5], [0.0], [3.0]])
    np.testing.assert_array_equal(agreed.transform(X)[:, 0], [0.0, 0.0, 0.0, np.log1p(3.0)])


# What cannot be ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mean": 130.0}, 'column "x1" has mean 130 and standard deviation'),
        ({"mean": -1.0}, 'column "x1" has mean -1'),
        ({"m2": 100 * 61.0**2}, 'column "x1" has mean'),
        ({"log1p_mean": 5.0}, 'column "x1" has mean'),
        ({"non_negative": False}, 'column "x1" holds negative values'),
    ],
)
@pytest.mark.parametrize("robust", [False, True])
def test_what_the_contract_rules_out_is_refused(
    change: dict[str, float], words: str, *, robust: bool
) -> None:
    """The client and the column are named, for every strategy."""
    statistics = tell([[np.arange(100.0), np.linspace(0.0, 119.0, 100)]] * 3)
    rules = {"x1": Rule(type="numeric", minimum=0.0, maximum=120.0)}
    refuse_impossible(statistics, rules, robust=robust)
    ((name, value),) = change.items()
    changed = getattr(statistics[1], name).copy()
    changed[1] = value
    statistics[1] = replace(statistics[1], **{name: changed})
    with pytest.raises(RoundError) as caught:
        refuse_impossible(statistics, rules, robust=robust)
    assert caught.value.problem.startswith('client "c1": its statistics break the data contract: ')
    assert words in caught.value.problem


def test_a_boolean_column_is_0_or_1() -> None:
    """The contract need not say so."""
    statistics = tell([[np.arange(100.0) % 2, np.arange(100.0)]] * 3)
    rules = {"x0": Rule(type="boolean"), "x1": Rule(type="numeric")}
    refuse_impossible(statistics, rules, robust=False)
    with pytest.raises(RoundError, match='column "x1"'):
        refuse_impossible(statistics, {"x1": Rule(type="boolean")}, robust=False)


@pytest.mark.parametrize(
    "change",
    [
        {"m3": 1e30},
        {"m3": -1e30},
        {"m2": 1e30},
        {"mean": -1.0},
        {"mean": 1e200},
        {"log1p_m2": 1e30},
        {"log1p_mean": 50.0},
        {"observed": 0.0},
    ],
)
def test_moments_of_no_values_are_refused_or_do_not_count(change: dict[str, float]) -> None:
    """A robust strategy goes on without them; every other one ends with the client's name."""
    statistics, test = tell(alike(5)), server(*alike(1)[0])
    ((name, value),) = change.items()
    changed = getattr(statistics[1], name).copy()
    changed[1] = value
    others = [one for one in statistics if one.client != "c1"]
    statistics[1] = replace(statistics[1], **{name: changed})
    with pytest.raises(RoundError, match=r'client "c1": no values have the moments .* of column "x1"'):
        refuse_impossible(statistics, {}, robust=False)
    refuse_impossible(statistics, {}, robust=True)
    agreed = agree(statistics, test, robust=True)
    assert agreed.preprocessing.scale[1] == pool(others, test).scale[1]
    assert list(agreed.outliers) == ["c1"]
