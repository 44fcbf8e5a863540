"""Take what a strategy carries from one round to the next, and put it back: the same way for each.

Most of Flower's strategies carry nothing. The adaptive ones carry moments, FedAvgM a momentum; a strategy of
our own says itself what it carries. What a strategy copies from the global model at the start of a round
(``current_arrays``) is not carried: it gets that with the model.
"""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from flwr.serverapp.strategy import Strategy
from numpy.typing import NDArray

State = dict[str, NDArray[Any]]

CARRIED: Mapping[str, type[dict[str, Any]] | type[list[Any]]] = {
    "m_t": dict,  # FedAdagrad, FedAdam, FedYogi
    "v_t": dict,
    "momentum_vector": list,  # FedAvgM
}
"""Attributes of Flower's strategies, each None until the first round and then arrays by name or in a list."""


@runtime_checkable
class Stateful(Protocol):
    """A strategy that says itself what it carries."""

    def get_state(self) -> Mapping[str, NDArray[Any]]:
        """Return arrays by name."""

    def set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take arrays that `get_state` returned."""


def get_state(strategy: Strategy) -> State:
    """Return what a strategy carries to the next round, as arrays by name; empty if nothing."""
    if isinstance(strategy, Stateful):
        return {name: np.asarray(array) for name, array in strategy.get_state().items()}
    return {
        f"{attribute}/{name}": np.asarray(array)
        for attribute in CARRIED
        for name, array in _items(getattr(strategy, attribute, None))
    }


def set_state(strategy: Strategy, state: Mapping[str, NDArray[Any]]) -> None:
    """Put back what `get_state` returned of a strategy with the same settings."""
    if isinstance(strategy, Stateful):
        strategy.set_state(state)
        return
    parts: dict[str, State] = {}
    for key, array in state.items():
        attribute, _, name = key.partition("/")
        parts.setdefault(attribute, {})[name] = array
    for attribute, arrays in parts.items():
        setattr(strategy, attribute, arrays if CARRIED[attribute] is dict else list(arrays.values()))


def _items(value: Any) -> list[tuple[str, NDArray[Any]]]:  # noqa: ANN401 - None, a dict or a list
    named = value if isinstance(value, dict) else dict(enumerate(value or ()))
    return [(str(name), array) for name, array in named.items()]
