"""What all tests share: no AWS, no phoning home, and where the real data are."""

import atexit
import functools
import gc
import os
import signal
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import botocore.loaders
import botocore.session
import pytest
from flwr.supercore.task_identity import TaskIdentity
from hypothesis import settings
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
UNIT = ("unit", "client_code", "fuzz")
"""Folders of tests that start no process, but for those marked so; the tests in all other folders do."""

pytest_plugins = ["tests.fault_table", *(["tests.side_by_side"] if find_spec("xdist") else [])]

# Some images set it; then pytest, and each of the hundreds of processes, would compile all that it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # `nohup` ignores it, and so would all that is started here

# The same examples each time, and none too slow on a busy machine.
settings.register_profile("tests", derandomize=True, deadline=None)
settings.load_profile("tests")

_started: list[str] = []


def _note_process(event: str, arguments: tuple[object, ...]) -> None:
    if event in {"subprocess.Popen", "os.fork", "os.posix_spawn", "os.system"} and arguments[:1] != (
        "lscpu",
    ):
        _started.append(event)  # lscpu is joblib's, once in a process, to count the cores


sys.addaudithook(_note_process)
atexit.register(gc.unfreeze)  # duckdb looks at exit for what was not freed


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name bytes by how many they are: what they are may differ between the processes that collect."""
    return f"{len(val)} bytes" if isinstance(val, bytes) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of folders whose tests all start processes."""
    for item in items:
        if item.path.relative_to(ROOT / "tests").parts[0] not in UNIT:
            item.add_marker("process")


@pytest.fixture(autouse=True)
def _no_process_without_its_mark(request: pytest.FixtureRequest) -> Iterator[None]:
    """Keep `make unit` quick: a test that starts a process says so."""
    _started.clear()
    yield
    if _started and not request.node.get_closest_marker("process"):
        pytest.fail("it starts a process: mark it with @pytest.mark.process")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Keep the many small products of matrices from waiting for a busy core."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module", autouse=True)
def _garbage_is_sought_among_new_objects() -> None:
    """Keep full collections quick: some of Flower's strategies ask for one at every reply."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def no_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees this machine's AWS configuration."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session", autouse=True)
def _aws_models_are_read_once() -> None:
    """Let all sessions of boto3 share what they read of AWS's service models: half a second each time."""
    botocore.loaders.create_loader = functools.cache(botocore.loaders.create_loader)
    botocore.session.create_loader = botocore.loaders.create_loader


@pytest.fixture(scope="session", autouse=True)
def _moto_has_no_images() -> Iterator[None]:
    """Spare its AWS the making of a thousand machine images, that no test needs, whenever it is reset."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
        yield


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c_as_at_a_prompt() -> None:
    """Undo what a shell does to background commands: they ignore Ctrl-C, and so does all they start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _server_identity() -> None:
    """Let Flower's Message know who sends it, as the server's grid does."""
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1


@pytest.fixture(scope="session")
def cms() -> Path:
    """Return the source article's data: 5,500 providers, 49 features, sorted by label, 38 duplicates."""
    path = DATA / "cms_improper_payments" / "processed_data_classification_v2.csv"
    if not path.exists():
        pytest.skip("the reference data are not on this machine")
    return path


@pytest.fixture
def own_config(tmp_path: Path) -> Path:
    """Return a copy of the example configuration, filled in."""
    example = (ROOT / "config" / "example.toml").read_text(encoding="utf-8")
    path = tmp_path / "mine.toml"
    path.write_text(example.replace("replace-me", "mine"), encoding="utf-8")
    return path
