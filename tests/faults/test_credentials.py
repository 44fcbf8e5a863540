"""Credentials that expire while a federation runs, and an STS that cannot be reached."""

import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.aws_standin import SERVER_KEY, Aws, fast_clock, federation
from tests.faults.runs import Run, Start, gone

Seen = Callable[[str], None]
Launch = Callable[..., tuple[Run, Aws]]
HOUR_SECONDS = 6.0
"""How long an hour of the kickoff roles' sessions is here."""


@pytest.fixture
def away(data: Path, tmp_path: Path) -> Iterator[Aws]:
    """Return a stand-in for STS alone, whose port is closed."""
    sts = Aws(data, tmp_path, clock=fast_clock(time.time(), 1))
    yield sts
    sts.end()


@pytest.fixture
def launch(start: Start, data: Path, tmp_path: Path) -> Iterator[Launch]:
    """Start runs with an AWS of their own: the server's process, and its clients' jobs."""
    opened: list[Aws] = []

    def begin(*options: object, job_seconds: float = 3600.0, **plan: Any) -> tuple[Run, Aws]:
        clock = (time.time(), 3600 / HOUR_SECONDS)
        aws = Aws(data, tmp_path / "run", clock=fast_clock(*clock), job_seconds=job_seconds)
        opened.append(aws)
        aws.listen()
        aws.answer()
        environment = {
            "AWS_ENDPOINT_URL": aws.url,
            "AWS_ACCESS_KEY_ID": SERVER_KEY,
            "AWS_SECRET_ACCESS_KEY": "secret",
        }
        with socket.create_server(("127.0.0.1", 0)) as probe:
            configured = federation(probe.getsockname()[1])
        more = {"environment": environment, "federation": configured, "clock": clock, **plan}
        return start(*options, module="tests.faults.aws_server", **more), aws

    yield begin
    for aws in opened:
        aws.end()


@pytest.mark.parametrize("sts", ["refuses connections", "accepts and never answers"])
@pytest.mark.fault(
    "STS {sts} while the clients join, then it answers",
    "nobody is let in unchecked, nobody is turned away for good; the run finishes",
)
def test_sts_comes_back(sts: str, launch: Launch, away: Aws, seen: Seen) -> None:
    """A join that cannot be checked is refused for now, and the client's next try is checked again."""
    if sts == "accepts and never answers":
        away.listen()
    run, _ = launch(sts=away.url)
    for name in ("site-1", "site-2", "site-3"):
        run.until("refused", client=name)
    before = len(run.find("refused"))
    assert not run.find("join")
    assert all("AWS STS does not answer the server" in one["reason"] for one in run.find("refused"))
    if sts == "refuses connections":
        away.listen()
    away.answer()
    answered = time.monotonic()
    run.until("join", client="site-3")
    seconds = time.monotonic() - answered
    code, said = run.finish()
    assert code == 0, said
    assert away.keys_for("GetCallerIdentity")
    assert gone(run.clients())
    seen(f"{before} joins refused for now, in {seconds:.0f} s after STS answered, exit code 0")


@pytest.mark.fault("STS never answers", "ends with exit code 87 at the join deadline, which names the cause")
def test_sts_never_answers(launch: Launch, away: Aws, seen: Seen) -> None:
    """Nobody waits longer than they said, and no job is left running."""
    away.listen()
    run, aws = launch("--join-timeout", 25, sts=away.url)
    code, said = run.finish()
    assert code == 87, said
    assert re.search(r'client "site-\d" did not join: AWS STS does not answer the server', said)
    assert not run.find("join")
    assert gone(run.clients())
    stops = sum(count for (what, _), count in aws.asked.items() if what == "SageMaker.StopTrainingJob")
    seen(f"exit code {code}, {stops} jobs stopped")


@pytest.mark.fault(
    "the sessions of the kickoff roles expire in mid-run, more than once; then a client's job is killed",
    "the jobs are still watched: it ends with exit code 82 and SageMaker's reason; the others are stopped",
)
def test_the_servers_sessions_expire(launch: Launch, seen: Seen) -> None:
    """Each is renewed before its end, so that nothing is ever asked with keys that have expired."""
    run, aws = launch("--rounds", 100_000)
    run.until_round(1)
    time.sleep(2.5 * HOUR_SECONDS)
    assert run.process.poll() is None, run.said()
    for name in ("site-1", "site-3"):
        run.client(name).suspend()  # else they end by themselves, as soon as they hear that the run is over
    run.client("site-2").kill()
    code, said = run.finish()
    assert code == 82, said
    assert 'client "site-2": its training job is Failed: exit code -9' in said
    assert gone(run.clients())
    watched, stopped = (set(aws.keys_for(f"SageMaker.{what}TrainingJob")) for what in ("Describe", "Stop"))
    assert len(watched) >= 9, watched  # three accounts, three sessions each
    assert stopped.isdisjoint(aws.keys_for("SageMaker.CreateTrainingJob"))
    assert len(stopped) == 2
    assert aws.expired == []
    seen(f"{len(watched)} sessions for 3 accounts, exit code {code}, 2 jobs stopped, no expired key was used")


@pytest.mark.fault(
    "a client's own credentials have expired when it comes back", "it proves who it is with new ones"
)
def test_a_clients_credentials_expire(launch: Launch, seen: Seen) -> None:
    """Frozen until its keys have expired and its stream is dead, it is let in again after it wakes."""
    run, aws = launch("--rounds", 100_000, "--quorum", 2, job_seconds=8)
    run.until_round(1)
    client = run.client("site-2")
    client.send_signal(signal.SIGSTOP)
    run.until("leave", client="site-2")
    time.sleep(8)
    client.send_signal(signal.SIGCONT)
    run._until(lambda: len(run.find("join", client="site-2")) == 2, "second join")
    before = len(run.find("decision", client="site-2", accepted=True))
    run._until(lambda: len(run.find("decision", client="site-2", accepted=True)) > before, "new update")
    os.kill(run.process.pid, signal.SIGINT)
    assert run.finish()[0] == 130
    assert gone(run.clients())
    keys = [key for key in aws.keys_for("GetCallerIdentity") if key.startswith("ASIAJOB2")]
    assert len(keys) == 2
    assert aws.expired == []
    seen("its two joins were signed with different keys, and no expired one; its updates count again")
