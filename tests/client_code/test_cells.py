"""What a cell of a table is: every reader, at either end, decides it in the same way."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import utils
from client_code.protocol.cells import MISSING, finite, is_missing, number, numbers, spellings
from client_code.protocol.contract import Contract, Rule
from contract import violations
from errors import TableError
from federation.data.contract_check import check
from federation.data.table import read_table
from rows import Rows

GAPS = pytest.mark.parametrize("cell", [" NA", "nA", "NUll", "n/A", "NA ", "\tNaN", "", "  ", "NULL", "NA"])
TEXTS = pytest.mark.parametrize(
    "cell", ["#N/A", "-", "1_000", "\N{ARABIC-INDIC DIGIT ONE}", "none", "0x10", "1,5"]
)


def in_data_preparation(path: Path) -> float:
    """Return the third number as the server's reader has it."""
    return float(read_table(path, label="y").X[2, 0])


def in_the_clients_memory(path: Path) -> float:
    """Return the third number as the client's reader of whole tables has it."""
    return float(utils.load_table(path, "y").X[2, 0])


READERS = pytest.mark.parametrize("read", [in_data_preparation, in_the_clients_memory])


def table(folder: Path, cell: str) -> Path:
    """Write a table whose third row has this cell."""
    path = folder / "rows.csv"
    quoted = f'"{cell}"' if "," in cell else cell
    path.write_text(f"y,x\n0,1\n1,2\n0,{quoted}\n1,4.5\n", encoding="utf-8")
    return path


@GAPS
@READERS
def test_a_gap_is_a_gap_at_either_end(read: Callable[[Path], float], cell: str, tmp_path: Path) -> None:
    """Blanks and case do not count."""
    assert np.isnan(read(table(tmp_path, cell)))


@GAPS
def test_a_gap_is_a_gap_in_the_contract_check(cell: str, tmp_path: Path) -> None:
    """A contract that allows a share of gaps is kept, one that allows none is broken, at either end."""
    path = table(tmp_path, cell)
    kept, broken = (
        Contract(label="y", columns={"x": Rule(type="numeric", missing=share)}) for share in (0.5, 0.0)
    )
    for found in (violations(kept, [path]), check(kept, [path])):
        assert found == {}
    for found in (violations(broken, [path]), check(broken, [path])):
        assert [str(one) for one in found["rows.csv"]] == [
            'column "x" lacks 1 of 4 values, more than the share of 0 allowed'
        ]


@GAPS
def test_a_gap_is_named_as_one_in_blocks(cell: str, tmp_path: Path) -> None:
    """Rows that are read in blocks may have none; the message says so, and where."""
    with pytest.raises(TableError, match=r'column "x", data row 3: a value is missing'):
        list(Rows(table(tmp_path, cell), "y").blocks())


@TEXTS
def test_a_text_is_none_of_the_numbers_anywhere(cell: str, tmp_path: Path) -> None:
    """No reader knows a gap or a number that the others do not know."""
    path = table(tmp_path, cell)
    contract = Contract(label="y", columns={"x": Rule(type="numeric", missing=0.5)})
    said = 'column "x": 1 values that are no finite numbers (data rows 3)'
    assert [
        [str(it) for it in found["rows.csv"]]
        for found in (violations(contract, [path]), check(contract, [path]))
    ] == [[said], [said]]
    with pytest.raises(TableError, match=r'column "x", data row 3: not a finite number'):
        utils.load_table(path, "y")
    with pytest.raises(TableError, match=r'column "x", data row 3: not a finite number'):
        list(Rows(path, "y").blocks())


def test_a_label_that_is_missing_is_named_as_such(tmp_path: Path) -> None:
    """Not as a third class."""
    (tmp_path / "rows.csv").write_text("y,x\n0,1\n nA,2\n1,3\n", encoding="utf-8")
    with pytest.raises(TableError, match=r'column "y", data row 2: no label'):
        utils.load_table(tmp_path / "rows.csv", "y")


def test_every_spelling_is_a_gap_and_every_gap_has_its_spelling() -> None:
    """What readers compare letter by letter is what the definition says."""
    written = spellings()
    assert all(map(is_missing, written))
    assert {one.lower() for one in written} == MISSING
    assert len(written) == len(set(written)) == sum(2 ** sum(map(str.isalpha, word)) for word in MISSING)


@given(st.lists(st.text(max_size=6) | st.floats().map(repr) | st.sampled_from(["true", "False", " 1"])))
def test_the_quick_way_to_read_numbers_is_the_slow_one(cells: list[str]) -> None:
    """A column of finite numbers is read at once, and every other cell by cell: with the same result."""
    one_by_one = [numbers([cell])[0] for cell in cells]
    np.testing.assert_array_equal(numbers(cells), one_by_one)
    if (quick := finite(cells)) is not None:
        assert quick.tolist() == [number(cell) for cell in cells]
