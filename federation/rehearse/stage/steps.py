"""Show the steps of a rehearsal on stderr, one line per step with its seconds."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

WIDTH = 68


class Steps:
    """Print steps when they begin, and their seconds when they end; keep the seconds.

    Parameters
    ----------
    stream : TextIO, optional
        Output stream. Default: standard error.
    clock : callable, optional
        Returns seconds.
    pause : callable, optional
        Called before each step except the first, with the description of the next step.

    Attributes
    ----------
    seconds : dict of str to float
        The duration of each step, by its name.
    """

    def __init__(
        self,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[str], None] | None = None,
    ) -> None:
        self.seconds: dict[str, float] = {}
        self._stream = stream or sys.stderr
        self._clock = clock
        self._pause = pause
        self._head_is_open = False

    @contextmanager
    def step(self, name: str, text: str) -> Iterator[None]:
        """Show one step while the block runs.

        Parameters
        ----------
        name : str
            The name under which the step's seconds are kept.
        text : str
            The description of the step.
        """
        if self._pause and self.seconds:
            self._pause(text)
        started = self._clock()
        self._write(f"• {text}".ljust(WIDTH))
        self._head_is_open = True
        try:
            yield
        except BaseException:
            self._close_head()
            raise
        self.seconds[name] = self._clock() - started
        if not self._head_is_open:
            self._write("  in all".ljust(WIDTH))
        self._write(_seconds(self.seconds[name]) + "\n")
        self._head_is_open = False

    def note(self, text: str) -> None:
        """Print a line that is not a timed step."""
        self._close_head()
        self._write(f"• {text}\n")

    def part(self, text: str, seconds: float | None = None) -> None:
        """Show a part of the current step, once it is complete."""
        self._close_head()
        shown = "" if seconds is None else _seconds(seconds)
        self._write(f"  {text}".ljust(WIDTH if shown else 0) + shown + "\n")

    def _close_head(self) -> None:
        if self._head_is_open:
            self._write("\n")
            self._head_is_open = False

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _seconds(value: float) -> str:
    return f"{value:6.1f} s"
