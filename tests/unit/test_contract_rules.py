"""A contract decides on a column's logarithm and filling; a pooled median is that of all rows."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import columns as client_columns
from client_code.protocol.contract import Rule
from client_code.protocol.medians import BINS, edges
from federation.errors import DataError
from federation.learning.preprocessing.medians import check_cells
from federation.learning.preprocessing.pooling import pool
from federation.model.linear import Preprocessing
from tests.unit.test_pooling import LEAST, agreement, client_table, numbers, read, told

Floats = NDArray[np.float64]


def test_a_contract_decides_on_logarithms(tmp_path: Path) -> None:
    """Set to false a heavy tail stays as it is; set to true also a symmetric column is logged."""
    rng = np.random.default_rng(0)
    rows = numbers(amount=rng.lognormal(3, 2, 600), age=rng.normal(50, 5, 600), sum=rng.lognormal(3, 2, 600))
    rules = {"amount": Rule(type="numeric", log1p=False), "age": Rule(type="numeric", log1p=True)}
    agreed = agreement([rows[:200], rows[200:]], rows[:20], tmp_path, rules)
    assert agreed.log1p == (False, True, True)
    np.testing.assert_allclose(agreed.mean[:2], [rows["amount"].mean(), np.log1p(rows["age"]).mean()])
    np.testing.assert_allclose(agreed.scale[1], np.log1p(rows["age"]).std(ddof=0), rtol=1e-9)


@pytest.mark.parametrize("who", ["the server", 'client "client-1"'])
def test_the_logarithm_of_negative_values_is_refused(tmp_path: Path, who: str) -> None:
    """The message names the column and who holds them."""
    rows = numbers(debt=np.arange(100.0))
    parts, test = [rows[:50], rows[50:].copy()], rows[:5].copy()
    (test if who == "the server" else parts[1]).iloc[0, 1] = -1.0
    with pytest.raises(DataError, match=f'column "debt" holds negative values at {who}'):
        agreement(parts, test, tmp_path, {"debt": Rule(type="numeric", log1p=True)})


def gapped(values: Floats, share: float = 0.1) -> pd.DataFrame:
    """Return a table of these numbers of which every tenth is missing, and of another column."""
    x = values.copy()
    x[:: round(1 / share)] = np.nan
    return numbers(x=x, z=np.arange(len(x), dtype=np.float64))


MEDIANS: dict[str, tuple[Callable[[np.random.Generator], Floats], float, float, bool | None]] = {
    "bell": (lambda rng: rng.normal(50, 15, 900).clip(0, 120), 0, 120, None),
    "tail": (lambda rng: rng.lognormal(6, 2, 900).clip(0, 1e6), 0, 1e6, True),
    "counts": (lambda rng: rng.choice([0.0, 1.0, 2.0, 3.0], 900, p=[0.2, 0.35, 0.3, 0.15]), 0, 3, None),
    "signed": (lambda rng: rng.normal(-5, 3, 900).clip(-20, 20), -20, 20, False),
}


@pytest.mark.parametrize("name", MEDIANS)
def test_a_contract_fills_in_the_median(tmp_path: Path, name: str) -> None:
    """It is pandas' of all rows, within a bin of the contract's range and ten places for each client."""
    draw, low, high, log1p = MEDIANS[name]
    rows = gapped(draw(np.random.default_rng(3)))
    rule = Rule(type="numeric", minimum=low, maximum=high, missing=0.2, log1p=log1p, impute="median")
    agreed = agreement([rows[:70], rows[70:71], rows[71:400], rows[400:]], rows[:20], tmp_path, {"x": rule})
    fill = agreed.encoding.features[0].fill
    assert fill is not None
    known = np.sort(rows["x"].dropna().to_numpy())
    middle = len(known) // 2
    at = np.searchsorted(edges(rule), [known[middle - 36], known[middle + 36]])
    bins = edges(rule)[np.clip(at + np.array([-1, 1]), 0, BINS)]
    assert bins[0] <= fill <= bins[1]
    if name == "counts":
        assert fill == pytest.approx(rows["x"].median(), abs=3 / BINS)
    np.testing.assert_allclose(agreed.prepare(read(rows, tmp_path))[0, 0], at_scale(agreed, fill))


def at_scale(agreed: Preprocessing, value: float) -> float:
    """Return a value of the first feature as the model sees it."""
    shown = np.log1p(value) if agreed.log1p[0] else value
    return float((shown - agreed.mean[0]) / agreed.scale[0])


def test_a_client_that_does_not_tell_what_a_median_needs_is_named(tmp_path: Path) -> None:
    """Without the contract it does not know that it is asked."""
    rows = gapped(np.arange(100.0))
    rule = Rule(type="numeric", minimum=0, maximum=100, missing=0.2, impute="median")
    statistics = [told(client_table(rows, tmp_path), "hospital-a")]
    with pytest.raises(DataError, match='client "hospital-a" does not tell how the values of column "x"'):
        pool(statistics, read(rows[:5], tmp_path), {"x": rule})


def test_no_cell_tells_of_fewer_rows_than_a_level_may() -> None:
    """Cells hold ten values at least, or all, and as many as there are; ten equal ones lie exactly."""
    rule = Rule(type="numeric", minimum=0, maximum=256, missing=0.2, impute="median")
    rng = np.random.default_rng(0)
    for n in (0, 1, 9, 10, 11, 25, 400):
        for values in (rng.uniform(0, 256, n), rng.exponential(5, n).clip(0, 256), np.full(n, 40.5)):
            told = client_columns.cells(np.append(values, np.nan), rule)
            check_cells(told, n)
            assert len(told) == 1 or min((count for *_, count in told), default=LEAST) >= LEAST
    assert client_columns.cells(np.array([1.5] * 3 + [40.5] * 10), rule) == [[40, 41, 13]]
    assert client_columns.cells(np.array([1.5] * 3), rule) == [[0, 256, 3]]
