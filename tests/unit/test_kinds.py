"""Files of every kind, and folders of them: read, or refused with what is wrong."""

import datetime as dt
import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from client_code.protocol.contract import Contract, Rule
from federation.data.columns.scan import scan
from federation.data.contract_check import check
from federation.data.files.text import Format
from federation.data.preparation.options import choose_preparation
from federation.data.preparation.prepare import prepare
from federation.data.table import Table, read_table
from federation.errors import DataError, ExtraMissingError, MissingFileError, SettingError
from tests.unit.row_by_row import read_rows
from tests.unit.sas_files import Value, write_sas

ROWS = "y,zip,cost,day\n1,02139,250.00,2024-01-05\n0,10001,1234.5,2024-02-06\n1,,,\n0,02139,7,2024-03-01\n"
SEMICOLONS = ROWS.replace(",", ";").replace(".", ",")


def put(path: Path, content: str | bytes) -> Path:
    """Write a file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def texts(path: Path, form: Format | None = None) -> list[list[str]]:
    """Return the columns as texts, as both ways to read give them."""
    found = scan(path, form or Format(), texts=set(scan(path, form or Format()).header))
    header, records = read_rows(path, form or Format())
    rows = [[cell.strip() for cell in row] for row in records]
    columns = [[text.strip() for text in column.texts()] for column in found.columns.values()]
    assert [list(column) for column in zip(*rows, strict=True)] == columns
    assert tuple(header) == found.header
    return columns


def table(path: Path, form: Format | None = None) -> Table:
    """Return the table that a model would be trained on."""
    return read_table(path, form or Format(), label="y", codes=True)


def same(one: Table, other: Table) -> None:
    """Require equal tables."""
    assert (one.features, one.levels, one.y.tolist()) == (other.features, other.levels, other.y.tolist())
    np.testing.assert_array_equal(one.X, other.X)


@pytest.fixture
def expected(tmp_path: Path) -> Table:
    """Return the table as plain CSV gives it."""
    return table(put(tmp_path / "expected" / "rows.csv", ROWS))


# Text files -------------------------------------------------------------------------------------------------


def zipped(name: str, content: bytes) -> Callable[[Path], None]:
    """Return what writes an archive of one table and what Macs put beside it."""

    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, content)
            archive.writestr(f"__MACOSX/._{name}", b"\0")

    return write


@pytest.mark.parametrize(
    ("name", "content", "note"),
    [
        ("rows.CSV", ROWS.encode(), None),
        ("rows.csv.gz", gzip.compress(ROWS.encode(), mtime=0), None),
        ("rows.zip", zipped("rows.csv", ROWS.encode()), None),
        ("rows.tsv", ROWS.replace(",", "\t").encode(), "tabs between values"),
        ("rows.csv", ROWS.replace(",", "|").encode(), "vertical bars between values"),
        ("rows.csv", SEMICOLONS.encode(), "semicolons between values and decimal commas"),
        ("rows.csv", ROWS.encode("utf-16"), "the encoding utf-16"),
        (
            "rows.csv.GZ",
            gzip.compress(SEMICOLONS.encode("utf-16"), mtime=0),
            "semicolons between values and decimal commas and the encoding utf-16",
        ),
    ],
)
def test_a_text_file_tells_how_it_is_written(
    tmp_path: Path, expected: Table, name: str, content: bytes | Callable[[Path], None], note: str | None
) -> None:
    """What is not plain CSV in UTF-8 is told, and gives the same table."""
    path = tmp_path / name
    content(path) if callable(content) else path.write_bytes(content)
    same(table(path), expected)
    assert scan(path).notes == ([] if note is None else [f"{name}: read with {note}"])
    assert len(texts(path)[0]) == 4


def test_what_is_said_of_a_text_file_holds(tmp_path: Path) -> None:
    """Also where the file alone would be read otherwise."""
    path = put(tmp_path / "rows.csv", "y;s\n1;1,5\n0;é\n".encode("cp1252"))
    assert texts(path, Format(encoding="cp1252", decimal=".")) == [["1", "0"], ["1,5", "é"]]
    assert texts(path, Format(encoding="cp1252")) == [["1", "0"], ["1.5", "é"]]
    with pytest.raises(DataError, match="line 2: 2 values under 1 column names"):
        texts(path, Format(encoding="cp1252", separator=","))


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.csv.gz"])
def test_utf8_is_not_read_as_another_encoding(tmp_path: Path, name: str) -> None:
    """Each accent would become two characters, and a level of one file would be another in the next."""
    content = '{"y": 1, "s": "é"}\n' if "jsonl" in name else "y,s\n1,é\n"
    for path, encoded in ((tmp_path / "utf8", content.encode()), (tmp_path / "cp", content.encode("cp1252"))):
        put(path / name, gzip.compress(encoded) if name.endswith(".gz") else encoded)
    assert texts(tmp_path / "cp", Format(encoding="cp1252")) == [["1"], ["é"]]
    for read in (scan, read_rows):
        with pytest.raises(DataError, match=rf"{name}: UTF-8 text, not CP1252\. Leave out --encoding"):
            read(tmp_path / "utf8", Format(encoding="cp1252"))
    assert texts(tmp_path / "utf8") == [["1"], ["é"]]


def test_a_wrong_encoding_is_named_never_guessed(tmp_path: Path) -> None:
    """The line is that of the first byte that is wrong, however far into the file."""
    path = put(tmp_path / "rows.csv", b"y,s\n" + b"1,a\n" * 50_000 + b"0,\xe9\n")
    with pytest.raises(DataError, match=r"rows\.csv, line 50002: not UTF-8 text.*--encoding cp1252"):
        scan(path)
    with pytest.raises(DataError, match=r"not UTF-16 text|no header"):
        scan(path, Format(encoding="utf-16"))
    bare = put(tmp_path / "bare.csv", ROWS.encode("utf-16-le"))
    with pytest.raises(DataError, match="--encoding utf-16-le"):
        scan(bare)
    assert scan(bare, Format(encoding="utf-16-le")).rows == 4


@pytest.mark.parametrize(
    "how",
    [
        {"separator": "x"},
        {"decimal": ";"},
        {"encoding": "base64"},
        {"encoding": "klingon"},
        {"separator": ",", "decimal": ","},
    ],
)
def test_a_format_that_is_none_is_refused(how: dict[str, str]) -> None:
    """Before any file is read."""
    with pytest.raises(SettingError):
        Format(**how)


def test_one_column_does_not_have_commas_and_points(tmp_path: Path) -> None:
    """1.500 beside 2,5 may be either number; dates and codes beside them are no numbers."""
    rows = "y;x;icd;day\n" + "1;2,5;250.00;01.02.2024\n" * 70_000
    assert table(put(tmp_path / "good.csv", rows + "0;3;1;03.04.2024\n"), Format(decimal=",")).X[-1, 0] == 3
    with pytest.raises(
        DataError, match='column "x" has numbers with a decimal comma, and others with a point'
    ):
        table(put(tmp_path / "bad.csv", rows + "0;1.500;1;03.04.2024\n"), Format(decimal=","))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"PK\x03\x04secret", "a ZIP archive"),
        ("a.csv", gzip.compress(b"secret", mtime=0), "compressed by gzip"),
        ("a.csv", b"PAR1secret", "by its content it is Parquet"),
        ("a.csv", b"<!DOCTYPE html>secret", "HTML"),
        ("a.xlsx", b"secret;of;all", "not an Excel workbook"),
        ("a.sas7bdat", b"secret", "not a SAS data set"),
        ("a.parquet", b"secret", "not Parquet"),
        ("a.csv.gz", b"secret", "not compressed by gzip"),
        ("a.zip", b"secret", "not a ZIP archive"),
        ("a.csv.gz", gzip.compress(ROWS.encode() * 99, mtime=0)[:-20], "cut off"),
        ("a.zip", b"PK\x03\x04secret", "not a ZIP archive"),
        ("a.jsonl", b'{"secret": \n', "line 1: not JSON"),
    ],
)
def test_content_that_is_not_what_the_name_says_is_told_and_not_shown(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    """A message travels, a row does not."""
    with pytest.raises(DataError, match=words) as error:
        table(put(tmp_path / name, content))
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("rows.json", '[{"y": 1}]', r"it is JSON.*one object a line.*\.jsonl"),
        ("rows.csv", '{\n "y": 1}', "it is JSON"),
        ("rows.jsonl", '[{"y": 1}, {"y": 2}]', r"line 1: a JSON array.*jq -c '\.\[\]'"),
        ("rows.tar.gz", gzip.compress(b"rows.csv"), "a TAR archive.*Unpack it"),
        ("rows.feather", b"ARROW1\0\0", "it is an Arrow or Feather file"),
    ],
)
def test_a_kind_that_is_not_read_is_named(
    tmp_path: Path, name: str, content: str | bytes, words: str
) -> None:
    """Rather than what a reader of CSV finds wrong with it."""
    with pytest.raises(DataError, match=words):
        scan(put(tmp_path / name, content))


def test_names_in_brackets_are_no_json(tmp_path: Path) -> None:
    """Databases of Microsoft write them."""
    assert scan(put(tmp_path / "a.csv", "[y],[Patient age]\n1,2\n")).header == ("[y]", "[Patient age]")


def test_json_lines_in_utf16_are_recognised(tmp_path: Path) -> None:
    """By their byte-order mark, as in CSV, and told."""
    path = put(tmp_path / "a.jsonl", '{"y": 1, "s": "é"}\n'.encode("utf-16"))
    assert texts(path) == [["1"], ["é"]]
    assert scan(path).notes == ["a.jsonl: read with the encoding utf-16"]


def test_an_unknown_separator_is_no_list_of_columns(tmp_path: Path) -> None:
    """The names were taken for one."""
    with pytest.raises(
        DataError, match='The only column is "y\\^a": commas, semicolons, tabs or vertical bars'
    ):
        table(put(tmp_path / "a.csv", "y^a\n1^2\n"))


def test_an_archive_of_two_tables_is_refused(tmp_path: Path) -> None:
    """Which of them is meant, nobody said."""
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        for name in ("a.csv", "b.csv"):
            archive.writestr(name, ROWS)
    with pytest.raises(DataError, match="the archive holds 2 tables"):
        scan(tmp_path / "two.zip")


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (",y,a", r"index that pandas writes.*index=False"),
        ("y,a,", "lines end with a separator"),
        ("y,,a", "column 2 has no name. Name it"),
        ("Report,,", "line 1: 2 of 3 columns have no name, first column 2: a title"),
        (",,Vitals", "line 1: 2 of 3 columns have no name, first column 1: .*two lines of names"),
    ],
)
def test_a_column_without_a_name_is_explained(tmp_path: Path, header: str, words: str) -> None:
    """The remedy is that of its cause."""
    with pytest.raises(DataError, match=words):
        scan(put(tmp_path / "a.csv", f"{header}\n1,0,2\n"))


# Tables that are no text ------------------------------------------------------------------------------------


def test_json_lines_keep_what_stands_there(tmp_path: Path) -> None:
    """Numbers keep their digits, codes their zeros, and a row without a name has a gap."""
    lines = [{"y": True, "zip": "02139", "wait_time": 35}, {"y": False, "more": {"a": ["b"]}, "zip": None}]
    path = put(
        tmp_path / "rows.jsonl",
        "\n".join(map(json.dumps, lines)) + '\n{"y": true, "cost": 250.00, "more": NaN}\n',
    )
    assert scan(path).header == ("y", "zip", "wait_time", "more", "cost")
    assert texts(path) == [
        ["True", "False", "True"],
        ["02139", "", ""],
        ["35", "", ""],
        ["", '{"a": ["b"]}', "NaN"],
        ["", "", "250.00"],
    ]
    packed = put(tmp_path / "rows.ndjson.gz", gzip.compress(path.read_bytes()))
    assert texts(packed) == texts(path)


def test_excel_is_read_by_its_one_sheet(tmp_path: Path, expected: Table) -> None:
    """Empty rows and columns around the table do not count; two tables are one too many."""
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    header, *rows = [line.split(",") for line in ROWS.splitlines()]
    book.active.append(header)
    for y, code, cost, day in rows:
        book.active.append([int(y), code or None, float(cost) if cost else None, day or None])
    book.active["H9"] = None
    book.create_sheet("notes")
    book.save(tmp_path / "rows.xlsx")
    same(table(tmp_path / "rows.xlsx"), expected)
    book["notes"]["A1"] = "something"
    book.save(tmp_path / "two.xlsx")
    with pytest.raises(DataError, match="2 of its sheets hold cells"):
        scan(tmp_path / "two.xlsx")


@pytest.fixture
def pyreadstat() -> ModuleType:
    """Return the library."""
    found: ModuleType = pytest.importorskip("pyreadstat")
    return found


@pytest.mark.parametrize(
    ("write", "name"), [("write_xport", "a.xpt"), ("write_dta", "a.dta"), ("write_sav", "a.sav")]
)
def test_files_of_statistics_packages_are_read_as_they_stand(
    pyreadstat: ModuleType, tmp_path: Path, write: str, name: str
) -> None:
    """0 is 0, a whole number has no fraction, and a gap is one."""
    frame = pd.DataFrame({"y": [1.0, 0.0, 1.0], "code": ["02139", "", "x"], "x": [0.0, 2.5, np.nan]})
    getattr(pyreadstat, write)(frame, str(tmp_path / name))
    assert texts(tmp_path / name) == [["1", "0", "1"], ["02139", "", "x"], ["0", "2.5", ""]]
    put(tmp_path / "cut" / name, (tmp_path / name).read_bytes()[:160])
    with pytest.raises(DataError, match="cannot be read as what its name says"):
        scan(tmp_path / "cut" / name)


def test_a_data_set_of_sas_is_read_as_it_stands(pyreadstat: ModuleType, tmp_path: Path) -> None:
    """The library reads what was written, to the last bit, and so do we; a part of it is refused."""
    day = dt.date(1959, 12, 31)
    columns: dict[str, list[Value]] = {
        "y": [1.0, 0.0],
        "code": ["02139", ""],
        "x": [0.1 + 0.2, None],
        "day": [None, day],
    }
    path = write_sas(tmp_path / "a.sas7bdat", columns)
    data, _ = pyreadstat.read_sas7bdat(str(path), output_format="dict", disable_datetime_conversion=False)
    assert data == columns
    assert texts(path) == [["1", "0"], ["02139", ""], ["0.30000000000000004", ""], ["", "1959-12-31"]]
    put(tmp_path / "cut" / path.name, path.read_bytes()[:-1])
    with pytest.raises(DataError, match="cannot be read as what its name says"):
        scan(tmp_path / "cut" / path.name)


def test_a_transport_file_that_is_cut_off_is_refused(pyreadstat: ModuleType, tmp_path: Path) -> None:
    """It does not tell how many rows it has, but consists of records of 80 bytes."""
    frame = pd.DataFrame({"y": [1.0, 0.0] * 100, "code": ["ab"] * 200})
    path = tmp_path / "a.xpt"
    pyreadstat.write_xport(frame, str(path))
    assert scan(path).rows == 200
    put(path, path.read_bytes()[:-1000])
    with pytest.raises(DataError, match="cut off"):
        scan(path)


def test_codes_stay_codes_and_declared_missing_values_are_missing(
    pyreadstat: ModuleType, tmp_path: Path
) -> None:
    """What SPSS calls refused is no number."""
    frame = pd.DataFrame({"y": [1, 0, 1], "x": [1, 2, 9]})
    pyreadstat.write_sav(
        frame,
        str(tmp_path / "a.sav"),
        missing_ranges={"x": [9]},
        variable_value_labels={"x": {1: "one", 9: "refused"}},
    )
    assert texts(tmp_path / "a.sav") == [["1", "0", "1"], ["1", "2", ""]]


def test_without_its_reader_a_kind_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the command that installs it."""
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    put(tmp_path / "a.xlsx", b"PK\x03\x04")
    with pytest.raises(ExtraMissingError, match=r"pip install 'federation\[formats\]'"):
        scan(tmp_path / "a.xlsx")


# Folders ----------------------------------------------------------------------------------------------------


def test_every_table_of_a_folder_is_read_and_others_are_named(tmp_path: Path) -> None:
    """Whatever the case of its name, its kind and how deep it lies."""
    put(tmp_path / "JAN.CSV", "y,a\n1,1\n")
    put(tmp_path / "feb.csv.gz", gzip.compress(b"a,y\n2,0\n"))
    put(tmp_path / "2023" / "mar.tsv", "y\ta\n1\t3\n")
    put(tmp_path / "apr.jsonl", '{"y": 0, "a": 4}\n')
    pd.DataFrame({"y": [1], "a": [5]}).to_parquet(tmp_path / "may.PARQ")
    for name in (".DS_Store", "_SUCCESS", "_temporary/part.csv", "README.txt", "notes.docx"):
        put(tmp_path / name, "x")
    assert sorted(texts(tmp_path)[1]) == ["1", "2", "3", "4", "5"]
    assert scan(tmp_path).notes == [
        "not read, as the name is not that of a table: README.txt and notes.docx",
        "mar.tsv: read with tabs between values",
    ]


def test_folders_that_name_columns_make_them(tmp_path: Path) -> None:
    """Values are texts as they stand there; Hive's word for a gap is one."""
    put(tmp_path / "zip=02139" / "site=A%2FB" / "x.csv", "y,a\n1,1\n")
    put(tmp_path / "zip=10001" / "site=__HIVE_DEFAULT_PARTITION__" / "x.csv", "a,y\n2,0\n3,1\n")
    assert scan(tmp_path).header == ("y", "a", "zip", "site")
    assert texts(tmp_path) == [["1", "0", "1"], ["1", "2", "3"], ["02139", "10001", "10001"], ["A/B", "", ""]]
    assert table(tmp_path).levels["zip"] == ("02139", "10001")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["p.csv", "site=A/p.csv"], "their folders name different columns"),
        (["site=A/p.csv", "site=A/year=1/p.csv"], "their folders name different columns"),
        (["a=A/p.csv"], 'its folder names the column "a", which it has itself'),
        (["train.csv", "preparation.json"], "prepared for parties"),
    ],
)
def test_a_folder_that_is_no_one_table_is_refused(tmp_path: Path, names: list[str], words: str) -> None:
    """Half a table would be trained on without a word."""
    for name in names:
        put(tmp_path / name, "y,a\n1,1\n")
    with pytest.raises(DataError, match=words):
        scan(tmp_path)


def test_a_folder_without_tables_says_what_is_there(tmp_path: Path) -> None:
    """And which kinds are read."""
    put(tmp_path / "a.docx", "x")
    with pytest.raises(MissingFileError, match=r"holds a\.docx, but no table\. Name a table.*Parquet"):
        scan(tmp_path)


def test_a_file_among_others_in_another_encoding_is_named(tmp_path: Path) -> None:
    """With its own line."""
    put(tmp_path / "a.csv", "y,s\n1,é\n")
    put(tmp_path / "b.csv", "y,s\n1,a\n0,é\n".encode("cp1252"))
    with pytest.raises(DataError, match=r"b\.csv, line 3: not UTF-8"):
        scan(tmp_path)


# Commands ---------------------------------------------------------------------------------------------------


def test_how_files_are_written_reaches_preparation_and_is_told(tmp_path: Path) -> None:
    """From an option to the notes that terminal and report show."""
    rows = "".join(f"{i % 2};{i % 7},5;é\n" for i in range(200))
    path = put(tmp_path / "rows.csv", ("y;a;s\n" + rows).encode("cp1252"))
    settings = choose_preparation(path, 0, label="y", encoding="cp1252", separator=";")
    assert settings
    assert settings.form == Format(encoding="cp1252", separator=";")
    told = prepare(path, tmp_path / "out", settings).told
    assert "rows.csv: read with semicolons between values and decimal commas and the encoding cp1252." in told
    with pytest.raises(SettingError, match=r"--separator cannot change .* prepared already"):
        choose_preparation(tmp_path / "out", 0, separator=";")


def test_a_folder_without_a_manifest_is_no_prepared_one(tmp_path: Path) -> None:
    """Hive's folders alone are a table, and need a label."""
    put(tmp_path / "site=A" / "a.csv", "y,a\n1,1\n")
    assert choose_preparation(tmp_path, 0, label="y")


def test_a_contract_is_checked_file_by_file_of_a_folder(tmp_path: Path) -> None:
    """Rows are those of their file, whose name is told as it lies in the folder; folders' columns count."""
    put(tmp_path / "site=A" / "a.csv", "y;a\n1;1,5\n")
    put(tmp_path / "site=B" / "b.csv", "y;a\n1;1,5\n0;77,5\n")
    rules = {"a": Rule(type="numeric", maximum=9), "site": Rule(type="categorical")}
    found = check(Contract(label="y", columns=rules), [tmp_path], Format(decimal=","))
    assert {name: list(map(str, broken)) for name, broken in found.items()} == {
        "site=B/b.csv": ['column "a": 1 values above 9 (data rows 2)']
    }
