"""The embedded AWS starts clean, listens to nobody but this machine, and leaves nothing behind."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.error import HTTPError

import psutil
import pytest

from federation.rehearse.errors import EmbeddedAwsError
from federation.rehearse.machine.child_environment import client_environment, emulator_environment
from federation.rehearse.machine.embedded_aws import EmbeddedAws
from tests.rehearsal.conftest import CLIENT, REGION, SERVER, Connect

NO_JOB_RUNS = Path("/nonexistent/python")
_PARENT = """
import sys, time
from pathlib import Path
from federation.rehearse.machine.embedded_aws import EmbeddedAws
aws = EmbeddedAws(job_python=Path(sys.executable)).__enter__()
print(aws.pid, aws._scratch, flush=True)
time.sleep(60)
"""


def _until(condition: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_each_account_has_its_own_root(connect: Connect) -> None:
    """Two access keys of twelve digits are two accounts."""
    accounts = [connect("sts", account).get_caller_identity()["Account"] for account in (SERVER, CLIENT)]
    assert accounts == [SERVER, CLIENT]


def test_listens_on_one_loopback_port_and_nothing_else(running_aws: EmbeddedAws) -> None:
    """MQTT, SFTP and whatever else ministack can open stays shut."""
    family = [psutil.Process(running_aws.pid), *psutil.Process(running_aws.pid).children(recursive=True)]
    listening = [
        connection.laddr
        for process in family
        for connection in process.net_connections(kind="all")
        if connection.status == psutil.CONN_LISTEN or connection.type == socket.SOCK_DGRAM
    ]
    assert [(address.ip, address.port) for address in listening] == [
        ("127.0.0.1", int(running_aws.endpoint_url.rsplit(":", 1)[1]))
    ]


def test_leaves_no_process_no_port_and_no_file() -> None:
    """After the block, the process, its port and its folder are gone."""
    with EmbeddedAws(job_python=NO_JOB_RUNS) as aws:
        pid, scratch, url = aws.pid, aws._scratch, aws.endpoint_url
        assert scratch is not None
        assert scratch.is_dir()
    assert not psutil.pid_exists(pid)
    assert not scratch.exists()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(url.rsplit(":", 1)[1]))) != 0


def test_survives_its_parents_death_not_at_all(tmp_path: Path) -> None:
    """A launcher killed with SIGKILL takes the emulator and its files along."""
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TMPDIR": str(tmp_path)},
    ) as parent:
        assert parent.stdout is not None
        pid, scratch = parent.stdout.readline().split()
        assert psutil.pid_exists(int(pid))
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        assert _until(lambda: not psutil.pid_exists(int(pid)))
        assert _until(lambda: not Path(scratch).exists())


def test_a_start_that_fails_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    """The error carries the emulator's last words."""
    log = tmp_path / "emulator.log"
    aws = EmbeddedAws(job_python=NO_JOB_RUNS, log_file=log, start_deadline=0.0)
    with pytest.raises(EmbeddedAwsError, match="did not answer within 0 s"):
        aws.__enter__()
    assert aws._process is None
    assert aws._scratch is None


def test_is_refused_to_browsers(running_aws: EmbeddedAws) -> None:
    """A page in the user's browser cannot drive it: not by a cross-origin request, not by DNS rebinding."""
    for header in ({"Origin": "https://example.org"}, {"Host": "example.org"}):
        request = urllib.request.Request(f"{running_aws.endpoint_url}/_ministack/health", headers=header)
        with pytest.raises(HTTPError) as refused:
            urllib.request.urlopen(request, timeout=5)
        with refused.value:
            assert refused.value.code == 403


def test_services_of_no_use_to_the_rehearsal_are_refused(connect: Connect) -> None:
    """An unused service answers with an error, not with an imitation."""
    lambda_ = connect("lambda")
    with pytest.raises(lambda_.exceptions.ClientError, match="400"):
        lambda_.list_functions()


def test_the_emulator_inherits_no_aws_setting() -> None:
    """An access key in the emulator's environment would be the root of every account."""
    environment = emulator_environment(
        {"AWS_ACCESS_KEY_ID": "AKIA", "PATH": "/bin"}, port=1, scratch="/s", python_path="/p"
    )
    assert not [name for name in environment if name.startswith("AWS")]


def test_child_processes_get_our_aws_and_only_ours() -> None:
    """A profile, a proxy or a metadata server of the machine cannot lead a child to the real AWS."""
    environment = client_environment(
        {"AWS_PROFILE": "real", "HTTPS_PROXY": "http://proxy", "PATH": "/bin"},
        endpoint_url="http://127.0.0.1:1",
        credentials={"AWS_ACCESS_KEY_ID": SERVER},
        region=REGION,
    )
    assert environment["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"
    assert environment["AWS_EC2_METADATA_DISABLED"] == "true"
    assert environment.keys().isdisjoint({"AWS_PROFILE", "HTTPS_PROXY"})
