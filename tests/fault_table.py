"""Tables of faults and attacks: every row is a test that says what it saw.

``make faults`` prints that of `tests/faults` and writes it to ``docs/faults.md``; ``make attack`` does so
with `tests/attacks` and ``docs/attacks.md``. What stands above a page's table stays as it is.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

BELOW_HEADER = "|---|---|---|---|\n"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the table."""

    fault: str
    expected: str
    seen: str
    seconds: float


ROWS: pytest.StashKey[list[Row]] = pytest.StashKey()
SEEN: pytest.StashKey[list[str]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the command line say where the page goes."""
    parser.addoption("--fault-page", type=Path, help="file to write the fault table to")


def pytest_configure(config: pytest.Config) -> None:
    """Start with an empty table."""
    config.addinivalue_line("markers", "fault(fault, expected): a row of the fault table")
    config.stash[ROWS] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Add the row of a test that ran."""
    report = yield
    mark = item.get_closest_marker("fault")
    if mark and report.when == "call":
        arguments = dict(zip(("fault", "expected"), mark.args, strict=True))
        if parameter := getattr(item, "callspec", None):
            arguments = {key: text.format(**parameter.params) for key, text in arguments.items()}
        said = item.stash.get(SEEN, None) or ["as expected"]
        seen = "; ".join(said) if report.passed else "**FAILED**"
        row = Row(**arguments, seen=seen, seconds=report.duration)
        rows = item.config.stash[ROWS]
        if rows and replace(rows[-1], seconds=row.seconds) == row:  # one attack in several ways
            row = replace(row, seconds=row.seconds + rows.pop().seconds)
        rows.append(row)
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the table, and write the page if asked to."""
    rows = config.stash[ROWS]
    if not rows:
        return
    terminalreporter.section("fault table")
    for row in rows:
        terminalreporter.write_line(f"{row.fault}\n    expected: {row.expected}")
        terminalreporter.write_line(f"    seen:     {row.seen} ({row.seconds:.1f} s)")
    if page := config.getoption("--fault-page"):
        lines = [f"| {row.fault} | {row.expected} | {row.seen} | {row.seconds:.1f} |\n" for row in rows]
        head = page.read_text(encoding="utf-8").partition(BELOW_HEADER)[0]
        page.write_text(head + BELOW_HEADER + "".join(lines), encoding="utf-8")


@pytest.fixture
def seen(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Say in the table what was seen."""
    request.node.stash[SEEN] = []
    return request.node.stash[SEEN].append  # type: ignore[no-any-return]
