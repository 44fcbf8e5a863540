"""The how-to on the CMS files tells the truth."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "how-to-cms-data.md").read_text(encoding="utf-8")


def test_the_commands_of_the_how_to_lead_from_raw_files_to_a_report(tmp_path: Path) -> None:
    """Run in order, as they stand, they make files, a table without identities, and a model worth having."""
    commands = re.findall(r"^```\n(.+?)\n```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert len(commands) == 3
    for command in commands:
        program, *arguments = shlex.split(command)
        assert program == "python"
        ended = subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["federated"]["roc_auc"] > 0.75
    assert "synthetic-providers.csv" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    manifest = json.loads((tmp_path / "synthetic-providers.manifest.json").read_text(encoding="utf-8"))
    assert manifest["synthetic"]


@pytest.mark.parametrize("name", ["16", "17", "18", "19"])
def test_the_errors_that_the_how_to_promises_are_on_the_errors_page(name: str) -> None:
    """Its last section gives their exit codes as a range."""
    assert "(16–19)" in PAGE
    assert f"({name})" in (ROOT / "docs" / "reference-errors.md").read_text(encoding="utf-8")
