"""Watch how much memory child processes need."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil


@contextmanager
def peak_memory(of: int, *, argument: str, every: float) -> Iterator[list[float]]:
    """Yield a list that gathers, in MB, the high-water marks of a process's children (Linux: VmHWM).

    A child's ``ru_maxrss`` would not do: it counts the parent's memory at the time of the fork. For the same
    reason a child counts only once ``argument`` is on its command line. What a forked client shares with the
    others counts in each.

    Parameters
    ----------
    of : int
        Process id of the parent.
    argument : str
        What the command lines of the children to watch hold.
    every : float
        Seconds between two looks.
    """
    peaks, stop = [0.0], threading.Event()

    def watch() -> None:
        while not stop.wait(every):
            for child in psutil.Process(of).children(recursive=True):
                with suppress(OSError, StopIteration, psutil.NoSuchProcess):
                    if argument not in child.cmdline():
                        continue
                    status = Path(f"/proc/{child.pid}/status").read_text().splitlines()
                    mark = next(line for line in status if line.startswith("VmHWM"))
                    peaks.append(int(mark.split()[1]) / 1024)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peaks
    finally:
        stop.set()
        watcher.join()
