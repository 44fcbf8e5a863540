"""Take what a strategy carries from one round to the next, and put it back: the same way for each.

Most of Flower's strategies carry nothing. The adaptive ones carry moments, FedAvgM a momentum; a strategy of
our own says itself what it carries. What a strategy copies from the global model at the start of a round
(``current_arrays``) is not carried: it gets that with the model.
"""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from flwr.serverapp.strategy import Strategy

from federation.errors import ResumeError

CARRIED = ("m_t", "v_t", "momentum_vector")
"""Attributes of Flower's FedAdagrad, FedAdam, FedYogi and FedAvgM; None until the first round."""

State = Mapping[str, Any]
"""Arrays and plain values, also nested in dicts and lists."""


@runtime_checkable
class Stateful(Protocol):
    """A strategy that says itself what it carries."""

    def state(self) -> State:
        """Return arrays and plain values."""

    def restore(self, state: State) -> None:
        """Take what `state` returned."""


def get_state(strategy: Strategy) -> State:
    """Return what a strategy carries to the next round; empty if nothing."""
    if isinstance(strategy, Stateful):
        return strategy.state()
    values = {name: getattr(strategy, name, None) for name in CARRIED}
    return {name: value for name, value in values.items() if value is not None}


def set_state(strategy: Strategy, state: State) -> None:
    """Put back what `get_state` returned of a strategy with the same settings.

    Raises
    ------
    ResumeError
        An earlier version of the strategy kept it.
    """
    if isinstance(strategy, Stateful):
        try:
            if state:
                strategy.restore(state)
        except (KeyError, ValueError) as error:
            raise ResumeError(
                f"an earlier version kept the strategy's state ({error!r}).", "Start a new run."
            ) from error
        return
    for name, value in state.items():
        setattr(strategy, name, value)
