"""A federation that runs in processes of its own, to be attacked from outside."""

import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from tests.local.processes import ROOT, environment

ROUND = re.compile(r"^\s*(\d+)/\d+\s")
PORT = re.compile(r"listens on 127\.0\.0\.1:(\d+)")


class Running:
    """A local run with three clients.

    Parameters
    ----------
    out : pathlib.Path
        Its run folder.
    rounds : int
        How many rounds.
    """

    def __init__(self, out: Path, rounds: int) -> None:
        self.out = out
        self.lines: list[str] = []
        self.times: dict[int, float] = {}
        self.port = 0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "federation.local", "--out", str(out), "--rounds", str(rounds)],
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stderr or ():
            self.lines.append(line.rstrip())
            if found := PORT.search(line):
                self.port = int(found[1])
            if found := ROUND.match(line):
                self.times[int(found[1])] = time.monotonic()

    @property
    def rounds(self) -> int:
        """How many rounds are done."""
        return max(self.times, default=0)

    def await_rounds(self, more: int, seconds: float = 60.0) -> None:
        """Wait for so many more rounds."""
        wanted, deadline = self.rounds + more, time.monotonic() + seconds
        while self.rounds < wanted:
            assert self._process.poll() is None, self.lines[-5:]
            assert time.monotonic() < deadline, self.lines[-5:]
            time.sleep(0.02)

    def refusals(self) -> list[str]:
        """Return the warnings so far."""
        return [line for line in self.lines if line.startswith("WARNING:federation.stream:")]

    def connect(self) -> socket.socket:
        """Return a TCP connection to the server."""
        return socket.create_connection(("127.0.0.1", self.port), 10)

    def finish(self) -> int:
        """Wait for the end; return the exit code."""
        code = self._process.wait(120)
        self._reader.join(5)
        return code

    def end(self) -> None:
        """End it if it still runs."""
        self._process.terminate()
        self._process.wait(30)
        if self._process.stderr:
            self._reader.join(5)
            self._process.stderr.close()
