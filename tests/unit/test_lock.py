"""A run folder belongs to one process at a time, and to one user."""

import datetime as dt
import fcntl
import os
import threading
from pathlib import Path

import pytest

from federation.errors import OutputExistsError, RunInUseError, SettingError, StorageError
from federation.runs.record.lock import NAME, clear, exclusive, folder_of


def test_the_second_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    """And has it as soon as the first has ended."""
    run = tmp_path / "run"
    with (
        exclusive(run, new=True),
        pytest.raises(RunInUseError, match=f"in use by process {os.getpid()} on "),
        exclusive(run, new=False),
    ):
        raise AssertionError
    with exclusive(run, new=True):
        (run / "report.html").touch()
    assert [path.name for path in run.iterdir()] == ["report.html"]


def test_default_folders_do_not_collide() -> None:
    """Of runs that begin in the same moment, of one process or of several with the same id."""
    started = dt.datetime(2026, 11, 28, 5, tzinfo=dt.UTC)
    folders = {folder_of(started) for _ in range(100)}
    assert len(folders) >= 99
    assert all(folder.name.startswith("20261128-050000-") for folder in folders)


def test_what_finds_no_room_is_an_error_of_the_file(tmp_path: Path) -> None:
    """Whichever file of the run it is, also the report at its end."""
    full = Path("/dev/full")
    with (
        pytest.raises(StorageError, match=r"No space left on device\. Make room"),
        exclusive(tmp_path, new=True),
    ):
        full.write_text("report")


def test_a_start_that_is_refused_keeps_nobody_from_resuming(tmp_path: Path) -> None:
    """It takes the lock of a run that is there for a moment at most, and none if no process left one."""
    (tmp_path / "rounds.jsonl").touch()
    with pytest.raises(OutputExistsError), exclusive(tmp_path, new=True):
        raise AssertionError
    with exclusive(tmp_path, new=False), pytest.raises(RunInUseError), exclusive(tmp_path, new=True):
        raise AssertionError
    held = os.open(tmp_path / NAME, os.O_RDWR | os.O_CREAT)
    fcntl.flock(held, fcntl.LOCK_EX)
    moment = threading.Timer(0.05, os.close, [held])
    moment.start()
    with exclusive(tmp_path, new=False):
        moment.join()


def test_a_lock_that_a_killed_process_left_is_none(tmp_path: Path) -> None:
    """The file is there, and nobody holds it."""
    (tmp_path / NAME).write_text("process 1 on elsewhere")
    with exclusive(tmp_path, new=True):
        assert (tmp_path / NAME).read_text().startswith(f"process {os.getpid()} ")


def test_a_folder_that_stays_empty_goes(tmp_path: Path) -> None:
    """If it was made here: an empty folder of the user's stays."""
    with exclusive(tmp_path / "made", new=True):
        (tmp_path / "made" / "data").mkdir()
        clear(tmp_path / "made")
    with exclusive(tmp_path, new=True):
        (tmp_path / "made.csv").touch()
        clear(tmp_path)
    assert tmp_path.exists()
    assert not list(tmp_path.iterdir())


def test_only_its_user_can_read_it(tmp_path: Path) -> None:
    """It holds rows."""
    with exclusive(tmp_path / "run", new=True):
        assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700


def test_what_cannot_be_a_run_folder_is_refused(tmp_path: Path) -> None:
    """One that holds something, a file, a folder in a file."""
    (tmp_path / "file").touch()
    for path, error in (
        (tmp_path, OutputExistsError),
        (tmp_path / "file", OutputExistsError),
        (tmp_path / "file" / "run", OutputExistsError),
        (Path("/proc/run"), SettingError),
    ):
        with pytest.raises(error), exclusive(path, new=True):
            raise AssertionError
