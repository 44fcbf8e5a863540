"""What keeps a run from starting, where no account is needed to see it."""

import shlex
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from client_code.protocol.frames import schema_hash
from federation.aws.checks.checks import Check, Finding
from federation.aws.checks.server import ServerView, server_checks
from federation.aws.jobs.found_jobs import FoundJob
from federation.aws.ports import JobStatus
from federation.checkout import PROJECT
from federation.config.schema import FederationConfig, load_config
from federation.data.table import read_table
from federation.errors import ActiveRunError, PortTakenError

RUN = "20261122-155228-3f46"
HOST = "127.0.0.1"


@pytest.fixture(scope="module")
def config() -> FederationConfig:
    """Return the rehearsal's federation."""
    return load_config(PROJECT / "config" / "rehearsal.toml")


def _job(name: str, status: str = "InProgress") -> FoundJob:
    found = JobStatus(status=status, secondary=status)
    return FoundJob(client="site-1", name=f"rehearsal-site-1-{name}", status=found)


def _checks(
    config: FederationConfig,
    jobs: Sequence[FoundJob] = (),
    *,
    resumed: str | None = None,
    test_rows: Callable[[], Any] | None = None,
) -> Mapping[str, Check]:
    """Return the server's checks and those of site-1, by name; only jobs can be looked at."""
    unseen: Any = lambda *_: pytest.fail("nothing but jobs and the port is looked at")  # noqa: E731
    account: Any = SimpleNamespace(network=unseen, side=unseen)
    view = ServerView(
        caller=unseen,
        own_side=unseen,
        accounts={client.name: account for client in config.clients},
        results=unseen,
        jobs=lambda _client: list(jobs),
        test_rows=test_rows or unseen,
    )
    path = Path("my own.toml")
    checks = server_checks(config, view, host=HOST, digest="", config_file=path, resumed=resumed)
    return {check.name: check for check in checks if check.party in {"the server", 'client "site-1"'}}


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Listen as gRPC does."""
    with closing(socket.socket()) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((HOST, 0))
        one.listen()
        yield one


def _at_port(config: FederationConfig, port: int) -> FederationConfig:
    return config.model_copy(update={"federation": config.federation.model_copy(update={"port": port})})


def test_a_port_somebody_listens_on_is_taken(config: FederationConfig, listener: socket.socket) -> None:
    """Another run, say."""
    port = listener.getsockname()[1]
    with pytest.raises(PortTakenError, match=str(port)):
        _checks(_at_port(config, port))["port"].look()


def test_a_port_is_free_as_soon_as_the_last_run_ended(
    config: FederationConfig, listener: socket.socket
) -> None:
    """Connections that the server closed linger for a minute; the next run need not wait for them."""
    port = listener.getsockname()[1]
    with socket.create_connection((HOST, port)) as client:
        served, _ = listener.accept()
        served.close()
        listener.close()
        client.recv(1)
    with socket.socket() as plain, pytest.raises(OSError, match="in use"):
        plain.bind((HOST, port))
    assert "is free" in str(_checks(_at_port(config, port))["port"].look())


def test_jobs_of_the_run_to_go_on_with_are_no_obstacle(config: FederationConfig) -> None:
    """Its server was killed: they are stopped before new ones start."""
    jobs = [_job(RUN), _job(f"{RUN}-2"), _job("20261121-100000-aaaa", "Completed")]
    assert _checks(config, jobs, resumed=RUN)["jobs"].look() == "2 of the run to go on with, to be stopped"


@pytest.mark.parametrize("resumed", [None, RUN], ids=["a new run", "one to go on with"])
def test_jobs_of_another_run_are(config: FederationConfig, resumed: str | None) -> None:
    """All are named."""
    jobs = [_job(RUN), _job("20261122-160000-bbbb")]
    with pytest.raises(ActiveRunError, match="20261122-160000-bbbb") as refused:
        _checks(config, jobs, resumed=resumed)["jobs"].look()
    assert refused.value.remedy.endswith(": python -m federation.stop --config 'my own.toml'")


def test_the_client_is_told_what_to_compare_its_columns_with(
    config: FederationConfig, tmp_path: Path
) -> None:
    """The printed command has the label and the digest of the test rows' columns, where they can be read."""
    path = tmp_path / "test.csv"
    path.write_text("a,in debt,b\n1,0,2\n3,1,4\n", encoding="utf-8")
    look = _checks(config, test_rows=lambda: read_table(path, label="in debt"))["code and data"].look
    found = look()
    assert isinstance(found, Finding)
    words = shlex.split(found.remedy.partition("looks: ")[2])
    assert words[words.index("--label") + 1] == "in debt"
    assert words[words.index("--columns") + 1] == schema_hash("in debt", ["b", "a"])
    unread = _checks(config, test_rows=lambda: read_table(tmp_path / "absent.csv", label="y"))
    found = unread["code and data"].look()
    assert isinstance(found, Finding)
    assert "--columns" not in found.remedy
