"""Scoring from model.json equals the Pipeline, and bad rows are named, never shown."""

import csv
import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from federation.errors import DataError, FeatureError, MissingFileError, SchemaMismatchError, SettingError
from federation.model.linear import LinearModel, Preprocessing
from federation.model.pipeline import save, to_pipeline
from federation.model.scoring import scorer as module
from federation.model.scoring.scorer import read_model
from federation.predict import main

MODEL = LinearModel(
    label="fraud",
    preprocessing=Preprocessing(
        features=("claims", "delta"),
        log1p=(True, False),
        mean=np.array([2.0, 0.1]),
        scale=np.array([0.7, 3.0]),
    ),
    coef=np.array([0.8, -1 / 3]),
    intercept=-2.0,
    provenance={"resample": "none"},
)
SAMPLING = {
    "resample": "smote",
    "trained_intercept": 0.5,
    "class_weight": [1.0, 1.0],
    "original": {"rows": 3932, "positives": 329},
    "trained": {"rows": 1800, "positives": 900},
    "clients": {"a": "smote"},
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Make a run folder that holds a model."""
    save(MODEL, tmp_path / "run")
    return tmp_path / "run"


def rows(n: int) -> pd.DataFrame:
    """Draw rows with the model's columns in another order, among others."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "name": [f"row, {i}" for i in range(n)],
            "delta": rng.normal(0, 3, n),
            "claims": rng.lognormal(2, 2, n),
        }
    )


def score(run: Path, text: str, **options: Any) -> list[list[str]]:
    """Score a CSV given as text and return the lines written."""
    source, out = run / "rows.csv", run / "scores.csv"
    source.write_text(text, encoding="utf-8")
    main(model=str(run / "model.json"), source=str(source), out=str(out), **options)
    return list(csv.reader(io.StringIO(out.read_text(encoding="utf-8"))))


def test_a_model_with_intercepts_of_clients_says_whose_rows_scores_are_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line; of a model with one intercept nothing is said."""
    folder, told = tmp_path / "run", dict[bool, list[str]]()
    for sites in ({}, {"a": -3.0, "b": -1.0}):
        save(replace(MODEL, site_intercepts=sites or None), folder)
        score(folder, "claims,delta\n1,2\n")
        lines = capsys.readouterr().err.splitlines()
        told[bool(sites)] = [line for line in lines if line.startswith("note: ")]
    assert told[False] == []
    (line,) = told[True]
    assert "the mean of the clients' intercepts" in line
    assert "not calibrated for the rows of one client" in line


@pytest.mark.parametrize("n", [1, 50, module._CHUNK + 1])
def test_scores_equal_the_pipelines(run: Path, n: int) -> None:
    """Through text and in chunks, both forms of the model score alike; rows are numbered from 1."""
    frame = rows(n)
    header, *lines = score(run, frame.to_csv(index=False))
    assert header == ["row", "score"]
    assert [line[0] for line in lines] == [str(i + 1) for i in range(n)]
    expected = to_pipeline(MODEL).predict_proba(frame)[:, 1]
    np.testing.assert_allclose([float(line[1]) for line in lines], expected, rtol=0, atol=1e-12)


def test_rows_can_be_named_by_a_column(run: Path) -> None:
    """The chosen column comes back as it was, quotes and all."""
    header, *lines = score(run, rows(3).to_csv(index=False), id_column="name")
    assert header == ["name", "score"]
    assert [line[0] for line in lines] == ["row, 0", "row, 1", "row, 2"]


def test_id_column_may_be_a_feature(run: Path) -> None:
    """Naming rows by a feature takes nothing from the model."""
    text = "claims,delta\n7,1\n"
    assert score(run, text, id_column="claims")[1][1] == score(run, text)[1][1]


@pytest.mark.parametrize(
    ("text", "options", "error", "message"),
    [
        ("delta\n1\n", {}, SchemaMismatchError, "claims"),
        ("claims,delta\n1,1\n", {"id_column": "dleta"}, SettingError, '--id "dleta": .* mean "delta"'),
        ("claims,delta\n1,1\n3,secret\n", {}, FeatureError, '"delta": 1 not a number .* row 2, line 3'),
        ("claims,delta\n1,1\n,1\n", {}, FeatureError, '"claims": 1 empty or NaN.* row 2, line 3'),
        ("claims,delta\n1,nan\n", {}, FeatureError, '"delta": 1 empty or NaN.* row 1, line 2'),
        ("claims,delta\n1,1e999\n", {}, FeatureError, '"delta": 1 infinity .* row 1, line 2'),
        ("claims,delta\n-0.5,1\n", {}, FeatureError, '"claims": 1 negative.* row 1, line 2'),
        ("claims,delta\n1,2,3\n", {}, DataError, "3 values"),
        ("", {}, DataError, "header"),
    ],
)
def test_unusable_input_is_named_and_nothing_is_written(
    run: Path, text: str, options: dict[str, Any], error: type[DataError], message: str
) -> None:
    """The error tells column and row and never the value; no file, whole or half, appears."""
    with pytest.raises(error, match=message) as caught:
        score(run, text, **options)
    assert "rows.csv" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert sorted(path.name for path in run.iterdir()) == ["model.joblib", "model.json", "rows.csv"]


def test_row_of_a_later_chunk_is_counted_from_the_start(run: Path) -> None:
    """Rows have one number, whatever chunk they are read in; earlier scores are not left behind."""
    lines = ["claims,delta", *["1,1"] * (module._CHUNK + 4), "-1,1"]
    with pytest.raises(FeatureError, match=f"data row {module._CHUNK + 5:,}, line {module._CHUNK + 6:,}"):
        score(run, "\n".join(lines))
    assert not (run / "scores.csv").exists()


def test_missing_files_are_named(run: Path) -> None:
    """Which of the two files is missing is said."""
    with pytest.raises(MissingFileError, match=r"rows\.csv"):
        main(model=str(run / "model.json"), source=str(run / "rows.csv"), out=str(run / "out.csv"))
    with pytest.raises(MissingFileError, match=r"other\.json"):
        main(model=str(run / "other.json"), source=str(run / "rows.csv"), out=str(run / "out.csv"))


def test_model_of_another_kind_is_named(run: Path) -> None:
    """A pickle is not read as text, and an error about the model says which file."""
    with pytest.raises(DataError, match=r"model\.joblib"):
        read_model(run / "model.joblib")
    (run / "model.json").write_text("{}")
    with pytest.raises(DataError, match=r"model\.json: .*lacks"):
        read_model(run / "model.json")


def test_output_that_cannot_be_written_is_named(run: Path) -> None:
    """A file in place of a folder is a setting to change, not a traceback."""
    (run / "rows.csv").write_text("claims,delta\n1,1\n")
    out = str(run / "rows.csv" / "out.csv")
    with pytest.raises(SettingError, match="cannot be written"):
        main(model=str(run / "model.json"), source=str(run / "rows.csv"), out=out)


@pytest.mark.parametrize(
    ("provenance", "sampling", "said"),
    [
        ({"resample": "none"}, None, ""),
        (
            {},
            SAMPLING,
            "trained on resampled rows (smote); its intercept is corrected to the true prevalence 0.0837",
        ),
        ({}, SAMPLING | {"resample": "balanced"}, "weighted by class (balanced); its intercept is corrected"),
        (
            {},
            SAMPLING | {"resample": "unknown", "original": None},
            "does not know whether its training rows were",
        ),
        ({}, None, "does not know whether its training rows were resampled"),
        (
            {"resample": "smote"},
            None,
            "resampled rows (smote) and not corrected for it: scores rank rows, and are no",
        ),
    ],
    ids=["as they were", "smote", "balanced", "unknown", "another program's", "an earlier version's"],
)
def test_what_the_scores_are_is_said_beside_them(
    run: Path,
    provenance: dict[str, Any],
    sampling: dict[str, Any] | None,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One line on stderr, and none where rows were as they are."""
    save(replace(MODEL, provenance=provenance, sampling=sampling), run)
    score(run, "claims,delta\n6.4,0.1\n")
    err = capsys.readouterr().err
    assert said in err
    assert err.count("note: ") == bool(said)


@pytest.mark.parametrize(
    "change",
    [
        {"resample": "magic"},
        {"resample": "unknown"},
        {"trained_intercept": None},
        {"class_weight": [1.0]},
        {"class_weight": [0.0, 1.0]},
        {"original": None},
        {"trained": {"rows": 0, "positives": 0}},
        {"clients": {"a": "magic"}},
        {"clients": []},
        {"more": 1},
    ],
    ids=str,
)
def test_what_a_model_tells_of_resampling_is_checked(run: Path, change: dict[str, Any]) -> None:
    """Only what a run writes is read."""
    save(replace(MODEL, sampling=SAMPLING), run)
    path = run / "model.json"
    model = json.loads(path.read_text())
    path.write_text(json.dumps(model | {"sampling": model["sampling"] | change}))
    with pytest.raises(DataError, match=r"sampling"):
        read_model(path)


@pytest.mark.process
def test_command_scores_to_stdout_without_scikit_learn(run: Path) -> None:
    """``--out -`` prints the scores alone; neither scikit-learn nor joblib is imported for it."""
    (run / "rows.csv").write_text("claims,delta\n6.4,0.1\n")
    script = (
        "import sys\n"
        "from federation.cli.command import run\n"
        "from federation.predict import main\n"
        "try:\n"
        "    run(main)\n"
        "finally:\n"
        "    assert not {'sklearn', 'joblib'} & set(sys.modules)\n"
    )
    arguments = ["--model", str(run / "model.json"), "--input", str(run / "rows.csv"), "--out", "-"]
    out = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (out.returncode, out.stderr) == (0, "Scored 1 row\n")
    (expected,) = MODEL.predict_proba(np.array([[6.4, 0.1]])).tolist()
    assert out.stdout == f"row,score\n1,{expected}\n"


@pytest.mark.process
def test_command_ends_with_the_errors_exit_code(run: Path) -> None:
    """A missing file is one line on stderr and exit code 11."""
    arguments = ["--model", str(run / "model.json"), "--input", str(run / "no.csv"), "--out", "-"]
    out = subprocess.run(
        [sys.executable, "-m", "federation.predict", *arguments],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert out.returncode == 11
    assert out.stderr.startswith("error: ")
    assert out.stderr.count("\n") == 1
