"""What is told of a client process that ended."""

import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from federation.errors import JoinDeadlineError, RoundError
from federation.runs.local.clients import ClientJob, LocalClients


@dataclass(frozen=True, kw_only=True)
class FailingJob(ClientJob):
    """A client that says why it ends."""

    def command(self) -> list[str]:
        return [sys.executable, "-c", "import sys; print('error: no rows. Publish them.'); sys.exit(3)"]


@pytest.mark.process
def test_a_failed_client_is_told_in_one_sentence(tmp_path: Path) -> None:
    """With the client's own words and one full stop; a deadline to join stays what it is."""
    ended = threading.Event()
    job = FailingJob(name="a", data=tmp_path, folder=tmp_path / "a", hyperparameters={})
    with LocalClients("token") as clients:
        clients.start([job], on_exit=lambda _name, _reason: ended.set())
        assert ended.wait(30)
        explained = clients.explanation_of(RoundError("round 1 failed.", ""))
        not_there = JoinDeadlineError('no join from "b".', "")
        assert clients.explanation_of(not_there) is not_there, "another client's end explains it"
    assert explained.problem == 'client "a": its process ended with exit code 3: no rows. Publish them.'
