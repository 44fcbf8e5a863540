"""Run a command, and watch which processes it starts and where they listen."""

import ipaddress
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil


def is_loopback(address: str) -> bool:
    """Return whether only this machine reaches an address, which an IPv6 socket may write as a mapped one."""
    return ipaddress.ip_address(address.removeprefix("::ffff:")).is_loopback


class Watched:
    """A command that runs to its end.

    Parameters
    ----------
    words : sequence of str
        The command.
    folder : pathlib.Path
        Where it runs.
    environment : mapping of str
        Its environment.
    """

    def __init__(self, words: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        self.processes: set[psutil.Process] = set()
        self.listening: set[tuple[str, int]] = set()
        self.emulator_mb = 0.0
        started = time.monotonic()
        with subprocess.Popen(
            words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            ended = threading.Event()
            watcher = threading.Thread(target=self._watch, args=(process.pid, ended))
            watcher.start()
            try:
                self.out, self.err = process.communicate()
            finally:
                ended.set()
                watcher.join()
        self.code = process.returncode
        self.seconds = time.monotonic() - started

    @property
    def alive(self) -> list[psutil.Process]:
        """Processes that outlived the command."""
        return [process for process in self.processes if process.is_running()]

    def _watch(self, pid: int, ended: threading.Event) -> None:
        with suppress(psutil.NoSuchProcess):
            family = psutil.Process(pid)
            while not ended.wait(0.2):
                for process in family.children(recursive=True):
                    with suppress(psutil.Error):
                        self._look_at(process)

    def _look_at(self, process: psutil.Process) -> None:
        self.processes.add(process)
        if "federation.rehearse.emulator" in process.cmdline():
            self.emulator_mb = max(self.emulator_mb, process.memory_info().rss / 1e6)
        for connection in process.net_connections(kind="inet"):
            if connection.status == psutil.CONN_LISTEN:
                self.listening.add((connection.laddr.ip, connection.laddr.port))
