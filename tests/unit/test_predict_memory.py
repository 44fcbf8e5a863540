"""The model remembers how cells were written; an option goes before that, and what differs is said."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from client_code.protocol.contract import Contract, Rule
from federation.data.columns.written import Written
from federation.data.preparation.manifest import read_manifest
from federation.data.preparation.prepare import prepare
from federation.data.preparation.settings import PreparationSettings
from federation.data.table import Table, read_table
from federation.errors import DataError, FeatureError
from federation.learning.preprocessing.prepared import Prepared
from federation.model.linear import LinearModel
from federation.predict import main
from tests.unit.test_predict_reads_as_training import Raw, model_of, prepared, scored


def test_a_model_holds_words_and_notations_that_were_told_and_no_cell(tmp_path: Path) -> None:
    """And nothing where all is plain, so that its file is what it was."""
    raw = Raw(x=["$6,543.21", "$7", "none"], z=["12 %", "8 %", "-9"], missing=["none", "-9"])
    model = prepared(raw, tmp_path)
    text = json.dumps(model.written)
    assert json.loads(text) == {
        "missing": ["none", "-9"],
        "numbers": {
            "x": {
                "decimal": ".",
                "group": ",",
                "unit": "$",
                "brackets": False,
                "words": "amounts with a currency and thousands separators ($1,234.5)",
            },
            "z": {
                "decimal": ".",
                "group": ",",
                "unit": "%",
                "brackets": False,
                "words": "percentages (12 % is 12)",
            },
        },
    }
    assert not any(cell in text for cell in ("6,543", "543.21", "8 %"))
    (tmp_path / "plain").mkdir()
    assert prepared(Raw(x=["1.5", "2"]), tmp_path / "plain").written is None


@pytest.mark.parametrize(
    "written",
    [
        {"words": []},
        {"missing": "x"},
        {"missing": [" "]},
        {"decimal": ";"},
        {"positive": 1},
        {"numbers": {"x": {}}},
        {"numbers": {"x": {"decimal": ".", "group": ".", "unit": "", "brackets": False, "words": ""}}},
        {"numbers": {"x": {"decimal": ".", "group": ",", "unit": "5", "brackets": False, "words": ""}}},
        {"numbers": {"x": {"decimal": ".", "group": ",", "unit": "", "brackets": 1, "words": ""}}},
        {"numbers": []},
        {"dates": {"x": "%d/%m/%Y"}},
        {"dates": {"x": {"format": "%d", "reference": "2020-01-01"}}},
    ],
)
def test_what_no_run_wrote_is_refused(tmp_path: Path, written: Any) -> None:
    """In a model, and in the manifest of prepared files."""
    raw = Raw(x=["1.5", "2"])
    parts = json.loads(prepared(raw, tmp_path).to_json()) | {"format_version": 3, "written": written}
    with pytest.raises(DataError, match='"written" of the model is not what a run writes'):
        LinearModel.from_json(json.dumps(parts))
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text()) | {"written": written}
    (tmp_path / "out" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match="damaged"):
        read_manifest(tmp_path / "out")


# Options, and what is said ----------------------------------------------------------------------------------


def test_an_option_goes_before_what_is_remembered(tmp_path: Path) -> None:
    """Other words, or none; a word of training that is a number again is said."""
    raw = Raw(x=["5", "-9"], missing=["-9"])
    model = raw.model(raw.read(raw.put(tmp_path)))
    rows = pd.DataFrame({"x": ["5", "-9", "?"], "z": 1})
    five, gap = scored(model, pd.DataFrame({"x": [5, np.nan], "z": 1}))
    with pytest.raises(FeatureError, match="1 not a number"):
        scored(model, rows)
    said = "x: 1 of 3 rows hold a word that stood for a missing value in training: it counts as it reads"
    with pytest.warns(UserWarning, match=said):
        found = scored(model, rows, missing=["?"])
    assert (found[0], found[2]) == (five, gap)
    assert found[1] not in (five, gap)
    with pytest.warns(UserWarning, match="x: 1 of 2 rows hold a word"):
        assert scored(model, rows[:2], missing=[]) == found[:2]
    assert scored(model, rows, missing=["?", "-9.0"]) == [five, gap, gap]


@pytest.mark.parametrize(
    ("trained", "cells", "count", "words"),
    [
        (["$1,234.50", "$5"], ["$7", "7", "1,234.5"], 2, "amounts with a currency and thousands separators"),
        (["12 %", "5%"], ["12 %", "5.5"], 1, "percentages (12 % is 12)"),
        (["1.5", "2"], ["1.5", "1,234.5", "1 234.5", "\u22125"], 3, "plain numbers"),
        (["1234,5", "7"], ["7", "1.234,5", "12.5"], 1, "numbers with a decimal comma (1234,5)"),
    ],
)
def test_another_notation_is_said(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    trained: list[str],
    cells: list[str],
    count: int,
    words: str,
) -> None:
    """Per column, in counts, with the notation of training and without a value."""
    raw = Raw(x=trained)
    model = raw.model(raw.read(raw.put(tmp_path)))
    (tmp_path / "model.json").write_text(model.to_json(), encoding="utf-8")
    pd.DataFrame({"x": cells, "z": 1}).to_csv(tmp_path / "new.csv", index=False)
    main(model=str(tmp_path / "model.json"), source=str(tmp_path / "new.csv"), out=str(tmp_path / "out.csv"))
    said = (
        f"note: x: {count} of {len(cells)} rows hold a number that is not written as in training, which had "
    )
    assert f"{said}{words}" in capsys.readouterr().err


@pytest.mark.parametrize("cell", ["12 %", "\u20ac5", "(5)", "12,5"])
def test_another_unit_or_mark_is_refused(tmp_path: Path, cell: str) -> None:
    """Where training had none, or another one: 12 % may be 12 or 0.12, and brackets a note."""
    for trained in (["1.5", "2"], ["$1,234.50", "$5"]):
        raw = Raw(x=trained)
        model = raw.model(raw.read(raw.put(tmp_path)))
        with pytest.raises(FeatureError, match=r"written|not a number"):
            scored(model, pd.DataFrame({"x": [cell, trained[1]], "z": 1}))


def test_nothing_is_guessed_where_a_point_may_be_either(tmp_path: Path) -> None:
    """Numbers of a plain file, for a model of a table with decimal commas; each option reads them its way."""
    raw = Raw(x=["1234,5", "7"])
    model = raw.model(raw.read(raw.put(tmp_path)))
    for rows in (
        pd.DataFrame({"x": ["1.234", "12.5"], "z": 1}),
        pd.DataFrame({"x": "7", "z": ["1.234", "2"]}),
    ):
        with pytest.raises(
            FeatureError, match=r'may separate thousands or decimals in column "[xz]" \(1 rows\)'
        ):
            scored(model, rows)
        with warnings.catch_warnings(action="ignore"):
            assert scored(model, rows, decimal=".") == scored(model, rows.astype(float))


@pytest.mark.filterwarnings("ignore:x. :UserWarning")
def test_numbers_that_are_no_texts_have_no_notation(tmp_path: Path) -> None:
    """Those of a frame and of Parquet, beside a column of texts in the notation of training."""
    raw = Raw(x=["1.234,5", "7"], z=["1,5", "2"])
    model = raw.model(raw.read(raw.put(tmp_path)))
    rows = pd.DataFrame({"x": [1.234, 7.0], "z": ["1.234,5", "1.234"]})
    rows.to_parquet(tmp_path / "rows.parquet")
    expected = scored(model, pd.DataFrame({"x": [1.234, 7.0], "z": [1234.5, 1234.0]}))
    assert scored(model, rows) == scored(model, tmp_path / "rows.parquet") == expected


def test_files_of_a_folder_are_each_read_by_its_own_mark(tmp_path: Path) -> None:
    """Levels as they stand, numbers and words for a gap as they are meant."""
    folder = tmp_path / "rows"
    folder.mkdir()
    (folder / "a.csv").write_text("x;z;y\n1,5;1,2;1\n-99,9;2,1;0\n")
    (folder / "b.csv").write_text('x,z,y\n1.5,"1,2",1\n-99.9,2.1,0\n')
    X = np.array([[1.5, 0], [np.nan, 1]])
    levels = Table(features=("x", "z"), X=X, y=np.array([1, 0]), label="y", levels={"z": ("1,2", "2,1")})
    model = model_of(levels, Prepared(cells=Written(missing=["-99,9"])))
    expected = model.score(levels).tolist()
    assert scored(model, folder / "a.csv") == expected
    with pytest.warns(UserWarning, match="z: 1 of 4 rows write a level as another number"):
        found = scored(model, folder, missing=["-99,9", "-99.9"])
    assert found == expected * 2


@pytest.mark.parametrize(
    ("raw", "cells", "taken"),
    [
        (Raw(x=["1.234,5", "7"]), ["1.234", "7"], "a comma is taken for it; if it is none, add --decimal ."),
        (Raw(x=["1,234.5", "7"]), ["1,234", "7"], "a point is taken for it; if it is none, add --decimal ,"),
    ],
)
def test_what_only_training_tells_is_said(tmp_path: Path, raw: Raw, cells: list[str], taken: str) -> None:
    """Until a number of the column shows the same."""
    model = raw.model(raw.read(raw.put(tmp_path)))
    rows = pd.DataFrame({"x": cells, "z": 1})
    with pytest.warns(UserWarning, match=rf"x: 1 of 2 rows hold a number such as .*{taken}"):
        found = scored(model, rows)
    assert found == scored(model, pd.DataFrame({"x": [1234, 7], "z": 1}))
    more = pd.concat([rows, pd.DataFrame({"x": [raw.x[0]], "z": 1})])
    assert scored(model, more)[:2] == found


@pytest.mark.parametrize("by_contract", [True, False])
def test_the_positive_value_of_the_label_is_remembered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], *, by_contract: bool
) -> None:
    """From the contract or the option; labels of prepared files are 0 and 1 all the same."""
    rows = pd.DataFrame({"x": np.arange(60) / 7, "y": ["late", "on time", "on time"] * 20})
    rows.to_csv(tmp_path / "rows.csv", index=False)
    said: dict[str, Any] = {"positive": "late"}
    agreed = Contract(label="y", columns={"x": Rule(type="numeric")}, **said) if by_contract else None
    settings = PreparationSettings(label="y", contract=agreed, **({} if by_contract else said))
    manifest = prepare(tmp_path / "rows.csv", tmp_path / "out", settings)
    table = read_table(tmp_path / "rows.csv", label="y", **said)
    model = model_of(table, Prepared.of(manifest, agreed))
    (tmp_path / "model.json").write_text(model.to_json(), encoding="utf-8")
    for name in ("rows.csv", "out/client-1/train.csv"):
        main(model=str(tmp_path / "model.json"), source=str(tmp_path / name), out=str(tmp_path / "out.csv"))
        assert 'rows with a label in "y"' in capsys.readouterr().out
    out, rows_file = str(tmp_path / "out.csv"), str(tmp_path / "rows.csv")
    main(model=str(tmp_path / "model.json"), source=rows_file, out=out, positive="on time")
    assert '60 rows with a label in "y", 40 positive' in capsys.readouterr().out


def test_a_positive_value_that_prepared_files_use_for_the_other_class_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Raw and prepared files look alike where 0 was the positive value: metrics may be upside down."""
    rows = pd.DataFrame({"x": np.arange(60) / 7, "y": [0, 1, 1] * 20})
    rows.to_csv(tmp_path / "rows.csv", index=False)
    table = read_table(tmp_path / "rows.csv", label="y", positive="0")
    manifest = prepare(tmp_path / "rows.csv", tmp_path / "out", PreparationSettings(label="y", positive="0"))
    model = model_of(table, Prepared.of(manifest, None)).to_json()
    (tmp_path / "model.json").write_text(model, encoding="utf-8")
    for positive, told in ((None, True), ("1", False)):
        source, out = str(tmp_path / "out/client-1/train.csv"), str(tmp_path / "out.csv")
        main(model=str(tmp_path / "model.json"), source=source, out=out, positive=positive)
        assert ('"0" of "y" counts as positive, as in training' in capsys.readouterr().err) is told
