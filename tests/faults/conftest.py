"""The fault table: every row is a test with real processes and sockets, and says what it saw.

``make faults`` prints the table and writes it to ``docs/faults.md``.
"""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from federation.data.preparation.prepare import prepare
from federation.data.preparation.settings import PreparationSettings
from federation.data.synthetic import LABEL
from tests.faults.runs import Run, Start
from tests.faults.wire import Wire

HEAD = """# Faults

Each row is a test in `tests/faults/`: real processes, real TLS over real sockets, short deadlines.
`make faults` runs them and writes this page. Deadlines are those that the test sets; *seconds* is the whole
test, with the start of the processes, on the machine that wrote the page.

| fault | expected | seen | seconds |
|---|---|---|---|
"""


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
        said = item.stash[SEEN]
        seen = "; ".join(said) if report.passed else "**FAILED**"
        item.config.stash[ROWS].append(Row(**arguments, seen=seen, seconds=report.duration))
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
        page.write_text(HEAD + "".join(lines), encoding="utf-8")


@pytest.fixture
def seen(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Say in the table what was seen."""
    request.node.stash[SEEN] = []
    return request.node.stash[SEEN].append  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepare synthetic data for three clients."""
    out = tmp_path_factory.mktemp("prepared") / "data"
    prepare(None, out, PreparationSettings(label=LABEL))
    return out


@pytest.fixture
def six(tmp_path: Path) -> Path:
    """Prepare synthetic data for six clients."""
    prepare(None, tmp_path / "six", PreparationSettings(label=LABEL, clients=6, partition="iid"))
    return tmp_path / "six"


@pytest.fixture
def start(tmp_path: Path, data: Path) -> Iterator[Start]:
    """Start runs that are gone at the end of the test, with all their clients."""
    runs: list[Run] = []

    def begin(*options: object, folder: str = "run", table: Path | None = None, **plan: Any) -> Run:
        runs.append(Run(tmp_path / folder, table or data, [str(option) for option in options], plan))
        return runs[-1]

    yield begin
    for run in runs:
        run.end()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Callable[..., str]:
    """Return the model of a run with these options in which nothing happens, as JSON without its history."""
    folder = tmp_path_factory.mktemp("undisturbed")
    known: dict[tuple[object, ...], str] = {}

    def model_of(*options: object) -> str:
        if options not in known:
            run = Run(folder / str(len(known)), data, [str(option) for option in options], {})
            code, said = run.finish()
            assert code == 0, said
            known[options] = run.model()
        return known[options]

    return model_of


@pytest.fixture
def wire() -> Iterator[Wire]:
    """Lay a line between clients and server that can be disturbed."""
    line = Wire()
    yield line
    line.close()
