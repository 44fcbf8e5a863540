"""The model scores alike in both of its forms, and neither needs our code."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from federation.errors import DataError, FeatureError
from federation.files import replacing
from federation.model.linear import LinearModel, Preprocessing
from federation.model.pipeline import save, to_pipeline

FEATURES = ("delta", "claims", "rate", "money")
LOG1P = (False, True, False, True)


def a_model(**changes: Any) -> LinearModel:
    """Make a model of four features, every other one logged."""
    parts: dict[str, Any] = {
        "label": "fraud",
        "preprocessing": Preprocessing(
            features=FEATURES,
            log1p=LOG1P,
            mean=np.array([0.1, 2.0, -0.3, 1 / 3]),
            scale=np.array([1.0, 0.7, 2.5, 1e-3]),
        ),
        "coef": np.array([0.5, -1.25, 2e-17, 0.003]),
        "intercept": -2.2,
        "provenance": {"strategy": "fedavg", "rounds": 3, "synthetic": True, "rows": 90, "note": None},
    }
    return LinearModel(**parts | changes)


def raw_rows(n: int = 200, seed: int = 0) -> NDArray[np.float64]:
    """Draw rows that the model can score."""
    rng = np.random.default_rng(seed)
    X = rng.normal(0, 3, (n, len(FEATURES)))
    X[:, LOG1P] = rng.lognormal(1, 2, (n, sum(LOG1P)))
    return X


def frame(X: NDArray[np.float64]) -> pd.DataFrame:
    """Name the columns, as a user's table does."""
    return pd.DataFrame(X, columns=list(FEATURES))


def test_pipeline_scores_like_the_model() -> None:
    """Coefficients follow their columns through the ColumnTransformer's reordering."""
    model, X = a_model(), raw_rows()
    np.testing.assert_allclose(
        to_pipeline(model).predict_proba(frame(X))[:, 1], model.predict_proba(X), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("log1p", [(True,) * 4, (False,) * 4])
def test_pipeline_allows_one_kind_of_transform_alone(log1p: tuple[bool, ...]) -> None:
    """A model that logs every column, or none, has a Pipeline too."""
    prep = Preprocessing(features=FEATURES, log1p=log1p, mean=np.zeros(4), scale=np.ones(4))
    model, X = a_model(preprocessing=prep), np.abs(raw_rows())
    np.testing.assert_allclose(
        to_pipeline(model).predict_proba(frame(X))[:, 1], model.predict_proba(X), rtol=0, atol=1e-12
    )


def test_pipeline_takes_columns_by_name() -> None:
    """The order of columns does not matter, and other columns are ignored."""
    pipeline, X = to_pipeline(a_model()), frame(raw_rows())
    shuffled = X[["money", "rate", "claims", "delta"]].assign(id="x")
    np.testing.assert_array_equal(pipeline.predict_proba(shuffled), pipeline.predict_proba(X))


def test_pipeline_refuses_a_missing_column() -> None:
    """Scores are never made from other columns than those of training."""
    with pytest.raises(ValueError, match="money"):
        to_pipeline(a_model()).predict_proba(frame(raw_rows()).drop(columns="money"))


def test_pipeline_shows_its_fitted_attributes() -> None:
    """Whoever inspects the Pipeline finds what scikit-learn would have learned."""
    pipeline = to_pipeline(a_model())
    scaler, classifier = pipeline["scale"], pipeline["classify"]
    assert classifier.coef_.shape == (1, 4)
    assert classifier.intercept_.tolist() == [-2.2]
    assert classifier.classes_.tolist() == [0, 1]
    assert scaler.var_.tolist() == (scaler.scale_**2).tolist()
    assert scaler.n_samples_seen_ == 90
    assert list(pipeline[:-1].get_feature_names_out()) == ["claims", "money", "delta", "rate"]


@pytest.mark.process
def test_saved_pipeline_loads_without_our_code(tmp_path: Path) -> None:
    """With scikit-learn and pandas alone, model.joblib gives the same scores, and no warning."""
    model, X = a_model(), raw_rows(20)
    save(model, tmp_path / "run")
    frame(X).to_csv(tmp_path / "rows.csv", index=False)
    script = (
        "import sys, joblib, pandas as pd\n"
        "model = joblib.load('run/model.joblib')\n"
        "rows = pd.read_csv('rows.csv')\n"
        "print(model.predict_proba(rows)[:, 1].tolist())\n"
        "assert not any(name.startswith('federation') for name in sys.modules)\n"
    )
    out = subprocess.run(
        [sys.executable, "-I", "-W", "error", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert out.stderr == ""
    np.testing.assert_allclose(json.loads(out.stdout), model.predict_proba(X), rtol=0, atol=1e-12)


def test_save_writes_both_forms_and_nothing_else(tmp_path: Path) -> None:
    """No temporary file stays, and both forms hold the same model."""
    save(a_model(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.joblib", "model.json"]
    read = LinearModel.from_json((tmp_path / "model.json").read_text(encoding="utf-8"))
    pipeline = joblib.load(tmp_path / "model.joblib")
    assert pipeline["classify"].intercept_[0] == read.intercept


def test_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    """A file appears whole or not at all."""
    path = tmp_path / "out.txt"
    path.write_text("old")

    def write_half() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@given(
    st.lists(st.floats(-1e300, 1e300, allow_subnormal=True), min_size=4, max_size=4),
    st.lists(st.floats(1e-300, 1e300), min_size=4, max_size=4),
)
def test_json_returns_every_number_to_the_last_bit(numbers: list[float], scales: list[float]) -> None:
    """Text is no reason to lose a bit."""
    prep = Preprocessing(features=FEATURES, log1p=LOG1P, mean=np.array(numbers), scale=np.array(scales))
    model = a_model(preprocessing=prep, coef=np.array(numbers), intercept=numbers[0])
    read = LinearModel.from_json(model.to_json())
    assert read.to_json() == model.to_json()
    assert read.coef.tobytes() == model.coef.tobytes()
    assert read.preprocessing.scale.tobytes() == prep.scale.tobytes()
    assert read.preprocessing.log1p == LOG1P
    assert read.provenance == model.provenance


def test_json_reads_like_a_table_of_features() -> None:
    """A person finds each feature's numbers side by side, in a fixed order."""
    parts = json.loads(a_model().to_json())
    assert list(parts) == ["format_version", "label", "features", "intercept", "provenance"]
    assert parts["features"][1] == {
        "name": "claims",
        "transform": "log1p",
        "mean": 2.0,
        "scale": 0.7,
        "coefficient": -1.25,
    }


def edited(*path: str | int, to: object) -> str:
    """Change one part of a good model.json."""
    parts = json.loads(a_model().to_json())
    target = parts
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = to
    return json.dumps(parts)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not a JSON object"),
        ("{}", "lacks features, format_version, intercept, label, provenance"),
        (edited("format_version", to=4), "format 4"),
        (edited("extra", to=1), "unknown extra"),
        (edited("label", to=1), '"label"'),
        (edited("features", to={}), '"features"'),
        (edited("features", to=[]), "empty"),
        (edited("features", 0, to=3), "not a JSON object"),
        (edited("features", 0, "scael", to=3), "unknown scael"),
        (edited("features", 0, "name", to="money"), "repeat"),
        (edited("features", 0, "transform", to="sqrt"), "sqrt"),
        (edited("features", 0, "mean", to=float("nan")), '"mean"'),
        (edited("features", 0, "mean", to=10**400), '"mean"'),
        (edited("features", 0, "scale", to=0), "not positive"),
        (edited("features", 0, "coefficient", to="1"), "not a number"),
        (edited("intercept", to=True), "not a number"),
        (edited("intercept", to=float("inf")), "not finite"),
        (edited("provenance", to=[]), '"provenance"'),
        (edited("provenance", "seed", to=[1]), '"seed"'),
        (edited("provenance", "seed", to=float("nan")), '"seed"'),
    ],
)
def test_json_that_is_no_model_is_refused(text: str, problem: str) -> None:
    """A wrong, missing or unknown part is named, and never guessed."""
    with pytest.raises(DataError, match=problem):
        LinearModel.from_json(text)


def test_columns_that_are_left_out_come_back_with_their_reasons() -> None:
    """A reason is words, and nothing that is used is left out."""
    model = a_model(left_out={"id": "an identifier", "ward": "no level is frequent"})
    read = LinearModel.from_json(model.to_json())
    assert read.left_out == model.left_out
    for wrong, problem in (({"id": 3}, 'why it leaves out "id"'), ({"money": "?"}, 'uses "money"')):
        parts = json.loads(model.to_json()) | {"left_out": wrong}
        with pytest.raises(DataError, match=problem):
            LinearModel.from_json(json.dumps(parts))


def test_lengths_that_disagree_are_refused() -> None:
    """A model whose arrays do not fit its features cannot exist."""
    with pytest.raises(DataError, match="coef"):
        a_model(coef=np.zeros(3))
    with pytest.raises(DataError, match="transforms"):
        Preprocessing(features=FEATURES, log1p=(True,), mean=np.zeros(4), scale=np.ones(4))


def test_extreme_scores_stay_probabilities() -> None:
    """The sigmoid neither overflows nor leaves [0, 1], however far the logit."""
    prep = Preprocessing(features=("x",), log1p=(False,), mean=np.zeros(1), scale=np.ones(1))
    model = LinearModel(label="y", preprocessing=prep, coef=np.ones(1), intercept=0.0, provenance={})
    p = model.predict_proba(np.array([[-1e308], [-745.0], [0.0], [745.0], [1e308]]))
    assert p.tolist() == pytest.approx([0.0, 0.0, 0.5, 1.0, 1.0])
    assert p[1] > 0.0


@pytest.mark.parametrize(
    ("value", "column", "problem"),
    [(np.nan, "delta", "finite"), (np.inf, "money", "finite"), (-0.5, "money", "negative")],
)
def test_unusable_value_is_named_without_being_shown(value: float, column: str, problem: str) -> None:
    """The message has column and row, counted from where the caller says; never the value."""
    X = raw_rows(5)
    X[2, FEATURES.index(column)] = value
    with pytest.raises(FeatureError, match=f'"{column}", data row 102: .*{problem}') as caught:
        a_model().predict_proba(X, first_row=100)
    assert str(value) not in str(caught.value)
