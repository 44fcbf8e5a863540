"""Copy the record of a run into the results bucket while it goes on, without ever holding it up.

The run folder is what counts: a bucket that fails costs no round. Failures are told and tried again, with
growing pauses, and again with every finished round. The record of events, which only grows, is copied when it
has grown by a tenth, so that all copies together are at most eleven times as large as the last.
"""

import hashlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from federation.aws.ports import WritableBucket
from federation.errors import FederationError
from federation.events import NAME, Events

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
GROWTH = 1.1
"""How many times its last copy's size the record of events has when it is copied again, as a whole."""
LAST_SECONDS = 30.0
"""How long the end of a run waits for a copy that is under way."""


class BucketCopy:
    """Copies files under a prefix of a bucket, in a thread of its own.

    Parameters
    ----------
    store : WritableBucket
        The bucket.
    prefix : str
        Where in it.
    run : Path
        The run folder, which keys are relative to.
    event : callable
        Told of each failure, and when copies succeed again.
    say : callable
        Told the same in words.
    first_pause : float
        Seconds to wait after the first failure; twice as many after each more, up to a minute.
    """

    def __init__(
        self,
        store: WritableBucket,
        prefix: str,
        run: Path,
        *,
        event: Events,
        say: Callable[[str], None],
        first_pause: float = FIRST_PAUSE,
    ) -> None:
        self._store, self._prefix, self._run = store, prefix, run
        self._event, self._say = event, say
        self._first_pause = first_pause
        self._wanted: Sequence[Path] = ()
        self._events_copied = 0
        self._changed = threading.Condition()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="bucket copy", daemon=True)

    def __call__(self, files: Sequence[Path]) -> None:
        """Copy files as soon as possible; what was asked for before and not begun is replaced."""
        with self._changed:
            self._wanted = list(files)
            self._changed.notify()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Copy what is wanted still, once; do not wait for a bucket that does not answer."""
        self._ending.set()
        with self._changed:
            self._changed.notify()
        self._thread.join(LAST_SECONDS)

    def _work(self) -> None:
        pause, failed = self._first_pause, False
        while files := self._next():
            problem = self._copy(files)
            if problem:
                self._event("copy", ok=False, reason=problem)
                if not failed:
                    self._say(f"cannot copy the checkpoint to the results bucket, going on: {problem}")
                with self._changed:
                    self._wanted = self._wanted or files
                if self._ending.wait(pause):
                    return
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                if failed:
                    self._event("copy", ok=True, reason="")
                    self._say("the checkpoint is in the results bucket again")
                pause = self._first_pause
            failed = bool(problem)

    def _next(self) -> Sequence[Path]:
        """Wait for files to copy; none if the run is over and all is done."""
        with self._changed:
            self._changed.wait_for(lambda: self._wanted or self._ending.is_set())
            files, self._wanted = self._wanted, ()
            return files

    def _copy(self, files: Sequence[Path]) -> str:
        """Copy files in their order; return what went wrong, "" if nothing did."""
        try:
            for file in files:
                is_record = file.name == NAME
                if is_record and file.stat().st_size < GROWTH * self._events_copied:
                    continue
                content = file.read_bytes()  # as it is now: it may be replaced while it goes up
                key = self._prefix + file.relative_to(self._run).as_posix()
                self._store.put(key, content, sha256=hashlib.sha256(content).hexdigest())
                if is_record:
                    self._events_copied = len(content)
        except FederationError as error:
            return error.problem
        except OSError as error:
            return f"{error.filename}: {error.strerror}"
        return ""
