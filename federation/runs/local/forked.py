"""Client processes that are forked from one that has loaded the clients' libraries before.

Each client loads scikit-learn, SciPy, pandas and Flower, which takes two seconds of a core and 145 MB. One
process does it for all (ADR 0102). It is started before the server's own imports, so this module imports
nothing but the standard library.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from federation.checkout import CLIENT_CODE

SWITCH = "FEDERATION_FORK_CLIENTS"
"""Environment variable; 0 starts each client as a Python of its own, as on platforms without a safe fork."""
READY_SECONDS = 120.0
INHERITED = ("PATH", "HOME", "LANG", "TMPDIR")
"""What a client has of the environment of whoever started the run."""


def how_it_ended(code: int) -> str:
    """Say how a process ended, from `subprocess.Popen.returncode`."""
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


class ForkedClient:
    """One forked client, with the part of `subprocess.Popen` that a run uses.

    Parameters
    ----------
    server : ForkServer
        Its parent.
    number : int
        What the two call it.
    command : sequence of str
        Its command line.
    """

    def __init__(self, server: "ForkServer", number: int, command: Sequence[str]) -> None:
        self._server, self._number, self._command = server, number, command
        self._ended = threading.Event()
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while it runs."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; return the exit code.

        Raises
        ------
        subprocess.TimeoutExpired
            It still runs.
        """
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired(list(self._command), timeout or 0.0)
        assert self.returncode is not None, "set before the event"
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        self._server.order({"client": self._number, "signal": number})

    def end(self, code: int) -> None:
        """Take note of how it ended."""
        self.returncode = code
        self._ended.set()


class ForkServer:
    """The process that loads the clients' libraries, and that clients are forked from; ended with its block.

    Attributes
    ----------
    reason : str
        Why no client can be forked, "" if clients can; to be read after `ready`.
    death : str
        How the process ended before its block, "" while it runs.

    Parameters
    ----------
    code : Path
        The folder of the clients' code.
    """

    def __init__(self, code: Path = CLIENT_CODE) -> None:
        script = str(Path(__file__).with_name("fork_server.py"))
        self._process = subprocess.Popen(  # noqa: S603 - our own code
            [sys.executable, "-P", script, str(os.getpid())],
            cwd=code,
            env={name: os.environ[name] for name in INHERITED if name in os.environ}
            | {
                # One thread each, and so none beside the process's own, which alone a fork copies.
                "OMP_NUM_THREADS": "1",
                "JE_ARROW_MALLOC_CONF": "background_thread:false",
                "FLWR_TELEMETRY_ENABLED": "0",
                "FLWR_DISABLE_UPDATE_CHECK": "1",
                "PYTHONUNBUFFERED": "1",
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what is wrong with the libraries, each client's own log tells
            start_new_session=True,  # Ctrl-C reaches the server only
        )
        self._clients: dict[int, ForkedClient] = {}
        self._sending = threading.Lock()
        self._loaded = threading.Event()
        self._closing = False
        self.reason = f"it took more than {READY_SECONDS:g} s to load their libraries"
        self.death = ""
        self._reader = threading.Thread(target=self._read, name="fork server", daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        self._process.kill()  # and the kernel ends what it has forked
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(BrokenPipeError):
                pipe and pipe.close()

    def ready(self) -> bool:
        """Wait until the libraries are loaded; return whether clients can be forked, else see `reason`."""
        return self._loaded.wait(READY_SECONDS) and not self.reason and not self.death

    def fork(
        self, command: Sequence[str], *, environment: Mapping[str, str], log: Path, threads: int
    ) -> ForkedClient:
        """Start a client.

        Parameters
        ----------
        command : sequence of str
            Python, a script and its arguments.
        environment : mapping of str to str
            All of its environment.
        log : Path
            The file that gets what it prints.
        threads : int
            How many it computes with.
        """
        with self._sending:
            number = len(self._clients) + 1
            client = self._clients[number] = ForkedClient(self, number, command)
        self.order(
            {
                "client": number,
                "command": list(command),
                "environment": dict(environment),
                "log": str(log),
                "threads": threads,
            }
        )
        if self.death:  # it may have died before this client was noted
            client.end(-signal.SIGKILL)
        return client

    def order(self, order: Mapping[str, Any]) -> None:
        """Send an order; nothing happens if the process has died."""
        assert self._process.stdin is not None, "a pipe"
        with self._sending, suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()

    def _read(self) -> None:
        """Take note of what the process tells, and of its own end, which is that of its clients."""
        for line in self._process.stdout or ():
            told = json.loads(line)
            if "ready" in told:
                self.reason = told["reason"]
                self._loaded.set()
            else:
                self._clients[told["client"]].end(told["code"])
        code = self._process.wait()
        if not self._closing:
            death = f"was {how_it_ended(code)}" if code < 0 else how_it_ended(code)
            if not self._loaded.is_set() or not self.reason:  # it may die while the server prepares data
                self.reason = f"it {death}"
            self.death = death
        self._loaded.set()
        for client in list(self._clients.values()):
            if client.poll() is None:
                client.end(-signal.SIGKILL)


@contextmanager
def fork_server() -> Iterator[ForkServer | None]:
    """Start the process that clients are forked from; yield None where clients are started otherwise.

    A fork is safe where it copies no thread and no lock of the system's own libraries: on Linux, and there
    the kernel ends the clients if that process ends.
    """
    if sys.platform != "linux" or os.environ.get(SWITCH) == "0":
        yield None
        return
    with ForkServer() as server:
        yield server
