"""The README's first command does what the pages say."""

import re

import pytest

from tests.local.processes import ROOT
from tests.rehearsal.conftest import Demo

pytestmark = pytest.mark.timeout(900)  # the first one builds the stand-in for the training image


@pytest.fixture(scope="session")
def printed(demo: Demo) -> str:
    """Return what a terminal shows: the progress, then the results around the seconds of it all."""
    progress, results = demo.watched.err.splitlines(), demo.watched.out.splitlines()
    return "\n".join([*progress[:-1], *results[:-1], progress[-1], results[-1]])


def _shape(text: str) -> list[str]:
    """Return the lines without what differs from run to run: numbers, digests, and who is when how far."""
    passing = "waiting for|InProgress|: Completed|The stand-in for the training image has"
    lines = [line for line in text.splitlines() if not re.search(passing, line)]
    lines = [re.sub(r"\b[0-9a-f]{64}\b|\d[-\d]*-[0-9a-f]{4}\b", "#", line) for line in lines]
    return [re.sub(r"\s+", " ", re.sub(r"\d+", "#", line)).strip() for line in lines]


def test_the_first_command_ends_with_a_report(demo: Demo) -> None:
    """The last line is the path of a page that exists."""
    report = ROOT / demo.watched.out.splitlines()[-1].removeprefix("Report: ")
    assert report.name == "report.html"
    assert "<html" in report.read_text(encoding="utf-8")


def test_the_first_command_prints_what_the_how_to_shows(printed: str) -> None:
    """Line by line, but for numbers."""
    page = (ROOT / "docs" / "how-to-rehearse.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```\n(.*?)\n```", page, flags=re.DOTALL)
    (shown,) = [block for block in blocks if "Nothing left" in block]
    assert _shape(shown) == _shape(printed)
