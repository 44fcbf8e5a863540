"""The command ``federation``: one subcommand for each door of the package, loaded when it is called."""

import difflib
import os
import runpy
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

import click
import typer
from click.shell_completion import get_completion_class, shell_complete

import federation
from federation.checkout import PROJECT
from federation.cli.command import click_command, run
from federation.errors import ExtraMissingError, FederationError, SettingError

GROUPS = {
    "Train on one machine": ("local", "data-prep", "contract", "predict"),
    "Train on AWS": ("publish", "preflight", "server", "status", "stop", "audit", "empty"),
    "Rehearse": ("rehearse",),
}
COMMANDS = tuple(name for names in GROUPS.values() for name in names)
SHELLS = ("bash", "fish", "zsh")
_EXTRAS = {"rehearse": ("aws,rehearsal", "ministack")}
"""What a command needs beyond the package's requirements: the extra, and a module that is in it."""
_COMPLETE = "_FEDERATION_COMPLETE"


def main() -> None:
    """Run the subcommand that the command line names."""
    if instruction := os.environ.get(_COMPLETE):
        sys.exit(shell_complete(_Commands(), {}, "federation", _COMPLETE, instruction))
    name, *arguments = sys.argv[1:] or ["--help"]
    problem = _missing(name)
    if name in COMMANDS and problem is None:
        sys.argv = [f"federation {name}", *arguments]
        runpy.run_module(_module(name), run_name="__main__")  # as `python -m federation.NAME` would
    run(lambda: _without_door(name, arguments, problem), [])


def _missing(name: str) -> FederationError | None:
    """Return what keeps a command from running here: packages, or the checkout that it deploys."""
    extra, module = _EXTRAS.get(name, ("", "federation"))
    if extra and not (PROJECT / "app.py").exists():
        return ExtraMissingError(
            f"`federation {name}` deploys the stacks of the repository, and this is an installed package.",
            "Clone the repository and run `make demo` in it.",
        )
    if find_spec(module) is None:
        return ExtraMissingError(
            f"`federation {name}` needs packages that are not installed.",
            f"Install them: pip install 'federation[{extra}]'.",
        )
    return None


def _without_door(name: str, arguments: list[str], problem: FederationError | None) -> None:
    """Do what no door does: help, version, completion; or say why there is no such command."""
    if problem:
        raise problem
    if name in ("--help", "-h", "help"):
        typer.echo(_help())
    elif name == "--version":
        typer.echo(f"federation {federation.__version__}")
    elif name == "completion":
        typer.echo(_completion(*arguments[:1]))
    else:
        near = difflib.get_close_matches(name, [*COMMANDS, "completion"], n=1)
        meant = f"Did you mean `federation {near[0]}`?" if near else "`federation --help` lists all commands."
        raise SettingError(f'there is no command "{name}".', meant)


def _help() -> str:
    """Return the list of commands, each with the first line of its own help."""
    purpose = (federation.__doc__ or "").splitlines()[0]
    lines = ["Usage: federation COMMAND [OPTIONS]", "", purpose]
    for title, names in GROUPS.items():
        lines += ["", f"{title}:"]
        lines += [f"  {name:<11}{_purpose(name)}" for name in names]
    lines += [
        "",
        "Other:",
        f"  {'completion':<11}Print the completion script of a shell: {', '.join(SHELLS)}.",
    ]
    return "\n".join([*lines, "", "`federation COMMAND --help` shows a command's options and examples."])


def _completion(shell: str = "") -> str:
    """Return a shell's completion script."""
    if shell not in SHELLS:
        raise SettingError(
            "which shell is the completion for?",
            f"Name one of {', '.join(SHELLS)}; for example: federation completion bash >> ~/.bashrc",
        )
    kind = get_completion_class(shell)
    return kind(_Commands(), {}, "federation", _COMPLETE).source() if kind else ""


def _module(name: str) -> str:
    return f"federation.{name.replace('-', '_')}"


def _door(name: str) -> Callable[..., None]:
    """Return the function behind a command."""
    module = import_module("federation.rehearse.__main__" if name == "rehearse" else _module(name))
    door: Callable[..., None] = module.main
    return door


def _purpose(name: str) -> str:
    return (_door(name).__doc__ or "").strip().splitlines()[0]


class _Commands(click.Group):
    """What click's shell completion asks: the commands and their options."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """Return a command with its options."""
        if cmd_name not in COMMANDS:
            return None
        return click_command(_door(cmd_name))


if __name__ == "__main__":
    main()
