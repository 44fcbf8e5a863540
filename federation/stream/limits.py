"""Limits on the resources of the server that any peer can consume."""

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

Clock = Callable[[], float]
FEW_PARTS, PART_BYTES = 16, 1024  # a message may have a few parts, and one more for each so many bytes


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits on every value that a peer controls.

    Parameters
    ----------
    join_bytes : int
        Maximum bytes of a first frame: names of columns, and a proof.
    waiting, waiting_of_address : int
        Maximum number of streams that have not joined yet, in total and from one address.
    joins, joins_of_address : float
        Maximum joins per second that are examined, in total and from one address.
    burst : int
        Number of seconds' worth of joins that may arrive at once.
    reply_bytes : int
        Maximum bytes of a reply to a small message.
    reply_growth : float
        Additional bytes that a reply may have for each byte of the message that it answers.
    connections : int
        Maximum number of simultaneous TCP connections.
    """

    join_bytes: int = 256 << 10
    waiting: int = 256
    waiting_of_address: int = 128
    joins: float = 40.0
    joins_of_address: float = 10.0
    burst: int = 10
    reply_bytes: int = 16 << 20
    reply_growth: float = 4.0
    connections: int = 512

    @classmethod
    def for_run(cls, features: int, clients: int) -> Self:
        """Return the limits of a run: so many features of its model, and clients, maybe all of one address.

        The largest that a strategy asks for is a matrix of features by features; there is room for four.
        """
        return cls(
            reply_bytes=(16 << 20) + 4 * 8 * (features + 1) ** 2,
            connections=max(cls.connections, 2 * clients),
            waiting=max(cls.waiting, clients),
            waiting_of_address=max(cls.waiting_of_address, clients),
            joins=max(cls.joins, clients / 5),
            joins_of_address=max(cls.joins_of_address, clients / 5),
        )

    def reply_limit(self, sent: int) -> int:
        """Return the maximum bytes of a reply to a message of ``sent`` bytes."""
        return self.reply_bytes + int(self.reply_growth * sent)


@dataclass(eq=False)
class Bucket:
    """Tokens that are added at a rate and kept up to a burst."""

    rate: float
    burst: int
    left: float = field(init=False)
    when: float

    def __post_init__(self) -> None:
        self.left = self.rate * self.burst

    def take(self, now: float) -> bool:
        """Take a token if there is one."""
        self.left = min(self.rate * self.burst, self.left + self.rate * (now - self.when))
        self.when = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


class Doorkeeper:
    """Decide which streams are looked at before anything of them is read.

    A few addresses cannot keep the others out: each has its own share.

    Parameters
    ----------
    limits : Limits
        The bounds.
    clock : callable
        Seconds that never go back.
    """

    def __init__(self, limits: Limits, clock: Clock = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._waiting: Counter[str] = Counter()
        self._all = Bucket(limits.joins, limits.burst, clock())
        self._addresses: dict[str, Bucket] = {}

    def enter(self, address: str) -> str:
        """Count a new stream; return the reason to refuse it, or None."""
        limits, now = self._limits, self._clock()
        if self._waiting.total() >= limits.waiting or self._waiting[address] >= limits.waiting_of_address:
            return "too many streams wait to join"
        own = self._addresses.get(address) or Bucket(limits.joins_of_address, limits.burst, now)
        if not own.take(now) or not self._all.take(now):
            return "too many joins in a short time"
        self._forget(now)
        self._addresses[address] = own  # of those looked at alone: the rate of all bounds their number
        self._waiting[address] += 1
        return ""

    def leave(self, address: str) -> None:
        """Record that a stream has joined or ended."""
        self._waiting[address] -= 1
        if not self._waiting[address]:
            del self._waiting[address]

    def _forget(self, now: float) -> None:
        """Drop the addresses whose share is full again, so that many addresses cannot fill memory."""
        if len(self._addresses) > self._limits.waiting:
            self._addresses = {
                address: bucket
                for address, bucket in self._addresses.items()
                if now - bucket.when < self._limits.burst
            }


class Exchange:
    """The traffic of one stream: a client may answer each request once, within a proportional size.

    Parameters
    ----------
    limits : Limits
        The bounds.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._open = 0
        self._largest = 0

    def asked(self, size: int) -> None:
        """Record a message of ``count`` bytes to the client."""
        self._open += 1
        self._largest = max(self._largest, size)

    def answered(self) -> None:
        """Record a reply."""
        self._open -= 1

    @property
    def room(self) -> int:
        """Maximum bytes of the next message from the client; 0 if no request is open."""
        return self._limits.reply_limit(self._largest) if self._open > 0 else 0


class SparingLog:
    """Write warnings at a limited rate: a flood of strangers must not fill the disk.

    Parameters
    ----------
    log : logging.Logger
        The log for the warnings.
    lines, seconds : int, float
        Maximum number of lines per number of seconds; further lines are counted.
    clock : callable
        Seconds that never go back.
    """

    def __init__(
        self, log: logging.Logger, *, lines: int = 20, seconds: float = 10.0, clock: Clock = time.monotonic
    ) -> None:
        self._log = log
        self._lines, self._seconds, self._clock = lines, seconds, clock
        self._since = clock()
        self._written = self._kept_back = 0

    def warning(self, text: str, *parts: object) -> None:
        """Write a line, or count it; text that strangers chose stays short and on one line."""
        if self._clock() - self._since >= self._seconds:
            self.flush()
        if self._written < self._lines:
            self._written += 1
            self._log.warning(text, *(one_line(str(part)) for part in parts))
        else:
            self._kept_back += 1

    def flush(self) -> None:
        """Log the number of omitted lines, if any, and reset it."""
        if self._kept_back:
            self._log.warning("kept back %d more lines like these", self._kept_back)
        self._since, self._written, self._kept_back = self._clock(), 0, 0


def one_line(text: str, most: int = 300) -> str:
    """Return a text that cannot look like several lines of a log."""
    shown = "".join(character if character.isprintable() else "?" for character in text[:most])
    return shown + ("…" if len(text) > most else "")
