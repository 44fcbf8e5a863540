"""End this process when the one that started it ends, however that one ended.

The starter keeps the write end of our standard input open and writes nothing more to it after the settings.
The kernel closes it with the starter's last breath, ``kill -9`` included, so end-of-file is the one signal of
its death that cannot be missed.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress


def end_with_parent(clean_up: Callable[[], None]) -> threading.Thread:
    """Watch standard input, and kill our process group when it ends.

    Parameters
    ----------
    clean_up : callable
        Called once before the kill, from the watching thread. What it raises is ignored: the kill comes
        anyway.

    Returns
    -------
    threading.Thread
        The watching thread, a daemon, already started.
    """

    def watch() -> None:
        while sys.stdin.buffer.read(65536):
            pass
        with suppress(Exception):
            clean_up()
        os.killpg(0, signal.SIGKILL)

    thread = threading.Thread(target=watch, name="parent-watch", daemon=True)
    thread.start()
    return thread
