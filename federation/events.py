"""Write down what happens on the server, a line of JSON each: ``events.jsonl`` in the run folder.

Beside the clients' ledgers it answers who sent what, what became of it and why; see `federation.audit`.
"""

import datetime as dt
import errno
import json
import os
import threading
from pathlib import Path
from typing import Protocol

from federation.errors import StorageError

NAME = "events.jsonl"


class Events(Protocol):
    """Whom the server tells what happens."""

    def __call__(self, event: str, **facts: object) -> None:
        """Take note of an event."""


def unrecorded(event: str, **facts: object) -> None:
    """Take no note of an event."""


class EventLog:
    """Append a line for each event, as soon as it happens; may be called from several threads.

    Parameters
    ----------
    path : Path
        The file, made with the first event.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._problem: OSError | None = None

    def __call__(self, event: str, **facts: object) -> None:
        """Write a line; a line that cannot be written fails the run at the next `check`, not here.

        The event loop of the grid calls this, and must go on to end the run in order.
        """
        now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": now, "event": event, **facts}) + "\n"
        with self._lock:
            try:
                self._append(line.encode())
            except OSError as error:
                self._problem = self._problem or error

    def check(self) -> None:
        """Raise if an event could not be written.

        Raises
        ------
        StorageError
            The disk is full, or fails.
        """
        if self._problem:
            raise StorageError.of(self.path, self._problem) from self._problem

    def close(self) -> None:
        """Close the file; another event opens it again."""
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    def _append(self, line: bytes) -> None:
        """Write a whole line at once; half a line is how a full disk shows first."""
        if self._descriptor is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if (end := os.fstat(self._descriptor).st_size) and os.pread(
                self._descriptor, 1, end - 1
            ) != b"\n":
                line = b"\n" + line  # a process that was killed left half a line
        if os.write(self._descriptor, line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
