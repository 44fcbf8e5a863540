"""The made-up table."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from federation.data.synthetic import LABEL, SITE, generate

CMS = Path(__file__).parents[3] / "shared/data/cms_improper_payments/processed_data_classification_v2.csv"
QUANTITIES = [name.removesuffix("_sum") for name in generate(rows=30).columns if name.endswith("_sum")]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Return the default table."""
    return generate()


@pytest.mark.skipif(not CMS.exists(), reason="the CMS table is not beside this checkout")
def test_the_columns_are_those_of_the_original(table: pd.DataFrame) -> None:
    """Same 50 names in the same order, and the site."""
    header = CMS.read_text(encoding="utf-8").partition("\n")[0].strip().split(",")
    assert list(table.columns) == [*header, SITE]


def test_nine_percent_of_6000_rows_are_positive(table: pd.DataFrame) -> None:
    """The prevalence is exact, not drawn."""
    assert len(table) == 6_000
    assert table[LABEL].sum() == 540


def test_every_value_is_finite_and_not_negative(table: pd.DataFrame) -> None:
    """``log1p`` and every check of a real table accept it."""
    values = table.drop(columns=SITE).to_numpy(np.float64)
    assert np.isfinite(values).all()
    assert (values >= 0).all()


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_mean_sum_and_deviation_belong_to_the_same_records(table: pd.DataFrame, quantity: str) -> None:
    """Sum over mean is their number n; one deviates by nothing, n by at most mean * sqrt(n)."""
    mean, total = table[f"{quantity}_mean"], table[f"{quantity}_sum"]
    deviation = table[f"{quantity}_standard_deviation"]
    records = (total / mean).round()
    assert np.allclose(records * mean, total, rtol=1e-3)
    assert (deviation[records == 1] == 0).all()
    assert (deviation <= 1.001 * mean * np.sqrt(records)).all()


@pytest.mark.parametrize("name", ["total_drug_cost_sum", "tot_suplr_srvcs_sum", "line_svc_cnt_sum"])
def test_money_and_counts_have_heavy_tails(table: pd.DataFrame, name: str) -> None:
    """The mean lies far above the median."""
    assert table[name].mean() > 2 * table[name].median()


def test_logistic_regression_does_as_well_as_on_the_original() -> None:
    """Mean ROC-AUC over seeds is about 0.85 after log1p and standardisation."""
    scores = []
    for seed in range(5):
        table = generate(seed=seed)
        X, y = table.drop(columns=[LABEL, SITE]).to_numpy(np.float64), table[LABEL]
        train, test, y_train, y_test = train_test_split(X, y, test_size=0.1, stratify=y, random_state=seed)
        model = make_pipeline(
            FunctionTransformer(np.log1p), StandardScaler(), LogisticRegression(max_iter=500)
        )
        scores.append(roc_auc_score(y_test, model.fit(train, y_train).predict_proba(test)[:, 1]))
    assert 0.83 <= np.mean(scores) <= 0.87


def test_sites_share_the_rows_and_differ_mildly(table: pd.DataFrame) -> None:
    """Equal sizes; prevalence between half and double the average."""
    sites = table.groupby(SITE)[LABEL].agg(["size", "mean"])
    assert list(sites.index) == ["site-1", "site-2", "site-3"]
    assert set(sites["size"]) == {2_000}
    assert sites["mean"].between(0.045, 0.18).all()
    assert sites["mean"].nunique() == 3


def test_the_seed_decides_everything() -> None:
    """Same seed, same table; other seed, other table."""
    pd.testing.assert_frame_equal(generate(rows=50, seed=1), generate(rows=50, seed=1))
    assert not generate(rows=50, seed=1).equals(generate(rows=50, seed=2))
