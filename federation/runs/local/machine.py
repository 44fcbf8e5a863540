"""How many clients this machine holds as processes, and how long they take to start."""

import os
import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import joblib

from federation.errors import SettingError

CLIENT_BYTES, FORKED_BYTES = 160_000_000, 30_000_000
"""Memory of a client's process that it shares with no other, before its rows: of one that loads its
libraries itself, and of one that is forked from a process that has them. Measured: 145 and 23 MB."""
FORK_SERVER_BYTES = 300_000_000
"""Memory of the process that clients are forked from; measured: 230 MB."""
START_SECONDS, FORKED_SECONDS = 2.2, 0.2
"""Time of one core until a client has joined, of either kind; measured."""
CLIENT_FILES, OTHER_FILES = 2, 64
"""Open files of the server's process: for each client, and for everything else."""
JOIN_SECONDS = 120.0
"""Deadline of few clients to join."""
SLACK = 4
"""The deadline of many clients is this many times what they take on a machine that does nothing else."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What this machine has left for clients.

    Parameters
    ----------
    cores : int
        Number of cores that this process may use.
    free : int
        Memory in bytes.
    files : int
        Files that one process may hold open.
    forks : bool
        Whether clients are forked from a process that has loaded their libraries.
    """

    cores: int
    free: int
    files: int
    forks: bool = False

    @classmethod
    def here(cls) -> Self:
        """Return what there is now."""
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        unlimited = files == resource.RLIM_INFINITY
        return cls(cores=joblib.cpu_count(), free=free_bytes(), files=1 << 20 if unlimited else files)

    def seconds_to_start(self, clients: int) -> float:
        """Return how long so many clients take to start if the machine does nothing else."""
        return (FORKED_SECONDS if self.forks else START_SECONDS) * clients / min(self.cores, clients)

    def seconds_to_join(self, clients: int) -> float:
        """Return the deadline of so many clients to join."""
        return max(JOIN_SECONDS, SLACK * self.seconds_to_start(clients))

    def check_clients(self, clients: int) -> None:
        """Refuse more clients than there is room for, before one is started.

        Raises
        ------
        SettingError
            Memory or open files do not suffice; says for how many they do.
        """
        each, shared = (FORKED_BYTES, FORK_SERVER_BYTES) if self.forks else (CLIENT_BYTES, 0)
        held = (self.free - shared) // each
        if clients > max(held, 1):
            together = f"they share {shared / 1e6:.0f} MB, and " if shared else ""
            raise SettingError(
                f"{clients} clients do not fit on this machine: {together}each is a process of about "
                f"{each / 1e6:.0f} MB, and {self.free / 1e9:.1f} GB of memory are free.",
                f"Choose at most --clients {max(held, 1)}, a column with fewer values, or a larger machine.",
            )
        if (files := CLIENT_FILES * clients + OTHER_FILES) > self.files:
            raise SettingError(
                f"{clients} clients need {files} open files, and a process here may hold {self.files}.",
                f"Allow more with: ulimit -n {files}",
            )


def free_bytes(root: Path = Path("/")) -> int:
    """Return the memory that is free for new processes: the machine's, or its container's if less."""
    if not (root / "proc/meminfo").exists():  # macOS, which only tells how much there is in all
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    lines = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
    free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    group = root / "sys/fs/cgroup"
    try:
        limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        told = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        cache = int(told["active_file"]) + int(told["inactive_file"])  # the kernel gives it back
        return max(0, min(free, limit - used + cache))
    except (OSError, ValueError, KeyError):  # no such limit
        return free
