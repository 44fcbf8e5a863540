"""The client's learning task: tables, moments, fits, scores and the saved model."""

import math
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

import quality
import utils
from columns import Moments
from errors import TableError
from federation.data.table import Table
from federation.learning.preprocessing.pooling import pool
from federation.learning.preprocessing.statistics import ClientStatistics
from federation.model.linear import LinearModel
from federation.model.linear import Preprocessing as ServerPreprocessing
from federation.model.pipeline import to_pipeline
from federation.model.quality.metrics import evaluate
from preprocessing import Preprocessing, pipeline

MakeTable = Callable[..., utils.Table]
SECRET = "987654.25"


def statistics(client: str, table: utils.Table) -> ClientStatistics:
    """Return what the server would read of a client with these rows."""
    told = utils.statistics(table, table)
    return ClientStatistics(
        client=client,
        label="fraud",
        features=table.features,
        kinds=tuple(told.kinds),
        gaps=np.array(told.gaps),
        non_negative=np.array(told.non_negative),
        levels=told.levels,
        same_gaps=tuple(told.same_gaps),
        cells=told.cells,
        rows=len(table.y),
        positives=int(table.y.sum()),
        validation_rows=1,
        validation_positives=0,
        preparation=None,
        **{name.replace("-", "_"): values for name, values in told.arrays.items()},
    )


def pooled(*tables: utils.Table) -> ServerPreprocessing:
    """Return the scaling that clients with these tables agree on."""
    features = tables[0].features
    server = Table(features=features, X=np.ones((1, len(features))), y=np.ones(1, dtype=np.int64), label="y")
    return pool([statistics(f"client-{i}", table) for i, table in enumerate(tables)], server)


def columns(*values: NDArray[np.float64]) -> utils.Table:
    """Make a table of these columns; its labels do not matter."""
    X = np.column_stack(values)
    names = tuple(f"x{number}" for number in range(X.shape[1]))
    return utils.Table(features=names, X=X, y=np.zeros(len(X), dtype=np.int64))


def parts_of(table: utils.Table, sizes: tuple[int, ...] = (7, 40)) -> list[utils.Table]:
    """Cut a table into clients of unequal size."""
    cuts = np.split(np.arange(len(table.y)), np.cumsum(sizes))
    return [utils.Table(features=table.features, X=table.X[cut], y=table.y[cut]) for cut in cuts]


# Tables -----------------------------------------------------------------------------------------------------


def test_a_table_is_read_to_the_last_bit(tmp_path: Path, make_table: MakeTable) -> None:
    """Features keep their order and every digit, wherever the label column stands."""
    table = make_table()
    frame = pd.DataFrame(table.X, columns=list(table.features))
    frame.insert(1, "fraud", table.y)
    frame.to_csv(tmp_path / "train.csv", index=False)
    read = utils.load_table(tmp_path / "train.csv", "fraud")
    assert read.features == table.features
    np.testing.assert_array_equal(read.X, table.X)
    np.testing.assert_array_equal(read.y, table.y)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"a,b\n1,{SECRET}\n", 'has no label column "y"'),
        (f"a,y\n{SECRET},0\n1,2\n", 'the label "y" holds values other than 0 and 1'),
        (f"a,y\n1,{SECRET}\n", 'the label "y" holds values other than 0 and 1'),
        (f"a,b,y\n1,2,0\n1,x{SECRET},1\n", 'column "b", data row 2: not a finite number'),
        (f"a,y\n{SECRET},0\n-inf,1\n", 'column "a", data row 2: not a finite number'),
        (f"a,y\n{SECRET},\n", 'column "y", data row 1: no label'),
        (f"a,b,y\n{SECRET}\n", 'column "y", data row 1: no label'),
        ("", "is not a CSV file with a header"),
        ("a,y\n", "has no rows"),
        ("y\n1\n", 'has no column besides the label "y"'),
        (f"a,y\n1,{SECRET},0\n2,{SECRET},1\n", "is not a CSV file with a header"),
        (f"a,y\n1,0\n2,{SECRET},1\n", "is not a CSV file with a header"),
        (f"a,y\n0,{SECRET},0\n1,{SECRET},1\n", "is not a CSV file with a header"),
        (f"a,y\n{SECRET},\udcff\n", "is not a CSV file with a header"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_without_quoting_it(
    tmp_path: Path, text: str, words: str
) -> None:
    """The message names the file and what is wrong where, and never a value."""
    (tmp_path / "train.csv").write_text(text, encoding="utf-8", errors="surrogateescape")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in a job, where warnings are not errors
        with pytest.raises(TableError) as caught:
            utils.load_table(tmp_path / "train.csv", "y")
    assert "train.csv" in str(caught.value)
    assert words in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.exit_code == 54


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    """The message says which file of the channel is not there."""
    with pytest.raises(TableError, match=r'no "train\.csv" in the training channel'):
        utils.load_table(tmp_path / "train.csv", "y")


def test_reordering_moves_values_with_their_names(make_table: MakeTable) -> None:
    """Each column keeps its values under its name."""
    table = make_table()
    turned = table.reordered(("count", "amount", "balance"))
    np.testing.assert_array_equal(turned.X, table.X[:, [2, 0, 1]])
    np.testing.assert_array_equal(turned.y, table.y)


def test_reordering_to_other_columns_names_the_difference(make_table: MakeTable) -> None:
    """Both the column in excess and the missing one are named, and whose columns were wanted."""
    with pytest.raises(TableError, match=r"from those of train\.csv: count, weight\."):
        make_table().reordered(("amount", "balance", "weight"), whose="train.csv")


def test_the_client_reads_what_the_server_agreed_on(agreement: str, preprocessing: Preprocessing) -> None:
    """Names, transforms and every digit of the scaling arrive."""
    np.testing.assert_equal(vars(Preprocessing.from_json(agreement)), vars(preprocessing))


def test_tables_are_prepared_as_agreed(
    make_task: Callable[..., utils.Task], agreement: str, preprocessing: Preprocessing
) -> None:
    """Train and validation rows are reordered, logged and scaled; the same agreement is not read again."""
    task = make_task()
    prepared = task.prepared(agreement)
    for raw, ready in ((task.train, prepared.train), (task.validation, prepared.validation)):
        assert ready.features == preprocessing.features
        amount = (np.log1p(raw.X[:, 0]) - 3) * 3
        balance = (raw.X[:, 1] + 5) / 3
        count = (np.log1p(raw.X[:, 2]) - 1.5) / 0.5
        np.testing.assert_allclose(ready.X, np.column_stack([balance, count, amount]), atol=1e-12)
        np.testing.assert_array_equal(ready.y, raw.y)
    assert task.prepared(agreement) is prepared


def test_another_agreement_prepares_anew(make_task: Callable[..., utils.Task], agreement: str) -> None:
    """A scaling that differs in a single place is another one, not that of before."""
    task = make_task()
    before = task.prepared(agreement).train.X
    after = task.prepared(agreement.replace("[3.0, 0.5,", "[3.0, 0.25,")).train.X
    assert not np.allclose(before, after)


# Moments ----------------------------------------------------------------------------------------------------


def test_moments_are_those_of_numpy(make_table: MakeTable) -> None:
    """Means and squared deviations are of the raw columns, and of log1p of those never negative."""
    table = make_table()
    arrays, non_negative, *_ = utils.statistics(table, table)
    logs = np.log1p(table.X[:, [0, 2]])
    assert non_negative == [True, False, True]
    np.testing.assert_allclose(arrays["mean"], table.X.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(arrays["m2"], table.X.var(axis=0) * len(table.y), rtol=1e-14)
    np.testing.assert_allclose(arrays["log1p-mean"][[0, 2]], logs.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(arrays["log1p-m2"][[0, 2]], logs.var(axis=0) * len(table.y), rtol=1e-14)
    assert arrays["log1p-mean"][1] == arrays["log1p-m2"][1] == 0


@pytest.mark.parametrize("rows", [1, 1024, 1025, 3000])
@pytest.mark.parametrize("width", [1, 2, 9])
def test_moments_of_parts_are_those_of_all_rows_to_the_last_bit(rows: int, width: int) -> None:
    """Rows are added up a part at a time, in memory for one part, and the sums are those of one array."""
    rng, seen = np.random.default_rng(0), []
    X = rng.lognormal(0, 3, (rows, width))
    X[rng.random(X.shape) < 0.1] = np.nan
    logs, there = np.log1p(X), ~np.isnan(X)
    mean = np.where(there, logs, 0.0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    deviation = np.where(there, logs - mean, 0.0)

    def change(part: NDArray[np.float64]) -> NDArray[np.float64]:
        seen.append(len(part))
        changed: NDArray[np.float64] = np.log1p(part)
        return changed

    found = Moments.of(X, change)
    assert max(seen) <= 1024 or width == 1
    assert np.array_equal(found.observed, there.sum(axis=0))
    assert np.array_equal(found.mean, mean)
    assert np.array_equal(found.m2, np.square(deviation).sum(axis=0))
    assert np.array_equal(found.m3, (np.square(deviation) * deviation).sum(axis=0))


def test_merged_moments_are_those_of_the_pooled_rows(make_table: MakeTable) -> None:
    """Three clients of unequal size agree on the mean and deviation of all rows together, to 1e-12."""
    table = make_table(500)
    merged = pooled(*parts_of(table))
    Z = np.where([True, False, False], np.log1p(np.abs(table.X)), table.X)
    assert merged.log1p == (True, False, False)
    np.testing.assert_allclose(merged.mean, Z.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(merged.scale, Z.std(axis=0), rtol=1e-12)


def test_merged_moments_keep_their_digits_where_sums_of_squares_lose_all() -> None:
    """A column around a million whose values differ by thousandths keeps six digits of its deviation."""
    x = -1e6 + 1e-3 * np.random.default_rng(0).normal(size=500)
    merged = pooled(*parts_of(columns(x)))
    mean = math.fsum(x) / len(x)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in x) / len(x))
    assert merged.mean[0] == pytest.approx(mean, rel=1e-12)
    assert merged.scale[0] == pytest.approx(deviation, rel=1e-6)
    naive = np.square(x).mean() - x.mean() ** 2
    assert naive != pytest.approx(deviation**2, rel=0.1)


@pytest.mark.parametrize("value", [0.0, 0.1, -0.1, 1e9 + 0.1, -1e-9])
def test_a_constant_column_is_dropped_whatever_its_rounding(value: float) -> None:
    """A column with one value at all clients is no feature, although its summed deviations are not 0."""
    merged = pooled(*parts_of(columns(np.full(500, value), np.arange(500.0))))
    assert merged.features == ("x1",)


def test_a_column_constant_at_each_client_is_scaled_by_their_differences() -> None:
    """Columns that tell clients apart are not constant, although each client's deviation is 0."""
    merged = pooled(*(columns(np.full(10, value)) for value in (-1.0, 1.0)))
    assert merged.mean[0] == 0
    assert merged.scale[0] == 1.0
    assert pooled(*(columns(np.full(10, value)) for value in (-3.0, 3.0))).scale[0] == 3.0


def test_a_column_negative_at_one_client_is_logged_nowhere() -> None:
    """One client's negative value keeps all clients from taking logarithms of that column, and only that."""
    x = np.geomspace(1, 1e4, 10)
    tables = columns(x, x), columns(x, x - 5)
    merged = pooled(*tables)
    assert merged.log1p == (True, False)
    both = np.concatenate([table.X for table in tables])
    np.testing.assert_allclose(merged.scale, [np.log1p(both[:, 0]).std(), both[:, 1].std()], rtol=1e-12)


def test_a_column_negative_in_validation_rows_is_not_logged() -> None:
    """Validation rows are transformed too: a logarithm that they lack is not offered."""
    told = utils.statistics(columns(np.ones(3), np.ones(3)), columns(np.array([-2.0]), np.ones(1)))
    assert told.non_negative == [False, True]


def test_the_order_of_columns_at_one_client_does_not_matter(make_table: MakeTable) -> None:
    """The scaling is the same when one client holds its columns in another order."""
    first, second, third = parts_of(make_table(200))
    straight = pooled(first, second, third)
    turned = pooled(first, second.reordered(("count", "balance", "amount")), third)
    assert turned.log1p == straight.log1p
    np.testing.assert_allclose(turned.mean, straight.mean, rtol=1e-14)
    np.testing.assert_allclose(turned.scale, straight.scale, rtol=1e-14)


def test_values_too_large_to_be_squared_are_refused() -> None:
    """A finite value whose cube is infinite is named by its column instead of spoiling the scaling."""
    table = columns(np.array([1.0, 2.0]), np.array([1.0, -1e200]))
    with pytest.raises(TableError, match=r'column "x1": its values are too large'):
        utils.statistics(table, table)


# Fits -------------------------------------------------------------------------------------------------------


def fitted(
    table: utils.Table,
    *,
    start: float = 0.0,
    max_iter: int = 10,
    C: float = 1.0,
    class_weight: tuple[float, float] = (1.0, 1.0),
) -> LogisticRegression:
    """Fit a model that starts with all coefficients at ``start``."""
    model = utils.new_model(max_iter)
    utils.initialise_parameters(model, table.X.shape[1])
    model.coef_ += start
    utils.fit(model, table, class_weight, C=C)
    return model


@pytest.fixture
def rows(make_table: MakeTable) -> utils.Table:
    """Return standardised rows of both classes."""
    table = make_table(200)
    X = (table.X - table.X.mean(axis=0)) / table.X.std(axis=0)
    return utils.Table(features=table.features, X=X, y=table.y)


def test_parameters_survive_the_trip(rows: utils.Table) -> None:
    """What a model gives as its update is what another model takes, to the last bit."""
    model, other = fitted(rows), utils.new_model(10)
    utils.set_parameters(other, utils.get_parameters(model))
    np.testing.assert_array_equal(other.predict_proba(rows.X), model.predict_proba(rows.X))
    assert other.coef_.shape == (1, 3)


def test_a_fit_goes_on_from_the_parameters_it_is_given(rows: utils.Table) -> None:
    """Ten single steps reach what ten iterations reach from nowhere near; one step alone does not."""
    optimum = fitted(rows, max_iter=1000)
    model = utils.new_model(1)
    utils.set_parameters(model, utils.get_parameters(optimum))
    utils.fit(model, rows, (1.0, 1.0), C=1.0)
    np.testing.assert_allclose(model.coef_, optimum.coef_, atol=1e-3)
    for start in (0.0, 5.0):
        assert np.abs(fitted(rows, start=start, max_iter=1).coef_ - optimum.coef_).max() > 0.1


def test_a_fit_is_that_of_scikit_learn(rows: utils.Table) -> None:
    """With both classes present it is LogisticRegression with one weight per row, nothing else."""
    weight = np.where(rows.y == 1, 3.0, 0.5)
    reference = LogisticRegression(max_iter=1000).fit(rows.X, rows.y, sample_weight=weight)
    model = fitted(rows, max_iter=1000, class_weight=(0.5, 3.0))
    np.testing.assert_allclose(model.coef_, reference.coef_, rtol=1e-12)
    np.testing.assert_allclose(model.intercept_, reference.intercept_, rtol=1e-12)


def test_class_weights_move_the_fit_towards_the_weighted_class(rows: utils.Table) -> None:
    """Weighting positives more raises the predicted probabilities."""
    even, heavy = fitted(rows), fitted(rows, class_weight=(1.0, 5.0))
    assert heavy.predict_proba(rows.X)[:, 1].mean() > even.predict_proba(rows.X)[:, 1].mean() + 0.1


def test_no_penalty_fits_without_shrinking(rows: utils.Table) -> None:
    """Without penalty the fit is the maximum likelihood, whose gradient vanishes."""
    model = fitted(rows, max_iter=1000, C=math.inf)
    residual = model.predict_proba(rows.X)[:, 1] - rows.y
    assert np.abs(rows.X.T @ residual / len(rows.y)).max() < 1e-4
    assert np.linalg.norm(model.coef_) > np.linalg.norm(fitted(rows, max_iter=1000).coef_)


@pytest.mark.parametrize("only", [0, 1])
def test_rows_of_one_class_take_part(rows: utils.Table, only: int) -> None:
    """A client with one class only is fitted as if nothing had been added to its rows.

    The same fit with weightless rows at other places gives the same coefficients: only the real rows count.
    """
    mine = utils.Table(features=rows.features, X=rows.X[:30], y=np.full(30, only))
    model = fitted(mine, class_weight=(0.6, 3.0))
    reference = LogisticRegression(max_iter=10)
    elsewhere = np.full((4, 3), 50.0)
    weight = np.append(np.full(30, (0.6, 3.0)[only]), np.zeros(4))
    with pytest.warns(Warning, match="failed to converge"):
        reference.fit(np.vstack([mine.X, elsewhere]), np.append(mine.y, [0, 1, 0, 1]), sample_weight=weight)
    np.testing.assert_allclose(model.coef_, reference.coef_, rtol=1e-9)
    np.testing.assert_allclose(model.intercept_, reference.intercept_, rtol=1e-9)
    assert model.classes_.tolist() == [0, 1]
    assert (model.predict(mine.X) == only).all()


# Scores -----------------------------------------------------------------------------------------------------


def test_scores_are_those_of_the_server(rows: utils.Table) -> None:
    """The same figure means the same thing in a client's and in the server's report."""
    model = fitted(rows)
    mine = utils.score(model, rows)
    theirs = evaluate(rows.y, model.predict_proba(rows.X)[:, 1])
    assert mine == pytest.approx(
        {
            "loss": theirs["log_loss"],
            "brier": theirs["brier"],
            "accuracy": theirs["accuracy"],
            "roc_auc": theirs["roc_auc"],
        },
        rel=1e-12,
    )


def test_an_undecided_row_counts_as_the_server_counts_it(rows: utils.Table) -> None:
    """An untrained model gives 0.5 to every row, and both sides take that for positive."""
    model = utils.new_model(10)
    utils.initialise_parameters(model, 3)
    few = utils.Table(features=rows.features, X=rows.X[:4], y=np.array([0, 0, 1, 0]))
    assert utils.score(model, few)["accuracy"] == evaluate(few.y, np.full(4, 0.5))["accuracy"] == 0.25


@pytest.mark.parametrize("only", [0, 1])
def test_a_score_is_nan_exactly_where_it_is_undefined(rows: utils.Table, only: int) -> None:
    """With one class a ranking has no meaning; loss, Brier score and accuracy have."""
    figures = utils.score(fitted(rows), utils.Table(features=rows.features, X=rows.X, y=0 * rows.y + only))
    assert {name for name, value in figures.items() if math.isnan(value)} == {"roc_auc"}


def test_ranking_counts_ties_half() -> None:
    """Scores that tie across the classes count half a pair, as in scikit-learn."""
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 2, 300), rng.integers(0, 9, 300) / 10
    assert quality.roc_auc(y, p) == pytest.approx(roc_auc_score(y, p), rel=1e-12)


def test_a_loss_does_not_overflow(rows: utils.Table) -> None:
    """The loss of a model that is certain and wrong is large and finite."""
    model = utils.new_model(10)
    utils.initialise_parameters(model, 3)
    model.intercept_ += 5000.0
    assert utils.loss(model, rows) == pytest.approx(5000.0 * (rows.y == 0).mean())


# The model --------------------------------------------------------------------------------------------------


@pytest.fixture
def model() -> LogisticRegression:
    """Return a model of three columns."""
    model = utils.new_model(10)
    utils.initialise_parameters(model, 3)
    model.coef_, model.intercept_ = np.array([[0.5, -1.25, 1 / 3]]), np.array([-0.7])
    return model


def shuffled_frame(table: utils.Table) -> pd.DataFrame:
    """Name the columns as a user's table does, in an order of its own, with one more."""
    return pd.DataFrame(table.X, columns=list(table.features)).assign(id="x")[
        ["count", "id", "balance", "amount"]
    ]


def test_the_pipeline_does_what_the_client_does(
    make_table: MakeTable, preprocessing: Preprocessing, model: LogisticRegression
) -> None:
    """Raw columns by name, in any order, score as the transformed and scaled columns do by hand."""
    table = make_table()
    Z = preprocessing.transform(table.reordered(preprocessing.features).X)
    by_hand = 1 / (1 + np.exp(-(Z @ model.coef_[0] + model.intercept_[0])))
    scores = pipeline(preprocessing, model).predict_proba(shuffled_frame(table))[:, 1]
    np.testing.assert_allclose(scores, by_hand, rtol=1e-12)


@pytest.mark.parametrize("log1p", [(False, True, True), (True, True, True), (False, False, False)])
def test_client_and_server_make_the_same_pipeline(
    make_table: MakeTable,
    preprocessing: Preprocessing,
    model: LogisticRegression,
    log1p: tuple[bool, ...],
) -> None:
    """The copy of the model that a client keeps is the server's: steps, settings, numbers and scores."""
    mine = pipeline(
        Preprocessing(
            features=preprocessing.features,
            log1p=np.array(log1p),
            mean=preprocessing.mean,
            scale=preprocessing.scale,
        ),
        model,
    )
    theirs = to_pipeline(
        LinearModel(
            label="fraud",
            preprocessing=ServerPreprocessing(
                features=preprocessing.features,
                log1p=log1p,
                mean=preprocessing.mean,
                scale=preprocessing.scale,
            ),
            coef=model.coef_[0],
            intercept=model.intercept_[0],
            provenance={},
        )
    )
    assert repr(mine) == repr(theirs)
    assert list(mine[0].get_feature_names_out()) == list(theirs[0].get_feature_names_out())
    for step in ("scale", "classify"):
        np.testing.assert_equal(vars(mine[step]), vars(theirs[step]))
    table = make_table()
    positive = utils.Table(features=table.features, X=np.abs(table.X), y=table.y)
    np.testing.assert_array_equal(
        mine.predict_proba(shuffled_frame(positive)), theirs.predict_proba(shuffled_frame(positive))
    )


@pytest.mark.process
def test_the_saved_model_needs_no_code_of_ours(
    tmp_path: Path, make_table: MakeTable, preprocessing: Preprocessing, model: LogisticRegression
) -> None:
    """A program that knows scikit-learn alone loads the file and scores the same."""
    utils.save_model(preprocessing, model, tmp_path / "model")
    frame = shuffled_frame(make_table())
    joblib.dump(frame, tmp_path / "rows")
    program = (
        "import joblib, sys; assert not {'utils', 'federation'} & set(sys.modules);"
        "print(joblib.load('model/model.joblib').predict_proba(joblib.load('rows'))[:, 1].tolist())"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    expected = pipeline(preprocessing, model).predict_proba(frame)[:, 1].tolist()
    assert done.stdout.strip() == str(expected)


def test_a_model_is_saved_whole_or_not_at_all(
    tmp_path: Path, preprocessing: Preprocessing, model: LogisticRegression
) -> None:
    """When saving fails half-way, the older model stays as it was and nothing else is left beside it."""
    utils.save_model(preprocessing, model, tmp_path)
    before = (tmp_path / "model.joblib").read_bytes()
    model.intercept_ = np.array([lambda: "cannot be pickled"])
    with pytest.raises(Exception, match=r"pickle|local object"):
        utils.save_model(preprocessing, model, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.joblib"]
    assert (tmp_path / "model.joblib").read_bytes() == before
