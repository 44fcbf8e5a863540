"""The fault table: every row is a test with real processes and sockets, and says what it saw."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from federation.data.preparation.prepare import prepare
from federation.data.preparation.settings import PreparationSettings
from federation.data.synthetic import LABEL
from tests.faults.runs import Run, Start
from tests.faults.wire import Wire


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
