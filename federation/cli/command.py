"""Run a command so that every way it can end is one line and an exit code.

A command is a typed function; `run` makes a command line of it, as ``typer.run`` does, and adds our endings::

    def main(*, out: Annotated[Path, typer.Option()], debug: Debug = False) -> None:
        ...

    if __name__ == "__main__":
        run(main)
"""

import functools
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
import typer.core

from federation.errors import FederationError

# Plain help and errors, which read the same in a log. rich_markup_mode=None alone prints "\\[default: 3]".
typer.core.HAS_RICH = False

INTERRUPTED, TERMINATED = 130, 143
"""What a shell expects of a command that Ctrl-C or ``kill`` ended: 128 + the signal."""

Debug = Annotated[bool, typer.Option("--debug", help="On an error, show the traceback too.")]
"""Type of the ``debug`` parameter that every command has."""


def run(
    command: Callable[..., None],
    arguments: Sequence[str] | None = None,
    *,
    subcommands: Mapping[str, Callable[..., None]] | None = None,
) -> None:
    """Run a command with the arguments of this process, and exit.

    A `FederationError` ends as ``error: <problem> <remedy>`` on stderr with the error's own exit code, after
    its traceback if the command was given ``--debug``. Ctrl-C ends with exit code 130. Anything else is a
    mistake of ours and keeps its traceback.

    Parameters
    ----------
    command : callable
        A function whose parameters `typer` understands; its docstring becomes the help text.
    arguments : sequence of str, optional
        Instead of those of this process.
    subcommands : mapping of str to callable, optional
        What to run instead when the first argument is this name. A command without a name keeps its usage.
    """
    _count_cores()
    signal.signal(signal.SIGTERM, _end)  # so that a command cleans up after itself when it is told to end
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    given = sys.argv[1:] if arguments is None else list(arguments)
    if subcommands and given and given[0] in subcommands:
        app.command()(_report_errors(subcommands[given[0]]))
        app(given[1:], prog_name=f"{_program()} {given[0]}")
    app.command()(_report_errors(command))
    app(given, prog_name=_program())


def _program() -> str:
    """Return what was typed to run this: ``federation NAME``, or ``python -m federation.NAME``."""
    if sys.argv[0].startswith("federation "):
        return sys.argv[0]
    path = Path(sys.argv[0])
    name = path.parent.name if path.stem == "__main__" else path.stem
    return "python -m federation" if name == "federation" else f"python -m federation.{name}"


def _count_cores() -> None:
    """Tell OpenMP how many threads it has, where joblib would miss lscpu and print a traceback about it."""
    if sys.platform == "linux" and shutil.which("lscpu") is None:
        os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count()))


def _end(_signal: int, _frame: object) -> None:
    """End the command; without a word yet, for this may run while another line is being written."""
    raise SystemExit(TERMINATED)


def _report_errors(command: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(command)
    def reporting(**options: object) -> None:
        try:
            command(**options)
        except FederationError as error:
            if options.get("debug"):
                traceback.print_exc()
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            typer.echo("interrupted", err=True)
            raise typer.Exit(INTERRUPTED) from None
        except SystemExit as ended:
            if ended.code == TERMINATED:
                typer.echo("terminated", err=True)
            raise

    return reporting
