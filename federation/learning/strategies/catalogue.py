"""The strategies by name, Flower's that fit a linear model and ours, with their parameters checked."""

import inspect
import math
import re
from collections.abc import Mapping
from typing import Any, cast

from flwr.serverapp import strategy as flower
from flwr.serverapp.strategy import FedAvg

from federation.errors import SettingError, UnknownStrategyError
from federation.learning.settings import AUTO
from federation.learning.strategies.newton.fednewton import MAX_ROUNDS, FedNewton
from federation.learning.strategies.newton.firth import FedFirth

STRATEGIES: dict[str, type[FedAvg]] = {
    "fedavg": flower.FedAvg,
    "fedavgm": flower.FedAvgM,
    "fedprox": flower.FedProx,
    "qfedavg": flower.QFedAvg,
    "fedadagrad": flower.FedAdagrad,
    "fedadam": flower.FedAdam,
    "fedyogi": flower.FedYogi,
    "fedmedian": flower.FedMedian,
    "fedtrimmedavg": flower.FedTrimmedAvg,
    "krum": flower.Krum,
    "multikrum": flower.MultiKrum,
    "bulyan": flower.Bulyan,
    "fednewton": FedNewton,
}
FLOWERS = frozenset(STRATEGIES) - {"fednewton"}
ROBUST = frozenset({"fedmedian", "fedtrimmedavg", "krum", "multikrum", "bulyan"})
"""Flower's, and those of them that are chosen against liars."""
FIRTH_ROUNDS = 100  # a step takes two

Scalar = int | float

OWN_DEFAULTS: Mapping[str, Mapping[str, Scalar]] = {
    "fedadagrad": {"eta": 1.0, "tau": 1.0},
    "fedadam": {"eta": 1.0, "tau": 1.0},
    "fedyogi": {"eta": 1.0, "tau": 1.0},
    "fedavgm": {"server_momentum": 0.5},
    "fedprox": {"proximal_mu": 0.1},
    "qfedavg": {"client_learning_rate": 10.0},
    "multikrum": {"num_nodes_to_select": 0},
}
"""Ours where Flower has none, or one that is hopeless for a linear model; docs/strategies.md says why."""

ROUNDS = 3
ROUNDS_OF: Mapping[str, int] = {
    "fednewton": MAX_ROUNDS,
    "fedavgm": 10,
    "fedprox": 20,
    "qfedavg": 5,
    "fedadagrad": 20,
    "fedadam": 50,
    "fedyogi": 50,
}
"""Rounds where nobody says; a strategy that is not here has `ROUNDS`."""

_READ_BY_NOBODY = {"eta_l"}  # Flower's FedOpt keeps it for the clients, and sends it to none


def register(name: str, strategy: type[FedAvg]) -> None:
    """Add a strategy, to be chosen by its name as the others are.

    Parameters
    ----------
    name : str
        Lower-case letters, digits and hyphens.
    strategy : type
        A subclass of Flower's ``FedAvg``. Its constructor's numeric keyword arguments become its parameters.
        Clients send what they send to FedAvg: the coefficients of their fit and their number of rows.

    Raises
    ------
    SettingError
        The name is taken by another strategy or malformed, or the type is not such a subclass.
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        raise SettingError(
            f'"{name}" cannot name a strategy.', "Use lower-case letters, digits and hyphens, a letter first."
        )
    if not (isinstance(strategy, type) and issubclass(strategy, FedAvg)):
        raise SettingError(
            f'strategy "{name}": {strategy!r} is no subclass of flwr.serverapp.strategy.FedAvg.',
            "Derive it from FedAvg.",
        )
    if name == AUTO or STRATEGIES.setdefault(name, strategy) is not strategy:
        raise SettingError(f'there is a strategy "{name}" already.', "Choose another name.")


def parameters_of(name: str) -> dict[str, Scalar]:
    """Return the numeric parameters of a strategy with their defaults.

    The smallest numbers of nodes default to 1 instead of Flower's 2: how many updates a round needs is the
    quorum's business. Those of Flower's evaluation are left out: who trains also scores. So is ``eta_l``,
    which changes nothing. ``num_nodes_to_select`` of multikrum is 0, which stands for n − f: of the n updates
    that a round is sure to have, all but those of f malicious clients.

    Raises
    ------
    UnknownStrategyError
        No strategy has that name.
    """
    if name not in STRATEGIES:
        raise UnknownStrategyError(
            f'there is no strategy "{name}".', f"Choose one of: {', '.join([*STRATEGIES, AUTO])}."
        )
    defaults = {key: value for key, value in _defaults(STRATEGIES[name]).items() if "evaluate" not in key}
    return {key: 1 if key.startswith("min_") else default for key, default in defaults.items()} | dict(
        OWN_DEFAULTS.get(name, {})
    )


def _defaults(strategy: type[FedAvg]) -> dict[str, Scalar]:
    """Return a constructor's numeric defaults, and those of the constructors that its ``**kwargs`` reach."""
    found: dict[str, Scalar] = {}
    for kind in strategy.__mro__:
        if "__init__" not in vars(kind):
            continue
        parameters = inspect.signature(vars(kind)["__init__"]).parameters.values()
        for each in parameters:
            unread = each.name in _READ_BY_NOBODY and kind.__module__.startswith("flwr.")
            if type(each.default) in (int, float) and not unread:
                found.setdefault(each.name, each.default)
        if all(each.kind is not inspect.Parameter.VAR_KEYWORD for each in parameters):
            break
    return found


def default_rounds(name: str, penalty: str = "l2") -> int:
    """Return how many rounds are at most sensible where nobody says; Firth's steps take two each."""
    return FIRTH_ROUNDS if name == "fednewton" and penalty == "firth" else ROUNDS_OF.get(name, ROUNDS)


def create_strategy(
    name: str,
    parameters: Mapping[str, str],
    *,
    clients: int,
    quorum: int | None = None,
    penalty: str = "l2",
    l2: float = 1.0,
    site_intercepts: bool = False,
) -> FedAvg:
    """Return the strategy ``name``.

    Parameters
    ----------
    name : str
        A key of ``STRATEGIES``.
    parameters : mapping of str to str
        What differs from :func:`parameters_of`, as text.
    clients : int
        How many clients take part.
    quorum : int, optional
        Fewest updates a round may aggregate; None: one from every client asked.
    penalty : {"l2", "none", "firth"}
        For the strategies that penalise the model on the server; others leave it to the clients' fits.
    l2 : float
        Strength of the l2 penalty, 1 / C in scikit-learn's terms; 0 with another penalty or none.
    site_intercepts : bool
        Whether each client has an intercept of its own, which fednewton alone can fit.

    Raises
    ------
    UnknownStrategyError
        No strategy has that name.
    SettingError
        A parameter is unknown, is not a number, is out of its range, or cannot work with so few clients or
        updates; or the strategy cannot fit with this penalty, or site intercepts.
    """
    if penalty == "firth" and name != "fednewton" and name in STRATEGIES:
        raise SettingError(
            f'strategy "{name}" cannot fit with Firth\'s penalty, which takes the information of all rows '
            "together.",
            "Use --strategy fednewton, or --penalty l2 or none.",
        )
    known = parameters_of(name)
    values = known | {key: _number(name, key, text, known) for key, text in parameters.items()}
    _check_ranges(values)
    _check_enough_clients(name, values, clients, quorum)
    if site_intercepts and name != "fednewton":
        raise SettingError(
            f'strategy "{name}" cannot fit an intercept for each client.',
            "Use --strategy fednewton, or leave out --site-intercepts.",
        )
    if values.get("num_nodes_to_select") == 0:
        sure = _asked(values, clients) if quorum is None else quorum
        values["num_nodes_to_select"] = max(sure - int(values["num_malicious_nodes"]), 1)
    own = {"l2": l2, "site_intercepts": site_intercepts} if name == "fednewton" else {}
    kind = FedFirth if penalty == "firth" else STRATEGIES[name]
    try:
        return kind(**cast("dict[str, Any]", values | own))
    except ValueError as error:
        raise SettingError(
            f'strategy "{name}" refuses its parameters: {error}', "Choose other values."
        ) from error


def _number(name: str, key: str, text: str, known: Mapping[str, Scalar]) -> Scalar:
    if key not in known:
        raise SettingError(f'strategy "{name}" has no parameter "{key}".', f"It has: {', '.join(known)}.")
    kind = type(known[key])
    try:
        value = kind(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        what = "a whole number" if kind is int else "a finite number"
        raise SettingError(
            f'strategy parameter {key}="{text}" is not {what}.', f"Its default is {known[key]}."
        )
    return value


def _check_ranges(values: Mapping[str, Scalar]) -> None:
    if not 0 < values.get("fraction_train", 1) <= 1:
        raise SettingError(
            f"strategy parameter fraction_train={values['fraction_train']} is not in (0, 1].",
            "Use 1 for all clients.",
        )
    if not 0 <= values.get("server_momentum", 0) < 1:
        raise SettingError(
            f"strategy parameter server_momentum={values['server_momentum']} is not in [0, 1).",
            "Use 0 for none; from 1 on steps never fade.",
        )
    for key in ("num_malicious_nodes", "num_nodes_to_select", "proximal_mu", "q"):
        if values.get(key, 0) < 0:
            raise SettingError(f"strategy parameter {key}={values[key]} is below 0.", "Raise it.")
    for key in ("eta", "tau", "client_learning_rate"):
        if values.get(key, 1) <= 0:
            raise SettingError(f"strategy parameter {key}={values[key]} is not above 0.", "Raise it.")


def _asked(values: Mapping[str, Scalar], clients: int) -> int:
    """Return how many clients a round asks."""
    return max(int(clients * values.get("fraction_train", 1)), int(values["min_train_nodes"]))


def _check_enough_clients(name: str, values: Mapping[str, Scalar], clients: int, quorum: int | None) -> None:
    """Refuse what Flower would skip in silence, or wait for without end."""
    needed = max(values[key] for key in values if key.startswith("min_"))
    if clients < needed:
        raise SettingError(
            f'strategy "{name}" with these parameters needs {needed} clients, and there are {clients}.',
            "Add clients, or lower the min_… parameters.",
        )
    liars = values.get("num_malicious_nodes", 0)
    needed = 1
    if name == "bulyan":  # El Mhamdi et al. 2018, "The Hidden Vulnerability of Distributed Learning"
        needed = 4 * liars + 3
    elif name in ("krum", "multikrum") and liars:  # Blanchard et al. 2017
        needed = 2 * liars + 3
    asked = _asked(values, clients)
    if asked < needed:
        raise SettingError(
            f'strategy "{name}" with these parameters needs {needed} clients a round, and asks {asked}.',
            "Add clients, raise fraction_train, or lower num_malicious_nodes.",
        )
    if (selected := values.get("num_nodes_to_select", 0)) > asked:
        raise SettingError(
            f"strategy parameter num_nodes_to_select={selected} is above the {asked} clients of a round.",
            f"Use 1 to {asked}, or 0 for all but num_malicious_nodes.",
        )
    if quorum is not None and quorum < needed:
        raise SettingError(
            f'strategy "{name}" with these parameters needs {needed} updates a round, '
            f"and a quorum of {quorum} allows fewer.",
            "Raise the quorum, or lower num_malicious_nodes.",
        )
