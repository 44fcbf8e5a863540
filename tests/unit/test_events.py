"""The record of what happens on the server."""

import json
from pathlib import Path

import pytest

from federation.errors import StorageError
from federation.events import EventLog


def test_every_event_is_a_line_as_soon_as_it_happens(tmp_path: Path) -> None:
    """Each has its time and its facts; the file may be closed in between."""
    log = EventLog(tmp_path / "run" / "events.jsonl")
    log("join", client="a")
    assert len(log.path.read_text().splitlines()) == 1
    log.close()
    log("leave", client="a", reason="ü")
    first, second = map(json.loads, log.path.read_text().splitlines())
    assert (first["event"], first["client"], second["reason"]) == ("join", "a", "ü")
    assert first["time"].endswith("+00:00")
    log.check()
    log.close()


def test_half_a_line_does_not_damage_the_next(tmp_path: Path) -> None:
    """A process that was killed left it; the run that goes on begins a line of its own."""
    path = tmp_path / "events.jsonl"
    path.write_text('{"event": "join"}\n{"event": "lea')
    log = EventLog(path)
    log("start", resumed=True)
    log.close()
    assert json.loads(path.read_text().splitlines()[2])["event"] == "start"


def test_a_full_disk_is_told_at_the_next_check() -> None:
    """An event does not fail where it happens; the run learns of it afterwards, with the file's name."""
    log = EventLog(Path("/dev/full"))
    log("join", client="a")
    with pytest.raises(StorageError, match="/dev/full: No space left on device"):
        log.check()
    log.close()
