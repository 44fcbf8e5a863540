"""What a forked process has of its own, and how it ends."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from federation.checkout import CLIENT_CODE
from federation.runs.local.forked import SWITCH, ForkedClient, ForkServer, fork_server

pytestmark = pytest.mark.process

Fork = Callable[..., ForkedClient]
ABOUT_ITSELF = """
import json, os, random, sys, uuid
import numpy as np
import threadpoolctl

print(json.dumps({
    "name": __name__, "argv": sys.argv, "folder": os.getcwd(), "environment": dict(os.environ),
    "leader": os.getsid(0) == os.getpid(), "input": sys.stdin.read(), "open": os.listdir("/proc/self/fd"),
    "drawn": [random.random(), np.random.rand(), str(uuid.uuid4())],
    "threads": [pool["num_threads"] for pool in threadpoolctl.threadpool_info()],
    "shown": [open(f"/proc/self/{what}").read().split("\\0")[:-1] for what in ("cmdline", "environ")],
}))
"""


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    """Load the clients' libraries."""
    with ForkServer() as running:
        assert running.ready(), running.reason
        yield running


@pytest.fixture
def fork(server: ForkServer, tmp_path: Path) -> Fork:
    """Fork a process that runs these lines."""

    def begin(lines: str, *arguments: str, threads: int = 1, log: str = "log", **more: str) -> ForkedClient:
        script = tmp_path / "script.py"
        script.write_text(lines, encoding="utf-8")
        command = [sys.executable, str(script), *arguments]
        return server.fork(command, environment={"ONE": "1", **more}, log=tmp_path / log, threads=threads)

    return begin


@pytest.fixture
def itself(fork: Fork, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Fork a process that tells about itself."""

    def tell(*arguments: str, threads: int = 1, **more: str) -> dict[str, Any]:
        log = f"log-{len(list(tmp_path.iterdir()))}"
        assert fork(ABOUT_ITSELF, *arguments, threads=threads, log=log, **more).wait(30) == 0
        told: dict[str, Any] = json.loads((tmp_path / log).read_text(encoding="utf-8"))
        return told

    return tell


def test_it_is_what_python_would_have_made_of_its_command(
    itself: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    """Script, arguments, folder, environment and session are its own; ``ps`` shows them."""
    told = itself("--name", "an ö", MORE="é=1")
    script = str(tmp_path / "script.py")
    assert told["name"] == "__main__"
    assert told["argv"] == [script, "--name", "an ö"]
    assert told["folder"] == str(CLIENT_CODE)
    assert told["environment"] == {"ONE": "1", "MORE": "é=1"}
    assert told["leader"]
    assert told["input"] == ""
    assert sorted(told["open"]) == ["0", "1", "2", "3"], "3 is the listing's own"
    assert told["shown"] == [[sys.executable, script, "--name", "an ö"], ["ONE=1", "MORE=é=1"]]


def test_no_two_draw_the_same(itself: Callable[..., dict[str, Any]]) -> None:
    """A fork copies generators; each process has others."""
    first, second = itself()["drawn"], itself()["drawn"]
    assert all(a != b for a, b in zip(first, second, strict=True))


def test_it_computes_with_as_many_threads_as_it_is_given(itself: Callable[..., dict[str, Any]]) -> None:
    """The process that it is forked from has one."""
    assert set(itself()["threads"]) == {1}
    assert set(itself(threads=2)["threads"]) == {2}


@pytest.mark.parametrize(
    ("lines", "code", "said"),
    [
        ("import sys; print('out'); sys.exit(3)", 3, "out\n"),
        ("import sys; sys.exit('why')", 1, "why\n"),
        ("import sys; sys.exit()", 0, ""),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM, ""),
        ("import threading, time\nthreading.Thread(target=lambda: (time.sleep(0.2), print('last'))).start()",
         0, "last\n"),
    ],
)  # fmt: skip
def test_it_ends_as_a_process_of_its_own_does(
    lines: str, code: int, said: str, fork: Fork, tmp_path: Path
) -> None:
    """With the same exit code, and all that it printed in its log."""
    (tmp_path / "log").write_text("before\n")
    assert fork(lines).wait(30) == code
    assert (tmp_path / "log").read_text() == "before\n" + said
    python = subprocess.run([sys.executable, "-c", lines], check=False, capture_output=True)
    assert python.returncode == code


def test_an_exception_leaves_its_own_traceback_alone(fork: Fork, tmp_path: Path) -> None:
    """As Python prints it: nothing of the process that forked it."""
    lines = "def fail():\n    raise ZeroDivisionError('of its own')\nfail()\n"
    assert fork(lines).wait(30) == 1
    python = subprocess.run(
        [sys.executable, tmp_path / "script.py"], check=False, capture_output=True, text=True
    )
    assert (tmp_path / "log").read_text() == python.stderr


def test_a_signal_reaches_the_process_it_is_for(fork: Fork) -> None:
    """And one that has ended needs none."""
    first, second = (fork("import time; time.sleep(60)") for _ in range(2))
    first.send_signal(signal.SIGTERM)
    assert first.wait(30) == -signal.SIGTERM
    assert second.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(0.05)
    first.send_signal(signal.SIGTERM)
    second.send_signal(signal.SIGKILL)
    assert second.wait(30) == -signal.SIGKILL


@pytest.mark.parametrize(
    ("client", "reason"),
    [
        ("raise ImportError('broken')", "ImportError while it loaded the clients' code"),
        ("import os; os._exit(3)", "it ended with exit code 3"),
        (
            "import threading, time\ncreate_app = lambda task: threading.Timer(60, print).start()",
            "its libraries have started threads (",
        ),
    ],
)
def test_it_says_why_nothing_can_be_forked(client: str, reason: str, tmp_path: Path) -> None:
    """Broken code, or a second thread, of which a fork would copy only the locks."""
    (tmp_path / "client.py").write_text(f"import sys\nsys.path.append({str(CLIENT_CODE)!r})\n{client}\n")
    with ForkServer(tmp_path) as server:
        assert not server.ready()
        assert server.reason.startswith(reason)


def test_it_says_how_it_ended_before_it_was_asked_to_fork() -> None:
    """While the server prepares a large table, say, it waits, and memory may run out."""
    with ForkServer() as server:
        assert server.ready(), server.reason
        os.kill(server._process.pid, signal.SIGKILL)
        server._reader.join(30)
        assert not server.ready()
        assert server.reason == "it was killed by SIGKILL"


def test_its_end_is_that_of_all_it_forked(tmp_path: Path) -> None:
    """It tells how it ended, and its clients are killed, whatever they do."""
    with ForkServer() as server:
        assert server.ready(), server.reason
        (tmp_path / "script.py").write_text("import os; print(os.getppid(), flush=True); os.kill(0, 19)")
        client = server.fork(
            [sys.executable, str(tmp_path / "script.py")], environment={}, log=tmp_path / "log", threads=1
        )
        while not (said := (tmp_path / "log").read_text() if (tmp_path / "log").exists() else ""):
            assert client.poll() is None
        os.kill(int(said), signal.SIGKILL)
        assert client.wait(30) == -signal.SIGKILL
        assert server.death == "was killed by SIGKILL"
        client.send_signal(signal.SIGTERM)


def test_the_environment_switches_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then each client loads its libraries itself."""
    monkeypatch.setenv(SWITCH, "0")
    with fork_server() as server:
        assert server is None
