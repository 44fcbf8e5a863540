"""Tables that are damaged, odd or without a header: read rightly, or refused in words that show no value."""

import traceback
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from federation.data.readers import near
from federation.data.scan import scan
from federation.errors import DataError


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


def test_a_formula_without_a_result_is_no_gap(tmp_path: Path) -> None:
    """A program that only writes formulas leaves them uncalculated; an empty result is a gap."""
    rows = [["y", "a"], [1, "=1+1"], [0, "=A2"]]
    with pytest.raises(DataError, match="never calculated: 2"):
        scan(workbook(tmp_path / "rows.xlsx", rows))
    calculated = {
        "<f>1+1</f><v />": "<f>1+1</f><v>2</v>",
        '<c r="B3"><f>A2</f><v />': '<c r="B3" t="str"><f>A2</f><v></v>',
    }
    column = scan(workbook(tmp_path / "again.xlsx", rows, calculated)).columns["a"]
    assert column.numbers().tolist() == pytest.approx([2, float("nan")], nan_ok=True)
