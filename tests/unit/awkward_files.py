"""Write awkward files of one table, as hospitals export them: some can be read, others must be mended."""

import gzip
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from tests.unit.sas_files import write_sas

HEADER = ("y", "age", "cost", "ward")
Row = tuple[int, int, float, str]
Write = Callable[[Path, list[Row]], object]
ROWS = 60
"""Rows in each file."""


def rows(seed: int, count: int = ROWS) -> list[Row]:
    """Return rows in which the outcome depends on age; no two files have the same ones."""
    rng = random.Random(seed)  # noqa: S311 - made-up rows
    made = []
    for _ in range(count):
        age = rng.randint(18, 90)
        y = int(rng.random() < age / 100)
        made.append((y, age, rng.randint(100, 99_999) + 0.25, rng.choice(("north", "süd"))))
    return made


def lines(rows: list[Row], separator: str = ",", decimal: str = ".") -> str:
    """Return a CSV of rows."""
    texts = [[str(cell).replace(".", decimal) for cell in row] for row in rows]
    return "".join(f"{separator.join(row)}\n" for row in [HEADER, *texts])


def frame(rows: list[Row]) -> pd.DataFrame:
    """Return rows as a frame."""
    return pd.DataFrame(rows, columns=list(HEADER))


def text(change: Callable[[str], str] = str, encoding: str = "utf-8") -> Write:
    """Return what writes a CSV that is changed first."""
    return lambda path, rows: path.write_bytes(change(lines(rows)).encode(encoding))


def _zip(path: Path, rows: list[Row]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("june.csv", lines(rows))
        archive.writestr("__MACOSX/._june.csv", b"\0")


def _blank_lines(content: str) -> str:
    return content.replace("\n", "\r\n\r\n")


def _quoted(content: str) -> str:
    return "\n".join('"' + line.replace(",", '", "') + '"' for line in content.splitlines())


READ: dict[str, Write] = {
    "JAN.CSV": text(),
    "feb.csv": lambda path, rows: path.write_text("\ufeff" + lines(rows, ";", ","), encoding="utf-8"),
    "mar.tsv": text(lambda content: content.replace(",", "\t")),
    "apr.csv": text(encoding="utf-16"),
    "may.csv.gz": lambda path, rows: path.write_bytes(gzip.compress(lines(rows).encode())),
    "june.zip": _zip,
    "july.jsonl": lambda path, rows: frame(rows).to_json(path, orient="records", lines=True),
    "aug.parq": lambda path, rows: frame(rows).to_parquet(path),
    "sep/blank lines.csv": text(_blank_lines),
    "sep/quoted.csv": text(_quoted),
    "oct.csv": lambda path, rows: frame(rows)[["ward", "cost", "age", "y"]].to_csv(path, index=False),
    "nov.xlsx": lambda path, rows: frame(rows).to_excel(path, index=False),
    "dec.sas7bdat": lambda path, rows: write_sas(path, frame(rows).to_dict("list")),
}
"""Awkward files of one table, by name."""
BESIDE = ("notes.docx", ".DS_Store", "_SUCCESS", "~$nov.xlsx")
"""What else lies in the folder."""


def write_all(folder: Path) -> None:
    """Write all files that can be read, and what lies beside them."""
    for seed, (name, write) in enumerate(READ.items()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write(folder / name, rows(seed))
    for name in BESIDE:
        (folder / name).write_bytes(b"not a table")


def _line(number: int, change: Callable[[str], str]) -> Callable[[str], str]:
    """Return what changes one line of a text, from 1; what it returns may be several, or none."""

    def changed(content: str) -> str:
        kept = content.splitlines(keepends=True)
        kept[number - 1] = change(kept[number - 1])
        return "".join(kept)

    return changed


def _cell(at: int, word: str) -> Callable[[str], str]:
    return lambda line: (
        ",".join([*line.split(",")[:at], word, *line.rstrip("\n").split(",")[at + 1 :]]) + "\n"
    )


NAME = "z bad.csv"  # read last, so that what comes before it is right
REFUSED: dict[str, tuple[Write, str]] = {
    "a name that stands twice": (
        text(_line(1, lambda _: "y,age,age,ward\n")),
        '"age" more than once, in columns 2 and 3',
    ),
    "an index without a name": (
        text(lambda it: "," + it.replace("\n", "\n7,")),
        "the first column has no name.*index=False",
    ),
    "a title": (text(lambda it: "Report,,,\n" + it), "line 1: 3 of 4 columns have no name, first column 2"),
    "two lines of names": (text(lambda it: ",Patient,,Site\n" + it), "line 1: 2 of 4 columns have no name"),
    "no line of names": (
        text(_line(1, lambda _: "")),
        "have different columns: check that their first lines",
    ),
    "another column": (
        text(_line(1, lambda it: it.replace("ward", "Ward"))),
        'different columns: "Ward", "ward"',
    ),
    "rows of other lengths": (
        text(lambda it: it.replace(",süd", "")),
        r"line \d+: 3 values under 4 column names, the first of \d+ such rows.*every row all its values",
    ),
    "notes at the end": (
        text(lambda it: it + "\nSource: registry\nPrinted today\n"),
        r"line 63: 1 values .* of 2 such",
    ),
    "an open quote": (text(_line(31, _cell(3, '"süd'))), "row that begins on line 31: not CSV .*quotes"),
    "another encoding": (text(encoding="cp1252"), r"line \d+ and \d+ more: not UTF-8 text.*Save it in UTF-8"),
    "other content": (lambda path, rows: frame(rows).to_parquet(path), "by its content it is Parquet"),
    "nothing": (lambda path, _: path.write_bytes(b""), "no header in the first line"),
    "names alone": (lambda path, _: path.write_text(lines([])), "a header without rows"),
    "units under the names": (
        text(_line(2, lambda it: ",years,EUR,\n" + it)),
        r"\(line 2\): empty.*remove the row",
    ),
    "totals at the end": (
        text(lambda it: it + "31,2500,99999,\n"),
        r"3 distinct values.*z bad.csv, data row 61 \(line 62\)",
    ),
    "a word among numbers": (
        text(_line(31, _cell(1, "?"))),
        r'column "age", data row 30 \(line 31\).*--missing \'\?\'',
    ),
    "numbers in another notation": (
        text(_line(31, _cell(2, '"$1,234.50"'))),
        r'column "cost", data row 30 \(line 31\).*Write',
    ),
    "another pair of labels": (
        text(lambda it: it.replace("\n0,", "\nalive,").replace("\n1,", "\ndead,")),
        "2 in z bad.csv.*different pairs.*Write the label alike in all files",
    ),
}
"""Files that cannot be read with the others, by what is wrong; and what is said of each."""
