"""Tables of faults and attacks: every row is a test that says what it saw.

``make faults`` prints that of `tests/faults` and writes it to ``docs/faults.md``; ``make attack`` does so
with `tests/attacks` and ``docs/attacks.md``. What stands above a page's table stays as it is.
"""

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, cast

import pytest

BELOW_HEADER = "|---|---|---|---|\n"
SEEN: pytest.StashKey[list[str]] = pytest.StashKey()
_ROW = "row of the table"
Cells = tuple[str, str, str]
"""The fault, what is expected, and what was seen."""


class FaultTable:
    """The rows of the tests that ran, also of those that ran in another process side by side."""

    def __init__(self) -> None:
        self._found: list[tuple[tuple[str, int | None], Cells, float]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the row of a test that ran."""
        for name, row in report.user_properties:
            if name == _ROW:
                file, line, _ = report.location
                fault, expected, seen = cast("Cells", row)
                self._found.append(((file, line), (fault, expected, seen), report.duration))

    def rows(self) -> dict[Cells, float]:
        """Return the seconds of each row, in the order of the tests; those that say the same are one."""
        rows: dict[Cells, float] = {}
        for _, cells, seconds in sorted(self._found, key=lambda it: it[0]):
            rows[cells] = rows.get(cells, 0.0) + seconds
        return rows


TABLE: pytest.StashKey[FaultTable] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the command line say where the page goes."""
    parser.addoption("--fault-page", type=Path, help="file to write the fault table to")


def pytest_configure(config: pytest.Config) -> None:
    """Start with an empty table."""
    config.addinivalue_line("markers", "fault(fault, expected): a row of the fault table")
    config.stash[TABLE] = FaultTable()
    config.pluginmanager.register(config.stash[TABLE], "the table")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Say the row of a test that ran."""
    report = yield
    mark = item.get_closest_marker("fault")
    if mark and report.when == "call":
        parameters = vars(getattr(item, "callspec", item)).get("params", {})
        texts = [text.format(**parameters) for text in mark.args]
        said = item.stash.get(SEEN, None) or ["as expected"]
        report.user_properties.append((_ROW, [*texts, "; ".join(said) if report.passed else "**FAILED**"]))
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the table and write the page, if asked to."""
    rows, page = config.stash[TABLE].rows(), config.getoption("--fault-page")
    if not rows or not page:
        return
    terminalreporter.section("fault table")
    for (fault, expected, seen), seconds in rows.items():
        terminalreporter.write_line(f"{fault}\n    expected: {expected}")
        terminalreporter.write_line(f"    seen:     {seen} ({seconds:.1f} s)")
    lines = [f"| {' | '.join(cells)} | {seconds:.1f} |\n" for cells, seconds in rows.items()]
    head = page.read_text(encoding="utf-8").partition(BELOW_HEADER)[0]
    page.write_text(head + BELOW_HEADER + "".join(lines), encoding="utf-8")


@pytest.fixture
def seen(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Say in the table what was seen."""
    request.node.stash[SEEN] = []
    return request.node.stash[SEEN].append  # type: ignore[no-any-return]
