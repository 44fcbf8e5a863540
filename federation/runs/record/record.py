"""What a run writes down while it goes on: events, finished rounds, and copies of both elsewhere."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from federation import events
from federation.errors import FederationError, StorageError
from federation.events import EventLog
from federation.learning.rounds.record import Checkpoint
from federation.runs.record import settings
from federation.runs.record.checkpoint import FOLDER, CheckpointFolder

Copy = Callable[[Sequence[Path]], None]
"""Told that files changed; copies them without keeping the run waiting."""


class RunRecord:
    """The record of one run, in its folder.

    Parameters
    ----------
    run : Path
        The run folder.
    copy : callable, optional
        Copies the files of a finished round to a safer place.
    options : mapping, optional
        The options of the run, kept with what was agreed before round 1.
    """

    def __init__(
        self, run: Path, *, copy: Copy | None = None, options: Mapping[str, Any] | None = None
    ) -> None:
        run.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._run, self._place = run, run.stat()
        self._checkpoints = CheckpointFolder(run, options)
        self._log = EventLog(run / events.NAME)
        self.copy = copy
        self.event = self._log
        self.load = self._checkpoints.load

    @contextmanager
    def telling(self, **facts: object) -> Iterator[None]:
        """Write down that a run begins, and how it ends.

        Parameters
        ----------
        **facts
            What is run.

        Raises
        ------
        StorageError
            An event could not be written.
        """
        self.event("start", **facts)
        try:
            yield
        except BaseException as error:
            reason = error.problem if isinstance(error, FederationError) else type(error).__name__
            self.event("end", ok=False, reason=reason)
            raise
        else:
            self.event("end", ok=True, reason="")
            self.check()
        finally:
            self._log.close()

    @property
    def files(self) -> list[Path]:
        """The files that hold the record, those first that others rely on."""
        files = [self._run / FOLDER / settings.NAME, self._log.path, *self._checkpoints.files]
        return [path for path in files if path.exists()]

    def save(self, checkpoint: Checkpoint) -> None:
        """Keep a finished round.

        Raises
        ------
        StorageError
            It cannot be written, or an event before it could not.
        """
        self.check()
        size = self._checkpoints.save(checkpoint)
        self.event("checkpoint", round=checkpoint.round, bytes=size)
        self._log.check()
        if self.copy:
            self.copy(self.files)

    def check(self) -> None:
        """Raise if the run can no longer write down what happens.

        Raises
        ------
        StorageError
            The run folder is elsewhere, or an event could not be written.
        """
        try:
            there = os.path.samestat(self._run.stat(), self._place)
        except OSError:
            there = False
        if not there:
            raise StorageError(
                f"the run folder {self._run} was moved or removed in mid-run.",
                "Put it back, then go on from the last finished round with --resume.",
            )
        self._log.check()
