"""Reading and writing tables."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from federation.data.columns.column import Column
from federation.data.columns.scan import scan, texts_of
from federation.data.table import Table, read_table, write_table
from federation.errors import DataError, FeatureError, FederationError, LabelError, MissingFileError

GOOD = "a,y,b\n1,0,2\n3,1,4\n"


def save(folder: Path, content: str | bytes) -> Path:
    """Write a file and return its path."""
    path = folder / "rows.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refusal(folder: Path, content: str | bytes, positive: str | None = None) -> FederationError:
    """Read a table that cannot be read, and return why."""
    with pytest.raises(FederationError) as error:
        read_table(save(folder, content), label="y", positive=positive)
    return error.value


@settings(deadline=None)  # the first example loads pyarrow
@given(
    X=arrays(np.float64, (3, 2), elements=st.floats(allow_nan=False, allow_infinity=False)),
    y=arrays(np.int64, 3, elements=st.integers(0, 1)),
)
def test_what_was_written_is_read_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, X: np.ndarray, y: np.ndarray
) -> None:
    """Every float comes back bit for bit, also -0.0 and subnormals."""
    path = tmp_path_factory.mktemp("tables") / "rows.csv"
    write_table(Table(features=("a", 'b "quoted", comma'), X=X, y=y, label="y"), path)
    table = read_table(path, label="y")
    assert table.X.tobytes() == X.tobytes()
    assert table.y.tobytes() == y.tobytes()
    assert table.features == ("a", 'b "quoted", comma')


def test_the_label_is_written_first_with_unix_line_ends(tmp_path: Path) -> None:
    """The bytes do not depend on the system; whole numbers stay short."""
    table = read_table(save(tmp_path, GOOD), label="y")
    write_table(table, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes() == b"y,a,b\n0,1,2\n1,3,4\n"


@pytest.mark.parametrize(
    "content",
    [
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("\n", "\r"),
        "\ufeff" + GOOD,
        GOOD + "\n\n",
        GOOD.replace("a,y,b", ' "a", y ,b '),
        GOOD.replace("3,1,4", ' 3 , 1 , "4"'),
        GOOD.replace(",0,", ",False,").replace(",1,", ",TRUE,"),
        GOOD.replace(",1,", ",1.0,"),
    ],
    ids=["CRLF", "CR", "BOM", "blank lines", "blanks in header", "blanks and quotes", "true/false", "1.0"],
)
def test_harmless_variants_read_the_same(tmp_path: Path, content: str) -> None:
    """Exports differ in form, not in content."""
    table = read_table(save(tmp_path, content), label="y")
    assert table.features == ("a", "b")
    assert table.X.tolist() == [[1, 2], [3, 4]]
    assert table.y.tolist() == [0, 1]


def test_positive_says_which_text_is_1(tmp_path: Path) -> None:
    """Any two values make a label once one of them is called positive."""
    path = save(tmp_path, "y,a\nlate,1\nearly,2\n")
    assert read_table(path, label="y", positive="early").y.tolist() == [0, 1]
    assert read_table(path, label="y", positive="late").y.tolist() == [1, 0]


@pytest.mark.parametrize(
    "words", ["no yes", "No YES", "n y", "N Y", "negative positive", "Negative Positive"]
)
def test_a_label_in_plain_words_needs_no_positive(tmp_path: Path, words: str) -> None:
    """Yes is as clear as true, beside numbers and beside texts; --positive still turns it round."""
    low, high = words.split()
    for one, other in (("1", "2"), ("red", "blue")):
        path = save(tmp_path, f"y,a\n{low},{one}\n{high},{other}\n")
        assert read_table(path, label="y").y.tolist() == [0, 1]
        assert read_table(path, label="y", positive=low).y.tolist() == [1, 0]


def test_one_class_alone_is_a_table(tmp_path: Path) -> None:
    """A client whose rows are all positive can still read its own file."""
    assert read_table(save(tmp_path, "y,a\n1,1\n1,2\n"), label="y").positives == 2


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "no header"),
        ("\n\n", "no header"),
        ("y,a\n", "without rows"),
        ("y\n1\n", "only column"),
        ("y,a,a\n1,2,3\n", 'names "a" more than once, in columns 2 and 3'),
        ("y,,a\n1,2,3\n", "column 2 has no name"),
        ("y,a\n1,2,3\n", "line 2: 3 values under 2"),
        ("y,a\n1,2\n1\n", "line 3: 1 values under 2"),
        ('y,a\n1,"2\n', "row that begins on line 2: not CSV (a quote is never closed)"),
        ("y,a\n1," + "2" * 200_000 + "\n", "more than 131,072 characters: a quote before it is not closed"),
        ("y,ä\n1,2\n".encode("latin-1"), "not UTF-8"),
        ("y,a\n1,2\n".encode("utf-16-le"), "looks like UTF-16"),
    ],
)
def test_a_file_that_is_no_table_is_a_data_error(tmp_path: Path, content: str | bytes, problem: str) -> None:
    """The message says what is wrong and where."""
    error = refusal(tmp_path, content)
    assert type(error) is DataError
    assert problem in error.problem


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("secret", "not a number"),
        ("1_000", "not a number"),
        ("-inf", "infinity"),
        ("9" * 400, "infinity"),
    ],
)
def test_a_bad_feature_is_located_without_its_value(tmp_path: Path, value: str, problem: str) -> None:
    """Column, data row and line are named (a blank line lies between); the value is not, for logs travel."""
    error = refusal(tmp_path, f"y,a,b\n1,1,2\n\n0,3,{value}\n")
    assert isinstance(error, FeatureError)
    assert 'column "b", data row 2 (line 4): ' + problem in error.problem
    if value.strip() in {"secret", "1_000", "9" * 400}:
        assert value not in str(error)


@pytest.mark.parametrize(
    ("content", "positive", "message"),
    [
        ("Y_,a\n1,2\n", None, 'Did you mean "Y_"?'),
        ("z,a\n1,2\n", None, 'The 2 columns are "z", "a".'),
        (
            "y,a\n1,2\n0,2\n2,2\n",
            None,
            "has 3 distinct values (in 3 rows; a third value first in rows.csv, data row 3 (line 4)): not",
        ),
        ("y,a\nlate,2\n", None, "has 1 distinct value: not binary"),
        (
            "y,a\n" + "yes,2\nno,3\n" * 10 + "maybe,3\n",
            "yes",
            '("yes" in 10, "no" in 10, others in 1 rows; a third value first in rows.csv, data row 21 (line',
        ),
        ("y,a\nlate,2\nearly,3\n", None, 'with --positive which is 1: "early" or "late"'),
        ("y,a\nyes,2\nearly,3\n", None, 'with --positive which is 1: "early" or "yes"'),
        ("y,a\nyes,2\nno,3\n", "Yes", 'is never "Yes"'),
        ("y,a\n1,2\n2,2\n", None, 'with --positive which is 1: "1" or "2"'),
        ("y,a\n1,2\n,2\n", None, "data row 2 (line 3): empty"),
        ("y,a\n1,2\nnan,2\n", None, "data row 2 (line 3): empty."),
        ("y,a\n1,2\n,2\nNA,3\n", None, "data row 2 (line 3): empty, the first of 2 such rows"),
    ],
)
def test_a_label_that_is_not_binary_is_refused(
    tmp_path: Path, content: str, positive: str | None, message: str
) -> None:
    """The message leads to the right column or value, and no row is dropped silently."""
    error = refusal(tmp_path, content, positive)
    assert isinstance(error, LabelError)
    assert message in str(error)


def test_one_row_is_looked_for_however_many_values_a_label_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each search goes through all rows: a column of names taken for the label must not start one a name."""
    searched, first = list[int](), Column.first

    def counting(self: Column, place: int) -> int:
        searched.append(place)
        return first(self, place)

    monkeypatch.setattr(Column, "first", counting)
    error = refusal(tmp_path, "y,a\nr1,0\nr2,0\nr1,0\n" + "".join(f"r{i},{i}\n" for i in range(3, 99)))
    assert "98 distinct values (in 99 rows; a third value first in rows.csv, data row 4 (line 5))" in str(
        error
    )
    assert len(searched) == 1


def test_a_missing_file_and_a_folder_are_missing(tmp_path: Path) -> None:
    """Neither ends in an exception of the system."""
    for path in (tmp_path / "absent.csv", tmp_path):
        with pytest.raises(MissingFileError):
            read_table(path, label="y")


def test_a_text_column_can_be_left_out_and_read_apart(tmp_path: Path) -> None:
    """The column that names the clients is no feature."""
    path = save(tmp_path, "y,site,a\n1, St. Mary ,2\n0,B,3\n")
    assert read_table(path, label="y", ignore=("site",)).features == ("a",)
    assert texts_of(scan(path, texts={"site"}), "site") == ["St. Mary", "B"]


def test_a_row_without_a_client_is_refused(tmp_path: Path) -> None:
    """It could belong to anybody."""
    with pytest.raises(DataError, match=r"data row 2 \(line 3\): empty"):
        texts_of(scan(save(tmp_path, "y,site,a\n1,A,2\n0,,3\n"), texts={"site"}), "site")


@pytest.mark.parametrize("X", [np.array([[np.inf]]), np.zeros((2, 1)), np.zeros((1, 2))])
def test_an_invalid_table_cannot_exist(X: np.ndarray) -> None:
    """Shapes fit, and values are finite."""
    with pytest.raises(ValueError, match="X"):
        Table(features=("a",), X=X, y=np.array([1]), label="y")


# Texts and gaps ---------------------------------------------------------------------------------------------

MIXED = 'y,age,state,ok\n1,30,"CA, or so",true\n0,,NY,\n1,N/A, nan ,FALSE\n0,4e1,CA,1\n'


def test_texts_become_levels_and_gaps_nan(tmp_path: Path) -> None:
    """Each column is of the kind that its values are; true and false are numbers."""
    table = read_table(save(tmp_path, MIXED), label="y")
    assert table.levels == {"state": ("CA, or so", "NY", "CA")}
    expected = [[30, 0, 1], [np.nan, 1, np.nan], [np.nan, np.nan, 0], [40, 2, 1]]
    np.testing.assert_array_equal(table.X, expected)
    assert not table.plain


def test_levels_and_gaps_survive_a_file(tmp_path: Path) -> None:
    """What was written is read back, whatever the texts hold."""
    table = read_table(save(tmp_path, MIXED), label="y")
    write_table(table, tmp_path / "again.csv")
    again = read_table(tmp_path / "again.csv", label="y")
    assert again.levels == table.levels
    np.testing.assert_array_equal(again.X, table.X)


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_a_line_break_in_a_cell_survives_a_file(tmp_path: Path, end: str) -> None:
    """Spreadsheets have them in levels and in names of columns."""
    path = save(tmp_path, f'y,"note{end}text"\n1,"a{end}b"\n0,c\n1,c\n'.encode())
    table = read_table(path, label="y")
    write_table(table, tmp_path / "again.csv")
    again = read_table(tmp_path / "again.csv", label="y")
    assert (again.features, again.levels) == (table.features, {table.features[0]: (f"a{end}b", "c")})


def test_a_word_among_numbers_is_a_mistake_and_a_number_among_words_is_a_level(tmp_path: Path) -> None:
    """Which of the two a column is, most of its values decide; the mistake is located, not quoted."""
    error = refusal(tmp_path, "y,a\n1,1\n0,2\n1,secret\n")
    assert 'column "a", data row 3 (line 4): not a number.' in error.problem
    assert "secret" not in str(error)
    table = read_table(save(tmp_path, "y,a\n1,A\n0,B\n1,7\n"), label="y")
    assert table.levels == {"a": ("A", "B", "7")}


def test_a_mistake_is_located_in_a_later_part_of_the_file(tmp_path: Path) -> None:
    """Rows have one number and one line, whatever part they are read in."""
    rows = "".join(f"1,{i},t\n" for i in range(9_000))
    assert "data row 9001 (line 9002): not a number" in refusal(tmp_path, f"y,a,b\n{rows}0,x,t\n").problem


def test_kinds_that_are_given_are_not_found_out(tmp_path: Path) -> None:
    """Numbers can be levels, and words among numbers too."""
    path = save(tmp_path, "y,a,b\n1,1,1\n0,2,x\n1,2,3\n")
    table = read_table(path, label="y", kinds={"a": "categorical", "b": "categorical"})
    assert table.levels == {"a": ("1", "2"), "b": ("1", "x", "3")}
    with pytest.raises(FeatureError, match=r'column "a", data row 2 .*neither true nor false'):
        read_table(path, label="y", kinds={"a": "boolean", "b": "categorical"})


def test_a_stray_quote_is_found_where_its_row_begins(tmp_path: Path) -> None:
    """A quote that is never closed swallows the rest of the file: the message says where that began."""
    rows = "".join(f"1,{i}\n" for i in range(5_000))
    error = refusal(tmp_path, f'y,a\n{rows}0,"7\n{rows}')
    assert "the row that begins on line 5002" in error.problem
    swallowed = refusal(tmp_path, f'y,a\n{rows}0,"7\n{rows}0,"8"\n{rows}')
    assert "the row that begins on line 5002" in swallowed.problem


def test_a_file_in_two_encodings_is_found_near_the_change(tmp_path: Path) -> None:
    """Half UTF-8, half Latin-1: the message says on which line that begins."""
    rows = "1,Ávila\n" * 20_000
    content = f"y,a\n{rows}".encode() + "0,Ávila\n".encode("latin-1")
    assert "rows.csv, line 20002: not UTF-8 text" in refusal(tmp_path, content).problem


def test_an_invalid_level_cannot_exist() -> None:
    """The number of a level that is not there is a mistake of ours."""
    with pytest.raises(ValueError, match="level"):
        Table(features=("a",), X=np.array([[2.0]]), y=np.array([1]), label="y", levels={"a": ("x", "y")})


# Parquet and folders ----------------------------------------------------------------------------------------


def test_parquet_and_csv_of_the_same_rows_are_the_same_table(tmp_path: Path) -> None:
    """Also in a folder of both, with their columns in another order; an empty row group is no rows."""
    import pandas as pd  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    path = save(tmp_path, "y,age,state\n1,30.1,CA\n0,,NY\n1,7,\n0,4e1,CA\n")
    expected, frame = read_table(path, label="y"), pd.read_csv(path)
    folder = tmp_path / "folder"
    folder.mkdir()
    table = pa.Table.from_pandas(frame[:2])
    with pq.ParquetWriter(folder / "a.parquet", table.schema) as writer:
        for part in (table.slice(0, 0), table):
            writer.write_table(part)
    frame[2:][["state", "y", "age"]].to_csv(folder / "b.csv", index=False)
    frame.to_parquet(tmp_path / "all.parquet")
    for source in (tmp_path / "all.parquet", folder):
        got = read_table(source, label="y")
        np.testing.assert_array_equal(got.X, expected.X)
        assert (got.levels, got.y.tolist()) == (expected.levels, expected.y.tolist())


def test_files_of_a_folder_must_have_the_same_columns(tmp_path: Path) -> None:
    """The message names both files and the columns; a folder without tables has none to read."""
    with pytest.raises(MissingFileError, match="is empty"):
        read_table(tmp_path, label="y")
    (tmp_path / "a.csv").write_text("y,a\n1,2\n")
    (tmp_path / "b.csv").write_text("y,b\n1,2\n")
    with pytest.raises(DataError, match=r'b\.csv and a\.csv have different columns: "a", "b"'):
        read_table(tmp_path, label="y")


def test_a_parquet_file_that_is_cut_off_is_named(tmp_path: Path) -> None:
    """No traceback of a library."""
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(DataError, match=r"a\.parquet: not a Parquet file, or cut off"):
        read_table(tmp_path / "a.parquet", label="y")
