"""The options that commands share: what each is called, what it means, and how its text is read."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from click.core import ParameterSource

from federation.errors import SettingError

if TYPE_CHECKING:
    from federation.learning.federate import TrainingSettings

Rounds = Annotated[
    int | None,
    typer.Option(
        help="Number of rounds, at most. [default: 3; fednewton stops by itself, after at most 20]",
        show_default=False,
    ),
]
StrategyName = Annotated[str, typer.Option(help="How updates are aggregated; see docs/strategies.md.")]
StrategyParameters = Annotated[
    list[str] | None, typer.Option(help="Parameter of the strategy, NAME=VALUE; may be repeated.")
]
Penalty = Annotated[str, typer.Option(help="Regularisation of each fit: l2 or none.")]
MaxIter = Annotated[int, typer.Option(help="Most iterations of a client's fit in one round.", min=1)]
Quorum = Annotated[
    int | None,
    typer.Option(
        help="Fewest valid updates a round may aggregate. [default: every client's]", show_default=False
    ),
]
MinClients = Annotated[
    int | None,
    typer.Option(
        help="Fewest clients to start with when --join-timeout is over; late ones take part from the next "
        "round on. [default: all]",
        show_default=False,
    ),
]
SetAsideAfter = Annotated[
    int, typer.Option(help="Rounds running that a client may fail before it is asked no more.", min=1)
]
MaxUpdateNorm = Annotated[
    float, typer.Option(help="Farthest an update may be from the global model, as a Euclidean norm.")
]
RoundTimeout = Annotated[float, typer.Option(help="Seconds a client may take for a round.")]
JoinTimeout = Annotated[float, typer.Option(help="Seconds a client may take to start and join.", min=0)]
ContractFile = Annotated[
    Path | None,
    typer.Option(
        help="Data contract that the table must keep; see python -m federation.contract.", show_default=False
    ),
]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Out = Annotated[
    Path | None, typer.Option(help="Folder of the run. [default: runs/<date>-<time>]", show_default=False)
]
Config = Annotated[Path, typer.Option(help="The federation's configuration file.")]
TestData = Annotated[
    Path | None,
    typer.Option(
        help="The server's held-back rows, CSV. [default: test.csv beside the configuration]",
        show_default=False,
    ),
]
Host = Annotated[
    str | None,
    typer.Option(
        help="Address to listen on. [default: this machine's, towards the clients]", show_default=False
    ),
]
AsJsonData = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print metrics.json instead of a table.")]


def penalty_name(penalty: str) -> str:
    """Return the name of a penalty that there is.

    Raises
    ------
    SettingError
        There is none of that name.
    """
    if penalty not in ("l2", "none"):
        raise SettingError(f'there is no penalty "{penalty}".', "Use l2 or none.")
    return penalty


def strategy_parameters(pairs: Sequence[str] | None) -> dict[str, str]:
    """Return NAME=VALUE pairs as a mapping; hyphens in names become underscores.

    Raises
    ------
    SettingError
        A pair has no ``=``.
    """
    parameters = {}
    for pair in pairs or []:
        name, separator, value = pair.partition("=")
        if not separator:
            raise SettingError(f'"{pair}" is not NAME=VALUE.', "For example: --param server_momentum=0.9")
        parameters[name.strip().replace("-", "_")] = value.strip()
    return parameters


def training_settings(options: Mapping[str, Any], **own: Any) -> "TrainingSettings":
    """Return what the options that all runs share say about the training.

    Parameters
    ----------
    options : mapping
        The command's options by name.
    **own
        Fields that only this command sets.

    Raises
    ------
    SettingError
        An option is out of its range.
    """
    from federation.learning.federate import TrainingSettings  # noqa: PLC0415 - Flower takes a second to load
    from federation.learning.strategies.catalogue import default_rounds  # noqa: PLC0415

    rounds, strategy = options["rounds"], options["strategy"]
    plain = ("quorum", "round_timeout", "seed", "min_clients", "set_aside_after", "max_update_norm")
    return TrainingSettings(
        strategy=strategy,
        parameters=strategy_parameters(options["param"]),
        rounds=default_rounds(strategy) if rounds is None else rounds,
        penalty=penalty_name(options["penalty"]),
        **{name: options[name] for name in plain},
        **own,
    )


def log_refusals_only() -> None:
    """Let a run's log say who was refused and why, and nothing of Flower's account of every round.

    To be called after Flower is imported, which sets its own level then.
    """
    logging.getLogger("flwr").setLevel(logging.ERROR)
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
