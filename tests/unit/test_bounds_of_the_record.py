"""What strangers make the server write down, and what of it goes to S3, is bounded in bytes."""

import asyncio
import hashlib
from pathlib import Path

from client_code.protocol.frames import Join
from federation.events import NAME, EventLog
from federation.runs.record.bucket_copy import BucketCopy
from federation.stream.clients.hub import MAXIMUM_REFUSALS, ClientHub
from federation.stream.clients.members import Arrived, Member, Refusal
from federation.stream.limits import Limits

BYTES_OF_A_REFUSAL = 300
A_DAY = 10_000_000


def test_a_day_of_refused_joins_is_less_than_ten_megabytes(tmp_path: Path) -> None:
    """The record of refusals stops to grow; none of its lines has more than 300 bytes."""
    log = EventLog(tmp_path / NAME)
    arrived = Arrived(256 << 10, hashlib.sha256(b"join").hexdigest())
    stranger = Join(
        client='"' * 10_000, instance="é" * 10_000, proof={}, label="y", features=("a",), schema=""
    )

    async def refuse(_join: Join) -> Refusal:
        return Refusal(reason="\\" * 10_000)

    async def a_day() -> list[int]:
        hub = ClientHub([Member("anna", 1)], admit=refuse, rejoin_seconds=1.0, limits=Limits(), event=log)
        sizes = []
        for _ in range(3):
            for _ in range(MAXIMUM_REFUSALS):
                assert isinstance(await hub.join(stranger, arrived), Refusal)
            sizes.append(log.path.stat().st_size)
        return sizes

    sizes = asyncio.run(a_day())
    log.close()
    lines = log.path.read_bytes().splitlines()
    assert len(set(sizes)) == 1, "it grows on"
    assert max(map(len, lines)) <= BYTES_OF_A_REFUSAL
    assert len(lines) * BYTES_OF_A_REFUSAL < A_DAY


class Counted:
    """A bucket that counts the bytes of each key."""

    bucket = "results"

    def __init__(self) -> None:
        self.sent: dict[str, list[int]] = {}
        self.fails = 0

    def put(self, key: str, content: bytes | Path, *, sha256: str) -> None:
        """Take an object."""
        if self.fails:
            self.fails -= 1
            raise OSError(5, "no", key)
        assert isinstance(content, bytes)
        assert sha256
        self.sent.setdefault(key, []).append(len(content))


def test_the_record_is_not_copied_whole_every_round(tmp_path: Path) -> None:
    """All its copies together stay within eleven times its size; what a round needs goes up each time."""
    store, record, last = Counted(), tmp_path / NAME, tmp_path / "round.zip"
    last.write_bytes(b"model")
    copy = BucketCopy(store, "runs/r1/", tmp_path, event=lambda *_a, **_f: None, say=lambda _: None)
    for round_ in range(1, 501):
        record.write_bytes(b"x" * 300 * round_)
        assert copy._copy([record, last]) == ""
    assert len(store.sent["runs/r1/round.zip"]) == 500
    events = store.sent[f"runs/r1/{NAME}"]
    assert sum(events) <= 11 * record.stat().st_size
    assert events[-1] >= record.stat().st_size / 1.2


def test_a_copy_that_failed_is_made_again(tmp_path: Path) -> None:
    """Also if the record has not grown since."""
    store, record = Counted(), tmp_path / NAME
    store.fails = 1
    record.write_bytes(b"x" * 300)
    copy = BucketCopy(store, "", tmp_path, event=lambda *_a, **_f: None, say=lambda _: None)
    assert copy._copy([record]) != ""
    assert copy._copy([record]) == ""
    assert store.sent[NAME] == [300]
