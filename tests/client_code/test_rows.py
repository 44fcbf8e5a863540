"""Rows read in blocks: all of them, in order, checked, and an error that names what cannot be used."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import rows
from errors import RowsChangedError, TableError
from rows import AHEAD, Rows, Scratch, cores, in_order

Write = Callable[[pd.DataFrame], Path]


def _frame(n: int = 20_000, d: int = 50) -> pd.DataFrame:
    return _drawn(n, d).copy()


@cache
def _drawn(n: int, d: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(n, d)), columns=[f"x{j}" for j in range(d)])
    frame.insert(3, "fraud", rng.integers(0, 2, n))
    return frame


@pytest.fixture(params=["csv", "parquet"])
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Write:
    """Return what writes a table, as CSV and as Parquet with small row groups."""

    def to_file(frame: pd.DataFrame) -> Path:
        path = tmp_path / f"train.{request.param}"
        table = pa.Table.from_pandas(frame, preserve_index=False)
        if request.param == "csv":
            pa.csv.write_csv(table, path)  # a tenth of the time that pandas takes
        else:
            pq.write_table(table, path, row_group_size=7000)
        return path

    return to_file


def _all(source: Rows) -> np.ndarray:
    return np.concatenate(list(source.blocks()), axis=1)


def test_blocks_hold_all_rows_in_order_again_and_again(write: Write) -> None:
    """Two passes give the same: features in the file's order, the label last, block by block."""
    frame = _frame()
    source = Rows(write(frame), "fraud")
    assert source.features == tuple(frame.columns.drop("fraud"))
    expected = frame[[*source.features, "fraud"]].to_numpy(dtype=np.float64).T
    for _ in range(2):
        np.testing.assert_array_equal(_all(source), expected)
    blocks = list(source.blocks())
    assert len(blocks) > 1
    assert all(block.nbytes <= 8 * rows.BLOCK_VALUES and block.flags.c_contiguous for block in blocks)


def test_columns_come_in_the_order_asked_for(write: Write) -> None:
    """A validation file may have its columns in another order than the training file."""
    frame = _frame(100, 3)
    source = Rows(write(frame), "fraud", ("x2", "x0", "x1"))
    np.testing.assert_array_equal(_all(source), frame[["x2", "x0", "x1", "fraud"]].to_numpy(float).T)


def test_whole_numbers_and_truth_values_are_numbers(tmp_path: Path) -> None:
    """Any numeric type of Parquet is read as float64."""
    path = tmp_path / "train.parquet"
    columns = {
        "a": pa.array([1, 2], pa.int8()),
        "b": pa.array([True, False]),
        "c": pa.array([0.5, 1.5], pa.float32()),
        "fraud": pa.array([True, False]),
    }
    pq.write_table(pa.table(columns), path)
    np.testing.assert_array_equal(_all(Rows(path, "fraud")), [[1, 2], [1, 0], [0.5, 1.5], [1, 0]])


# What cannot be used ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "problem"),
    [(np.nan, "a value is missing"), (np.inf, "not a finite number"), (-np.inf, "not a finite number")],
)
@pytest.mark.parametrize("row", [0, 12_345])
def test_a_value_that_is_not_finite_is_named(value: float, problem: str, row: int, write: Write) -> None:
    """Column and row across blocks, never the value."""
    frame = _frame()
    frame.loc[row, "x7"] = value
    with pytest.raises(TableError, match=rf'column "x7", data row {row + 1}: {problem}'):
        _all(Rows(write(frame), "fraud"))


def test_large_values_are_finite(write: Write) -> None:
    """A sum that overflows is no reason to refuse the values."""
    frame = _frame(100, 3)
    frame["x1"] = 1e308
    assert _all(Rows(write(frame), "fraud")).shape == (4, 100)


def test_a_text_in_a_csv_file_is_named_and_not_quoted(tmp_path: Path) -> None:
    """A secret typed into the wrong column stays here."""
    frame = _frame(20_000, 20).astype(object)
    frame.loc[15_000, "x7"] = "secret"
    frame.to_csv(tmp_path / "train.csv", index=False)
    with pytest.raises(TableError, match='column "x7"') as caught:
        _all(Rows(tmp_path / "train.csv", "fraud"))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("label", [2, -1])
def test_a_label_other_than_0_and_1_is_refused(label: int, write: Write) -> None:
    """Also in a later block."""
    frame = _frame()
    frame.loc[19_999, "fraud"] = label
    with pytest.raises(TableError, match='the label "fraud" holds values other than 0 and 1'):
        _all(Rows(write(frame), "fraud"))


def test_a_column_of_another_type_is_named(tmp_path: Path) -> None:
    """A Parquet file says so before a row is read."""
    pq.write_table(pa.table({"a": ["x"], "fraud": [1]}), tmp_path / "train.parquet")
    with pytest.raises(TableError, match='column "a" holds string, not numbers'):
        Rows(tmp_path / "train.parquet", "fraud")


def test_missing_columns_and_rows_are_named(write: Write) -> None:
    """No label, nothing but the label, other columns than the training rows, no rows."""
    path = write(_frame(10, 3))
    with pytest.raises(TableError, match='no label column "risk"'):
        Rows(path, "risk")
    with pytest.raises(TableError, match="other columns than the training rows: x2, x9"):
        Rows(path, "fraud", ("x0", "x1", "x9"))
    with pytest.raises(TableError, match="no column besides the label"):
        Rows(write(_frame(10, 3)[["fraud"]]), "fraud")
    with pytest.raises(TableError, match="has no rows"):
        _all(Rows(write(_frame(10, 3).head(0)), "fraud"))


def test_a_row_group_without_rows_is_passed_over(tmp_path: Path) -> None:
    """Some writers leave empty parts: they are no reason to stop."""
    frame = _frame(10, 3)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    with pq.ParquetWriter(tmp_path / "train.parquet", table.schema) as writer:
        for part in (table, table.slice(0, 0), table):
            writer.write_table(part)
    assert _all(Rows(tmp_path / "train.parquet", "fraud")).shape == (4, 20)


def test_a_file_cut_off_before_the_start_is_refused(write: Write) -> None:
    """Half of a Parquet file is no table; of a CSV file the last row is too short."""
    path = write(_frame())
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(TableError, match=r"cut off"):
        _all(Rows(path, "fraud"))


def test_a_file_cut_off_during_a_pass_ends_it(write: Write) -> None:
    """Whatever the reader makes of it, the pass does not end as if these had been all rows."""
    path = write(_frame(100_000))
    blocks = Rows(path, "fraud").blocks()
    next(blocks)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises((RowsChangedError, TableError), match=r"train\."):
        list(blocks)


def test_a_file_that_was_replaced_is_refused(write: Write) -> None:
    """A pass never mixes with another file's rows."""
    frame = _frame(100, 3)
    path = write(frame)
    source = Rows(path, "fraud")
    _all(source)
    path.rename(path.with_name("old"))
    write(frame)
    with pytest.raises(RowsChangedError, match="changed while it was in use") as caught:
        _all(source)
    assert caught.value.exit_code == 56


# Scratch and order -----------------------------------------------------------------------------------------


def test_scratch_gives_back_what_it_was_given() -> None:
    """Blocks of any length, to the last bit, as often as wanted, and nothing is left in the folder."""
    scratch = Scratch()
    blocks = [np.random.default_rng(i).normal(size=(3, n)) for i, n in enumerate((5, 1, 1000))]
    places = [scratch.place((3, n)) for n in (5, 1, 1000)]
    for start, block in reversed(list(zip(places, blocks, strict=True))):
        scratch.write(start, block)
    assert scratch.complete
    for _ in range(2):
        for (shape, read), block in zip(scratch.readers(), blocks, strict=True):
            assert shape == block.shape
            np.testing.assert_array_equal(read(), block)
    scratch.close()


def test_scratch_says_when_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk keeps what others need: a block that would take it is not written."""
    monkeypatch.setattr(rows, "SPARE_BYTES", 1 << 60)
    scratch = Scratch()
    scratch.write(scratch.place((2, 2)), np.zeros((2, 2)))
    assert not scratch.complete
    scratch.close()


def test_cores_are_counted_on_every_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system does not tell which this process may use, all count."""
    assert 1 <= cores() <= (os.cpu_count() or 1)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert cores() == os.cpu_count()


def test_results_come_in_order_from_all_cores() -> None:
    """Whoever is ready first waits for those before it, and an error of one ends all."""
    first_waits = threading.Event()

    def work(i: int) -> int:
        if i == 0:
            first_waits.wait(10)
        else:
            first_waits.set()
        return i * i

    if cores() > 1:
        assert list(in_order(work, range(20))) == [i * i for i in range(20)]
    with pytest.raises(ZeroDivisionError):
        list(in_order(lambda i: 1 // (i - 5), range(20)))


def test_the_first_error_counts_whoever_met_another_before() -> None:
    """Which error a client reports does not depend on how fast its cores are."""
    others = threading.Event()

    def work(i: int) -> int:
        if i == 0:
            others.wait(10)
            raise KeyError
        if i == AHEAD + cores():  # computed where the items are made
            others.set()
            raise ZeroDivisionError
        return i

    with pytest.raises(KeyError):
        list(in_order(work, range(100)))


def test_only_a_few_items_are_made_ahead() -> None:
    """However long the file, few more blocks wait than there are cores, also behind a slow one."""
    made, done = 0, 0

    def items() -> Iterator[int]:
        nonlocal made
        for i in range(100):
            made += 1
            assert made - done <= 2 * (cores() + AHEAD) + 2
            yield i

    for _ in in_order(lambda i: time.sleep(0.0 if i else 0.2), items()):
        done += 1
    assert done == 100
