"""The agreed preprocessing is that of the pooled rows, whoever holds which."""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import joblib
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.stats import skew
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

import columns as client_columns
import preprocessing
import utils
from client_code.protocol.columns import MOST_LEVELS
from client_code.protocol.contract import Rule
from client_code.protocol.features import Feature
from federation.data.table import Table, read_table, write_table
from federation.errors import DataError
from federation.learning.agreement import agree
from federation.learning.notes import notes_of
from federation.learning.preprocessing.moments import Moments
from federation.learning.preprocessing.pooling import left_out, pool, references
from federation.learning.preprocessing.statistics import ClientStatistics
from federation.learning.rounds.training import as_record
from federation.learning.settings import TrainingSettings
from federation.model.linear import LinearModel, Preprocessing
from federation.model.pipeline import save

Floats = NDArray[np.float64]
LEAST = client_columns.LEAST_ROWS


def frame(rows: int = 900, seed: int = 0) -> pd.DataFrame:
    """Return rows nobody prepared: numbers, gaps, words, a heavy tail, a constant."""
    rng = np.random.default_rng(seed)
    age = rng.normal(50, 15, rows).round(1)
    state = rng.choice(["CA", "NY", 'T"X, too', "Ávila"], rows, p=[0.4, 0.3, 0.2, 0.1]).astype(object)
    state[:3] = ["Rare", "Rarer", "Rarest"]
    income = rng.lognormal(10, 1.5, rows).round(2)
    for values, share in ((age, 0.1), (state, 0.05), (income, 0.2)):
        values[rng.random(rows) < share] = np.nan
    return pd.DataFrame(
        {
            "y": (np.nan_to_num(age, nan=50) / 15 + rng.normal(0, 1, rows) > 3.5).astype(int),
            "age": age,
            "state": state,
            "income": income,
            "change": rng.normal(0, 5, rows),
            "smoker": np.where(rng.random(rows) < 0.3, "true", "False"),
            "constant": 7,
            "id": [f"P{i}" for i in range(rows)],
        }
    )


def read(rows: pd.DataFrame, folder: Path) -> Table:
    """Return the rows as the server reads them."""
    rows.to_csv(folder / "rows.csv", index=False)
    return read_table(folder / "rows.csv", label="y")


def client_table(rows: pd.DataFrame, folder: Path) -> utils.Table:
    """Return the rows as a client reads them from its prepared file."""
    write_table(read(rows, folder), folder / "client.csv")
    return utils.load_table(folder / "client.csv", "y")


def told(
    table: utils.Table, name: str = "a", rules: Mapping[str, Rule] = MappingProxyType({})
) -> ClientStatistics:
    """Return what a client with these rows tells the server."""
    medians = {column: rule for column, rule in rules.items() if rule.impute == "median"}
    told = utils.statistics(table, table, medians)
    return ClientStatistics(
        client=name,
        label="y",
        features=table.features,
        kinds=tuple(told.kinds),
        gaps=np.array(told.gaps),
        non_negative=np.array(told.non_negative),
        levels=json.loads(json.dumps(told.levels)),
        same_gaps=tuple(told.same_gaps),
        cells=told.cells,
        rows=len(table.y),
        positives=int(table.y.sum()),
        validation_rows=1,
        validation_positives=0,
        preparation=None,
        **{key.replace("-", "_"): values for key, values in told.arrays.items()},
    )


def agreement(
    parts: list[pd.DataFrame], test: pd.DataFrame, folder: Path, rules: Mapping[str, Rule] | None = None
) -> Preprocessing:
    """Return what clients with these rows agree on, under these rules of a contract."""
    statistics = [
        told(client_table(part, folder), f"client-{i}", rules or {}) for i, part in enumerate(parts)
    ]
    return pool(statistics, read(test, folder), rules or {})


def by_scikit_learn(rows: pd.DataFrame, levels: list[str], reference: str) -> Floats:
    """Return the pooled rows prepared by scikit-learn alone, features in the order of the agreement.

    Scaled before they are filled in: one standard deviation is that of the values there are.
    """
    known = [reference, *levels]
    log1p = FunctionTransformer(np.log1p)
    rows = rows.assign(smoker=rows["smoker"].str.lower() == "true")
    parts = [
        ("age", make_pipeline(StandardScaler(), SimpleImputer()), ["age"]),
        ("age?", FunctionTransformer(pd.isna), ["age"]),
        (
            "state",
            OneHotEncoder(categories=[levels], handle_unknown="ignore", sparse_output=False),
            ["state"],
        ),
        ("others", FunctionTransformer(lambda state: state.notna() & ~state.isin(known)), ["state"]),
        ("state?", FunctionTransformer(pd.isna), ["state"]),
        ("income", make_pipeline(log1p, StandardScaler(), SimpleImputer()), ["income"]),
        ("income?", FunctionTransformer(pd.isna), ["income"]),
        ("rest", StandardScaler(), ["change", "smoker"]),
    ]
    prepared: Floats = ColumnTransformer(parts).fit_transform(rows).astype(np.float64)
    return prepared


def test_it_equals_the_same_preprocessing_fitted_on_the_pooled_rows(tmp_path: Path) -> None:
    """Filling, marking, levels, logarithms and scaling of three uneven clients are scikit-learn's to 1e-9."""
    rows = frame()
    parts = [rows[:60], rows[60:300], rows[300:]]
    agreed = agreement(parts, rows[:50], tmp_path)
    mine = agreed.prepare(read(rows, tmp_path))
    theirs = by_scikit_learn(rows, ["NY", 'T"X, too', "Ávila"], reference="CA")
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-9)
    assert left_out(agreed, [told(client_table(part, tmp_path)) for part in parts]) == {
        "constant": "every training row holds the same value",
        "id": f"no level occurs in at least {LEAST} training rows of one client",
    }


def test_the_clients_prepare_rows_as_the_server_does(tmp_path: Path) -> None:
    """What the server writes down, a client reads: the same features of the same rows, to the last bit."""
    rows = frame()
    agreed = agreement([rows[:400], rows[400:]], rows[:50], tmp_path)
    record = str(as_record(agreed)["json"])
    mine = preprocessing.Preprocessing.from_json(record)
    table = client_table(rows, tmp_path)
    Z = mine.transform(mine.encode(table.features, table.X, table.levels))
    theirs = agreed.prepare(read(rows, tmp_path))
    np.testing.assert_array_equal(Z, theirs)


@pytest.mark.parametrize("keeper", ["server", "client"])
def test_the_saved_pipelines_take_raw_rows(tmp_path: Path, keeper: str) -> None:
    """The joblib of either side scores a DataFrame with texts and gaps as model.json does."""
    rows = frame()
    agreed = agreement([rows[:400], rows[400:]], rows[:50], tmp_path)
    model = LinearModel(
        label="y",
        preprocessing=agreed,
        coef=np.random.default_rng(1).normal(size=len(agreed.encoding.features)),
        intercept=0.25,
        provenance={},
    )
    if keeper == "server":
        save(model, tmp_path)
    else:
        copy = utils.new_model(1)
        utils.initialise_parameters(copy, model.coef.size)
        copy.coef_[0], copy.intercept_[0] = model.coef, model.intercept
        record = str(as_record(agreed)["json"])
        utils.save_model(preprocessing.Preprocessing.from_json(record), copy, tmp_path)
    new = frame(300, seed=5)
    new.loc[:9, "state"] = "never seen, and longer than any other level"
    new.loc[10:19, "state"] = "Rare"
    table = read(new, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = joblib.load(tmp_path / "model.joblib").predict_proba(pd.read_csv(tmp_path / "rows.csv"))
    np.testing.assert_allclose(scores[:, 1], model.score(table), rtol=0, atol=1e-12)
    again = LinearModel.from_json(model.to_json())
    np.testing.assert_array_equal(again.score(table), model.score(table))


# Levels -----------------------------------------------------------------------------------------------------


def with_levels(*counts: dict[str, int]) -> list[pd.DataFrame]:
    """Return one client for each mapping of levels to counts, with a number beside them."""
    frames = []
    for levels in counts:
        texts = [level for level, count in levels.items() for _ in range(count)]
        frames.append(pd.DataFrame({"y": 0, "z": np.arange(len(texts)), "s": texts}))
    return frames


def features_of(*counts: dict[str, int], folder: Path) -> tuple[str, ...]:
    """Return the names of the column's features."""
    parts = with_levels(*counts)
    features = agreement(parts, parts[0][:5], folder).encoding.features
    return tuple(feature.name for feature in features if feature.column == "s")


def test_levels_are_those_that_enough_rows_of_one_client_hold(tmp_path: Path) -> None:
    """Rows of several clients together are not enough; a level of one client alone is, for all."""
    one = {"a": 50, "b": LEAST, "c": LEAST - 1}
    other = {"a": 50, "c": LEAST - 1, "only here": LEAST}
    assert features_of(one, other, folder=tmp_path) == ("s = b", "s = only here", "s = other")


def test_the_most_frequent_level_is_always_the_reference(tmp_path: Path) -> None:
    """It is left out, whoever holds how many rows: else the levels' features add up to 1 in every row."""
    a, b, other = "s = a", "s = b", "s = other"
    assert features_of({"a": 50, "b": 60}, {"a": 40}, folder=tmp_path) == (b,)
    assert features_of({"a": 50, "b": 60}, {"a": 40, "b": 1}, folder=tmp_path) == (b, other)
    assert features_of({"a": 50, "b": 60, "c": 1}, {"a": 40}, folder=tmp_path) == (b, other)
    assert features_of({"a": 50, "b": 60, "": 30}, folder=tmp_path) == (a, "s is missing")
    assert features_of({"b": 50, "a": 50, "c": 3}, folder=tmp_path) == (b, other)  # a tie goes by name
    assert features_of({"a": 50}, {"b": 3}, folder=tmp_path) == (other,)
    assert features_of({"a": 50}, folder=tmp_path) == ()


def test_a_level_may_be_called_other(tmp_path: Path) -> None:
    """Then the feature of all others has a name that no level has."""
    counts = {"a": 50, "other": 20, "any other": 30, "rare": 2}
    assert features_of(counts, folder=tmp_path) == ("s = any other", "s = other", "s = any any other")


def test_the_reference_of_every_column_is_named(tmp_path: Path) -> None:
    """It is the level that the column's coefficients are compared with; without them there is none."""
    parts = with_levels({"a": 50, "b": 60}, {"a": 40, "b": 1})
    statistics = [told(client_table(part, tmp_path), f"client-{i}") for i, part in enumerate(parts)]
    agreed = pool(statistics, read(parts[0][:5], tmp_path))
    assert references(agreed, statistics) == {"s": "a"}
    before = (Feature(column="s", kind="level", level="a"), Feature(column="s", kind="level", level="b"))
    old = Preprocessing(
        features=("s = a", "s = b"), log1p=(False, False), mean=np.zeros(2), scale=np.ones(2), made_of=before
    )
    assert references(old, statistics) == {}


def test_a_column_of_countless_levels_keeps_the_most_frequent(tmp_path: Path) -> None:
    """More than a hundred levels are cut, the rarest first; they are among the others."""
    counts = {f"l{i:03d}": LEAST + i for i in range(MOST_LEVELS)}
    got = features_of(counts, {f"m{i:03d}": 2 * LEAST + i for i in range(MOST_LEVELS)}, folder=tmp_path)
    assert len(got) == MOST_LEVELS  # a hundred but the reference, and the others
    assert got[-1] == "s = other"
    assert "s = m098" in got
    assert "s = m099" not in got  # the reference
    assert "s = l000" not in got


def test_what_a_client_tells_names_no_rare_level(tmp_path: Path) -> None:
    """Neither the name nor the count of a level of few rows is in anything that leaves."""
    rows = frame()
    table = client_table(rows, tmp_path)
    sent = json.dumps(utils.statistics(table, table).levels)
    assert "Rare" not in sent
    assert "P1" not in sent
    assert set(json.loads(sent)["state"]) == {"CA", "NY", 'T"X, too', "Ávila"}


# Gaps -------------------------------------------------------------------------------------------------------


def with_gaps(*missing: dict[str, slice]) -> list[pd.DataFrame]:
    """Return one client of forty rows for each mapping of columns to the rows in which they have no value."""
    frames = []
    for at, gaps in enumerate(missing):
        X = np.random.default_rng(at).normal(size=(40, 3))
        part = numbers(a=X[:, 0], b=X[:, 1], c=X[:, 2])
        for column, rows in gaps.items():
            part.loc[part.index[rows], column] = np.nan
        frames.append(part)
    return frames


def names_and_notes(parts: list[pd.DataFrame], folder: Path) -> tuple[tuple[str, ...], list[str]]:
    """Return the features, and what is noted of their gaps; one client has its columns in another order."""
    statistics = [told(client_table(part, folder), f"client-{i}") for i, part in enumerate(parts)]
    turned = client_table(parts[-1][["y", "c", "b", "a"]], folder)
    statistics[-1] = told(turned, f"client-{len(parts) - 1}")
    agreed = agree(statistics, read(parts[0][:5], folder))
    notes = notes_of(TrainingSettings(), agreed)
    return agreed.preprocessing.features, [note for note in notes if "same rows" in note]


def test_columns_missing_in_the_same_rows_share_a_mark(tmp_path: Path) -> None:
    """Two marks, equal in every row, would get half of one effect each: there is one, and it is said."""
    parts = with_gaps({"a": slice(3, 9), "b": slice(3, 9)}, {"c": slice(1)}, {"a": slice(4), "b": slice(4)})
    features, notes = names_and_notes(parts, tmp_path)
    assert features == ("a", "a is missing", "b", "c", "c is missing")
    assert notes == ['"b" is missing in the same rows as "a": one feature marks both.']


def test_one_client_that_differs_keeps_the_marks_apart(tmp_path: Path) -> None:
    """They are equal only if every client says so."""
    parts = with_gaps({"a": slice(3, 9), "b": slice(3, 9)}, {"a": slice(4), "b": slice(5)})
    features, notes = names_and_notes(parts, tmp_path)
    assert features == ("a", "a is missing", "b", "b is missing", "c")
    assert not notes


def test_three_columns_missing_together_are_one_line(tmp_path: Path) -> None:
    """All are named in one note."""
    same = {"a": slice(3), "b": slice(3), "c": slice(3)}
    features, notes = names_and_notes(with_gaps(same, same), tmp_path)
    assert features == ("a", "a is missing", "b", "c")
    assert notes == ['"b" and "c" are missing in the same rows as "a": one feature marks all of them.']


@pytest.mark.parametrize(("penalty", "noted"), [("none", True), ("firth", True), ("l2", False)])
def test_columns_that_are_filled_in_are_named_where_there_are_standard_errors(
    tmp_path: Path, penalty: str, *, noted: bool
) -> None:
    """From more than 5 % of the training rows of all clients, in one line."""
    parts = with_gaps({"a": slice(20), "b": slice(3)}, {"a": slice(30), "b": slice(1), "c": slice(5)})
    statistics = [told(client_table(part, tmp_path), f"client-{i}") for i, part in enumerate(parts)]
    agreed = agree(statistics, read(parts[0][25:], tmp_path))
    notes = notes_of(TrainingSettings(strategy="fednewton", penalty=penalty), agreed)
    line = (
        'values are missing and filled in, which standard errors take for observed: "a" (62 %) and "c" (6 %).'
    )
    assert [note for note in notes if "filled in" in note] == [line] * noted


# Transforms -------------------------------------------------------------------------------------------------


def numbers(**columns: Floats) -> pd.DataFrame:
    """Return a table of these columns."""
    return pd.DataFrame({"y": 0, **columns})


def test_logarithms_are_of_heavy_tails_alone(tmp_path: Path) -> None:
    """Skewed amounts are logged; what is symmetric, negative, or 0 and 1 is not, however skewed."""
    rng = np.random.default_rng(0)
    rows = numbers(
        amount=rng.lognormal(3, 2, 600),
        age=rng.normal(50, 5, 600),
        debt=-rng.lognormal(3, 2, 600),
        rare=(np.arange(600) % 50 == 0).astype(float),
    )
    agreed = agreement([rows[:200], rows[200:]], rows[:20], tmp_path)
    assert agreed.log1p == (True, False, False, False)


def test_pooled_skewness_is_that_of_the_pooled_rows(tmp_path: Path) -> None:
    """Third moments of uneven clients merge to those of all rows."""
    x = np.concatenate(
        [np.random.default_rng(0).gamma(2, 3, 700), np.random.default_rng(1).normal(90, 2, 20)]
    )
    parts = [told(client_table(numbers(x=part), tmp_path)) for part in np.split(x, [10, 300, 690])]
    moments = [server_moments(one) for one in parts]
    total = moments[0].merged(moments[1]).merged(moments[2]).merged(moments[3])
    assert total.skewness[0] == pytest.approx(skew(x), rel=1e-9)


def server_moments(one: ClientStatistics) -> Moments:
    """Return a client's raw moments as the server merges them."""
    return Moments(one.observed, one.mean, one.m2, one.m3)


def test_the_servers_own_rows_count_where_they_could_not_be_scored(tmp_path: Path) -> None:
    """A negative or missing value in the test rows alone prevents the logarithm, and gets a filling."""
    x = np.random.default_rng(0).lognormal(3, 2, 300)
    rows = numbers(x=x, z=x)
    test = numbers(x=np.array([-1.0, 2.0]), z=np.array([np.nan, 2.0]))
    agreed = agreement([rows], test, tmp_path)
    assert agreed.log1p == (False, True)
    assert [feature.fill is None for feature in agreed.encoding.features] == [True, False]
    assert np.isfinite(agreed.prepare(read(test, tmp_path))).all()


def test_numbers_without_gaps_are_features_as_they_are(tmp_path: Path) -> None:
    """Then nothing is encoded, and the agreement reads as it always did."""
    rows = numbers(x=np.arange(100.0), z=np.arange(100.0) - 50)
    agreed = agreement([rows[:30], rows[30:]], rows[:5], tmp_path)
    assert agreed.encoding.is_plain
    record = json.loads(str(as_record(agreed)["json"]))
    assert set(record) == {"features", "log1p", "mean", "scale"}


def test_a_column_missing_at_one_client_is_filled_from_the_others(tmp_path: Path) -> None:
    """A client whose every value is missing does not move the mean."""
    rows = numbers(x=np.arange(100.0), z=np.arange(100.0))
    empty = numbers(x=np.full(50, np.nan), z=np.arange(50.0))
    agreed = agreement([rows, empty], rows[:5], tmp_path)
    assert agreed.mean[0] == pytest.approx(49.5)
    assert agreed.encoding.features[0].fill == pytest.approx(49.5)


def test_columns_that_do_not_vary_are_refused_together(tmp_path: Path) -> None:
    """Without any column that varies there is nothing to learn from."""
    rows = numbers(x=np.ones(50))
    with pytest.raises(DataError, match="No column varies"):
        agreement([rows], rows[:5], tmp_path)
