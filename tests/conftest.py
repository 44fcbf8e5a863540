"""What all tests share: no AWS, no phoning home, and where the real data are."""

import os
import signal
from pathlib import Path

import pytest
from flwr.supercore.task_identity import TaskIdentity
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"


class ByFile(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """Give a file's tests to one process, and all that share the deployed rehearsal and its port too."""

    def _split_scope(self, nodeid: str) -> str:
        shared = "tests/rehearsal/"
        return shared if nodeid.startswith(shared) else str(super()._split_scope(nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    """Say which tests may run side by side."""
    return ByFile(config, log)


@pytest.fixture(autouse=True)
def no_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees this machine's AWS configuration."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)


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
