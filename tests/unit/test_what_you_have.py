"""Every row of the how-to's table "what you have" happens as it says; a row without a case fails."""

import gzip
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from federation.data.columns.scan import scan
from federation.data.files.text import Format
from federation.data.table import read_table
from federation.errors import FederationError
from tests.unit.sas_files import write_sas

PAGE = Path(__file__).parents[2] / "docs" / "how-to-use-your-own-data.md"
ROWS = "y,code,cost\n1,02139,250.5\n0,A,1234.25\n1,,\n0,02139,7\n"
SECTION = re.search(r"## What you have.*?\n\n(\|.*?)\n\n", PAGE.read_text(encoding="utf-8"), re.DOTALL)
assert SECTION
STATED = [line.split(" | ")[0].removeprefix("| ") for line in SECTION[1].splitlines()[2:]]


def files(**contents: str | bytes) -> Callable[[Path], Path]:
    """Return what writes files by their names (``__`` is a slash, ``_DOT_`` a dot); and where they are."""

    def write(folder: Path) -> Path:
        for name, content in contents.items():
            path = folder / name.replace("__", "/").replace("_EQ_", "=").replace("_DOT_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path if len(contents) == 1 else folder

    return write


def zipped(folder: Path) -> Path:
    """Write an archive of one table."""
    with zipfile.ZipFile(folder / "rows.zip", "w") as archive:
        archive.writestr("rows.csv", ROWS)
    return folder / "rows.zip"


def frame() -> pd.DataFrame:
    """Return the rows as a frame, numbers as numbers."""
    return pd.DataFrame(
        {"y": [1, 0, 1, 0], "code": ["02139", "A", None, "02139"], "cost": [250.5, 1234.25, None, 7]}
    )


def excel(folder: Path) -> Path:
    """Write a workbook."""
    pytest.importorskip("openpyxl")
    frame().to_excel(folder / "rows.xlsx", index=False)
    return folder / "rows.xlsx"


def sas(folder: Path) -> Path:
    """Write a data set of SAS."""
    pytest.importorskip("pyreadstat")
    columns = frame().astype(object).where(frame().notna(), None).to_dict("list")
    return write_sas(folder / "rows.sas7bdat", columns)


def statistical(write: str, name: str) -> Callable[[Path], Path]:
    """Return what writes a file that pyreadstat can write."""

    def written(folder: Path) -> Path:
        library = pytest.importorskip("pyreadstat")
        getattr(library, write)(frame().fillna({"code": ""}), str(folder / name))
        return folder / name

    return written


def parquet(folder: Path) -> Path:
    """Write a Parquet file."""
    frame().to_parquet(folder / "rows.PARQ")
    return folder / "rows.PARQ"


HEAD, FIRST, SECOND, THIRD, FOURTH = ROWS.splitlines(keepends=True)
JSON = (
    '{"y": 1, "code": "02139", "cost": 250.5}\n{"y": 0, "code": "A", "cost": 1234.25}\n'
    '{"y": 1, "code": null, "cost": null}\n{"cost": 7, "y": 0, "code": "02139"}\n'
)
PLAIN = "\ufeff" + ROWS.replace(",A,", ", A , ").replace("1,,", "\n1,,")
LATIN = ROWS.replace("A", "é").encode("cp1252")
REST = gzip.compress((HEAD + THIRD + FOURTH).encode(), mtime=0)
INDEXED = "," + ROWS.replace("\n", "\n0,")
NAMES, TWICE, TWO = (
    "name different columns",
    'names "code" more than once',
    "3 distinct values.*say with --positive",
)
SAME = None
CASES: dict[str, tuple[Callable[[Path], Path], str | None]] = {
    "CSV with commas, in UTF-8": (files(a_DOT_csv=PLAIN), SAME),
    "a name in capitals (`JAN.CSV`)": (files(JAN_DOT_CSV=ROWS), SAME),
    "tabs, semicolons or vertical bars between values": (files(a_DOT_tsv=ROWS.replace(",", "\t")), SAME),
    "decimal commas in such a file": (files(a_DOT_csv=ROWS.replace(",", ";").replace(".", ",")), SAME),
    "UTF-16 with a byte-order mark": (files(a_DOT_csv=ROWS.encode("utf-16")), SAME),
    "another encoding": (
        files(a_DOT_csv=LATIN),
        "line 3: not UTF-8.*--encoding",
    ),
    "gzip (`.csv.gz`, `.jsonl.gz`), or ZIP with one table in it": (zipped, SAME),
    "JSON lines (`.jsonl`, `.ndjson`)": (files(a_DOT_jsonl=JSON), SAME),
    "Parquet (`.parquet`, `.parq`, `.pq`)": (parquet, SAME),
    "Excel (`.xlsx`), one sheet": (excel, SAME),
    "SAS data sets (`.sas7bdat`)": (sas, SAME),
    "SAS transport files (`.xpt`)": (statistical("write_xport", "rows.xpt"), SAME),
    "Stata (`.dta`)": (statistical("write_dta", "rows.dta"), SAME),
    "SPSS (`.sav`)": (statistical("write_sav", "rows.sav"), SAME),
    "a folder of tables, of several kinds and in subfolders": (
        files(a_DOT_csv=HEAD + FIRST + SECOND, b__c_DOT_csv_DOT_gz=REST),
        SAME,
    ),
    "folders that name columns (`site=A/x.parquet`)": (
        files(code_EQ_A__a_DOT_csv="y,code\n1,1\n", code_EQ_B__b_DOT_csv="y,code\n1,1\n"),
        'names the column "code", which it has itself',
    ),
    "such folders at different depths": (
        files(a_DOT_csv=ROWS, b_EQ_1__c_DOT_csv=ROWS),
        "name different columns",
    ),
    "other files in the folder": (files(a_DOT_csv=ROWS, b_DOT_docx="x"), SAME),
    "names that begin with a dot, an underscore or `~$` (`_SUCCESS`, `~$open.xlsx`)": (
        files(**{"a.csv": ROWS, "_SUCCESS": "", "~$open.xlsx": ""}),
        SAME,
    ),
    "content that is not what the name says": (
        files(a_DOT_csv=b"PAR1" + ROWS.encode()),
        "by its content it is Parquet",
    ),
    "a column without a name": (
        files(a_DOT_csv=INDEXED),
        "index that pandas writes",
    ),
    "the same name twice": (files(a_DOT_csv=ROWS.replace("cost", "code")), TWICE),
    "rows with too few or too many values": (
        files(a_DOT_csv=ROWS + "1,x\n0\n1,A,2\n"),
        "line 6: 2 values under 3 column names, the first of 2 such rows",
    ),
    "a quote that is never closed": (files(a_DOT_csv=ROWS + '1,"x,2\n' * 3), "row that begins on line 6"),
    "a label of three values": (
        files(a_DOT_csv=ROWS + "2,A,1\n"),
        TWO,
    ),
    "rows without a label: units, totals, notes, lines of separators alone": (
        files(a_DOT_csv=ROWS + ",,\n,,\n"),
        r"line 6\): empty, the first of 2 such rows",
    ),
    "a column without a value in a file": (
        files(a_DOT_csv=HEAD + FIRST + SECOND, b_DOT_csv=HEAD + THIRD, c_DOT_csv=HEAD + FOURTH),
        SAME,
    ),
}


def test_every_row_of_the_page_has_a_case() -> None:
    """And every case a row."""
    assert list(CASES) == STATED


@pytest.mark.parametrize("what", CASES)
def test_what_you_have_is_read_or_refused_as_the_page_says(tmp_path: Path, what: str) -> None:
    """It gives the table that plain CSV gives, or an error that says what is wrong."""
    write, problem = CASES[what]
    path = write(tmp_path)
    if problem:
        with pytest.raises(FederationError, match=problem):
            read_table(path, label="y", codes=True)
        return
    table, plain = read_table(path, label="y", codes=True), tmp_path / "plain" / "rows.csv"
    plain.parent.mkdir()
    plain.write_text(ROWS)
    expected = read_table(plain, label="y", codes=True)
    assert (table.features, table.levels, table.y.tolist()) == (
        expected.features,
        expected.levels,
        expected.y.tolist(),
    )
    assert table.X.astype(str).tolist() == expected.X.astype(str).tolist()
    assert any("docx" in note for note in scan(path).notes) == ("other files" in what)
    assert any("row of b.csv" in note for note in table.notes) == ("without a value" in what)


def test_what_is_read_with_an_option_is_read_with_it(tmp_path: Path) -> None:
    """The remedy for another encoding works."""
    path = CASES["another encoding"][0](tmp_path)
    assert read_table(path, Format(encoding="cp1252"), label="y", codes=True).levels["code"] == ("02139", "é")
