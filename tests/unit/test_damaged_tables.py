"""Tables that are damaged, odd or without a header: read rightly, or refused in words that show no value."""

import datetime as dt
import gzip
import os
import traceback
import tracemalloc
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from federation.data.columns.scan import scan
from federation.data.files.folder import find_tables
from federation.data.files.kinds import refuse_other_content
from federation.data.files.records import near
from federation.errors import DataError, MissingFileError
from tests.unit.row_by_row import read_rows


def workbook(path: Path, rows: list[list[Any]], changed: Mapping[str, str] = {}) -> Path:
    """Write a workbook, and change what its sheet says."""
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    for old, new in changed.items():
        assert old in parts[sheet]
        parts[sheet] = parts[sheet].replace(old, new)
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return path


def test_no_cause_of_an_error_shows_a_row(tmp_path: Path) -> None:
    """The traceback that --debug prints holds no cell, whoever raised first."""
    path = tmp_path / "rows.csv"
    path.write_text("y,a\n1,2\n1,SMITH,3\n")
    with pytest.raises(DataError, match="line 3: 3 values") as error:
        scan(path)
    assert "SMITH" not in "".join(traceback.format_exception(error.value))


@pytest.mark.parametrize("value", ["17", "1950-01-02", "2.1.1950", "1/2/50", "1950-01-02T10:00"])
def test_a_first_row_in_the_place_of_the_header_is_not_shown(value: str) -> None:
    """A number or a date is no name of a column, and what stands beside it is no name either."""
    said = near("outcome", ["SMITH", value, "HIV"])
    assert "SMITH" not in said
    assert value not in said
    assert "first line" in said
    assert near("outcome", ["age", "day_1", "HIV"]) == 'The 3 columns are "age", "day_1", "HIV".'


@pytest.mark.parametrize(
    "rows", [["SMITH,17,17\n"], ["SMITH,17,2\n", "JONES,18,3\n"]], ids=["twice", "files"]
)
def test_first_rows_of_files_without_a_header_are_not_compared_aloud(tmp_path: Path, rows: list[str]) -> None:
    """What stands twice in them, or in one only, is a value."""
    for at, row in enumerate(rows):
        (tmp_path / f"{at}.csv").write_text(row * 2)
    said = refusal(tmp_path)
    assert "SMITH" not in said
    assert "17" not in said.replace(str(tmp_path), "")


def test_a_sheet_is_read_to_its_end_whatever_size_it_says_it_has(tmp_path: Path) -> None:
    """Other programs than Excel write a wrong one."""
    rows: list[list[Any]] = [["y", "a"], [1, 2], [0, 3], [1, 4]]
    path = workbook(tmp_path / "rows.xlsx", rows, {'<dimension ref="A1:B4"': '<dimension ref="A1:A2"'})
    found = scan(path)
    assert (found.header, found.rows) == (("y", "a"), 3)


def test_a_sheet_of_names_alone_is_a_header_without_rows(tmp_path: Path) -> None:
    """As in every other kind."""
    with pytest.raises(DataError, match="a header without rows"):
        scan(workbook(tmp_path / "rows.xlsx", [["y", "a"]]))


def test_a_row_of_a_sheet_that_is_longer_than_the_names_is_named(tmp_path: Path) -> None:
    """A sheet has no separators at the ends of its lines; a title above the names is another fault."""
    rows: list[list[Any]] = [["y", "a"], [1, 2], [0, 3, "see file"], [1, 4, None, "x"]]
    assert (
        "data row 2: a value to the right of the last name, in column 2, the first of 2 such rows"
        in refusal(workbook(tmp_path / "rows.xlsx", rows))
    )
    assert "line 1: 3 of 4 columns have no name" in refusal(
        workbook(tmp_path / "rows.xlsx", [["Report"], *rows])
    )


def test_a_formula_without_a_result_is_no_gap(tmp_path: Path) -> None:
    """A program that only writes formulas leaves them uncalculated; an empty result is a gap."""
    rows: list[list[Any]] = [["y", "a"], [1, "=1+1"], [0, "=A2"]]
    with pytest.raises(DataError, match="never calculated: 2"):
        scan(workbook(tmp_path / "rows.xlsx", rows))
    calculated = {
        "<f>1+1</f><v />": "<f>1+1</f><v>2</v>",
        '<c r="B3"><f>A2</f><v />': '<c r="B3" t="str"><f>A2</f><v></v>',
    }
    column = scan(workbook(tmp_path / "again.xlsx", rows, calculated)).columns["a"]
    assert column.numbers().tolist() == pytest.approx([2, float("nan")], nan_ok=True)


def refusal(path: Path) -> str:
    """Return why a table is refused, in whichever way it is read."""
    with pytest.raises(DataError) as error:
        scan(path)
    with pytest.raises(DataError) as other:
        read_rows(path)
    assert other.value.problem == error.value.problem
    return error.value.problem


@pytest.mark.parametrize("name", ["rows.csv.gz", "rows.jsonl.gz", "rows.csv.zip"])
def test_a_damaged_archive_is_refused(tmp_path: Path, name: str) -> None:
    """What unpacks it has an error of its own for that."""
    path = tmp_path / name
    lines = "".join(f'{{"y": {at % 2}, "a": {at * at}}}\n' for at in range(5000))
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("rows.csv", lines)
    else:
        path.write_bytes(gzip.compress(lines.encode()))
    whole = bytearray(path.read_bytes())
    whole[200:400] = b"\xff" * 200
    path.write_bytes(whole)
    assert str(path) in refusal(path)


def test_values_that_python_does_not_have_are_refused_by_their_column(tmp_path: Path) -> None:
    """Arrow holds any bytes as a text, and more years than Python has."""
    path = tmp_path / "rows.parquet"
    raw = pa.array([b"ok", b"\xff\xfe"], pa.binary())
    texts = pa.StringArray.from_buffers(2, *raw.buffers()[1:])
    times = pa.array([0, 2**60], pa.timestamp("us"))
    for bad in (texts, times, pa.array([[one.value] for one in times], pa.list_(pa.timestamp("us")))):
        pq.write_table(pa.table({"y": [0, 1], "bad": bad}), path)
        assert 'column "bad" holds texts that are not UTF-8, or times outside' in refusal(path)
    pq.write_table(pa.table({"y": [0, 1], "t": [dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31)]}), path)  # noqa: DTZ001
    assert scan(path).rows == 2


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"y": 1, "a": "\\ud800"}', "half of a character"),
        ('{"y": 1, "\\udfff": 2}', "half of a character"),
        ('{"y": 1, "a": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deeply"),
    ],
    ids=["value", "name", "nested"],
)
def test_a_line_of_json_that_is_no_row_is_named(tmp_path: Path, line: str, problem: str) -> None:
    """JSON can say what is no text, and can be deeper than anything reads."""
    path = tmp_path / "rows.jsonl"
    path.write_text('{"y": 0, "a": "\\ud83d\\ude00"}\n' + line + "\n")
    assert refusal(path).endswith("\\udfff)." if "half" in problem else "deeply.")
    assert f"line 2: {'holds ' if 'half' in problem else ''}{problem}" in refusal(path)


def test_the_lines_of_json_in_another_encoding_are_named(tmp_path: Path) -> None:
    """The first of them, however far into the file, and how many more."""
    path = tmp_path / "rows.jsonl"
    good, bad = b'{"y": 1, "a": "x"}\n', '{"y": 1, "a": "é"}\n'.encode("cp1252")
    path.write_bytes(good * 3 + bad + good + bad)
    assert "line 4 and 1 more: not UTF-8 text" in refusal(path)
    path.write_bytes(good * 3 + bad[:-3])  # cut off within a character
    assert "line 4: not UTF-8 text" in refusal(path)


def test_a_line_of_json_without_an_end_is_not_read_whole(tmp_path: Path) -> None:
    """A small archive could fill the memory."""
    path = tmp_path / "rows.jsonl.gz"
    long = '{"y": 1, "a": "' + "x" * (64 << 20)
    path.write_bytes(gzip.compress(('{"y": 1, "a": "x"}\n' + long).encode(), 1))
    del long
    tracemalloc.start()
    try:
        assert "line 2: longer than 16 MiB" in refusal(path)
        assert tracemalloc.get_traced_memory()[1] < 60 << 20
    finally:
        tracemalloc.stop()


def test_a_sheet_is_parsed_again_only_to_count_formulas_without_a_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Formulas whose results are there cost nothing."""
    openpyxl = pytest.importorskip("openpyxl")
    opened, load = list[str](), openpyxl.load_workbook

    def count(*arguments: object, **options: object) -> object:
        opened.append("")
        return load(*arguments, **options)

    monkeypatch.setattr(openpyxl, "load_workbook", count)
    rows: list[list[Any]] = [["y", "a"], [1, "=1+1"], [0, "=B2"]]
    shared = {
        "<f>1+1</f><v />": '<f t="shared" si="0"/><v>2</v>',
        "<f>B2</f><v />": "<f>B2</f>\n<v>2</v>",
    }
    assert scan(workbook(tmp_path / "rows.xlsx", rows, shared)).columns["a"].numbers().tolist() == [2, 2]
    assert len(opened) == 1
    for cell in ('<f t="shared" si="0"/>', "<f>B2</f><v></v>", '<f t="array" ref="B2">B2</f>'):
        path = workbook(tmp_path / "rows.xlsx", rows, {**shared, "<f>B2</f><v />": cell})
        with pytest.raises(DataError, match="never calculated: 1"):
            scan(path)
    assert len(opened) == 7


def test_a_name_that_stands_twice_in_a_line_of_json_is_refused(tmp_path: Path) -> None:
    """One of the two values would be lost."""
    path = tmp_path / "rows.jsonl"
    path.write_text('{"y": 1, "a": 2}\n{"y": 1, "a": 2, "a": 3}\n')
    assert "line 2: gives a name two values" in refusal(path)


def test_a_path_that_cannot_be_is_no_file(tmp_path: Path) -> None:
    """The system refuses to look for it."""
    with pytest.raises(MissingFileError, match="cannot be read"):
        find_tables(tmp_path / ("x" * 300 + ".csv"))


def test_what_cannot_be_read_is_not_called_empty(tmp_path: Path) -> None:
    """A file without permission, for one; a folder shows the same."""
    path = tmp_path / "rows.parquet"
    path.mkdir()
    with pytest.raises(MissingFileError, match="cannot be read"):
        refuse_other_content(path)


def test_a_folder_in_a_folder_is_read_named_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No row is left out in silence: neither behind a link, nor where permission is missing."""
    folder, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    for one in (folder, folder / "closed", elsewhere):
        one.mkdir()
        (one / "rows.csv").write_text("y,a\n0,1\n1,2\n")
    (folder / "more").symlink_to(elsewhere)
    found = scan(folder)
    assert found.rows == 4
    assert found.notes == ["not read, as links to folders are not followed: more"]
    listed = os.scandir

    def scandir(path: str | Path = ".") -> Any:  # root may read everything
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(MissingFileError, match="closed: cannot be read \\(Permission denied"):
        scan(folder)
    monkeypatch.undo()
    (folder / "gone.csv").symlink_to(tmp_path / "nowhere.csv")
    with pytest.raises(MissingFileError, match=r"gone.csv: cannot be read"):
        scan(folder)


@pytest.mark.parametrize("before", ["", "y,a\n0,1\n"], ids=["header", "row"])
def test_a_line_without_an_end_is_not_read_whole(tmp_path: Path, before: str) -> None:
    """A small archive could fill the memory."""
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress((before + "1," * (64 << 20)).encode(), 1))
    tracemalloc.start()
    try:
        assert refusal(path).endswith("not CSV (a line longer than 16 MiB).")
        assert tracemalloc.get_traced_memory()[1] < 160 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_line_for_excel_is_no_header(tmp_path: Path, separator: str) -> None:
    """It names the separator of the lines below."""
    path = tmp_path / "rows.csv"
    path.write_text(f"sep={separator}\ny,a\n1,2\n0,3\n".replace(",", separator))
    assert "the first line tells Excel the separator" in refusal(path)
