"""The options that commands share: what each is called, what it means, and how its text is read."""

import inspect
import logging
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import typer
from click.core import ParameterSource

from federation.learning.option import FAULTS, Setting
from federation.learning.settings import settings_of_training

Command = TypeVar("Command", bound=Callable[..., None])

DATA, RUN, OUTPUT = "Data", "Run", "Output"
"""Headings of ``--help``, beside those of the training's settings."""


def finite(value: float | None) -> float | None:
    """Return a number; refuse infinity and NaN, which pass every range of click.

    Raises
    ------
    typer.BadParameter
        It is one of those.
    """
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number.")
    return value


def join_timeout(default: str) -> Any:  # noqa: ANN401 - as typer.Option itself
    """Return the option for how long clients may take to join, with what ``--help`` says of its default."""
    return typer.Option(
        help=f"Maximum time for a client to start and join. [default: {default}]",
        metavar="SECONDS",
        min=0,
        callback=finite,
        show_default=False,
        rich_help_panel=FAULTS,
    )


Label = Annotated[
    str | None,
    typer.Option(
        help="Column to predict; required with a table.",
        metavar="COLUMN",
        show_default=False,
        rich_help_panel=DATA,
    ),
]
Positive = Annotated[
    str | None,
    typer.Option(
        help="Value of the label that counts as positive, if it is not 1, true or yes.",
        metavar="VALUE",
        rich_help_panel=DATA,
    ),
]
Clients = Annotated[
    int | None,
    typer.Option(
        help="Number of clients. [default: 3, or one for each value of column:COLUMN]",
        show_default=False,
        rich_help_panel=DATA,
    ),
]
Partition = Annotated[
    str | None,
    typer.Option(
        help="Rule that divides the rows among clients: iid, quantile:COLUMN (by size) or column:COLUMN "
        "(by value). [default: iid; column:site for synthetic data]",
        metavar="RULE",
        show_default=False,
        rich_help_panel=DATA,
    ),
]
Resample = Annotated[
    str | None,
    typer.Option(
        help="What evens out the classes in training rows: none, smote (the article's recipe: makes up "
        "positive rows, drops negative ones down to 1:1) or balanced (class weights). The intercept is "
        "corrected to the true prevalence. [default: none]",
        metavar="none|smote|balanced",
        show_default=False,
        rich_help_panel=DATA,
    ),
]
DropDuplicates = Annotated[
    bool,
    typer.Option(
        "--drop-duplicates",
        help="Drop rows that are identical to an earlier row, label included. [default: keep them]",
        show_default=False,
        rich_help_panel=DATA,
    ),
]
Ignore = Annotated[
    list[str] | None,
    typer.Option(
        help="Column that is not trained on; may be repeated.",
        metavar="COLUMN",
        show_default=False,
        rich_help_panel=DATA,
    ),
]
Keep = Annotated[
    list[str] | None,
    typer.Option(
        help="Column to train on that would be left out, as an identifier is; may be repeated.",
        metavar="COLUMN",
        show_default=False,
        rich_help_panel=DATA,
    ),
]
Missing = Annotated[
    list[str] | None,
    typer.Option(
        help="Word that stands for a missing value, besides NA, N/A, NaN and null; its case counts; may be "
        "repeated.",
        metavar="WORD",
        show_default=False,
        rich_help_panel=DATA,
    ),
]
Categorical = Annotated[
    list[str] | None,
    typer.Option(
        help="Column whose values are words, also where they look like numbers; may be repeated.",
        metavar="COLUMN",
        show_default=False,
        rich_help_panel=DATA,
    ),
]
ContractFile = Annotated[
    Path | None,
    typer.Option(
        help="Data contract that the table must meet; see python -m federation.contract.",
        metavar="FILE",
        show_default=False,
        rich_help_panel=DATA,
    ),
]
Separator = Annotated[
    str | None,
    typer.Option(
        help="Character between the values of CSV files: , ; | or tab. [default: each file's own]",
        metavar="CHARACTER",
        show_default=False,
        rich_help_panel=DATA,
    ),
]
Decimal = Annotated[
    str | None,
    typer.Option(
        help="Decimal mark of CSV files, where 1,234 leaves it open too: . or a comma. [default: each file's "
        "own]",
        metavar="CHARACTER",
        show_default=False,
        rich_help_panel=DATA,
    ),
]
Encoding = Annotated[
    str | None,
    typer.Option(
        help="Encoding of CSV and JSON lines files, such as cp1252. [default: utf-8, or utf-16 where a file "
        "begins with its mark]",
        metavar="NAME",
        show_default=False,
        rich_help_panel=DATA,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the run. [default: runs/<date>-<time>-<number>]",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]
Resume = Annotated[
    Path | None,
    typer.Option(
        help="Resume the interrupted run in this folder.",
        metavar="FOLDER",
        show_default=False,
        rich_help_panel=RUN,
    ),
]
Config = Annotated[
    Path, typer.Option(help="Configuration file of the federation.", metavar="FILE", rich_help_panel=RUN)
]
TestData = Annotated[
    Path | None,
    typer.Option(
        help="Table of the server's held-back rows. [default: test.csv beside the configuration]",
        metavar="FILE",
        show_default=False,
        rich_help_panel=DATA,
    ),
]
Host = Annotated[
    str | None,
    typer.Option(
        help="Address that the server listens on. [default: this machine's address towards the clients]",
        metavar="ADDRESS",
        show_default=False,
        rich_help_panel=RUN,
    ),
]
AsJsonData = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
AsJson = Annotated[
    bool,
    typer.Option("--json", help="Print metrics.json instead of a table.", rich_help_panel=OUTPUT),
]


PREPARATION: Mapping[str, Any] = {
    "label": Label,
    "positive": Positive,
    "clients": Clients,
    "partition": Partition,
    "resample": Resample,
    "contract": ContractFile,
    "drop_duplicates": DropDuplicates,
    "ignore": Ignore,
    "keep": Keep,
    "missing": Missing,
    "categorical": Categorical,
    "separator": Separator,
    "decimal": Decimal,
    "encoding": Encoding,
}
"""The options of data preparation, by the field of ``PreparationSettings`` that each sets."""


def preparation_options(*, without: Collection[str] = ()) -> Callable[[Command], Command]:
    """Give a command the options of data preparation, in place of its ``**`` parameter.

    Parameters
    ----------
    without : collection of str
        Fields that the command decides otherwise.
    """
    added = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=False if get_args(hint)[0] is bool else None,
            annotation=hint,
        )
        for name, hint in PREPARATION.items()
        if name not in without
    ]
    return lambda command: _with(command, added)


def training_options(*, without: Collection[str] = ()) -> Callable[[Command], Command]:
    """Give a command an option for each field of `TrainingSettings`, in place of its ``**`` parameter.

    Parameters
    ----------
    without : collection of str
        Fields that the command decides otherwise.
    """
    added = [_parameter(one) for one in settings_of_training() if one.name not in without]
    return lambda command: _with(command, added)


def _with(command: Command, added: Sequence[inspect.Parameter]) -> Command:
    """Give a command more parameters, which its ``**`` parameter receives."""
    own = inspect.signature(command)
    named = [one for one in own.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
    command.__signature__ = own.replace(parameters=[*named, *added])  # type: ignore[attr-defined]
    return command


def _parameter(setting: Setting) -> inspect.Parameter:
    """Return a setting as `typer` understands it; its value is checked where settings are made."""
    kind, option = setting.kind, setting.option
    names = [f"--{setting.flag.replace('_', '-')}"] if kind is bool else []
    unit = option.unit or {int: "integer", float: "number"}.get(kind, "")
    info = typer.Option(
        *names,
        help=f"{option.text}{described_default(setting)}",
        metavar=None if kind is bool else "|".join(option.choices) or unit.upper(),
        show_default=False,
        rich_help_panel=option.group,
    )
    hint: Any = list[str] | None if kind is dict else kind | None if setting.default is None else kind
    return inspect.Parameter(
        setting.flag,
        inspect.Parameter.KEYWORD_ONLY,
        default=setting.default,
        annotation=Annotated[hint, info],
    )


def described_default(setting: Setting) -> str:
    """Return what ``--help`` says of a setting's default and range."""
    default = setting.default if setting.option.default is None else setting.option.default
    shown = [] if default is None or setting.kind is bool else [f"default: {_number(default)}"]
    parts = [*shown, *([setting.limits] if setting.limits else [])]
    return f" [{'; '.join(parts)}]" if parts else ""


def _number(value: object) -> str:
    return f"{value:,.10g}" if isinstance(value, float) else str(value)


def log_refusals_only() -> None:
    """Let a command's log say who was refused and why; a run itself keeps Flower's log quiet."""
    logging.basicConfig(level=logging.ERROR)
    logging.getLogger("federation").setLevel(logging.WARNING)


def given_options(context: typer.Context) -> dict[str, Any]:
    """Return the options that stood on the command line, as JSON holds them."""
    return {
        name: _plain(value)
        for name, value in context.params.items()
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }


def all_options(context: typer.Context) -> dict[str, Any]:
    """Return every option with its value, as JSON holds them."""
    return {name: _plain(value) for name, value in context.params.items()}


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever an option may be
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return str(value) if isinstance(value, Path) else value
