"""Runs as processes, to be watched and disturbed from outside."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import psutil

from tests.local.processes import ROOT, clients_of, environment

Event = Mapping[str, Any]


class Start(Protocol):
    """Starts a run: with options of the command, and a plan of what its clients do."""

    def __call__(
        self, *options: object, folder: str = "run", table: Path | None = None, **plan: Any
    ) -> "Run":
        """Start it."""


class Run:
    """One run of ``federation.local``, server and clients in processes of their own.

    Parameters
    ----------
    folder : Path
        The run folder.
    data : Path
        The prepared data.
    options : list of str
        More options of the command.
    plan : mapping
        What the clients do, see ``tests/faults/federation_process.py``; empty for the command itself. With
        ``module`` it is another module's, such as ``tests/faults/aws_server.py``. With ``without_override``
        the user may not write what is read-only, root neither.
    """

    def __init__(self, folder: Path, data: Path, options: list[str], plan: Mapping[str, Any]) -> None:
        plan = dict(plan)
        self.folder = folder
        self._log = folder.with_suffix(f".{time.monotonic_ns()}.log")
        self._log.parent.mkdir(parents=True, exist_ok=True)
        limited = bool(plan.pop("without_override", False)) and os.geteuid() == 0
        prefix = ["setpriv", "--bounding-set=-dac_override"] if limited else []
        module = plan.get("module", "tests.faults.federation_process") if plan else "federation.local"
        where = [] if "--resume" in options else ["--data", str(data), "--out", str(folder)]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, "-m", module, *where, *options],
                cwd=ROOT,
                env=environment() | dict(plan.get("environment", {})) | {"FAULTS": json.dumps(plan)},
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    def said(self) -> str:
        """Return what the run has printed on stderr."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def until_said(self, words: str) -> None:
        """Wait until the run has printed ``words``."""
        self._until(lambda: words in self.said(), f'"{words}"')

    def events(self) -> list[dict[str, Any]]:
        """Return the events so far."""
        path = self.folder / "events.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("}")]

    def find(self, event: str, **facts: object) -> list[dict[str, Any]]:
        """Return the events of a kind with these facts."""
        return [one for one in self.events() if one["event"] == event and facts.items() <= one.items()]

    def until(self, event: str, **facts: object) -> dict[str, Any]:
        """Wait for an event with these facts; return it."""
        self._until(lambda: bool(self.find(event, **facts)), f"{event} {facts}")
        return self.find(event, **facts)[0]

    def until_round(self, number: int) -> None:
        """Wait until a round has been kept."""
        self.until("checkpoint", round=number)

    def client(self, name: str) -> psutil.Process:
        """Return the process of a client."""
        (found,) = clients_of(self.folder / "clients" / name)
        return found

    def clients(self) -> list[psutil.Process]:
        """Return the processes of all clients."""
        return clients_of(self.folder)

    def freeze_in(self, phase: str, name: str) -> psutil.Process:
        """Freeze a client (SIGSTOP) while the server waits for its reply of a phase; return it.

        In "between" the server is frozen instead, right after it kept a round; the caller wakes it.
        """
        client = self.client(name)
        frozen = self.process.pid if phase == "between" else client.pid
        for _ in range(2000):
            os.kill(frozen, signal.SIGSTOP)
            time.sleep(0.25 if phase != "between" else 0.002)
            if self._phase() == phase:
                return client
            os.kill(frozen, signal.SIGCONT)
            time.sleep(0.013)
        raise AssertionError(f"the run was never in {phase}")

    def until_frozen(self, name: str) -> psutil.Process:
        """Wait until a client has frozen itself; return it."""
        self.until("join", client=name)
        client = self.client(name)
        self._until(lambda: client.status() == psutil.STATUS_STOPPED, f"frozen {name}")
        return client

    def _phase(self) -> str:
        """Return what the server waits for, from the last event it wrote."""
        return "between" if self.events()[-1]["event"] == "checkpoint" and self._frozen() else "train"

    def _frozen(self) -> bool:
        return bool(psutil.Process(self.process.pid).status() == psutil.STATUS_STOPPED)

    def kill(self) -> None:
        """Kill the server, as a crash does; its clients live on."""
        self.process.kill()
        self.process.wait()

    def finish(self, timeout: float = 240.0) -> tuple[int, str]:
        """Wait for the end; return the exit code and what was printed."""
        return self.process.wait(timeout), self.said()

    def model(self) -> str:
        """Return the model as text, without what says when it was trained."""
        model = json.loads((self.folder / "model.json").read_text(encoding="utf-8"))
        return json.dumps({key: value for key, value in model.items() if key != "provenance"})

    def rounds(self) -> list[dict[str, Any]]:
        """Return the lines of ``rounds.jsonl``."""
        return [json.loads(line) for line in (self.folder / "rounds.jsonl").read_text().splitlines()]

    def audit(self) -> tuple[int, str]:
        """Compare the ledgers with the record; return the exit code and what was printed."""
        done = subprocess.run(
            [sys.executable, "-m", "federation.audit", str(self.folder)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def end(self) -> None:
        """Leave nothing of it running."""
        for process in (self.process, *self.clients()):
            try:
                process.kill()
                process.wait(10)
            except psutil.NoSuchProcess:
                continue

    def _until(self, done: Callable[[], bool], what: str) -> None:
        for _ in _ticks(150):
            if done():
                return
            if self.process.poll() is not None and not done():
                raise AssertionError(f"the run ended without {what}: {self.said()}")
        raise AssertionError(f"no {what} within 150 s: {self.said()}")


def _ticks(seconds: float) -> Iterator[None]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        time.sleep(0.01)


def gone(processes: list[psutil.Process]) -> bool:
    """Whether processes end within 20 s."""
    _, alive = psutil.wait_procs(processes, timeout=20)
    return not alive


def clock_of(offset: Path) -> dict[str, str]:
    """Return the variables of a process whose wall clock is off by what a file says, such as ``+30h``."""
    package = importlib.util.find_spec("libfaketime")
    assert package, "a development dependency"
    assert package.origin
    offset.write_text("+0\n")
    return {
        "LD_PRELOAD": str(
            Path(package.origin).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"
        ),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
