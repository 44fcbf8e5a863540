"""A folder of awkward files is one table, or a line names the file and its place, and says what to do."""

import contextlib
import io
import re
import shutil
from pathlib import Path

import pytest

from federation.cli.command import click_command
from federation.contract import main as contract
from federation.data.table import read_table
from federation.data_prep import main as data_prep
from tests.unit.awkward_files import BESIDE, NAME, READ, REFUSED, ROWS, rows, write_all

LENIENT = {"a word among numbers", "numbers in another notation"}
"""What `contract infer` proposes to read as words, and says so."""


@pytest.fixture(scope="module")
def readable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of the files that can be read."""
    for library in ("openpyxl", "pyreadstat"):
        pytest.importorskip(library)
    folder = tmp_path_factory.mktemp("awkward")
    write_all(folder)
    return folder


@pytest.fixture
def folder(readable: Path, tmp_path: Path) -> Path:
    """Return a folder with one of them, and room for another."""
    (tmp_path / "data").mkdir()
    shutil.copy(readable / "JAN.CSV", tmp_path / "data")
    return tmp_path / "data"


def type_in(command: object, *words: str) -> tuple[int, str]:
    """Type a command line; return its exit code and what it printed."""
    printed = io.StringIO()
    with (
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(printed),
        pytest.raises(SystemExit) as ended,
    ):
        click_command(command)(list(words), prog_name="federation")  # type: ignore[arg-type] # a function
    return int(ended.value.code or 0), printed.getvalue()


def test_a_dozen_awkward_files_are_one_table(readable: Path, tmp_path: Path) -> None:
    """Every row is there with its values, and what is not plain is told, as what is not read is."""
    assert len(READ) >= 12
    table = read_table(readable, label="y", codes=True)
    by_name = dict(zip(READ, range(len(READ)), strict=True))
    expected = [row for name in sorted(READ, key=lambda one: readable / one) for row in rows(by_name[name])]
    wards = table.levels["ward"]
    order = [table.features.index(name) for name in ("age", "cost", "ward")]
    read = [
        (int(y), int(x[0]), float(x[1]), wards[int(x[2])])
        for y, x in zip(table.y, table.X[:, order], strict=True)
    ]
    assert read == expected
    code, printed = type_in(
        data_prep, "--input", str(readable), "--label", "y", "--out", str(tmp_path / "out")
    )
    assert code == 0, printed
    assert f"{len(READ) * ROWS} (" in printed
    assert "not read, as the name is not that of a table: notes.docx." in printed
    assert not any(name in printed for name in BESIDE[1:])
    for told in (
        "feb.csv: read with semicolons",
        "mar.tsv: read with tabs",
        "apr.csv: read with the encoding utf-16",
    ):
        assert told in printed


@pytest.mark.parametrize("what", REFUSED)
def test_a_file_that_is_not_right_is_named_with_its_place_and_a_remedy(folder: Path, what: str) -> None:
    """By each command that reads a table; no message holds a number of a row."""
    write, said = REFUSED[what]
    own = rows(99)
    write(folder / NAME, own)
    for command, words in ((data_prep, ("--input",)), (contract, ("infer", "--data"))):
        options = (*words, str(folder), "--label", "y")
        out = (
            ("--out", str(folder.parent / "out"))
            if command is data_prep
            else ("--contract", str(folder.parent / "c.toml"))
        )
        code, printed = type_in(command, *options, *out)
        message = " ".join(printed.split())
        if command is contract and what in LENIENT:
            assert code == 0
            assert "taken for words" in message
            continue
        assert code > 0, printed
        assert NAME in message
        assert re.search(said, message), message
        assert message.endswith(".")
        assert not [cost for _, _, cost, _ in own if str(cost) in message]


def test_the_file_that_was_mended_is_read(folder: Path, tmp_path: Path) -> None:
    """As the messages say: saved in UTF-8, with the words that were printed declared."""
    own = rows(99)
    write, _ = REFUSED["another encoding"]
    write(folder / NAME, own)
    _, printed = type_in(
        data_prep,
        "--input",
        str(folder),
        "--label",
        "y",
        "--out",
        str(tmp_path / "1"),
        "--encoding",
        "cp1252",
    )
    assert "JAN.CSV: UTF-8 text, not CP1252. Leave out --encoding" in " ".join(printed.split())
    content = (folder / NAME).read_bytes().decode("cp1252")
    (folder / NAME).write_text(content, encoding="utf-8")
    code, printed = type_in(data_prep, "--input", str(folder), "--label", "y", "--out", str(tmp_path / "2"))
    assert code == 0, printed
    REFUSED["a word among numbers"][0](folder / NAME, own)
    code, printed = type_in(
        data_prep, "--input", str(folder), "--label", "y", "--missing", "?", "--out", str(tmp_path / "3")
    )
    assert code == 0, printed
    assert '"age" in 1' in printed


def test_a_column_that_one_file_lacks_and_words_that_may_be_gaps_are_told(
    folder: Path, tmp_path: Path
) -> None:
    """The table is read; a quote that takes in rows looks like a line break in a value."""
    lines = (folder / "JAN.CSV").read_text(encoding="utf-8").splitlines()
    cells = [line.split(",") for line in lines]
    body = [
        ",".join([y, age, "", "#N/A" if at < 3 else ward]) for at, (y, age, _, ward) in enumerate(cells[1:])
    ]
    body[10:12] = [f'{cells[11][0]},{cells[11][1]},,"süd', 'north"']
    (folder / NAME).write_text("\n".join([lines[0], *body]) + "\n", encoding="utf-8")
    code, printed = type_in(data_prep, "--input", str(folder), "--label", "y", "--out", str(tmp_path / "out"))
    assert code == 0, printed
    assert (
        f'"cost": no value in any row of {NAME} ({len(body)} rows).'.replace(f"{len(body)}", "59") in printed
    )
    assert '"ward": "#N/A" in 3 rows, used as levels. Add --missing \'#N/A\' if they mean' in printed
    assert '"ward": 1 values hold line breaks.' in printed
