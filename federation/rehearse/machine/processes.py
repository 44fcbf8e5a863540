"""Run commands, each in its own process group with its output in a file, and leave no orphans."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_END_GRACE = 5.0


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command to run.

    Parameters
    ----------
    words : sequence of str
        The program and its arguments.
    environment : mapping of str
        Its whole environment.
    folder : pathlib.Path
        The working directory.
    log : pathlib.Path
        The file for the command's output.
    """

    words: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    log: Path


def _ignore(_line: str) -> None:
    return


def run(command: Command, on_line: Callable[[str], None] = _ignore) -> int:
    """Run a command to its end and return its exit code.

    Parameters
    ----------
    command : Command
        The command to run.
    on_line : callable, optional
        Called with each line of output, as it comes.
    """
    with command.log.open("w", encoding="utf-8") as log, _started(command, subprocess.PIPE) as process:
        for line in process.stdout or ():
            log.write(line)
            log.flush()
            on_line(line.rstrip("\n"))
        return process.wait()


def run_together(commands: Sequence[Command]) -> list[int]:
    """Run commands at the same time and return their exit codes."""
    with ExitStack() as stack:
        processes = []
        for command in commands:
            log = stack.enter_context(command.log.open("w", encoding="utf-8"))
            processes.append(stack.enter_context(_started(command, log.fileno())))
        return [process.wait() for process in processes]


def failure(what: str, code: int, log: Path) -> tuple[str, str]:
    """Return the problem and the remedy of one of our failed commands, from its last output.

    Parameters
    ----------
    what : str
        The name of the failed step.
    code : int
        Its exit code.
    log : pathlib.Path
        The log of the failed command.
    """
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    said = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    reason = (said or lines or ["It said nothing."])[-1]
    return f"{what} ended with code {code}: {reason}", f"The rest is in {log}."


def run_apart(command: Command, on_line: Callable[[str], None], output: Path) -> int:
    """Run a command with its results (stdout) in a file, and its other output in its log.

    Parameters
    ----------
    command : Command
        The command to run.
    on_line : callable
        Called with each line of its standard error, as it comes.
    output : pathlib.Path
        Takes its standard output.
    """
    with (
        command.log.open("w", encoding="utf-8") as log,
        output.open("w", encoding="utf-8") as results,
        _started(command, results.fileno(), subprocess.PIPE) as process,
    ):
        for line in process.stderr or ():
            log.write(line)
            log.flush()
            on_line(line.rstrip("\n"))
        return process.wait()


@contextmanager
def _started(
    command: Command, output: int, errors: int = subprocess.STDOUT
) -> Iterator[subprocess.Popen[str]]:
    """Start a command, and end its whole process group with the block.

    Its group is its own, so that Ctrl-C reaches the rehearsal only, which then decides who ends when.
    """
    process = subprocess.Popen(
        command.words,
        env=command.environment,
        cwd=command.folder,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        text=True,
        errors="replace",
        process_group=0,
    )
    try:
        yield process
    finally:
        _end(process)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def kill_group(leader: int) -> None:
    """Kill one of our process groups, if any process of it is left.

    macOS refuses with EPERM, not ESRCH, where only processes are left that ended and nobody has waited for.
    """
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _end(process: subprocess.Popen[str]) -> None:
    """Ask the group to end if its leader still runs, then kill the remaining processes."""
    if process.poll() is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_END_GRACE)
    kill_group(process.pid)
    process.wait()
