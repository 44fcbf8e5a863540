"""A rehearsal that is ended early, or cannot begin, leaves nothing behind."""

import os
import pty
import signal
import subprocess
import sys
from io import RawIOBase
from pathlib import Path

import psutil
import pytest

from federation.cli.command import INTERRUPTED, TERMINATED
from federation.errors import ConfigFileError, OutputExistsError, SettingError
from tests.conftest import ROOT
from tests.rehearsal.conftest import temporary_folders


@pytest.mark.parametrize(
    ("by", "code"), [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, TERMINATED)], ids=["Ctrl-C", "kill"]
)
def test_ended_early_it_leaves_nothing(tmp_path: Path, by: signal.Signals, code: int) -> None:
    """In the middle of a deployment: no process, no temporary folder, its own exit code."""
    with subprocess.Popen(
        [sys.executable, "-m", "federation.rehearse", "--out", str(tmp_path / "out")],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stderr is not None
        next(line for line in process.stderr if line.startswith("  ServerNetworkStack"))
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 2
        assert len(temporary_folders(tmp_path)) == 1
        process.send_signal(by)
        rest = process.stderr.read()
    assert process.returncode == code, rest
    assert "Traceback" not in rest
    assert [each for each in family if each.is_running() and each.status() != psutil.STATUS_ZOMBIE] == []
    assert temporary_folders(tmp_path) == set()


def _rehearse(*options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "federation.rehearse", *options],
        cwd=ROOT,
        env={**os.environ},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (("--config", "absent.toml"), ConfigFileError),
        (("--data", "README.md"), SettingError),
        (("--clients", "0"), SettingError),
    ],
)
def test_a_mistake_is_said_at_once_and_leaves_no_folder(
    tmp_path: Path, options: tuple[str, ...], error: type[SettingError]
) -> None:
    """One line, an exit code of its own, and nothing is written."""
    done = _rehearse(*options, "--out", str(tmp_path / "out"))
    assert done.returncode == error.exit_code, done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert not (tmp_path / "out").exists()


def test_an_older_rehearsal_is_never_overwritten(tmp_path: Path) -> None:
    """A folder that holds something is refused, and stays as it is."""
    (tmp_path / "kept").write_text("kept", encoding="utf-8")
    done = _rehearse("--out", str(tmp_path))
    assert done.returncode == OutputExistsError.exit_code
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_step_waits_for_enter_before_each_step(tmp_path: Path) -> None:
    """In a terminal: nothing goes on without Enter, and Ctrl-C ends it there."""
    terminal, inside = pty.openpty()
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    words = [sys.executable, "-m", "federation.rehearse", "--step", "--out", str(tmp_path / "out")]
    with (
        subprocess.Popen(
            words, cwd=ROOT, env=environment, stdin=inside, stderr=inside, stdout=subprocess.DEVNULL
        ) as process,
        os.fdopen(terminal, "rb+", buffering=0) as keyboard,
    ):
        os.close(inside)
        shown = _until(keyboard, b"Next: Looking for the environment")
        assert b"Starting an AWS" not in shown
        keyboard.write(b"\n")
        _until(keyboard, b"Next: Starting an AWS of our own")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == INTERRUPTED
    assert temporary_folders(tmp_path) == set()


def _until(terminal: RawIOBase, text: bytes) -> bytes:
    """Read what a terminal shows until it holds a text."""
    shown = b""
    while text not in shown:
        shown += terminal.read(1024) or b""
    return shown
