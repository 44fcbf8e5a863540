"""Coefficients of categorical columns are statsmodels' and scikit-learn's, whoever holds how many rows.

The design that they are compared on is written here by hand: a column of 0 and 1 for each level but the most
frequent.
"""

import datetime as dt
import io
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import joblib
import numpy as np
import pandas as pd
import pytest
from flwr.app import Context, RecordDict
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from statsmodels.discrete.discrete_model import Logit
from statsmodels.tools import add_constant

import client
import link
import utils
from columns import read_columns
from federation.api.model import Model
from federation.data.preparation.manifest import ClientRows, Count, Manifest
from federation.data.table import read_table
from federation.errors import DataError
from federation.learning.agreement import Agreement, digest_of, refuse_change
from federation.learning.federate import Federated, federate
from federation.learning.notes import notes_of
from federation.learning.preprocessing.pooling import references
from federation.learning.rounds.record import Checkpoint
from federation.learning.settings import TrainingSettings
from federation.model.features import encoded
from federation.model.linear import LinearModel
from federation.model.pipeline import to_pipeline
from federation.model.quality.yardsticks import fit_pooled
from federation.runs.description import RunSettings
from federation.runs.local.comparison import compare
from federation.runs.record.archive import read_archive, write_archive
from federation.runs.record.checkpoint import CheckpointFolder
from ledger import Ledger
from tests.unit.pooling import AnyOrder
from tests.unit.test_checked_strategy import Notes
from tests.unit.test_report import a_report, page_of

Floats = NDArray[np.float64]


def train(sites: list[pd.DataFrame], folder: Path, penalty: str = "none", **settings: Any) -> Federated:
    """Train with clients that hold these rows, of which ``y`` is the label; the server holds the first's."""
    answers = []
    for i, rows in enumerate(sites):
        X, levels = read_columns(rows.drop(columns="y"), "train.csv")
        table = utils.Table(
            features=tuple(rows.columns.drop("y")), X=X, y=rows["y"].to_numpy(dtype=np.int64), levels=levels
        )
        task = utils.Task(
            name=f"c{i}",
            label="y",
            train=table,
            validation=table,
            max_iter=10,
            model_dir=folder / f"c{i}",
        )
        context = Context(run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config={})
        answers.append(link.Answer(client.create_app(task), context, Ledger(io.StringIO())))
    sites[0].to_csv(folder / "test.csv", index=False)
    return federate(
        AnyOrder(answers, {}, seed=0),
        TrainingSettings(strategy="fednewton", penalty=penalty, **({"rounds": 25} | settings)),
        read_table(folder / "test.csv", label="y"),
        name_of=lambda node_id: f"c{node_id - 2}",
        observer=Notes(),
        provenance={},
    )


def coefficients(result: Federated) -> dict[str, float]:
    """Return log-odds by feature, per unit of the column."""
    preprocessing = result.model.preprocessing
    return dict(zip(preprocessing.features, result.model.coef / preprocessing.scale, strict=True))


def design(rows: pd.DataFrame, references: dict[str, str]) -> pd.DataFrame:
    """Return the columns of numbers as they are, of the others one for each level but the reference."""
    made = {}
    for name in rows.columns.drop("y"):
        if name not in references:
            made[name] = rows[name].astype(float)
            continue
        for level in sorted(set(rows[name]) - {references[name]}):
            made[f"{name} = {level}"] = (rows[name] == level).astype(float)
    return pd.DataFrame(made)


def drawn(z: Floats, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw labels with these log-odds."""
    return (rng.random(len(z)) < 1 / (1 + np.exp(-z))).astype(np.int64)


def three_sites(rare: int = 7) -> list[pd.DataFrame]:
    """Return three sites of 1,200 rows, of which the last has so few of level C; B and C raise the odds."""
    rng = np.random.default_rng(11)
    sites = []
    for site in range(3):
        g = rng.choice(["A", "B", "C"], 1200, p=[0.45, 0.35, 0.2])
        if site == 2:
            g[g == "C"] = "A"
            g[:rare] = "C"
        x = rng.normal(size=1200)
        z = -1.5 + 0.7 * (g == "B") + 1.2 * (g == "C") + 0.4 * x
        sites.append(pd.DataFrame({"y": drawn(z, rng), "g": g, "x": x}))
    return sites


def four_hospitals() -> list[pd.DataFrame]:
    """Return hospitals of the sizes and shares of men of the four in the heart data; one has six women."""
    rng = np.random.default_rng(5)
    sites = []
    for rows, women in ((303, 97), (294, 81), (123, 10), (200, 6)):
        sex = np.array(["female"] * women + ["male"] * (rows - women))
        cp = rng.choice(["typical", "atypical", "non-anginal", "none"], rows, p=[0.05, 0.2, 0.2, 0.55])
        age = rng.normal(54, 9, rows)
        z = -2.4 + 1.3 * (sex == "male") + 0.9 * (cp == "none") + 0.02 * age
        sites.append(pd.DataFrame({"y": drawn(z, rng), "age": age, "sex": sex, "cp": cp}))
    return sites


# Estimates --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rare", range(1, 10))
def test_odds_ratios_are_those_of_all_rows_when_a_client_holds_few_of_a_level(
    tmp_path: Path, rare: int
) -> None:
    """One to nine rows of C at one site change nothing: coefficients and errors are statsmodels' to 1e-6."""
    sites = three_sites(rare)
    result = train(sites, tmp_path)
    rows = pd.concat(sites, ignore_index=True)
    theirs = Logit(rows["y"], add_constant(design(rows, {"g": "A"}))).fit(disp=0, tol=1e-12)
    mine = coefficients(result)
    assert result.model.references == {"g": "A"}
    assert mine.pop("g = other") == pytest.approx(
        0.0, abs=1e-12
    )  # no row holds another level, but the server cannot know
    for name, value in mine.items():
        assert value == pytest.approx(theirs.params[name], rel=1e-6)
    assert result.model.inference is not None
    figures = {one["name"]: one for one in result.model.inference["features"]}
    for name in ("g = B", "g = C"):
        odds_ratio = np.exp(theirs.params[name])
        assert figures[name]["odds_ratio"] == pytest.approx(odds_ratio, rel=1e-6)
        assert figures[name]["standard_error"] == pytest.approx(theirs.bse[name], rel=1e-6)
    assert figures["g = other"]["standard_error"] is None


def test_a_level_below_the_threshold_everywhere_is_among_the_others(tmp_path: Path) -> None:
    """Its rows have an effect of their own, and do not become the reference."""
    sites = three_sites()
    for at in range(3):
        sites[at].loc[20:28, "g"] = "D"  # nine rows of each client
        sites[at].loc[20:28, "y"] = [0, 1, 1] * 3
    result = train(sites, tmp_path)
    rows = pd.concat(sites, ignore_index=True)
    theirs = Logit(rows["y"], add_constant(design(rows, {"g": "A"}))).fit(disp=0, tol=1e-12)
    mine = coefficients(result)
    assert mine["g = other"] == pytest.approx(theirs.params["g = D"], rel=1e-6)
    assert mine["g = B"] == pytest.approx(theirs.params["g = B"], rel=1e-6)


@pytest.mark.parametrize("penalty", ["none", "l2"])
def test_the_sex_of_four_hospitals_patients(tmp_path: Path, penalty: str) -> None:
    """Male is the reference, though one hospital has six women; l2 equals scikit-learn on the same design."""
    sites = four_hospitals()
    result = train(sites, tmp_path, penalty=penalty)
    references = {"sex": "male", "cp": "none"}
    assert result.model.references == references
    rows = pd.concat(sites, ignore_index=True)
    scaled = design(rows, references).assign(
        age=lambda it: (it["age"] - it["age"].mean()) / rows["age"].std(ddof=0)
    )
    C = np.inf if penalty == "none" else 1.0
    theirs = LogisticRegression(C=C, tol=1e-12, max_iter=1000, solver="newton-cholesky")
    theirs.fit(scaled.to_numpy(), rows["y"])
    expected = dict(zip(scaled.columns, theirs.coef_[0], strict=True))
    expected["age"] /= rows["age"].std(ddof=0)
    mine = coefficients(result)
    assert set(mine) - set(expected) <= {"sex = other", "cp = other"}
    for name, value in expected.items():
        assert mine[name] == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("penalty", ["l2", "none", "firth"])
def test_what_no_training_row_has_is_absent(penalty: str, tmp_path: Path) -> None:
    """An "other" that the server made room for is no column that the rows do not tell apart."""
    rng = np.random.default_rng(4)
    sites = []
    for count in (5, 60, 60):  # the first has too few of B to tell of them
        g = np.where(np.arange(200) < count, "B", "A")
        x = rng.normal(size=200)
        y = (rng.random(200) < 1 / (1 + np.exp(-x))).astype(int)
        sites.append(pd.DataFrame({"y": y, "x": x, "twin": 2 * x, "g": g}))
    model = train(sites, tmp_path, penalty=penalty).model
    assert model.inference is not None
    assert model.preprocessing.features == ("x", "twin", "g = B", "g = other")
    assert model.inference["absent"] == ["g = other"]
    assert model.inference["undetermined"] == [["x", "twin"]]
    assert [one["name"] for one in model.inference["features"]] == list(model.preprocessing.features)


# Scores -----------------------------------------------------------------------------------------------------

CELLS = ["A", "B", "C", "rare", "never seen, and longer than the others", np.nan, None, "", pd.NA]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[LinearModel, Path]:
    """Return a model of a column with levels A, B, C, gaps and rare ones, and of one that is complete.

    The folder is where its clients keep theirs.
    """
    folder = tmp_path_factory.mktemp("categorical")
    sites = three_sites()
    for rows in sites:
        rows["g"] = rows["g"].astype(object)
        rows.loc[100:140, "g"] = np.nan
        rows.loc[150:155, "g"] = "rare"
        rows.loc[150:155, "y"] = [0, 1] * 3
        rows["sex"] = np.where(np.arange(len(rows)) % 3 == 0, "f", "m")
    return train(sites, folder, penalty="l2").model, folder


@pytest.mark.parametrize("dtype", ["object", "string", "category", "parquet"])
@pytest.mark.parametrize("keeper", ["server", "client"])
def test_saved_pipelines_score_unknown_rare_and_missing_levels_as_the_model_does(
    tmp_path: Path, keeper: str, dtype: str, saved: tuple[LinearModel, Path]
) -> None:
    """Whatever pandas calls a missing cell has its mark; what is no known level is one of the others."""
    model, folder = saved
    assert "g = other" in model.preprocessing.features
    assert "sex = other" not in model.preprocessing.features
    cells = [cell for cell in CELLS if dtype == "object" or not (isinstance(cell, str) and not cell)]
    frame = pd.DataFrame({"g": cells, "x": 0.5, "sex": (["f", "m", "never seen"] * 3)[: len(cells)]})
    frame.assign(y=0).to_csv(tmp_path / "new.csv", index=False)
    expected = model.score(read_table(tmp_path / "new.csv", label="y"))
    if dtype == "parquet":
        frame.assign(g=frame["g"].astype("string")).to_parquet(tmp_path / "new.parquet")
        frame = pd.read_parquet(tmp_path / "new.parquet")
    else:
        frame["g"] = frame["g"].astype(dtype)
    saved_by_client = folder / "c0" / "model.joblib"
    pipeline = to_pipeline(model) if keeper == "server" else joblib.load(saved_by_client)
    frame.loc[frame["g"].eq("").fillna(value=False), "g"] = np.nan  # pandas' own readers do so
    np.testing.assert_allclose(pipeline.predict_proba(frame)[:, 1], expected, rtol=0, atol=1e-12)
    by_cell = dict(zip(map(str, cells), expected, strict=True))
    other = model.coef[model.preprocessing.features.index("g = other")]
    assert other != 0
    assert by_cell["rare"] != by_cell["A"]


def test_numbers_as_codes_are_known_by_their_texts(tmp_path: Path, saved: tuple[LinearModel, Path]) -> None:
    """A column of codes that were words in training scores alike from a file and from a frame of floats."""
    model, _ = saved
    frame = pd.DataFrame({"g": [1.0, 2.0, np.nan], "x": 0.5, "sex": "m"})
    pd.DataFrame({"g": ["1.0", "2.0", "", "word"], "x": 0.5, "sex": "m", "y": 0}).to_csv(
        tmp_path / "new.csv", index=False
    )
    expected = model.score(read_table(tmp_path / "new.csv", label="y", kinds={"g": "categorical"}))
    scores = to_pipeline(model).predict_proba(frame)[:, 1]
    np.testing.assert_allclose(scores, expected[:3], rtol=0, atol=1e-12)


def test_the_reference_is_in_the_model_and_on_the_page(saved: tuple[LinearModel, Path]) -> None:
    """model.json keeps it to the letter, with the levels that are no others; Python and the page name it."""
    model, _ = saved
    again = LinearModel.from_json(model.to_json())
    assert again.references == model.references == {"g": "A", "sex": "m"}
    assert again.preprocessing.made_of == model.preprocessing.made_of
    assert Model(again).references == {"g": "A", "sex": "m"}
    page = page_of(replace(a_report(), references=model.references))
    assert "reference: g = A" in page
    assert "reference: sex = m" in page


# Yardsticks -------------------------------------------------------------------------------------------------


def test_the_pooled_yardstick_is_scaled_as_agreed_where_values_are_missing(tmp_path: Path) -> None:
    """Filled in columns vary less than the values there are: with a scaling of its own l2 would differ."""
    sites = three_sites()
    for site, rows in enumerate(sites):
        rows.loc[:: 3 - site, "x"] = np.nan
    result = train(sites, tmp_path, penalty="l2")
    rows = pd.concat(sites)
    at = result.model.preprocessing.features.index("x")
    assert result.model.preprocessing.scale[at] == pytest.approx(rows["x"].std(ddof=0), rel=1e-12)
    tables = {}
    for site, part in enumerate(sites):
        part.to_csv(tmp_path / "rows.csv", index=False)
        tables[f"c{site}"] = read_table(tmp_path / "rows.csv", label="y")
    how = RunSettings(training=TrainingSettings(penalty="l2"), started=dt.datetime.now(dt.UTC))
    told = {name: Count(rows=table.rows, positives=table.positives) for name, table in tables.items()}
    as_they_were = {
        name: ClientRows(train_before=one, train=one, validation=one) for name, one in told.items()
    }
    manifest = cast("Manifest", SimpleNamespace(resample="none", clients=as_they_were))
    scores = compare(result, tables["c0"], tables, tables, how, manifest)
    assert scores.pooled is not None
    ours, theirs = np.asarray(scores.federated, dtype=float), np.asarray(scores.pooled, dtype=float)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-7)  # the yardstick's own tolerance
    features = {name: encoded(result.model.preprocessing.encoding, table) for name, table in tables.items()}
    alone = fit_pooled(
        features, plain=tuple(it.kind != "number" for it in result.model.preprocessing.made_of)
    )
    assert np.abs(alone.predict_proba(features["c0"].X) - ours).max() > 1e-5


# Earlier versions -------------------------------------------------------------------------------------------


def test_a_checkpoint_keeps_the_others_and_one_of_before_is_still_read(tmp_path: Path) -> None:
    """What a version before did not keep is left open: the run goes on, with what was agreed."""
    sites = three_sites()
    sites[0].loc[:5, "g"] = np.nan
    result = train(sites, tmp_path, penalty="l2")
    test = read_table(tmp_path / "test.csv", label="y")
    agreed = Agreement(
        preprocessing=result.model.preprocessing, statistics=result.statistics, test=digest_of(test)
    )
    checkpoint = Checkpoint(agreement=agreed, rounds=result.rounds[:1], arrays={}, strategy={})
    (tmp_path / "run").mkdir()
    folder = CheckpointFolder(tmp_path / "run")
    folder.save(checkpoint)
    kept = folder.load()
    assert kept is not None
    assert kept.agreement.preprocessing.made_of == result.model.preprocessing.made_of
    assert any(feature.levels == ("A", "B", "C") for feature in kept.agreement.preprocessing.made_of)
    refuse_change(kept.agreement, result.statistics, test)

    path = tmp_path / "run" / "checkpoint" / "agreed.zip"
    state = read_archive(path)
    for one in state["clients"]:
        del one["same_gaps"], one["cells"]
    for feature in state["preprocessing"]["made_of"]:
        del feature["levels"]
        if feature["kind"] == "other":
            feature |= {"kind": "level", "level": "A"}
    state["preprocessing"]["features"] = [
        name.replace("other", "A") for name in state["preprocessing"]["features"]
    ]
    write_archive(path, state)
    last = read_archive(path.with_name("round.zip"))
    del last["agreed"]
    write_archive(path.with_name("round.zip"), last)
    before = folder.load()
    assert before is not None
    refuse_change(before.agreement, result.statistics, test)
    assert not any("missing" in note for note in notes_of(TrainingSettings(), before.agreement))
    assert references(before.agreement.preprocessing, before.agreement.statistics) == {}


def test_a_model_without_a_reference_still_scores(tmp_path: Path) -> None:
    """A model.json of format 1 may have a feature for every level; one that its column lacks leaves all 0."""
    features = [
        {"name": f"g = {level}", "transform": "identity", "mean": 0.0, "scale": 1.0, "coefficient": at}
        | {"made_of": {"column": "g", "kind": "level", "level": level}}
        for at, level in enumerate("AB", start=1)
    ]
    parts = {"format_version": 1, "label": "y", "features": features, "intercept": -1.0, "provenance": {}}
    model = LinearModel.from_json(json.dumps(parts))
    assert model.references is None
    pd.DataFrame({"g": ["A", "B", "C", ""], "y": 0}).to_csv(tmp_path / "new.csv", index=False)
    scores = model.score(read_table(tmp_path / "new.csv", label="y"))
    np.testing.assert_allclose(scores, 1 / (1 + np.exp([0.0, -1.0, 1.0, 1.0])))
    assert LinearModel.from_json(model.to_json()).to_json() == model.to_json()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a model as JSON."""
    return train(three_sites(), tmp_path_factory.mktemp("plain"), penalty="l2").model.to_json()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"references": {"g": "B"}}, 'no reference level of "g"'),  # a level with a coefficient
        ({"references": {"x": "A"}}, 'no reference level of "x"'),  # numbers
        ({"references": {"absent": "A"}}, 'no reference level of "absent"'),
        ({"references": {"g": 1}}, 'no reference level of "g"'),
        ({"references": ["g"]}, "references"),
        ({"levels": "AB"}, 'what its feature "g = other" is made of'),
        ({"levels": [1]}, 'what its feature "g = other" is made of'),
        ({"levels": None}, 'what its feature "g = other" is made of'),
        ({"level": "A"}, 'what its feature "g = other" is made of'),
        ({"fill": 0.5}, 'what its feature "g = other" is made of'),
    ],
)
def test_a_model_that_contradicts_itself_is_refused(plain: str, change: dict[str, Any], words: str) -> None:
    """References and the levels that are no others must be such as the features are."""
    parts = json.loads(plain)
    if "references" in change:
        parts |= change
    else:
        [other] = [one for one in parts["features"] if one["name"] == "g = other"]
        other["made_of"] |= change
    with pytest.raises(DataError, match=words):
        LinearModel.from_json(json.dumps(parts))
