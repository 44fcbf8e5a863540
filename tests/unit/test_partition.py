"""Which row goes where."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.data.preparation.partition import (
    client_names,
    cut_by_quantile,
    deal,
    smote,
    split,
)
from federation.data.table import Table
from tests.conftest import ROOT


def make_table(rows: int, positives: int) -> Table:
    """Return a table of random features."""
    X = np.random.default_rng(0).normal(size=(rows, 3))
    y = (np.arange(rows) < positives).astype(np.int64)
    return Table(features=("a", "b", "c"), X=X, y=y, label="y")


@given(y=st.lists(st.integers(0, 1), min_size=2, max_size=60), share=st.floats(0.01, 0.99))
def test_split_holds_back_the_share_and_never_fails(y: list[int], share: float) -> None:
    """Every row is in one part, no part is empty, and prevalence is kept where there are rows for it."""
    kept, held = split(np.array(y), share, np.random.default_rng(0))
    assert sorted([*kept, *held]) == list(range(len(y)))
    assert len(kept) >= 1
    assert len(held) == min(max(1, round(share * len(y))), len(y) - 1)
    if min(sum(y), len(y) - sum(y)) >= 2 and min(len(kept), len(held)) >= 2:
        assert abs(sum(y[i] for i in held) - sum(y) * len(held) / len(y)) <= 1


@given(y=st.lists(st.integers(0, 1), max_size=60), clients=st.integers(1, 9))
def test_deal_is_even_within_one(y: list[int], clients: int) -> None:
    """In rows and in positives."""
    number = deal(np.array(y, dtype=np.int64), clients, np.random.default_rng(0))
    for counted in (number, number[np.array(y, dtype=bool)]):
        sizes = np.bincount(counted, minlength=clients)
        assert sizes.max() - sizes.min() <= 1
        assert len(sizes) == clients


@given(values=st.lists(st.floats(-9, 9), min_size=1), clients=st.integers(1, 9))
def test_quantiles_order_clients_and_keep_ties_together(values: list[float], clients: int) -> None:
    """A larger value never goes to an earlier client."""
    number = cut_by_quantile(np.array(values), clients)
    assert (np.diff(number[np.argsort(values)]) >= 0).all()
    assert number.max() < clients
    assert len(set(zip(values, number.tolist(), strict=True))) == len(set(values))


@given(st.lists(st.text()))
def test_client_names_are_unique_and_safe(values: list[str]) -> None:
    """Whatever the column holds."""
    names = client_names(values)
    assert set(names) == set(values)
    assert len(set(names.values())) == len(names)
    for name in names.values():
        assert name.strip("-") == name != "server"
        assert name.replace("-", "").isalnum()
        assert name.isascii()
        assert name == name.lower()


@pytest.mark.parametrize(
    ("rows", "positives", "after", "note"),
    [
        (100, 6, 23, None),
        (100, 94, 23, None),
        (100, 3, 24, "3 training rows of the rarer class: SMOTE with 2 neighbours"),
        (100, 1, 24, "1 training row of the rarer class: repeated, as SMOTE needs two"),
        (100, 40, 40, None),
        (100, 50, 50, None),
        (3, 1, 1, None),
    ],
)
def test_smote_evens_out_any_two_classes(rows: int, positives: int, after: int, note: str | None) -> None:
    """The rarer class grows to a quarter of the other (if below), then the other shrinks to it."""
    resampled, said = smote(make_table(rows, positives), np.random.default_rng(0))
    assert (resampled.positives, resampled.rows) == (after, 2 * after)
    assert said == note


def test_smote_leaves_one_class_alone() -> None:
    """There is nothing to even out."""
    table = make_table(10, 10)
    resampled, note = smote(table, np.random.default_rng(0))
    assert resampled is table
    assert note is not None


@pytest.mark.process
def test_a_machine_that_hides_its_cores_shows_no_traceback(tmp_path: Path) -> None:
    """In small containers joblib finds no physical core, and would print where it looked."""
    code = (
        "import numpy as np\n"
        "from federation.data.preparation.partition import smote\n"
        "from federation.data.table import Table\n"
        "rng = np.random.default_rng(0)\n"
        "X, y = rng.normal(size=(200, 20)), np.repeat([1, 0], [20, 180])\n"
        "smote(Table(features=tuple('abcdefghijklmnopqrst'), X=X, y=y, label='y'), rng)\n"
    )
    program = [sys.executable, "-c", code]
    nowhere = {"PATH": str(tmp_path)}
    done = subprocess.run(program, capture_output=True, text=True, check=True, env=nowhere, cwd=ROOT)
    assert done.stderr == ""
