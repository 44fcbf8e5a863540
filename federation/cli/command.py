"""Run a command so that every way it can end is one line and an exit code.

A command is a typed function; `run` makes a command line of it, as ``typer.run`` does, and adds our endings::

    def main(*, out: Annotated[Path, typer.Option()], debug: Debug = False) -> None:
        ...

    if __name__ == "__main__":
        run(main)
"""

import functools
import logging
import os
import re
import signal
import sys
import textwrap
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import click
import typer
import typer.core
import typer.main

from federation.errors import FederationError

# Plain help and errors, which read the same in a log. rich_markup_mode=None alone prints "\\[default: 3]".
typer.core.HAS_RICH = False

INTERRUPTED, TERMINATED, HUNG_UP = 130, 143, 129
"""What a shell expects of a command that Ctrl-C, ``kill`` or a closed terminal ended: 128 + the signal."""

COLUMN = 28
"""Width of the column of options in ``--help``; a longer one has a line of its own."""

HEADINGS = ("Arguments", "Data", "Training", "Faults", "Run", "Output", "Other", "Options")
FEW = 10

Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error too.")]
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
    signal.signal(signal.SIGTERM, _end)  # so that a command cleans up after itself when it is told to end
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup leaves it
        signal.signal(signal.SIGHUP, _end)
    given = sys.argv[1:] if arguments is None else list(arguments)
    if subcommands and given and given[0] in subcommands:
        click_command(subcommands[given[0]])(given[1:], prog_name=f"{_program()} {given[0]}")
    click_command(command)(given, prog_name=_program())


def run_and_end(command: Callable[..., None]) -> NoReturn:
    """Run a command as `run` does, and end this process without taking its libraries apart.

    The interpreter takes a third of a second for that after a run, and the system frees memory at once.
    """
    try:
        run(command)
    except SystemExit as end:
        if not isinstance(end.code, int):
            raise
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            if stream:  # None where whoever started this process closed it
                stream.flush()
        os._exit(end.code)
    raise AssertionError("click ends with SystemExit")


def _program() -> str:
    """Return what was typed to run this: ``federation NAME``, or ``python -m federation.NAME``."""
    if sys.argv[0].startswith("federation "):
        return sys.argv[0]
    path = Path(sys.argv[0])
    name = path.parent.name if path.stem == "__main__" else path.stem
    return "python -m federation" if name == "federation" else f"python -m federation.{name}"


def click_command(command: Callable[..., None]) -> click.Command:
    """Return the command line that a typed function describes.

    Parameters
    ----------
    command : callable
        A function whose parameters `typer` understands.
    """
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(cls=GroupedCommand)(_report_errors(command))
    return typer.main.get_command(app)


class _Formatter(click.HelpFormatter):
    """Writes options as click does, but breaks no line within ``--an-option``."""

    def write_dl(self, rows: Sequence[tuple[str, str]], col_max: int = COLUMN, col_spacing: int = 2) -> None:
        indent = " " * (col_max + col_spacing)
        for option, text in rows:
            head = f"{'':{self.current_indent}}{option}"
            if len(head) > col_max:
                self.write(f"{head}\n")
                head = ""
            lines = textwrap.wrap(text, self.width - len(indent), break_on_hyphens=False) or [""]
            self.write(f"{head:<{len(indent)}}{lines[0]}\n".lstrip("\n"))
            for line in lines[1:]:
                self.write(f"{indent}{line}\n")


class _Context(click.Context):
    formatter_class = _Formatter


class GroupedCommand(typer.core.TyperCommand):
    """A command whose ``--help`` has a heading for each group of options, if there are many."""

    context_class = _Context

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options below the headings of their groups."""
        for heading, params in grouped(self.get_params(ctx)).items():
            with formatter.section(heading):
                formatter.write_dl(help_records(ctx, params))


def help_records(context: click.Context, params: Sequence[click.Parameter]) -> list[tuple[str, str]]:
    """Return each parameter's option and help text, whose ranges are words."""
    records = [record for it in params if (record := it.get_help_record(context))]
    return [(option.removesuffix(" RANGE"), _in_words(text)) for option, text in records]


def _in_words(text: str) -> str:
    text = re.sub(r"\bx>=([\d.]+)", r"at least \1", text)
    text = re.sub(r"([\d.]+)<=x<=([\d.]+)", r"\1 to \2", text)
    return re.sub(r"(default: \d+)\.0\b", r"\1", text).replace("  [", " [")


def grouped(params: Sequence[click.Parameter]) -> dict[str, list[click.Parameter]]:
    """Return parameters by the heading that they stand under; few options need but one."""
    few, groups = len(params) <= FEW, {name: list[click.Parameter]() for name in HEADINGS}
    for param in params:
        own = None if few else getattr(param, "rich_help_panel", None)
        default = "Arguments" if param.param_type_name == "argument" else "Options" if few else "Other"
        groups[own or default].append(param)
    return {name: members for name, members in groups.items() if members}


def _end(number: int, _frame: object) -> None:
    """End the command; without a word yet, for this may run while another line is being written."""
    raise SystemExit(128 + number)


def _tell(text: str) -> None:
    """Write a last line to stderr, which may be a file on the disk that is full."""
    try:
        typer.echo(text, err=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())  # where Python flushes at its end


def _take_over_from_loading() -> None:
    """Let Ctrl-C raise KeyboardInterrupt from here on, so that a command cleans up after itself."""
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN  # as a shell leaves it for background jobs
    if not ignored and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _report_errors(command: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(command)
    def reporting(**options: object) -> None:
        try:
            _take_over_from_loading()
            command(**options)
        except FederationError as error:
            if options.get("debug"):
                traceback.print_exc()
            _tell(f"error: {error}")
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            _tell("interrupted")
            raise typer.Exit(INTERRUPTED) from None
        except SystemExit as ended:
            if ended.code in {TERMINATED, HUNG_UP}:
                _tell("terminated")
            raise

    return reporting
