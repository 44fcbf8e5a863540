"""From a table to scores, each step by the command that the step before printed."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from tests.local.processes import ROOT, environment


def type_in(folder: Path, line: str) -> str:
    """Run what was printed, in a folder; return what it prints."""
    python, *words = shlex.split(line)
    assert python == "python"
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=environment() | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return f"{done.stderr}\n{done.stdout}"


def printed_command(text: str) -> str:
    """Return the last command that a text prints."""
    return f"python -m {re.findall(r'python -m (.*)', text)[-1]}"


def test_every_next_command_works_as_printed(tmp_path: Path) -> None:
    """The folders' names need quotes."""
    folder = tmp_path / "my work"
    folder.mkdir()
    said = type_in(folder, "python -m federation.data_prep --out 'the rows'")
    said = type_in(folder, f"{printed_command(said)} --rounds 1 --out 'a run'")
    shutil.copy(folder / "the rows" / "site-1" / "validation.csv", folder / "ROWS.csv")
    type_in(folder, printed_command(said))
    scores = (folder / "scores.csv").read_text(encoding="utf-8").splitlines()
    assert len(scores) == len((folder / "ROWS.csv").read_text(encoding="utf-8").splitlines())
