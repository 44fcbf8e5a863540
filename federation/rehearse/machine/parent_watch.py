"""End this process when the one that started it ends, for any reason.

The starter keeps the write end of our standard input open and writes nothing more to it after the settings.
The kernel closes it when the starter ends, even by ``kill -9``, so end-of-file is the one signal of its death
that cannot be missed.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress


def _ignore(_line: str) -> None:
    return


def end_with_parent(
    clean_up: Callable[[], None], on_line: Callable[[str], None] = _ignore
) -> threading.Thread:
    """Watch standard input, and kill our process group when it ends.

    Parameters
    ----------
    clean_up : callable
        Called once before the kill, from the watching thread. Its exceptions are ignored: the kill follows
        anyway.
    on_line : callable, optional
        Called with each line the starter writes before that.

    Returns
    -------
    threading.Thread
        The watching thread, a daemon, already started.
    """

    def watch() -> None:
        for line in sys.stdin:
            on_line(line.strip())
        with suppress(Exception):
            clean_up()
        os.killpg(0, signal.SIGKILL)

    thread = threading.Thread(target=watch, name="parent-watch", daemon=True)
    thread.start()
    return thread
