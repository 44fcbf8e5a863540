"""Make up a table with the schema of the CMS improper-payments data, for a machine without any data.

No row describes anybody. As in the original, a provider has three kinds of records (orders of supplies,
services, prescriptions), and each quantity of a record appears as the mean, sum and standard deviation over
the provider's records: heavy-tailed, correlated, and without deviation when there is one record.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

LABEL = "fraudulent_provider"
SITE = "site"
ROWS = 6_000
PREVALENCE = 0.09

# Chosen so that logistic regression reaches the original's ROC-AUC (0.85), and sites differ mildly.
_NOISE = 1.6
_SITE_SHIFT = 0.15

_Floats = npt.NDArray[np.float64]


class _Quantity(NamedTuple):
    """A quantity of a record: the median and log-scale spread of its mean, and its weight in the risk."""

    name: str
    median: float
    spread: float
    risk: float
    money: bool = False


class _Records(NamedTuple):
    """One kind of record: how many a provider has (median), and its quantities."""

    median: float
    statistics: tuple[str, str, str]
    quantities: tuple[_Quantity, ...]


_DEVIATION_FIRST = ("standard_deviation", "mean", "sum")
_DEVIATION_LAST = ("mean", "sum", "standard_deviation")

_KINDS = (
    _Records(
        8,
        _DEVIATION_FIRST,
        (
            _Quantity("tot_suplrs", 2.5, 0.6, 0.5),
            _Quantity("tot_suplr_benes", 6, 0.5, 0.2),
            _Quantity("tot_suplr_clms", 20, 0.5, 0.4),
            _Quantity("tot_suplr_srvcs", 60, 1.3, 0.3),
            _Quantity("avg_suplr_sbmtd_chrg", 100, 1.1, 0.0, money=True),
            _Quantity("avg_suplr_mdcr_pymt_amt", 27, 1.2, 0.0, money=True),
        ),
    ),
    _Records(
        45,
        _DEVIATION_LAST,
        (
            _Quantity("bene_unique_cnt", 54, 0.5, 0.0),
            _Quantity("line_svc_cnt", 93, 0.8, 0.4),
            _Quantity("bene_day_srvc_cnt", 86, 0.6, 0.4),
            _Quantity("average_submitted_chrg_amt", 166, 0.8, -0.3, money=True),
            _Quantity("average_medicare_payment_amt", 59, 0.6, -0.3, money=True),
        ),
    ),
    _Records(
        140,
        _DEVIATION_LAST,
        (
            _Quantity("total_claim_count", 34, 0.4, 0.5),
            _Quantity("total_30_day_fill_count", 49, 0.5, 0.2),
            _Quantity("total_day_supply", 1_360, 0.6, 0.0),
            _Quantity("total_drug_cost", 1_840, 1.2, 0.2, money=True),
            _Quantity("bene_count", 11, 0.4, 0.0),
        ),
    ),
)


def generate(rows: int = ROWS, sites: int = 3, seed: int = 0) -> pd.DataFrame:
    """Generate providers of several sites; the same arguments give the same table.

    Parameters
    ----------
    rows : int
        Number of providers, 9 % of them positive (rounded).
    sites : int
        Number of sites, which share the rows evenly and differ mildly in size and prices.
    seed : int
        Seed of everything random.

    Returns
    -------
    DataFrame, shape (rows, 51)
        The label, the 49 features in the order of the original, and ``site`` (``site-1``, ``site-2``, ...).
    """
    rng = np.random.default_rng(seed)
    site = rng.permutation(np.arange(rows) % sites)
    female = rng.binomial(1, 0.38, rows)
    columns: dict[str, npt.NDArray[np.generic]] = {"female": female}
    risk = rng.normal(0, _NOISE, rows) - 0.3 * female
    size = rng.normal(0, 1, rows)
    for kind in _KINDS:
        volume = 0.7 * size + 0.7 * rng.normal(0, 1, rows) + rng.normal(0, _SITE_SHIFT, sites)[site]
        count = 1 + np.floor(kind.median * np.exp(1.3 * volume))
        for quantity in kind.quantities:
            level = 0.4 * volume + 0.9 * rng.normal(0, 1, rows) + rng.normal(0, _SITE_SHIFT, sites)[site]
            risk += quantity.risk * level
            columns |= _statistics(quantity, kind.statistics, count, level, rng)
    label = np.zeros(rows, dtype=np.int64)
    label[np.argsort(-risk, kind="stable")[: round(PREVALENCE * rows)]] = 1
    names = np.array([f"site-{number}" for number in range(1, sites + 1)])
    return pd.DataFrame({LABEL: label} | columns | {SITE: names[site]})


def _statistics(
    quantity: _Quantity,
    statistics: tuple[str, str, str],
    count: _Floats,
    level: _Floats,
    rng: np.random.Generator,
) -> dict[str, npt.NDArray[np.generic]]:
    """Turn how many records each provider has, and of what level, into their mean, sum and deviation."""
    decimals = 2 if quantity.money else 0
    total = np.maximum(count, np.round(count * quantity.median * np.exp(quantity.spread * level), decimals))
    mean = total / count
    # n values of at least 0 deviate by at most mean * sqrt(n), and one value not at all.
    spread = np.minimum(rng.lognormal(-0.2, 0.5, len(count)), np.sqrt(count))
    deviation = np.where(count > 1, mean * spread, 0)
    values = {"mean": mean.round(4), "sum": total, "standard_deviation": deviation.round(4)}
    return {f"{quantity.name}_{statistic}": values[statistic] for statistic in statistics}
