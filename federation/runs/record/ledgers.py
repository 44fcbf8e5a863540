"""Compare what a client says it sent, line by line, with what the server says it received.

Within one stream messages arrive in the order they were sent, or not at all once it breaks. So a line of the
ledger that the server's record lacks is explained only if nothing that was sent after it over the same stream
arrived.
"""

import json
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from pydantic import TypeAdapter

from federation.errors import AuditInputError

JOIN = "join"
MESSAGES = (JOIN, "refused", "received")
Line = Mapping[str, Any]


@dataclass
class _Received:
    """What a line of the record says of a message."""

    client: str
    bytes: int
    sha256: str
    kind: str = JOIN
    round: int | None = None


@dataclass
class _Array:
    name: str


@dataclass
class _Sent:
    """What a line of a ledger says."""

    kind: str
    bytes: int
    sha256: str
    round: int | None = None
    arrays: list[_Array] = field(default_factory=list)


_RECEIVED, _SENT = TypeAdapter(_Received), TypeAdapter(_Sent)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How the record and a client's ledger compare.

    Parameters
    ----------
    client : str
        Its name.
    agreed, sent_bytes : int
        Lines that both have, and their bytes.
    lost : int
        Messages written to the ledger whose stream broke before they arrived.
    attempts : int
        Joins written to the ledger that did not reach the server.
    strangers : int
        Refused joins under the client's name that are not in its ledger: somebody else made them.
    differences : tuple of str
        What disagrees, a sentence each.
    """

    client: str
    agreed: int
    sent_bytes: int
    lost: int
    attempts: int
    strangers: int
    differences: tuple[str, ...] = field(default=())


def read_events(path: Path) -> dict[str, list[Line]]:
    """Return what the server says it received, by client, in order.

    Raises
    ------
    AuditInputError
        There is no record, or it is none of ours.
    """
    received: dict[str, list[Line]] = {}
    for event in read_lines(path):
        if event.get("event") in MESSAGES:
            kind = event.get("kind", JOIN)
            received.setdefault(str(event.get("client")), []).append({**event, "kind": kind})
    return received


def read_ledgers(paths: Sequence[Path]) -> list[Line]:
    """Return the lines of a client's ledgers, one for each job it had, in order of time.

    Parameters
    ----------
    paths : sequence of Path
        Files, folders that hold a ``ledger.jsonl``, or SageMaker's ``output.tar.gz``.

    Raises
    ------
    AuditInputError
        One is not there, or is no ledger.
    """
    parts = [read_lines(path) for path in paths]
    return [line for part in sorted(parts, key=lambda part: str(part[:1])) for line in part]


def compare(client: str, received: Sequence[Line], ledger: Sequence[Line]) -> Comparison:
    """Compare the record of one client with its ledger."""
    must = [line for line in received if line["event"] != "refused"]
    partner = _align([str(line["sha256"]) for line in must], [str(line["sha256"]) for line in ledger])
    found = {at: must[i] for i, at in partner.items()}
    strangers = _match_refused([line for line in received if line["event"] == "refused"], ledger, found)
    missing = [at for at in range(len(ledger)) if at not in found]
    gaps = [at for at in missing if ledger[at]["kind"] != JOIN and _arrived_after(at, ledger, found)]
    attempts = sum(ledger[at]["kind"] == JOIN for at in missing)
    differences = [
        *(f"the server received {_told(line)}, which the ledger lacks" for line in _without(must, partner)),
        *(f"the ledger's line {_told(ledger[at])} is not in the server's record" for at in gaps),
        *_contradictions(ledger, found),
    ]
    return Comparison(
        client=client,
        agreed=len(found),
        sent_bytes=sum(int(ledger[at]["bytes"]) for at in found),
        lost=len(missing) - attempts - len(gaps),
        attempts=attempts,
        strangers=strangers,
        differences=tuple(differences),
    )


def _align(received: Sequence[str], sent: Sequence[str]) -> dict[int, int]:
    """Return where each received digest stands among the sent ones, the latest place first.

    The latest: a client writes the same join again and again until one arrives.
    """
    partner: dict[int, int] = {}
    end = len(sent)
    for i in range(len(received) - 1, -1, -1):
        at = end - 1
        while at >= 0 and sent[at] != received[i]:
            at -= 1
        if at >= 0:
            partner[i] = end = at
    return partner


def _match_refused(refused: Sequence[Line], ledger: Sequence[Line], found: dict[int, Line]) -> int:
    """Find the refused joins among the ledger's other lines; return how many are not there."""
    strangers = 0
    for line in refused:
        places = (
            at for at, sent in enumerate(ledger) if at not in found and sent["sha256"] == line["sha256"]
        )
        if (at := next(places, None)) is None:
            strangers += 1
        else:
            found[at] = line
    return strangers


def _arrived_after(at: int, ledger: Sequence[Line], found: Mapping[int, Line]) -> bool:
    """Whether something arrived that was sent later over the same stream."""
    for later in range(at + 1, len(ledger)):
        if later in found:
            return bool(ledger[later]["kind"] != JOIN)
    return False


def _contradictions(ledger: Sequence[Line], found: Mapping[int, Line]) -> Iterator[str]:
    for at, line in sorted(found.items()):
        for key in ("kind", "bytes"):
            if ledger[at][key] != line[key]:
                yield f"line {_told(ledger[at])}: {key} is {line[key]} in the server's record"


def _without(received: Sequence[Line], partner: Mapping[int, int]) -> list[Line]:
    return [line for i, line in enumerate(received) if i not in partner]


def _told(line: Line) -> str:
    number = f"{line['line']}, " if "line" in line else ""
    in_round = f" of round {line['round']}" if line.get("round") is not None else ""
    return f"{number}{line['kind']}{in_round} ({line['bytes']} bytes, sha256 {str(line['sha256'])[:12]}…)"


def read_lines(path: Path) -> list[Line]:
    """Read a ledger or a record; half a line, left by a process that was killed, is dropped.

    Such a line is the file's last, or the last before the start of the process that went on.

    Raises
    ------
    AuditInputError
        It cannot be read, or is neither.
    """
    try:
        text = _text(path)
    except (OSError, ValueError, KeyError, EOFError, zlib.error, tarfile.TarError) as error:
        raise AuditInputError(
            f"{path}: cannot be read ({error}).", "Name a ledger or a run folder."
        ) from error
    lines: list[Line] = []
    whole = [line for line in text.split("\n") if line]
    for number, line in enumerate(whole, 1):
        try:
            lines.append(_checked(line))
        except (ValueError, TypeError, RecursionError) as error:
            if number == len(whole) and not text.endswith("\n"):
                break
            if _begins("".join(whole[number : number + 1])):
                continue
            raise AuditInputError(f"{path}, line {number}: not one of ours.", "Name a ledger.") from error
    return lines


def _begins(line: str) -> bool:
    """Whether a process that went on wrote a line first: a server its start, a client its join."""
    return '"event": "start"' in line or ('"event"' not in line and f'"kind": "{JOIN}"' in line)


def _checked(text: str) -> Line:
    """Return a line; raise a ValueError if it has not the shape of one of ours."""
    line = json.loads(text)
    told = isinstance(line, dict) and "event" in line
    if not told or line["event"] in MESSAGES:
        (_RECEIVED if told else _SENT).validate_json(text, strict=True)
    return cast("Line", line)


def _text(path: Path) -> str:
    if path.is_dir():
        path = path / "ledger.jsonl"
    if path.name.endswith(".tar.gz"):
        with tarfile.open(path) as archive:
            member: IO[bytes] | None = archive.extractfile("ledger.jsonl")
            return member.read().decode() if member else ""
    return path.read_text(encoding="utf-8")
