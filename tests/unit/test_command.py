"""Every way a command can end."""

import subprocess
import sys
from pathlib import Path

import pytest

from federation import local
from federation.cli.command import Debug, run
from federation.errors import FederationError, LabelError, OutputExistsError


def end(command: object, *arguments: str) -> int:
    """Run a command in this process and return its exit code."""
    with pytest.raises(SystemExit) as ending:
        run(command, arguments)  # type: ignore[arg-type]
    return int(ending.value.code or 0)


@pytest.mark.parametrize("error", [FederationError, LabelError, OutputExistsError])
def test_an_error_ends_as_one_line_with_its_own_exit_code(
    error: type[FederationError], capsys: pytest.CaptureFixture[str]
) -> None:
    """Standard error holds ``error: problem remedy`` and no traceback; standard output nothing."""

    def fail(*, debug: Debug = False) -> None:  # noqa: ARG001
        raise error("It broke.", "Mend it.")

    assert end(fail) == error.exit_code
    assert capsys.readouterr() == ("", "error: It broke. Mend it.\n")


def test_debug_shows_the_traceback_and_keeps_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    """``--debug`` adds to the message, it does not replace it."""

    def fail(*, debug: Debug = False) -> None:  # noqa: ARG001
        raise LabelError("It broke.", "Mend it.")

    assert end(fail, "--debug") == LabelError.exit_code
    shown = capsys.readouterr().err
    assert shown.startswith("Traceback")
    assert shown.endswith("error: It broke. Mend it.\n")


def test_ctrl_c_ends_as_one_line_with_130(capsys: pytest.CaptureFixture[str]) -> None:
    """An interrupt is no error of anybody's: no traceback."""

    def wait() -> None:
        raise KeyboardInterrupt

    assert end(wait) == 130
    assert capsys.readouterr() == ("", "interrupted\n")


KILLED_WHILE_IT_WRITES = """
import io, os, signal, sys
from federation.cli.command import run

class Killing(io.RawIOBase):
    sent = False

    def writable(self):
        return True

    def write(self, data):
        if not self.sent:
            self.sent = True
            os.kill(os.getpid(), signal.SIGTERM)
        return os.write(2, data)

def main():
    sys.stderr = io.TextIOWrapper(io.BufferedWriter(Killing()), line_buffering=True)
    print("a line", file=sys.stderr)

run(main, [])
"""


@pytest.mark.process
def test_kill_ends_as_one_line_with_143_also_while_a_line_is_written() -> None:
    """The handler itself writes nothing: standard error may be in the middle of a line."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED_WHILE_IT_WRITES], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.splitlines()[-1]) == (143, "terminated"), done.stderr


def test_a_mistake_of_ours_is_not_swallowed() -> None:
    """Any other exception keeps its traceback."""

    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(fail, [])


def test_help_is_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    """No boxes and no escapes: help reads the same in a terminal, a log and a generated page."""

    def count(*, number: int = 3) -> None:
        """Count."""

    assert end(count, "--help") == 0
    shown = capsys.readouterr().out
    assert shown.isascii()
    assert "[default: 3]" in shown
    assert "\\" not in shown


@pytest.mark.process
def test_a_real_process_ends_the_same_way(tmp_path: Path) -> None:
    """The exit code reaches the shell, and nothing is written."""
    process = subprocess.run(
        [
            sys.executable,
            "-m",
            "federation.data_prep",
            "--input",
            "absent.csv",
            "--label",
            "y",
            "--out",
            "out",
        ],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 11
    assert process.stdout == ""
    assert process.stderr.endswith("error: absent.csv: no such file. Check the path.\n")
    assert "Traceback" not in process.stderr
    assert not list(tmp_path.iterdir())


def test_many_options_stand_under_headings_and_no_name_is_broken(capsys: pytest.CaptureFixture[str]) -> None:
    """Help shows groups in one order, options of a group together, and ``--join-timeout`` in one piece."""
    assert end(local.main, "--help") == 0
    shown = capsys.readouterr().out.splitlines()
    headings = ["Data:", "Training:", "Faults:", "Run:", "Output:", "Other:"]
    assert [line for line in shown if line in headings] == headings
    assert headings[1] in shown[: shown.index(next(line for line in shown if "--strategy NAME" in line))]
    assert [line for line in shown if line.endswith("-")] == []
    assert any("--join-timeout expires" in line for line in shown)


AT_ITS_END = """
import atexit, sys
from federation.cli.command import run_and_end

def main() -> None:
    print("written")
    raise SystemExit(7)

atexit.register(print, "taken apart")
run_and_end(main)
"""


@pytest.mark.process
def test_a_process_can_end_without_being_taken_apart() -> None:
    """What was printed is there, and so is the exit code."""
    done = subprocess.run([sys.executable, "-c", AT_ITS_END], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (7, "written\n", "")


@pytest.mark.process
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_process_whose_output_is_closed_keeps_its_exit_code(closed: str) -> None:
    """So a shell or a service may start it."""
    command = ["sh", "-c", f'exec "$0" -c "$1" {closed}', sys.executable, AT_ITS_END]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (7, "")
