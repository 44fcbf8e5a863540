"""Firth's penalised likelihood from sums: estimates that are finite and less biased, by two exchanges a step.

Minimises the sum of all rows' losses minus ½ log |H|, H their Hessian: Firth 1993, "Bias reduction of maximum
likelihood estimates". The first exchange is that of :mod:`newton` and tells loss, gradient and Hessian, hence
whether the last step went too far. In the second the clients get H⁻¹ and answer with the correction of the
gradient, which is a sum over rows too. The step solves B d = -g with the corrected gradient g. With B = H, as
in R's brglm2 and logistf, it converges linearly, for H is not the penalty's Hessian; here B is H with what
the gradient did along the last two steps, which takes half as many where rows are separated (BFGS: Nocedal
and Wright 2006, "Numerical Optimization", 6.1).
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from numpy.typing import NDArray

from client_code.protocol.triangle import pack
from federation.learning.strategies.newton.descent import (
    ARMIJO,
    Accepted,
    DampedNewton,
    Sums,
    newton_direction,
    spectrum,
)
from federation.learning.strategies.newton.fednewton import FedNewton, Shapes

Floats = NDArray[np.float64]
MESSAGE_TYPE = "train.firth"
MEMORY = 2  # steps: more do not save any
CURVED = 1e-8  # the least cosine between a step and the change of the gradient that tells a curvature
ROUNDING = 1e-12  # of a penalised loss, relative: smaller differences say nothing


@dataclass(kw_only=True, eq=False)
class FirthNewton(DampedNewton):
    """Propose points until the optimum is found.

    Attributes
    ----------
    awaiting : bool
        Whether the correction at the accepted point is to come: until then it has no direction.
    loss, slope : float
        Penalised, of the accepted point; and along its direction.
    rows, rank : int
        Of the accepted point: of the clients that answered; and of the Hessian, the same at all points.
    score : ndarray of float64, shape (k,)
        The gradient of the losses alone there.
    last : ndarray of float64, shape (2, k), or (0, k) at the start
        The point before it, and its gradient.
    moves : ndarray of float64, shape (m, 2, k)
        The last steps, and by what the gradient changed along each.
    """

    awaiting: bool = False
    loss: float = math.inf
    slope: float = 0.0
    rows: int = 0
    rank: int = 0
    score: Floats = field(default_factory=lambda: np.zeros(0))
    last: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    moves: Floats = field(default_factory=lambda: np.zeros((0, 2, 0)))

    def admit(self, clients: Iterable[str], intercept: float) -> None:
        """Give clients that have none yet an intercept of their own, which starts at ``intercept``."""
        super().admit(clients, intercept)
        size = 0 if self.accepted is None else self.accepted.point.size
        if size > self.score.size:
            self.score = np.pad(self.score, (0, size - self.score.size))
            self.last, self.moves = np.zeros((0, size)), np.zeros((0, 2, size))

    def below_tangent(self, client: str, point: Floats, loss: float) -> bool:
        """Return False: what it remembers are the slopes of all clients together."""
        del client, point, loss
        return False

    def suspect(self) -> None:
        """Return None: there is always a finite optimum."""

    def propose(self, point: Floats, clients: Mapping[str, Sums]) -> Floats:
        """Take what the clients say of ``point``; return it where it is accepted, else a point before it.

        Points are compared where the same clients answered at both: the penalty is of all their rows.

        Raises
        ------
        NoOptimumError
            The penalised loss does not fall however short the step.
        """
        clients = dict(sorted(clients.items()))
        space, last = self.space(point), self.accepted
        hessian = space.matrix({name: one.hessian for name, one in clients.items()})
        values, _, _ = spectrum(hessian)
        loss = sum(one.loss for one in clients.values()) - float(np.log(values).sum()) / 2
        if last is not None and clients.keys() == last.losses.keys():
            if len(values) < self.rank:  # none is left where all probabilities are 0 or 1
                return self.halved(last)
            rounding = ROUNDING * abs(self.loss) + 8 * np.finfo(np.float64).eps * values[-1] / values[0]
            allowed = ARMIJO * 0.5**self.halvings * self.slope + rounding
            if loss > self.loss + allowed:
                return self.halved(last)
        else:
            self.last, self.moves = np.zeros((0, point.size)), np.zeros((0, 2, point.size))
        self.awaiting, self.halvings, self.loss, self.rank = True, 0, loss, len(values)
        self.rows = sum(one.rows for one in clients.values())
        self.score = space.vector({name: one.gradient for name, one in clients.items()})
        self.accepted = Accepted(
            point=point,
            direction=np.zeros_like(point),
            losses={name: one.loss for name, one in clients.items()},
            slopes=dict.fromkeys(clients, 0.0),
            hessian=hessian,
            scores=None,
        )
        return point

    def correct(self, corrections: Mapping[str, Floats]) -> Floats:
        """Take the corrections at the accepted point; return the next point, or the optimum.

        Where a client did not answer whose rows are in the Hessian, the point is asked about again.
        """
        at = self.accepted
        assert at is not None, "a correction is of an accepted point"
        self.awaiting, self.slope = False, 0.0
        if at.losses.keys() - corrections.keys():
            return at.point
        corrected = {name: corrections[name] for name in at.losses}
        gradient = self.score - self.space(at.point).vector(corrected)
        here = np.stack([at.point, gradient])
        if len(self.last) and (at.point != self.last[0]).any():
            self.moves = np.concatenate([self.moves, [here - self.last]])[-MEMORY:]
        self.last = here
        direction = newton_direction(_corrected(at.hessian, self.moves), gradient)
        self.slope = min(float(gradient @ direction), 0.0)
        self.gradient = float(np.abs(gradient).max()) / self.rows
        self.decrement = math.sqrt(-self.slope / self.rows)
        # The decrement of all rows is the distance in standard errors, which the last step does not square.
        self.converged = max(self.gradient, math.sqrt(-self.slope)) <= self.tolerance
        self.accepted = replace(at, direction=direction)
        return at.point + direction

    def inverse(self) -> Floats:
        """Return the inverse of the Hessian at the accepted point, on what the rows determine."""
        assert self.accepted is not None
        values, vectors, _ = spectrum(self.accepted.hessian)
        return np.asarray((vectors / values) @ vectors.T)

    def get_state(self) -> dict[str, NDArray[Any]]:
        """Return arrays from which :meth:`set_state` goes on as if nothing had happened."""
        firth = np.array([float(getattr(self, name)) for name, _ in _PLAIN])
        return super().get_state() | {
            "firth": firth,
            "score": self.score,
            "last": self.last,
            "moves": self.moves,
        }

    def set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what :meth:`get_state` returned."""
        super().set_state(state)
        for (name, kind), value in zip(_PLAIN, state["firth"], strict=True):
            setattr(self, name, kind(value))
        self.score, self.last, self.moves = state["score"], state["last"], state["moves"]


def _corrected(hessian: Floats, moves: Floats) -> Floats:
    """Return the Hessian with the curvature that was seen along each move, where that was positive."""
    for step, change in moves:
        along = hessian @ step
        if change @ step > CURVED * np.linalg.norm(change) * np.linalg.norm(step):
            hessian = (
                hessian - np.outer(along, along) / (step @ along) + np.outer(change, change) / (change @ step)
            )
    return hessian


_PLAIN = (("awaiting", bool), ("loss", float), ("slope", float), ("rows", int), ("rank", int))


class FedFirth(FedNewton):
    """Newton's method on Firth's penalised objective, ended by itself when it has converged.

    Parameters
    ----------
    **settings
        As of :class:`FedNewton`.
    """

    newton: FirthNewton

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.newton = FirthNewton(penalty=0.0, tolerance=self.tolerance, max_halvings=self.max_halvings)

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Ask all clients for their sums at the model ``arrays``, or for its correction.

        Raises
        ------
        Finished
            The model is the optimum.
        """
        messages = list(super().configure_train(server_round, arrays, config, grid))
        if not self.newton.awaiting:
            return messages
        space, inverse = self.newton.space(self._point), self.newton.inverse()

        def asked(message: Message) -> Message:
            node_id = message.metadata.dst_node_id
            at = space.at(self.name_of(node_id))
            content = RecordDict(dict(message.content))
            content["information"] = ArrayRecord({"inverse": Array(pack(inverse[np.ix_(at, at)]))})
            return Message(content, node_id, MESSAGE_TYPE)

        return [asked(message) for message in messages]

    def update_shapes(self) -> Shapes:
        """Return the arrays that a client is to send this round, and their shapes."""
        if not self.newton.awaiting:
            return super().update_shapes()
        return {"correction": (self.newton.space(self._point).features + 1,)}

    def update_problem(self, client: str, values: Mapping[str, Floats]) -> str:
        """Return what no rows could have led to in an update of the right shapes, "" if nothing is."""
        return "" if self.newton.awaiting else super().update_problem(client, values)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Accept the point, or go back from it; or take one step.

        Raises
        ------
        NoOptimumError
            The penalised loss does not fall however short the step.
        """
        if not self.newton.awaiting:
            return super().aggregate_train(server_round, replies)
        valid, _ = self._check_and_log_replies(replies, is_train=True)
        if not valid:
            return None, None
        corrections = {
            self.name_of(reply.metadata.src_node_id): reply.content.array_records["arrays"]["correction"]
            for reply in valid
        }
        w = self.newton.correct({name: array.numpy() for name, array in corrections.items()})
        return self.next_model(server_round, w), None
