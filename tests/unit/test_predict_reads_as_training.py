"""Scoring reads a table as training read it, or refuses it: the model remembers how cells were written."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyreadstat
import pytest

import contract as client_contract
import utils
from client_code.protocol.contract import Contract, Rule
from client_code.protocol.features import Feature
from federation.api.model import Model
from federation.data.columns.written import Written
from federation.data.contract_check import as_words, told_by
from federation.data.files.text import Format
from federation.data.preparation.manifest import read_manifest
from federation.data.preparation.prepare import prepare
from federation.data.preparation.settings import PreparationSettings
from federation.data.table import Table, read_table
from federation.errors import FeatureError
from federation.learning.preprocessing.prepared import Prepared
from federation.model.linear import LinearModel, Preprocessing

ROWS = 60
OPEN = "no other number of the column tells what separates decimals"
DATES = Contract(
    label="y",
    columns={
        "x": Rule(type="date", format="%d/%m/%Y", reference="2020-01-01", missing=0.5),
        "z": Rule(type="numeric", missing=0.5),
    },
    missing_values=("none", "-9"),
)


@dataclass(frozen=True, kw_only=True)
class Raw:
    """A table as somebody has it: cells by column, over and over; how it is written, and what is told."""

    x: Sequence[str]
    z: Sequence[str] = ("1", "2")
    separator: str = ","
    missing: Sequence[str] = ()
    categorical: Sequence[str] = ()
    contract: Contract | None = None
    decimal: str | None = None

    def put(self, folder: Path) -> Path:
        """Write it; cells are quoted where they hold the separator."""
        columns = {name: (list(cells) * ROWS)[:ROWS] for name, cells in {"x": self.x, "z": self.z}.items()}
        label = {"y": [i % 3 // 2 for i in range(ROWS)]}
        pd.DataFrame(columns | label).to_csv(folder / "rows.csv", index=False, sep=self.separator)
        return folder / "rows.csv"

    def read(self, path: Path) -> Table:
        """Read it as preparation does."""
        return read_table(
            path,
            Format(decimal=self.decimal),
            label="y",
            kinds=self.contract.kinds if self.contract else as_words(self.categorical),
            codes=True,
            told=told_by(self.contract, missing=self.missing, decimal=self.decimal),
        )

    def model(self, table: Table) -> LinearModel:
        """Return what a run with it would make of it."""
        cells = Written(missing=self.missing, decimal=self.decimal, numbers=table.notations)
        return model_of(table, Prepared(contract=self.contract, cells=cells))


def model_of(table: Table, prepared: Prepared) -> LinearModel:
    """Return a model that gives every number and level of a table another score."""
    parts = list[Feature]()
    for name in table.features:
        levels = table.levels.get(name, ())
        parts += [Feature(column=name, kind="level", level=level) for level in levels]
        parts += [] if name in table.levels else [Feature(column=name, fill=0.1)]
        parts.append(Feature(column=name, kind="missing"))
    count = len(parts)
    return LinearModel(
        label="y",
        preprocessing=Preprocessing(
            features=tuple(part.name for part in parts),
            log1p=(False,) * count,
            mean=np.zeros(count),
            scale=np.full(count, 1e4),
            made_of=tuple(parts),
        ),
        coef=np.sqrt(np.arange(count) + 2.0),
        intercept=0.0,
        provenance={"resample": "none"},
        written=prepared.written(table.features).parts or None,
    )


def again(model: LinearModel) -> LinearModel:
    """Return the model as its file holds it."""
    return LinearModel.from_json(model.to_json())


def scored(model: LinearModel, path: Path | pd.DataFrame, **options: Any) -> list[float]:
    """Return the scores of a table."""
    found: list[float] = Model(again(model)).predict_proba(path, **options).tolist()
    return found


def prepared(raw: Raw, folder: Path) -> LinearModel:
    """Prepare a table as a run does, and return the model that its manifest makes the run remember."""
    settings = PreparationSettings(
        label="y",
        contract=raw.contract,
        keep=() if raw.contract else ("x", "z"),
        missing=raw.missing,
        categorical=raw.categorical,
        form=Format(decimal=raw.decimal),
    )
    path = raw.put(folder)
    prepare(path, folder / "out", settings)
    return model_of(raw.read(path), Prepared.of(read_manifest(folder / "out"), raw.contract))


TABLES = {
    "thousands": Raw(x=["1,234.50", "7.25", "1,234"]),
    "thousands that the option decides": Raw(x=["1,234", "900"], decimal="."),
    "decimal commas that the option decides": Raw(x=["1,234", "900"], decimal=","),
    "points that the option makes thousands": Raw(x=["1.234", "900"], decimal=","),
    "decimal commas": Raw(x=["1234,5", "7,25", "1,234"]),
    "thousands and decimal commas": Raw(x=["1.234,50", "7,25", "1.234"]),
    "points that another column makes thousands": Raw(x=["1.234", "900"], z=["0,5", "7,25"]),
    "points as they stand": Raw(x=["1.234", "900"]),
    "blanks between thousands": Raw(x=["1 234.5", "7"]),
    "thousands in a file that looks like one with decimal commas": Raw(
        x=["1,234", "7"], separator=";", decimal="."
    ),
    "thousands and points in such a file": Raw(x=["1,234", "1,234.5"], separator=";"),
    "a currency": Raw(x=["$1,234.50", "$5"]),
    "a currency behind": Raw(x=["1234,5 EUR", "7 EUR"]),
    "percentages": Raw(x=["12 %", "5.5%"]),
    "brackets": Raw(x=["(1,234)", "5.5"]),
    "a typographic minus": Raw(x=["\u221212", "5"]),
    "a file with decimal commas": Raw(x=["1,5", "7", "1,234"], separator=";"),
    "a file with decimal commas and thousands": Raw(
        x=["1.234,5", "7,25", "1.234"], z=["1,5", "2"], separator=";"
    ),
    "points in a file with decimal commas": Raw(x=["1.234", "900"], z=["1,5", "2"], separator=";"),
    "declared words": Raw(x=["1.5", "Too Few", "7"], missing=["Too Few"]),
    "a declared number": Raw(x=["-9", "5.5", "-9.0"], missing=["-9"]),
    "a declared number with a decimal comma": Raw(
        x=["1,5", "-99,9", "-99,90"], z=["1", "-99,9"], separator=";", missing=["-99,9"]
    ),
    "declared words in a notation": Raw(x=["$1,234.50", "n.a.", "$5"], missing=["n.a."]),
    "levels with a comma": Raw(x=["1,2", "2,1", "3"], z=["1,5", "2"], separator=";", categorical=["x"]),
    "levels with a comma among words": Raw(x=["1,2", "B", "A"], z=["1,5", "2"], separator=";"),
    "dates and words of a contract": Raw(
        x=["31/12/2020", "01/02/2019", "none"], z=["-9", "5"], contract=DATES
    ),
}


def read_or_said(model: LinearModel, path: Path, **options: Any) -> tuple[list[float] | None, str]:
    """Return the scores of a table, None if it is refused; and what is said of it."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            found = scored(model, path, **options)
        except FeatureError as error:
            return None, str(error)
    return found, " ".join(str(one.message) for one in warned)


@pytest.mark.filterwarnings(f"ignore:.*{OPEN}:UserWarning")
@pytest.mark.parametrize("raw", TABLES.values(), ids=TABLES)
def test_the_table_of_training_is_read_as_in_training(tmp_path: Path, raw: Raw) -> None:
    """Without an option: the model remembers what was told."""
    path = raw.put(tmp_path)
    table = raw.read(path)
    model = raw.model(table)
    assert len({*scored(model, path)}) > 1
    assert scored(model, path) == model.score(table).tolist()


@pytest.mark.parametrize("raw", TABLES.values(), ids=TABLES)
def test_without_the_memory_a_table_is_read_so_or_it_is_said(tmp_path: Path, raw: Raw) -> None:
    """As on AWS, where the server knows the contract only; an option that was told is then told again."""
    path = raw.put(tmp_path)
    table = raw.read(path)
    model = model_of(table, Prepared(contract=raw.contract))
    told = {"missing": None if raw.contract else raw.missing}
    for options in (told, told | {"decimal": raw.decimal}):
        found, said = read_or_said(model, path, **options)
        plain = options == told and raw == TABLES["points that the option makes thousands"]
        assert found == model.score(table).tolist() or said or plain


@pytest.mark.parametrize("raw", TABLES.values(), ids=TABLES)
def test_the_manifest_tells_it_to_the_run(tmp_path: Path, raw: Raw) -> None:
    """On this machine, and on AWS where the server's rows were prepared by its own operator."""
    table = raw.read(raw.put(tmp_path))
    assert prepared(raw, tmp_path).written == raw.model(table).written


@pytest.mark.parametrize("raw", TABLES.values(), ids=TABLES)
def test_prepared_files_are_read_as_what_they_hold_or_it_is_said(tmp_path: Path, raw: Raw) -> None:
    """They are plain, and the model may remember another notation: then they contradict it, or are open."""
    model = prepared(raw, tmp_path)
    path = tmp_path / "out" / "client-1" / "train.csv"
    kinds = raw.contract.kinds if raw.contract else as_words(raw.categorical)
    expected = model.score(read_table(path, label="y", kinds=kinds)).tolist()
    assert read_or_said(model, path, decimal=".")[0] == expected
    found, said = read_or_said(model, path)
    assert found == expected or "--decimal" in said


# Words that look like numbers with a decimal comma ----------------------------------------------------------


@pytest.mark.parametrize("by_contract", [True, False])
def test_words_are_as_written_at_either_end_and_meet_their_levels(
    tmp_path: Path, *, by_contract: bool
) -> None:
    """What the file has is in the prepared files, what a client reads of these, and what scoring meets."""
    columns = {"x": Rule(type="categorical"), "z": Rule(type="numeric")}
    raw = Raw(
        x=["1,2", "2,1", "1.2", "A"],
        z=["1,5", "2"],
        separator=";",
        categorical=[] if by_contract else ["x"],
        contract=Contract(label="y", columns=columns) if by_contract else None,
    )
    model, wanted = prepared(raw, tmp_path), {"1,2", "2,1", "1.2", "A"}
    for party in ("client-1", "client-2", "client-3"):
        terms = client_contract.kept(tmp_path / "out" / party, ["train.csv"])
        client = utils.load_table(tmp_path / "out" / party / "train.csv", "y", terms.kinds)
        assert set(client.levels["x"]) == wanted
    table = raw.read(tmp_path / "rows.csv")
    assert set(table.levels["x"]) == wanted
    assert scored(model, tmp_path / "rows.csv") == model.score(table).tolist()


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("codes", [True, False])
def test_words_of_a_folder_are_as_written(tmp_path: Path, *, declared: bool, codes: bool) -> None:
    """Also where some files have decimal commas and others points, which numbers are read by."""
    (tmp_path / "a.csv").write_text("x;z;y\n1,2;1,5;1\nA;2;0\nB;2;0\n")
    (tmp_path / "b.csv").write_text("x,z,y\nA,1.5,1\nC,2,0\n")
    kinds = as_words(["x"]) if declared else {}
    table = read_table(tmp_path, label="y", kinds=kinds, codes=codes)
    assert table.levels == {"x": ("1,2", "A", "B", "C")}
    assert table.X[:, 1].tolist() == [1.5, 2, 2, 1.5, 2]


# Points that are no thousands -------------------------------------------------------------------------------


def put(rows: pd.DataFrame, path: Path) -> Path:
    """Write a table of the kind that its name says."""
    match path.suffix:
        case ".parquet":
            rows.to_parquet(path)
        case ".jsonl":
            rows.to_json(path, orient="records", lines=True)
        case ".xlsx":
            rows.to_excel(path, index=False)
        case _:
            pyreadstat.write_dta(rows, str(path))
    return path


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "xlsx", "dta"])
def test_numbers_that_are_no_texts_have_no_notation_in_training_either(tmp_path: Path, kind: str) -> None:
    """With the option, and beside a column with decimal commas; beside texts with them they are refused."""
    rows = pd.DataFrame({"x": [1.234, 5.678] * 9, "z": ["1,5", "2"] * 9, "y": [0, 1, 1] * 6})
    path = put(rows, tmp_path / f"a.{kind}")
    for decimal in (None, ","):
        table = Raw(x=[], decimal=decimal).read(path)
        assert table.X[:2].tolist() == [[1.234, 1.5], [5.678, 2]]
        assert not any("x" in note.split(":")[0] for note in table.notes)
        model = Raw(x=[], decimal=decimal).model(table)
        assert scored(model, path) == model.score(table).tolist()
    rows.assign(x=["1.234,5", "1.234"] * 9).to_csv(tmp_path / "b.csv", index=False)
    with pytest.raises(FeatureError, match=r'column "x".*not all others are written as this one'):
        Raw(x=[]).read(tmp_path)


@pytest.mark.parametrize("kind", ["jsonl", "xlsx"])
def test_words_beside_numbers_that_are_no_texts_do_not_change_these(tmp_path: Path, kind: str) -> None:
    """As where a word stands for a missing value, and another column has decimal commas."""
    rows = pd.DataFrame({"x": [1.234, 5.678, "none"] * 6, "z": ["1,5", "2"] * 9, "y": [0, 1, 1] * 6})
    path, raw = put(rows, tmp_path / f"a.{kind}"), Raw(x=[], missing=["none"])
    table = raw.read(path)
    np.testing.assert_array_equal(table.X[:3], [[1.234, 1.5], [5.678, 2], [np.nan, 1.5]])
    assert scored(raw.model(table), path) == raw.model(table).score(table).tolist()


@pytest.mark.parametrize("kind", ["jsonl", "xlsx", "dta"])
def test_texts_of_other_files_than_csv_have_the_notation_of_training(tmp_path: Path, kind: str) -> None:
    """A workbook may hold numbers as texts, as whoever exported them wrote them."""
    rows = pd.DataFrame({"x": ["1.234", "5.678"] * 9, "z": ["1,5", "2"] * 9, "y": [0, 1, 1] * 6})
    path = put(rows, tmp_path / f"a.{kind}")
    table = Raw(x=[]).read(path)
    assert table.X[:2].tolist() == [[1234, 1.5], [5678, 2]]
    with pytest.warns(UserWarning, match=OPEN):
        scores = scored(Raw(x=[]).model(table), path)
    assert scores == Raw(x=[]).model(table).score(table).tolist()


@pytest.mark.parametrize("texts", ["1.234,5", "1,234.5"])
def test_a_decimal_comma_that_became_a_point_is_no_thousands(tmp_path: Path, texts: str) -> None:
    """In a folder with both marks, where each file is read by its own."""
    (tmp_path / "a.csv").write_text(f'x,z,y\n"{texts}",1.5,1\n7,2,0\n')
    (tmp_path / "b.csv").write_text("x;z;y\n1,234;1,5;1\n7;2;0\n")
    with pytest.raises(FeatureError, match="not all others are written as this one"):
        Raw(x=[]).read(tmp_path)
