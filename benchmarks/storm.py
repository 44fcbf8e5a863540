"""What a storm of bad joins costs a federation that runs: ``python -m benchmarks.storm [SECONDS] [RATE]``.

A run with three clients is timed in turns, quiet and under the storm, so that another load on the machine
weighs on both alike. Each bad join is a connection of its own, with its TLS handshake and a wrong token. They
come from processes on the same machine, whose own computing slows the run too: a real attacker has a machine
of its own. Therefore the server's processor time for each bad join is measured as well.
"""

import multiprocessing
import os
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil

from benchmarks.machine import describe
from benchmarks.results import write_section

SECONDS, RATE, TURNS, STORMERS = 60.0, 200.0, 4, 2
JOIN = (
    b'J{"protocol": 3, "client": "site-1", "instance": "x", "proof": {"token": "guess"}, "label": "y", '
    b'"features": [], "schema": ""}'
)


class Run:
    """A local run that goes on until it is ended, and when each of its rounds ended."""

    def __init__(self, folder: Path) -> None:
        self.port = 0
        self.times: list[float] = []
        self.lines: list[str] = []
        options = ("--rounds", "1000000", "--out", str(folder / "run"))
        self.process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "federation.local", *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()
        while len(self.times) < 10:  # noqa: PLR2004 - the first rounds are slower
            time.sleep(0.1)

    def _read(self) -> None:
        for line in self.process.stderr or ():
            self.lines.append(line.rstrip())
            if "listens on" in line:
                self.port = int(line.partition("127.0.0.1:")[2].split()[0])
            elif line.strip().partition("/")[0].isdigit():
                self.times.append(time.monotonic())

    def computing(self) -> float:
        """Return the server's processor seconds so far."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def rate(self, seconds: float) -> float:
        """Return the rounds per second over the next ``seconds``."""
        before = len(self.times)
        time.sleep(seconds)
        return (len(self.times) - before) / seconds


def storm(port: int, certificate: bytes, rate: float, blow: Event, outcomes: Any) -> None:  # noqa: ANN401
    """Try to join at a rate, each time over a new connection, while ``blow`` is set."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    counts: Counter[str] = Counter()
    credentials = grpc.ssl_channel_credentials(root_certificates=certificate)
    open_ones: list[tuple[Any, Any, float]] = []
    due = time.monotonic()
    while os.getppid() != 1:
        if not blow.is_set():
            if counts:
                outcomes.put(dict(counts))
                counts.clear()
            due = time.monotonic()
            time.sleep(0.02)
            continue
        now = time.monotonic()
        while due <= now:
            # Its own pool of subchannels, or all would share one connection.
            options = (("grpc.use_local_subchannel_pool", 1),)
            channel = grpc.secure_channel(f"127.0.0.1:{port}", credentials, options)
            call = channel.stream_stream("/federation.Federation/Stream")(iter([JOIN]), timeout=5)
            open_ones.append((channel, call, now))
            counts["tried"] += 1
            due += 1 / rate
        for entry in [entry for entry in open_ones if entry[1].done()]:
            open_ones.remove(entry)
            counts[entry[1].code().name] += 1
            entry[0].close()
        time.sleep(0.002)


@dataclass
class Turns:
    """What was measured, turn by turn: rounds per second, and the server's processor seconds."""

    quiet: list[float] = field(default_factory=list)
    stormy: list[float] = field(default_factory=list)
    quiet_computing: list[float] = field(default_factory=list)
    stormy_computing: list[float] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)

    def computing_of_a_join(self, seconds: float) -> float:
        """Return the server's processor seconds for one bad join, beyond those of its rounds."""
        of_a_round = sum(self.quiet_computing) / (sum(self.quiet) * seconds)
        rounds = sum(self.stormy) * seconds
        return (sum(self.stormy_computing) - rounds * of_a_round) / self.ends["tried"]


def measure(seconds: float, rate: float, folder: Path) -> Turns:
    """Measure a run, quiet and in the storm."""
    run = Run(folder)
    certificate = ssl.get_server_certificate(("127.0.0.1", run.port)).encode()
    context = multiprocessing.get_context("spawn")
    blow, outcomes = context.Event(), context.Queue()
    arguments = (run.port, certificate, rate / STORMERS, blow, outcomes)
    stormers = [context.Process(target=storm, args=arguments, daemon=True) for _ in range(STORMERS)]
    for stormer in stormers:
        stormer.start()
    time.sleep(3)
    turns = Turns()
    try:
        for _ in range(TURNS):
            before = run.computing()
            turns.quiet.append(run.rate(seconds / TURNS))
            between = run.computing()
            blow.set()
            turns.stormy.append(run.rate(seconds / TURNS))
            blow.clear()
            turns.quiet_computing.append(between - before)
            turns.stormy_computing.append(run.computing() - between)
            for _ in stormers:
                turns.ends.update(outcomes.get(timeout=10))
            time.sleep(1)
        if run.process.poll() is not None or any("rejected" in line for line in run.lines):
            raise SystemExit("the run did not survive: " + " | ".join(run.lines[-5:]))
    finally:
        for stormer in stormers:
            stormer.terminate()
        run.process.send_signal(signal.SIGTERM)
        run.process.wait(30)
    return turns


def main(seconds: float = SECONDS, rate: float = RATE) -> None:
    """Measure, and write the table if the storm was a whole one."""
    machine = describe()
    with tempfile.TemporaryDirectory() as folder:
        turns = measure(seconds, rate, Path(folder))
    loss = 1 - np.sum(turns.stormy) / np.sum(turns.quiet)
    ends = ", ".join(f"{count} {how}" for how, count in turns.ends.items() if how != "tried")
    tried, one = turns.ends["tried"], turns.computing_of_a_join(seconds / TURNS)
    lines = [
        f"Three clients train while {tried / seconds:.0f} bad joins a second come, for {seconds:g} s in",
        f"{TURNS} turns, each over a connection of its own. The processes that send them run on the same",
        "machine and slow the run too. No client failed.",
        "",
        "| figure | quiet | storm |",
        "|---|---|---|",
        f"| rounds per second, median | {np.median(turns.quiet):.3g} | {np.median(turns.stormy):.3g} |",
        f"| round rate lost | | {loss:.0%} |",
        f"| server's processor time for a bad join, ms | | {1e3 * one:.2g} |",
        "",
        f"How the bad joins ended: {ends}.",
    ]
    if seconds >= SECONDS:
        write_section("Storm of bad joins", machine, lines)
    else:
        print("\n".join(lines))


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
