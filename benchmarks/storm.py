"""What a storm of bad joins costs a federation that runs: ``python -m benchmarks.storm [SECONDS] [RATE]``.

A run with three clients is timed in turns, quiet and under the storm, so that another load on the machine
weighs on both alike. Each bad join is a connection of its own, with its TLS handshake and a wrong token. They
come from a process on the same machine, made as cheap as it can be, for a real attacker computes elsewhere;
what it takes all the same is in the table, beside the server's own processor time for each bad join.
"""

import multiprocessing
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.machine import describe
from benchmarks.results import write_section
from client_code.protocol.frames import PROTOCOL

SECONDS, RATE, TURNS, STREAMS = 60.0, 200.0, 4, 64
DATA, HEADERS, SETTINGS = 0, 1, 4  # kinds of HTTP/2's frames
END_STREAM, END_HEADERS, FRAME_HEAD = 1, 4, 9
JOIN = (
    b'J{"protocol": %d, "client": "site-1", "instance": "x", "proof": {"token": "guess"}, "label": "y", '
    b'"features": [], "schema": ""}' % PROTOCOL
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


def frame(kind: int, flags: int, payload: bytes, *, stream: int = 0) -> bytes:
    """Return a frame of HTTP/2 (RFC 9113, section 4.1)."""
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


def bad_join() -> bytes:
    """Return all that a stranger sends who opens a stream and joins with a wrong token."""
    headers = {
        ":method": "POST",
        ":scheme": "https",
        ":path": "/federation.Federation/Stream",
        ":authority": "localhost",
        "content-type": "application/grpc",
        "te": "trailers",
    }
    # HPACK: literals without indexing, neither compressed nor longer than 126 (RFC 7541, section 6.2.2).
    packed = b"".join(
        b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in headers.items()
    )
    message = b"\0" + len(JOIN).to_bytes(4) + JOIN  # gRPC's prefix: not compressed, so many bytes
    return (
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        + frame(SETTINGS, 0, b"")
        + frame(HEADERS, END_HEADERS, packed, stream=1)
        + frame(DATA, END_STREAM, message, stream=1)
    )


def how_it_ended(connection: ssl.SSLSocket) -> str:
    """Read until the stream ends, and say how."""
    refused, received = False, b""
    while True:
        while len(received) >= FRAME_HEAD and len(received) >= (
            end := FRAME_HEAD + int.from_bytes(received[:3])
        ):
            kind, flags = received[3], received[4]
            refused = refused or kind == DATA
            if kind in (DATA, HEADERS) and flags & END_STREAM:
                return "refused for their token" if refused else "turned away unread at the rate limit"
            received = received[end:]
        if not (more := connection.recv(1 << 14)):
            return "cut off"
        received += more


def attempt(port: int, tls: ssl.SSLContext, sent: bytes) -> str:
    """Try to join over a connection of its own; return how it ended."""
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
            tls.wrap_socket(plain) as secure,
        ):
            secure.sendall(sent)
            return how_it_ended(secure)
    except OSError as error:
        return type(error).__name__


def storm(port: int, rate: float, blow: Event, outcomes: Any) -> None:  # noqa: ANN401
    """Try to join at a rate, each time over a new connection, while ``blow`` is set; tell what came of it.

    Bytes made beforehand over bare TLS, in one process that yields to every other: what a stranger computes
    shall weigh little on the run, as a real one computes elsewhere.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))  # runs where nothing else wants to
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    tls.set_alpn_protocols(["h2"])
    sent = bad_join()
    with ThreadPoolExecutor(STREAMS) as pool:
        while os.getppid() != 1:
            blow.wait(1)
            before, due, attempts = time.process_time(), time.monotonic(), []
            while blow.is_set():
                attempts.append(pool.submit(attempt, port, tls, sent))
                due += 1 / rate
                time.sleep(max(0.0, due - time.monotonic()))
            if attempts:
                ends = Counter(one.result() for one in attempts if not one.cancel())
                outcomes.put((ends, time.process_time() - before))


@dataclass
class Turns:
    """What was measured, turn by turn: rounds per second, and the server's processor seconds."""

    quiet: list[float] = field(default_factory=list)
    stormy: list[float] = field(default_factory=list)
    quiet_computing: list[float] = field(default_factory=list)
    stormy_computing: list[float] = field(default_factory=list)
    attackers_computing: list[float] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)

    def computing_of_a_join(self, seconds: float) -> float:
        """Return the server's processor seconds for one bad join, beyond those of its rounds."""
        of_a_round = sum(self.quiet_computing) / (sum(self.quiet) * seconds)
        rounds = sum(self.stormy) * seconds
        return (sum(self.stormy_computing) - rounds * of_a_round) / self.ends.total()


def measure(seconds: float, rate: float, folder: Path) -> Turns:
    """Measure a run, quiet and in the storm."""
    run = Run(folder)
    context = multiprocessing.get_context("spawn")
    blow, outcomes = context.Event(), context.Queue()
    stormer = context.Process(target=storm, args=(run.port, rate, blow, outcomes), daemon=True)
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
            ends, computing = outcomes.get(timeout=10)
            turns.ends.update(ends)
            turns.attackers_computing.append(computing)
            time.sleep(1)
        if run.process.poll() is not None or any("rejected" in line for line in run.lines):
            raise SystemExit("the run did not survive: " + " | ".join(run.lines[-5:]))
    finally:
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
    ends = ", ".join(f"{count} {how}" for how, count in turns.ends.items())
    tried, one = turns.ends.total(), turns.computing_of_a_join(seconds / TURNS)
    server = np.sum(turns.quiet_computing), np.sum(turns.stormy_computing)
    lines = [
        f"Three clients train while {tried / seconds:.0f} bad joins a second come, for {seconds:g} s in",
        f"{TURNS} turns, each over a connection of its own, with its TLS handshake, and with a wrong token.",
        "One process sends them, as bytes made beforehand and at the lowest priority, for a real attacker",
        "computes elsewhere. It is the same machine, though: what they take is in the loss. No client",
        "failed.",
        "",
        "| figure | quiet | storm |",
        "|---|---|---|",
        f"| rounds per second, median | {np.median(turns.quiet):.3g} | {np.median(turns.stormy):.3g} |",
        f"| round rate lost | | {loss:.0%} |",
        f"| processors taken by the server | {server[0] / seconds:.2f} | {server[1] / seconds:.2f} |",
        f"| processors taken by the attackers | | {np.sum(turns.attackers_computing) / seconds:.2f} |",
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
