"""Every row of the how-to's table "Cells" happens as it says; a row without a case fails."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

from federation.data.contract_check import as_words, told_by
from federation.data.preparation.prepare import prepare
from federation.data.preparation.settings import PreparationSettings
from federation.data.table import read_table
from federation.errors import FederationError
from federation.learning.preprocessing.prepared import Prepared
from tests.unit.test_predict_reads_as_training import model_of, scored

PAGE = Path(__file__).parents[2] / "docs" / "how-to-use-your-own-data.md"
SECTION = re.search(r"## Cells.*?\n\n(\|.*?)\n\n", PAGE.read_text(encoding="utf-8"), re.DOTALL)
assert SECTION
STATED = [line.split(" | ")[0].removeprefix("| ") for line in SECTION[1].splitlines()[2:]]
WORD = "Too Few to Report"
NUMBERS = [f"{i}.5" for i in range(200, 230)]


class Case(NamedTuple):
    """The texts of a column, and what comes of it.

    ``read`` is among the numbers then, ``noted`` in the notes, or ``refused`` in the refusal. The texts of a
    second file are in ``other``.
    """

    texts: Sequence[str]
    read: float | str | None = None
    noted: str = ""
    refused: str = ""
    other: Sequence[str] = ()
    column: str = "x"
    missing: Sequence[str] = ()
    separator: str = ","
    categorical: Sequence[str] = ()


CASES = {
    "`1,234.50`, `1 234.50`, `1'234.50`, `1.234,50`, `1234,50` in all values of a column": Case(
        ["1.234,50", "7,25"], 1234.5, "read as numbers with thousands separators and a decimal comma"
    ),
    "`$1,234.50`, `5 EUR`: one currency in all values": Case(["$1,234.50", "$5.25"], 1234.5, "a currency"),
    "`12 %` in all values": Case(["12 %", "5%"], 12, "percentages (12 % is 12)"),
    "`(12)` in some values, not in all": Case(["(12)", "5"], -12, "(12) is -12"),
    "a typographic minus": Case(["\u221212", "5"], -12, "a typographic minus"),
    "`1,234` and nothing that tells what the comma is": Case(
        ["1,234", "900"], refused="--decimal . to read 1,234 as 1234, or --decimal , to read it as 1.234"
    ),
    "`1.234` and `900`": Case(["1.234", "900"], 1.234),
    "some values with `%` or a currency, some without; two currencies": Case(
        ["12 %", "0.5"], refused="Write all of them alike"
    ),
    f"numbers, and words such as `{WORD}`, `?`, `.`, `*`, `#N/A` in some rows": Case(
        [*NUMBERS, WORD], refused=f"Add --missing '{WORD}' if it means a missing value"
    ),
    "the same, where the words are the majority": (
        Case([*NUMBERS, *[WORD] * 40], refused=f"Add --missing '{WORD}'")
    ),
    'a number that means "not asked": `-9`, `999`': Case(["-9", "5"], 5, '"x" in 200 rows', missing=["-9"]),
    "`1,2` in a column of words, in a file with decimal commas": Case(
        ["1,2", "2,1"], "1,2", "decimal commas", separator=";", categorical=["x"]
    ),
    "`#N/A`, `\\N`, `?`, `#REF!` among words": Case(
        ["north", "south", "\\N", "west"], noted=r"""levels. Add --missing '\N' if they mean"""
    ),
    "values with line breaks among words": Case(
        ["north", "so\nuth"], noted='"x": 200 values hold line breaks. If a quote'
    ),
    "`5-` in some values, not in all": Case(["1.234,50-", "5"], -1234.5, "12- is -12"),
    "codes of digits and letters: `1`, `2`, `U`": Case(["1", "2", "U"], refused="--categorical x if"),
    "`F`, `M` in one file of a folder and `1`, `2` in another": Case(
        ["F", "M"], other=["1", "2"], refused='column "x" holds words in a.csv and numbers in b.csv'
    ),
    "a label that two files write in two ways": Case(
        ["no", "yes"], other=["0", "2"], column="y", refused="2 in a.csv and 2 in b.csv"
    ),
    "dates": Case(["2024-01-05", "2024-02-07"], noted='"x": left out. 100 % of its values look like dates'),
}


def write(texts: Sequence[str], column: str, path: Path, separator: str) -> None:
    """Write a table of 400 rows."""
    path.parent.mkdir(exist_ok=True)
    rows = {"age": range(400), "x": 0, "y": [i % 3 // 2 for i in range(400)]}
    pd.DataFrame(rows | {column: (list(texts) * 400)[:400]}).to_csv(path, index=False, sep=separator)


@pytest.mark.parametrize("stated", STATED)
def test_every_row_happens(stated: str, tmp_path: Path) -> None:
    """The number is in the prepared files, the note in the manifest, and scoring reads the same number.

    Or the refusal says what to do.
    """
    case = CASES[stated]
    write(case.texts, case.column, tmp_path / "in" / "a.csv", case.separator)
    if case.other:
        write(case.other, case.column, tmp_path / "in" / "b.csv", case.separator)
    settings = PreparationSettings(
        label="y", missing=case.missing, keep=("age",), categorical=case.categorical
    )
    if case.refused:
        with pytest.raises(FederationError) as error:
            prepare(tmp_path / "in", tmp_path / "out", settings)
        assert case.refused in str(error.value)
        return
    manifest = prepare(tmp_path / "in", tmp_path / "out", settings)
    assert case.noted in " ".join(manifest.told)
    if case.read is not None:
        test = pd.read_csv(tmp_path / "out" / "server" / "test.csv")
        assert case.read in set(test["x"])
        table = read_table(
            tmp_path / "in",
            label="y",
            kinds=as_words(case.categorical),
            codes=True,
            told=told_by(None, missing=case.missing),
        )
        model = model_of(table, Prepared.of(manifest, None))
        assert scored(model, tmp_path / "in") == model.score(table).tolist()


def test_no_case_is_stale() -> None:
    """A case whose row is gone tests nothing that anybody was told."""
    assert set(CASES) == set(STATED)
