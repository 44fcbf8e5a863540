"""Scoring reads files as they are said to be written, and takes words for a gap as training does."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from client_code.protocol.features import Feature
from federation.api.model import Model
from federation.errors import DataError, SettingError
from federation.model.linear import LinearModel, Preprocessing
from federation.model.pipeline import save
from federation.predict import main

FEATURES = (
    Feature(column="größe", fill=2.0),
    Feature(column="größe", kind="missing"),
    Feature(column="state", kind="level", level="CA"),
)
MODEL = LinearModel(
    label="y",
    preprocessing=Preprocessing(
        features=tuple(one.name for one in FEATURES),
        log1p=(False,) * 3,
        mean=np.zeros(3),
        scale=np.ones(3),
        made_of=FEATURES,
    ),
    coef=np.array([0.8, -1.0, 0.5]),
    intercept=-1.0,
    provenance={"resample": "none"},
    references={"state": "NY"},
)
PLAIN = "id,größe,state,y\n-9,1.5,CA,1\n2,,NY,0\n3,,,\n"


def score(folder: Path, text: str, written: str = "utf-8", **options: Any) -> list[list[str]]:
    """Score a CSV given as text and return the lines written, in any form."""
    save(MODEL, folder / "run")
    source, out = folder / "rows.csv", folder / "scores.csv"
    source.write_text(text, encoding=written)
    main(model=str(folder / "run" / "model.json"), source=str(source), out=str(out), **options)
    return list(csv.reader(out.read_text(encoding="utf-8").splitlines()))


def test_words_for_a_gap_are_gaps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In numbers however they are written, in levels and labels, but not in the ids of rows."""
    wanted = score(tmp_path, PLAIN, id_column="id")
    text = "id,größe,state,y\n-9,1.5,CA,1\n2,-9.0,NY,0\n3,-9,?,?\n"
    capsys.readouterr()
    assert score(tmp_path, text, id_column="id", missing=["-9", "?"]) == wanted
    told = capsys.readouterr()
    assert "größe 2" in told.err
    assert "2 rows with a label" in told.out + told.err
    assert wanted[1][0] == "-9"


def test_a_file_is_read_in_the_form_that_is_given(tmp_path: Path) -> None:
    """Separator, decimal mark, encoding, and a word with a decimal comma."""
    wanted = score(tmp_path, PLAIN, id_column="id")
    text = "id;größe;state;y\n-9;1,5;CA;1\n2;-99,9;NY;0\n3;-99,9;;\n"
    form = {"separator": ";", "decimal": ",", "encoding": "cp1252", "missing": ["-99,9"]}
    assert score(tmp_path, text, "cp1252", id_column="id", **form) == wanted
    with pytest.raises(DataError, match="--encoding cp1252"):
        score(tmp_path, text, "cp1252")


def test_python_takes_the_same_arguments(tmp_path: Path) -> None:
    """For files; of a frame only the words count."""
    model, rows = Model(MODEL), tmp_path / "rows.csv"
    wanted = model.predict_proba(pd.DataFrame({"größe": [1.5, np.nan], "state": ["CA", "NY"]}))
    rows.write_text("größe|state\n1,5|CA\n-9|NY\n", encoding="cp1252")
    found = model.predict_proba(rows, separator="|", decimal=",", encoding="cp1252", missing=["-9"])
    assert found.tolist() == wanted.tolist()
    frame = pd.DataFrame({"größe": [1.5, -9], "state": ["CA", "NY"]})
    assert model.predict_proba(frame, separator="|", missing=["-9"]).tolist() == wanted.tolist()


def test_files_that_are_not_read_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the command and in Python."""
    save(MODEL, tmp_path / "run")
    folder = tmp_path / "rows"
    folder.mkdir()
    (folder / "a.csv").write_text(PLAIN, encoding="utf-8")
    (folder / "b.txt.bak").write_text(PLAIN, encoding="utf-8")
    main(model=str(tmp_path / "run" / "model.json"), source=str(folder), out=str(tmp_path / "out.csv"))
    assert "note: not read, as the name is not that of a table: b.txt.bak.\n" in capsys.readouterr().err
    with pytest.warns(UserWarning, match=r"b\.txt\.bak"):
        Model(MODEL).predict_proba(folder)


def test_an_empty_word_is_refused(tmp_path: Path) -> None:
    """An empty cell is a gap anyway."""
    with pytest.raises(SettingError, match="--missing: an empty word"):
        score(tmp_path, PLAIN, missing=[" "])


def test_the_encoding_of_json_lines_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As preparation tells it."""
    save(MODEL, tmp_path / "run")
    (tmp_path / "rows.jsonl").write_text('{"größe": 1.5, "state": "CA"}\n', encoding="utf-16")
    main(
        model=str(tmp_path / "run" / "model.json"),
        source=str(tmp_path / "rows.jsonl"),
        out=str(tmp_path / "scores.csv"),
    )
    assert "rows.jsonl: read with the encoding utf-16" in capsys.readouterr().err
