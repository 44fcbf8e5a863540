"""Let a strategy end before its last round.

Flower's loop runs every round it was asked for. A strategy that is done raises :class:`Finished` where the
next round would begin, when the last one has been evaluated and recorded, and ``start`` returns what it has.
"""

from typing import Any

from flwr.app import ArrayRecord
from flwr.serverapp.strategy import Result, Strategy


class Finished(Exception):  # noqa: N818 - not an error
    """The strategy needs no further round.

    Parameters
    ----------
    arrays : ArrayRecord
        The final model.
    """

    def __init__(self, arrays: ArrayRecord) -> None:
        super().__init__("the strategy needs no further round")
        self.arrays = arrays


class EndsEarly(Strategy):
    """A strategy whose ``configure_train`` may raise :class:`Finished`."""

    def start(self, *arguments: Any, **options: Any) -> Result:  # noqa: ANN401 - Flower's own arguments
        """Run Flower's loop until its last round, or until the strategy is done."""
        try:
            return super().start(*arguments, **options)
        except Finished as finished:
            return Result(arrays=finished.arrays)
