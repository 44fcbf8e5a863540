"""The quick way to read a table gives what the careful way gives, to the last bit, or the same error."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from client_code.protocol.cells import numbers
from federation.data.columns.column import Column, Plain, convert_cells
from federation.data.columns.scan import scan
from federation.data.files import blocks
from federation.data.preparation import copies
from federation.data.preparation.copies import Copies
from federation.data.table import Table, read_table, table_of, write_table
from federation.errors import FeatureError, FederationError
from tests.unit.row_by_row import read_rows

HEADER = "a,b\n"


def careful(path: Path) -> list[list[str]] | str:
    """Return the columns, row by row read, or the error."""
    try:
        header, rows = read_rows(path)
        read = [[cell.strip() for cell in row] for row in rows]
        return [list(column) for column in zip(*read, strict=True)] or [[] for _ in header]
    except FederationError as error:
        return str(error)


def quick(path: Path) -> list[list[str]] | str:
    """Return the columns, read in blocks, or the error."""
    try:
        found = scan(path, texts={"a", "b"})
    except FederationError as error:
        return str(error)
    return [[text.strip() for text in column.texts()] for column in found.columns.values()]


AWKWARD = st.text(
    st.sampled_from(['"', ",", "\n", "\r", " ", "x", "1", "é", "\x00", "\t", "\ufeff"]), max_size=40
)


@settings(deadline=None, max_examples=400)
@given(body=AWKWARD, size=st.integers(1, 9))
@example(body='"x\n1",x\n1,"""1"""\n', size=3)
@example(body='1,"x"x\n', size=9)
@example(body='1, "x,1"\n', size=9)
@example(body="1,x\r1,x\r\n\r\n1,x", size=2)
@example(body=' "x",1\n1,x"1\n', size=9)
@example(body="\n \n1,x\n", size=9)
@example(body='1,"x\n', size=1)
def test_blocks_hold_the_cells_that_the_csv_module_finds(
    tmp_path_factory: pytest.TempPathFactory, body: str, size: int
) -> None:
    """Wherever a block ends, and however quotes, blank lines and line ends are mixed."""
    path = tmp_path_factory.mktemp("scan") / "rows.csv"
    path.write_bytes((HEADER + body).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BYTES", size)
        assert quick(path) == careful(path)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfa,b\n1,2\n",
        b'"a","b"\n1,"\n"\n',
        b"a,b\n1,2\n3\n",
        b"a,b\n1,\xe9\n",
        b"a,b\r1,2\r",
        b"a\n1\n\n2\n",
    ],
    ids=["BOM", "newline in a cell", "ragged", "Latin-1", "old Mac", "one column"],
)
def test_whole_files_are_read_the_same(tmp_path: Path, content: bytes) -> None:
    """Also where the header is what is unusual."""
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    assert quick(path) == careful(path)


def test_the_digest_is_that_of_all_bytes(tmp_path: Path) -> None:
    """Also of files that are begun in blocks and read again row by row, one among others."""
    contents = [b"a,b\n1,2\n", b'a,b\n1,2\n3, "4,5"\n', b"b,a\r\n\r\n5,6\r\n"]
    for name, content in zip("xyz", contents, strict=True):
        (tmp_path / f"{name}.csv").write_bytes(content)
    found = scan(tmp_path)
    assert found.sha256 == hashlib.sha256(b"".join(contents)).hexdigest()
    assert found.rows == 4
    assert found.columns["a"].numbers().tolist() == [1, 1, 3, 6]


NUMBERS = st.floats(allow_nan=False).map(repr) | st.from_regex(
    r"[-+]?\d{0,22}\.?\d{0,22}([eE][-+]?\d{1,3})?", fullmatch=True
)
LEFT = ("true", "1_0", "\x1f7")
WORDS = st.sampled_from(
    [
        "",
        " NA",
        "nan",
        "nan(1)",
        "inf",
        "true",
        " 1",
        "1 ",
        "1_0",
        "0x10",
        "\u0661",
        "1e",
        "-",
        "NuLL",
        "\x1f7",
    ]
)


@settings(deadline=None)
@given(st.lists(NUMBERS | WORDS, min_size=1, max_size=5))
def test_a_number_is_read_as_python_reads_it(cells: list[str]) -> None:
    """Bit for bit; and what is no number is left to those who know what it is."""
    found = convert_cells(pa.array(cells), as_texts=False)
    expected = numbers(cells)
    if isinstance(found, Plain):
        gaps = np.isnan(expected)
        assert np.isnan(found.values).tolist() == gaps.tolist()
        assert found.values[~gaps].tobytes() == expected[~gaps].tobytes()
    else:
        assert any(word in cells for word in LEFT) or any(map(np.isinf, expected))


@settings(deadline=None)
@given(
    st.lists(
        st.floats(allow_infinity=False) | st.integers(-(10**17), 10**17).map(float), min_size=1, max_size=4
    )
)
def test_a_number_is_written_as_python_writes_it(
    tmp_path_factory: pytest.TempPathFactory, values: list[float]
) -> None:
    """The shortest digits of a number, in Python's notation, without the fraction of whole ones."""
    path = tmp_path_factory.mktemp("scan") / "rows.csv"
    y = np.zeros(len(values), dtype=np.int64)
    write_table(Table(features=("x",), X=np.array(values)[:, np.newaxis], y=y, label="y"), path)
    written = [line.removeprefix("0,") for line in path.read_text().splitlines()[1:]]
    assert written == ["" if np.isnan(value) else repr(value).removesuffix(".0") for value in values]


def test_what_a_column_holds_is_decided_by_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Codes that are numbers in the first blocks, and words in the others, are the texts of the file."""
    monkeypatch.setattr(blocks, "BYTES", 64)
    rows = [
        f"{i % 2},{'01' if i < 50 else 'A1' if i < 200 else '1.50'},{'1.50' if i < 90 else 'x'}"
        for i in range(210)
    ]
    path = tmp_path / "rows.csv"
    path.write_text("y,code,z\n" + "\n".join(rows) + "\n")
    assert read_table(path, label="y").levels == {"code": ("01", "A1", "1.50"), "z": ("1.50", "x")}


def test_an_error_names_the_file_and_its_own_line(tmp_path: Path) -> None:
    """In a folder of tables that is not the folder, nor the row of all tables together."""
    (tmp_path / "a.csv").write_text("y,x\n" + "1,2\n" * 300)
    (tmp_path / "b.csv").write_text('y,x\n\n1,"2"\n0,two\n' + "1,2\n" * 9)
    with pytest.raises(FeatureError, match=r'b\.csv: column "x", data row 2 \(line 4\): not a number'):
        read_table(tmp_path, label="y")


@pytest.mark.parametrize("hashed", [copies._hashes, lambda table: np.zeros(table.rows, dtype=np.uint64)])
def test_rows_are_identical_by_their_values_whatever_their_hashes(
    hashed: Callable[[Table], np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gaps are equal, and 0.0 and -0.0; the label counts."""
    monkeypatch.setattr(copies, "_hashes", hashed)
    X = np.array([[1, 0.0], [1, np.nan], [1, -0.0], [2, 0], [1, np.nan], [1, 0], [2, 0]])
    table = Table(features=("a", "b"), X=X, y=np.array([0, 0, 0, 0, 0, 1, 0]), label="y")
    assert Copies.of(table).group.tolist() == [0, 1, 0, 3, 1, 5, 3]


def test_memory_holds_a_table_once(tmp_path: Path) -> None:
    """The features leave what was read as the table fills, and each column of it is in one piece."""
    path = tmp_path / "table.csv"
    path.write_text("y,site,x,w\n1,A,2,u\n0,B,,v\n", encoding="utf-8")
    scanned = scan(path, texts={"y", "site"})
    table = table_of(scanned, label="y", ignore=["site"])
    assert set(scanned.columns) == {"y", "site"}
    assert table.X.flags.f_contiguous
    assert np.array_equal(table.X, np.array([[2, 0], [np.nan, 1]]), equal_nan=True)
    assert read_table(path, label="y", ignore=["site"]).X.flags.c_contiguous


def test_a_column_keeps_its_numbers_apart_from_what_they_were_read_with() -> None:
    """A part of a block would hold all of it; numbers on both sides of a page's end are as they were."""
    values, column = np.arange(300_000.0), Column()
    for start in range(0, len(values), 70_000):
        part = values[start : start + 70_000]
        column.add(Plain(part))
        assert not any(np.shares_memory(part, kept) for kept in column.parts)
    assert np.array_equal(column.numbers(), values)
