"""The same awkward table is the same at every reader: at either end, CSV and Parquet, whole and in blocks."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import utils
from columns import Columns
from federation.data.table import read_table
from rows import Rows

Read = Callable[[Path], Columns]


def of_the_operator(path: Path) -> Columns:
    """Read as data preparation does."""
    table = read_table(path, label="y")
    return Columns(np.column_stack([table.X, table.y]), table.levels)


def of_a_client(path: Path) -> Columns:
    """Read as a client does."""
    table = utils.load_table(path, "y")
    return Columns(np.column_stack([table.X, table.y]), table.levels)


def in_blocks(path: Path) -> Columns:
    """Read as a client does that has more rows than memory."""
    return Columns(np.concatenate(list(Rows(path, "y").blocks()), axis=1).T, {})


def same(found: list[Columns]) -> None:
    """Require that all are equal."""
    for one in found[1:]:
        assert one.levels == found[0].levels
        np.testing.assert_array_equal(one.X, found[0].X)


Y = ["0", "1.0", "1e0", "+1", "00", "0.00"]
CASES = {
    "codes before words": ["01", "A2", "A1", "01", "B", "C"],
    "true, false and words": ["true", "false", "true", "unknown", "False", "x"],
    "true, false and gaps": ["true", "FALSE", "", "nA", "True", "N/A"],
    "gaps of every kind": ["1", " NA", "nan", "NULL", "2.5", ""],
    "words that look like gaps": ["None", "#N/A", ".", "*", "<NA>", "?"],
    "numbers as people write them": ["1.", ".5", "+1", "1E+2", " 7 ", "-0"],
    "numbers to the last bit": [
        "0.1",
        "1e-320",
        "123456789012345678901",
        "2.2250738585072011e-308",
        "1e22",
        "3",
    ],
    "mostly words": ["a", "1", "b", "c", "2", "d"],
    "no value at all": ["", "", "NA", "", "", ""],
}


@pytest.mark.parametrize("cells", CASES.values(), ids=CASES)
def test_texts_are_the_same_everywhere(tmp_path: Path, cells: list[str]) -> None:
    """Whatever a cell is, it is that for everybody; labels count by their number."""
    csv, parquet = tmp_path / "rows.csv", tmp_path / "rows.parquet"
    csv.write_text(
        "y,x,z\n" + "".join(f"{y},{cell},{i}\n" for i, (y, cell) in enumerate(zip(Y, cells, strict=True)))
    )
    pq.write_table(pa.table({"y": Y, "x": cells, "z": list(map(str, range(len(Y))))}), parquet)
    same([read(path) for read in (of_the_operator, of_a_client) for path in (csv, parquet)])


TYPED = {
    "decimals": pa.array([Decimal("0.10"), None, Decimal("123456789012345.67"), Decimal("-1.00")]),
    "large integers": pa.array([2**53 + 1, 1, None, -(2**60) - 1]),
    "single precision": pa.array([0.1, None, 2.5, 1e-40], pa.float32()),
    "true and false": pa.array([True, None, False, True]),
    "bytes": pa.array([b"cd", b"ef", None, b"\xff"]),
    "durations": pa.array([dt.timedelta(days=1), None, dt.timedelta(seconds=5), dt.timedelta(0)]),
    "time stamps": pa.array([1704423600000, None, 1704499200000, 1704499200000], pa.timestamp("ms")),
    "days": pa.array([dt.date(2024, 1, 5), None, dt.date(2024, 1, 6), dt.date(2024, 1, 5)]),
    "lists": pa.array([[1, 2], None, [], [3]]),
    "a dictionary": pa.array(["a", None, "b", "a"]).dictionary_encode(),
}


@pytest.mark.parametrize("values", TYPED.values(), ids=TYPED)
def test_typed_values_are_the_same_for_operator_and_client(tmp_path: Path, values: pa.Array) -> None:
    """A value of any type is a number, or the text that a CSV file has for it."""
    y = pa.array([Decimal("0.00"), Decimal("1.00"), Decimal("1.00"), Decimal("0.00")])
    pq.write_table(pa.table({"y": y, "x": values}), tmp_path / "rows.parquet")
    same([read(tmp_path / "rows.parquet") for read in (of_the_operator, of_a_client)])


@pytest.mark.parametrize("kind", ["decimals", "large integers", "single precision", "true and false"])
def test_numbers_in_blocks_are_those_of_the_whole(tmp_path: Path, kind: str) -> None:
    """What fits into memory is read as what does not."""
    values = TYPED[kind].drop_null()
    y = pa.array([Decimal("0.00"), Decimal("1.00"), Decimal("1.00")])
    pq.write_table(pa.table({"y": y, "x": values}), tmp_path / "rows.parquet")
    same([read(tmp_path / "rows.parquet") for read in (of_the_operator, of_a_client, in_blocks)])


def test_a_long_file_has_one_type_for_a_column(tmp_path: Path) -> None:
    """Codes in the first rows and words in the last are the same levels for both."""
    rows = 300_000
    codes = ["01", "02"] * (rows // 2) + ["A1", "B2"] * (rows // 2 + 1)
    path = tmp_path / "rows.csv"
    path.write_text("y,code\n" + "".join(f"{i % 2},{code}\n" for i, code in enumerate(codes)))
    same([of_the_operator(path), of_a_client(path)])
    assert of_a_client(path).levels == {"code": ("01", "02", "A1", "B2")}


def test_blanks_around_names_and_before_quotes_do_not_count(tmp_path: Path) -> None:
    """A quoted word is that word at either end, and a column has one name, also for what a contract says."""
    path = tmp_path / "rows.csv"
    path.write_text('y, x , z\n1, "a, b", 01\n0, "c", 2\n1, c, 01\n')
    same([of_the_operator(path), of_a_client(path)])
    assert of_a_client(path).levels == {"x": ("a, b", "c")}
    table = utils.load_table(path, "y", {"z": "categorical"})
    assert table.features == ("x", "z")
    assert table.levels == {"x": ("a, b", "c"), "z": ("01", "2")}
