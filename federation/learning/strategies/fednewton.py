"""Federated Newton: clients send loss, gradient and Hessian, the server steps to the pooled optimum.

The sums of all clients are those of the pooled rows, so the steps are those of Newton's method on the pooled
rows, and so is the optimum: nothing is approximated, whatever differs between clients. One exchange a round.
See Safaryan et al. 2022, "FedNL: Making Newton-Type Methods Applicable to Federated Learning": this is its
plain Newton, with full Hessians, which are small here.
"""

from collections.abc import Iterable, Mapping
from typing import Any, cast

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg
from numpy.typing import NDArray

from federation.learning.strategies.checked import EndsEarly, Finished
from federation.learning.strategies.newton import DampedNewton, Sums

MESSAGE_TYPE = "train.newton"
MAX_ROUNDS = 20  # of most tables it needs 4 to 10, and stops by itself
Shapes = Mapping[str, tuple[int, ...]]


class FedNewton(EndsEarly, FedAvg):
    """Newton's method on the pooled objective, ended by itself when it has converged.

    Parameters
    ----------
    min_train_nodes, min_available_nodes : int
        As Flower's FedAvg. All clients train in every round: a sample of them has another optimum.
    tolerance : float
        Largest component of the gradient, and Newton decrement, of the mean loss of a row, at which it has
        converged. The step that follows squares them.
    max_halvings : int
        Most halvings of one step; each costs a round.
    penalty : {"l2", "none", "firth"}
        l2 ‖w‖² / 2, or none, or Firth's.
    l2 : float, optional
        1 / C in scikit-learn's terms; 1 where it is not given.
    """

    def __init__(
        self,
        min_train_nodes: int = 2,
        min_available_nodes: int = 2,
        tolerance: float = 1e-7,
        max_halvings: int = 20,
        *,
        penalty: str = "l2",
        l2: float | None = None,
    ) -> None:
        super().__init__(min_train_nodes=min_train_nodes, min_available_nodes=min_available_nodes)
        self.tolerance, self.max_halvings = tolerance, max_halvings
        if tolerance <= 0 or max_halvings < 0:
            raise ValueError("tolerance must be above 0, and max_halvings not below")
        self.newton = DampedNewton(
            penalty=(1.0 if l2 is None else l2) if penalty == "l2" else 0.0,
            tolerance=tolerance,
            max_halvings=max_halvings,
        )
        self._point = np.zeros(0)
        self.weighted = False
        self.rounds = self.halved = 0

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Ask all clients for their sums at the model ``arrays``.

        Raises
        ------
        Finished
            The model is the optimum.
        """
        if self.newton.converged:
            raise Finished(arrays)
        self._point = np.append(arrays["coef"].numpy()[0], arrays["intercept"].numpy())
        negative, positive = cast("list[float]", config["class-weight"])
        self.weighted = negative != positive
        messages = list(super().configure_train(server_round, arrays, config, grid))
        for message in messages:
            message.metadata.message_type = MESSAGE_TYPE
        return messages

    def update_shapes(self) -> Shapes:
        """Return the arrays that a client is to send this round, and their shapes."""
        k = self._point.size
        packed = (k * (k + 1) // 2,)
        shapes: dict[str, tuple[int, ...]] = {"loss": (1,), "gradient": (k,), "hessian": packed}
        return shapes | {"scores": packed} if self.weighted else shapes

    def update_problem(self, values: Mapping[str, NDArray[np.float64]]) -> str:
        """Return what no rows could have led to in an update of the right shapes, "" if nothing is."""
        if values["loss"][0] < 0:
            return "loss is negative"
        diagonal = np.cumsum(np.arange(self._point.size, 0, -1)) - np.arange(self._point.size, 0, -1)
        for name in ("hessian", "scores"):
            if name in values and (values[name][diagonal] < 0).any():
                return f"the diagonal of {name} is negative"
        return ""

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Take one step.

        Raises
        ------
        NoOptimumError
            There is no finite optimum.
        """
        valid, _ = self._check_and_log_replies(replies, is_train=True)
        if not valid:
            return None, None
        w = self.newton.propose(self._point, {reply.metadata.src_node_id: _sums(reply) for reply in valid})
        self.rounds = server_round
        self.halved += bool(self.newton.halvings)
        return ArrayRecord({"coef": Array(w[np.newaxis, :-1]), "intercept": Array(w[-1:])}), None

    def conclusion(self) -> str:
        """Say in one line whether it converged."""
        newton = self.newton
        halved = f"; {self.halved} of them halved a step that went too far" if self.halved else ""
        how = f"gradient {newton.gradient:.1e} and Newton decrement {newton.decrement:.1e} per row{halved}"
        if newton.converged:
            return f"converged after {self.rounds} rounds ({how})"
        return f"not converged after {self.rounds} rounds ({how}): allow more with --rounds"

    def get_state(self) -> dict[str, NDArray[Any]]:
        """Return arrays from which :meth:`set_state` goes on as if nothing had happened."""
        rounds = np.array([float(self.rounds), float(self.halved), float(self.weighted)])
        return {"rounds": rounds} | self.newton.get_state()

    def set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what :meth:`get_state` returned; the next round's model is the one that followed it."""
        self.rounds, self.halved = (int(value) for value in state["rounds"][:2])
        self.weighted = bool(state["rounds"][2])
        self.newton.set_state(state)


def _sums(reply: Message) -> Sums:
    arrays = {name: array.numpy() for name, array in reply.content.array_records["arrays"].items()}
    return Sums(
        rows=cast("int", reply.content.metric_records["metrics"]["num-examples"]),
        loss=float(arrays["loss"][0]),
        gradient=arrays["gradient"],
        hessian=arrays["hessian"],
        scores=arrays.get("scores"),
    )
