"""The README tells the truth about its first command."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local.processes import ROOT, environment

pytestmark = pytest.mark.timeout(900)  # the first one builds the stand-in for the training image


@pytest.fixture(scope="module")
def demo() -> Iterator[tuple[str, Path]]:
    """Run ``make demo`` as the README says; yield what it printed and the report it names."""
    done = subprocess.run(
        ["make", "demo"],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
        timeout=900,
    )
    report = ROOT / done.stdout.splitlines()[-1].removeprefix("Report: ")
    yield done.stdout, report
    shutil.rmtree(report.parent.parent)


def _shape(text: str) -> list[str]:
    """Return the lines without what differs from run to run: numbers, digests, and who is when how far."""
    lines = [line for line in text.splitlines() if not re.search("waiting for|InProgress|: Completed", line)]
    lines = [re.sub(r"\b[0-9a-f]{64}\b|\d[-\d]*-[0-9a-f]{4}\b", "#", line) for line in lines]
    return [re.sub(r"\s+", " ", re.sub(r"\d+", "#", line)).strip() for line in lines]


def test_the_first_command_ends_with_a_report(demo: tuple[str, Path]) -> None:
    """The last line is the path of a page that exists."""
    _, report = demo
    assert report.name == "report.html"
    assert "<html" in report.read_text(encoding="utf-8")


def test_the_first_command_prints_what_the_readme_shows(demo: tuple[str, Path]) -> None:
    """Line by line, but for numbers."""
    printed, _ = demo
    blocks = re.findall(r"```\n(.*?)\n```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    (shown,) = [block for block in blocks if "Nothing left" in block]
    assert _shape(shown) == _shape(printed)
