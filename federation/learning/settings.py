"""The settings of a training: an invalid one cannot exist, and every command's options are made from them.

Nothing here loads Flower before settings are made, so that ``--help`` answers at once.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Self, cast, get_type_hints

from federation.errors import SettingError
from federation.learning.option import FAULTS, Option, Setting, setting_of

if TYPE_CHECKING:
    from flwr.serverapp.strategy import FedAvg

AUTO = "auto"
"""As the strategy: federated Newton where it suits the clients, else fedavg; see `strategies.advice`."""
MAY_TAKE = ("fedavg", "fednewton")


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Decide how a model is trained: by the server, and in each client's fit.

    Raises
    ------
    SettingError
        A value is out of its range, or the strategy has no such parameter.
    UnknownStrategyError
        There is no strategy of that name.
    """

    strategy: Annotated[
        str,
        Option(
            text="Strategy that aggregates the updates, or auto: fednewton where it suits the clients, else "
            "fedavg; see docs/strategies.md.",
            unit="name",
        ),
    ] = "fedavg"
    parameters: Annotated[
        Mapping[str, str],
        Option(
            text="Parameter of the strategy, other than its default; repeat the option for several.",
            unit="name=value",
            flag="param",
        ),
    ] = field(default_factory=dict)
    rounds: Annotated[
        int,
        Option(
            text="Maximum number of rounds.",
            minimum=1,
            default="the strategy's own: 3 for fedavg, 50 for fednewton, 100 with firth",
        ),
    ] = cast("int", None)
    # An int once the settings are made, the strategy's own; with auto, once it is known what is taken.
    penalty: Annotated[
        str,
        Option(
            text="Penalty of the model: l2 shrinks coefficients, firth removes their small-sample bias and "
            "stays finite (fednewton only). Tests and intervals need none or firth.",
            choices=("l2", "none", "firth"),
        ),
    ] = "l2"
    c: Annotated[
        float, Option(text="Inverse strength of the l2 penalty, as scikit-learn's C.", above=0)
    ] = 1.0  # fmt: skip
    site_intercepts: Annotated[
        bool, Option(text="Fit one intercept per client, with fednewton; rows of no client get their mean.")
    ] = False
    max_iter: Annotated[
        int, Option(text="Maximum solver iterations per client and round.", minimum=1)
    ] = 10  # fmt: skip
    balanced: Annotated[
        bool, Option(text="Weight both classes equally; the intercept is corrected for it.")
    ] = False
    seed: Annotated[int, Option(text="Seed of every random choice.", minimum=0)] = 0
    quorum: Annotated[
        int | None,
        Option(
            text="Minimum number of valid updates per round.",
            group=FAULTS,
            minimum=1,
            default="every client asked",
        ),
    ] = None
    min_clients: Annotated[
        int | None,
        Option(
            text="Minimum number of clients needed when --join-timeout expires; late clients join in the "
            "next round.",
            group=FAULTS,
            minimum=1,
            default="all",
        ),
    ] = None
    round_timeout: Annotated[
        float,
        Option(
            text="Maximum time for a client's answer in one round.", group=FAULTS, unit="seconds", above=0
        ),
    ] = 600.0
    set_aside_after: Annotated[
        int,
        Option(
            text="Drop a client after this many consecutive failed rounds.",
            group=FAULTS,
            unit="rounds",
            minimum=1,
        ),
    ] = 3
    max_update_norm: Annotated[
        float,
        Option(
            text="Maximum Euclidean distance between an update and the global model.", group=FAULTS, above=0
        ),
    ] = 1e6

    def __post_init__(self) -> None:
        """Refuse what no federation could run with; fill in what depends on the strategy."""
        from federation.learning.strategies.catalogue import create_strategy, default_rounds  # noqa: PLC0415 - Flower

        set_ = object.__setattr__  # the way to set a frozen instance's field while it is made
        later = self.strategy == AUTO and vars(self)["rounds"] is None
        if vars(self)["rounds"] is None and not later:
            set_(self, "rounds", default_rounds(self.strategy, self.penalty))
        for setting in settings_of_training():
            if not (later and setting.name == "rounds"):
                setting.check(getattr(self, setting.name))
        set_(self, "parameters", {name: str(value) for name, value in self.parameters.items()})
        self._check_penalty()
        if self.strategy != AUTO:
            create_strategy(
                self.strategy,
                self.parameters,
                clients=sys.maxsize,
                penalty=self.penalty,
                site_intercepts=self.site_intercepts,
            )
        elif self.parameters:
            raise SettingError(
                f'strategy "{AUTO}" has no parameter "{next(iter(self.parameters))}".',
                "Leave it out, or name the strategy that has it.",
            )

    def _check_penalty(self) -> None:
        if self.c != 1 and self.penalty != "l2":
            raise SettingError(
                f'c = {self.c:g} is the strength of the l2 penalty, and the penalty is "{self.penalty}".',
                "Leave --c out, or use --penalty l2.",
            )
        if self.balanced and self.penalty == "firth":
            raise SettingError(
                "Firth's penalty is defined for rows of equal weight, and the classes are to be weighted.",
                "Use --resample none in place of balanced (federation.server: leave out --balanced), or "
                "--penalty none.",
            )

    @property
    def l2(self) -> float:
        """The factor of ‖w‖² / 2 in what is minimised: 1 / c, 0 without an l2 penalty."""
        return 1.0 / self.c if self.penalty == "l2" else 0.0

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Self:
        """Make settings from a command's options, or from those that a run folder keeps.

        Parameters
        ----------
        options : mapping
            By name; None, or no entry, is the default. Options that are no settings of the training are left
            alone. The strategy's parameters may be a sequence of NAME=VALUE.

        Raises
        ------
        SettingError
            As the settings themselves; or a parameter of the strategy is not NAME=VALUE.
        """
        given = {setting.name: options.get(setting.flag) for setting in settings_of_training()}
        given["parameters"] = _pairs(given["parameters"] or ())
        return cls(**{name: value for name, value in given.items() if value is not None})

    @classmethod
    def from_run_config(cls, config: Mapping[str, Any]) -> Self:
        """Make settings from the run configuration of a Flower app, which knows no None.

        Parameters
        ----------
        config : mapping
            By the names of `run_config`, with hyphens; 0 stands for None, and the strategy's parameters are
            one text: ``"name=value name=value"``.

        Raises
        ------
        SettingError
            As `from_options`.
        """
        options = dict[str, Any]()
        for setting in settings_of_training():
            value = config.get(setting.key)
            options[setting.flag] = None if setting.default is None and value == 0 else value
        parameters = options["param"]
        return cls.from_options(
            options | {"param": parameters.split() if isinstance(parameters, str) else parameters}
        )

    @staticmethod
    def run_config() -> dict[str, Any]:
        """Return the defaults as the run configuration of a Flower app."""
        return {
            setting.key: "" if setting.kind is dict else 0 if setting.default is None else setting.default
            for setting in settings_of_training()
        }

    def as_options(self) -> dict[str, Any]:
        """Return the settings as a command's options, which `from_options` reads."""
        values = {setting.flag: getattr(self, setting.name) for setting in settings_of_training()}
        return values | {"param": ["=".join(pair) for pair in self.parameters.items()]}

    def as_words(self) -> list[str]:
        """Return what differs from the defaults as words of a command line, which mean these settings."""
        default, words = type(self)(strategy=self.strategy), list[str]()
        for setting in settings_of_training():
            value = getattr(self, setting.name)
            option = f"--{setting.flag.replace('_', '-')}"
            if setting.kind is dict:
                words += [word for pair in value.items() for word in (option, "=".join(pair))]
            elif value != (setting.default if setting.name == "strategy" else getattr(default, setting.name)):
                words += [option] if setting.kind is bool else [option, str(value)]
        return words

    @property
    def plan(self) -> str:
        """Describe in a few words what will be run."""
        if self.strategy == AUTO:
            most = f", at most {self.rounds} rounds" if vars(self)["rounds"] is not None else ""
            return f"{AUTO}: {' or '.join(self.may_take)}, as the clients' rows allow{most}"
        most = "at most " if self.strategy == "fednewton" else ""
        return f"{self.strategy}, {most}{self.rounds} rounds"

    @property
    def may_take(self) -> tuple[str, ...]:
        """The strategies that may be taken: one, but where that is left open."""
        if self.strategy != AUTO:
            return (self.strategy,)
        return ("fednewton",) if self.penalty == "firth" or self.site_intercepts else MAY_TAKE

    def check_clients(self, clients: int) -> None:
        """Check that so many clients are enough for every strategy that may be taken.

        Raises
        ------
        SettingError
            As `strategy_for`.
        """
        for name in self.may_take:
            replace(self, strategy=name).strategy_for(clients)

    def strategy_for(self, clients: int) -> "FedAvg":
        """Return the strategy for so many clients.

        Raises
        ------
        SettingError
            They are too few for the strategy or the quorum.
        """
        from federation.learning.strategies.catalogue import create_strategy  # noqa: PLC0415 - Flower

        if self.min_clients is not None and self.min_clients > clients:
            raise SettingError(
                f"{self.min_clients} clients to start with do not fit {clients}.", f"Use 1 to {clients}."
            )
        strategy = create_strategy(
            self.strategy,
            self.parameters,
            clients=clients,
            quorum=self.quorum,
            penalty=self.penalty,
            l2=self.l2,
            site_intercepts=self.site_intercepts,
        )
        asked = max(int(clients * strategy.fraction_train), strategy.min_train_nodes)
        if self.quorum is not None and self.quorum > asked:
            raise SettingError(
                f"a quorum of {self.quorum} does not fit {asked} clients a round.", f"Use 1 to {asked}."
            )
        return strategy


@cache
def settings_of_training() -> tuple[Setting, ...]:
    """Return every field of `TrainingSettings`, in their order."""
    hints = get_type_hints(TrainingSettings, include_extras=True)
    return tuple(
        setting_of(one.name, hints[one.name], None if one.default is MISSING else one.default)
        for one in fields(TrainingSettings)
    )


def _pairs(given: Mapping[str, str] | Sequence[str]) -> Mapping[str, str]:
    """Return NAME=VALUE pairs as a mapping; hyphens in names become underscores.

    Raises
    ------
    SettingError
        One is not of that form.
    """
    if isinstance(given, Mapping):
        return given
    parameters = dict[str, str]()
    for pair in given:
        name, separator, value = pair.partition("=")
        if not separator:
            raise SettingError(f'"{pair}" is not NAME=VALUE.', "For example: server_momentum=0.9")
        parameters[name.strip().replace("-", "_")] = value.strip()
    return parameters
