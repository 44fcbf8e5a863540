"""The egress ledger: a record of each join and reply that this client sends, written before it is sent."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from os import SEEK_END
from pathlib import Path
from typing import TextIO

from flwr.app import RecordDict

from errors import LedgerError


class Ledger:
    """The egress ledger: one JSON line for each join and reply, written before it is sent.

    The acknowledgement of the run's end, a byte that is always the same, has none.

    Parameters
    ----------
    stream : TextIO
        The stream to which the lines are written.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines = 0

    def record(
        self,
        pieces: Sequence[bytes],
        *,
        kind: str,
        content: RecordDict | None = None,
        server_round: object = None,
    ) -> None:
        """Write one line about a message; it names arrays, metrics and settings, but not their values.

        Raises
        ------
        LedgerError
            The disk is full, or fails.
        """
        self._lines += 1
        digest = hashlib.sha256()
        for piece in pieces:
            digest.update(piece)
        line = {
            "line": self._lines,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "kind": kind,
            "round": server_round,
            "bytes": sum(map(len, pieces)),
            "sha256": digest.hexdigest(),
            "arrays": [
                {"name": f"{record}.{name}", "shape": array.shape, "dtype": array.dtype}
                for record, arrays in (content.array_records.items() if content else ())
                for name, array in arrays.items()
            ],
            "metrics": [
                f"{r}.{name}" for r, m in (content.metric_records.items() if content else ()) for name in m
            ],
            "config": [
                f"{r}.{name}" for r, c in (content.config_records.items() if content else ()) for name in c
            ],
        }
        try:
            self._stream.write(json.dumps(line) + "\n")
            self._stream.flush()
        except OSError as error:
            raise LedgerError(
                f"cannot write the egress ledger ({error.strerror or error}); nothing is sent."
            ) from error


@contextmanager
def open_ledger(folder: Path) -> Iterator[TextIO]:
    """Open ``ledger.jsonl`` in ``folder``, which is made if need be, for appending.

    Half a line, left by a process that was killed, does not damage the next.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "ledger.jsonl"
    torn = _is_torn(path)
    stream = path.open("a", encoding="utf-8")
    try:
        if torn:
            stream.write("\n")
        yield stream
    finally:
        with suppress(OSError):  # what could not be written has been told
            stream.close()


def _is_torn(path: Path) -> bool:
    """Whether a file ends in the middle of a line."""
    if not path.exists() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        file.seek(-1, SEEK_END)
        return file.read() != b"\n"
