"""Federated Newton: clients send loss, gradient and Hessian, the server steps to the pooled optimum.

The sums of all clients are those of the pooled rows, so the steps are those of Newton's method on the pooled
rows, and so is the optimum: nothing is approximated, whatever differs between clients. One exchange a round.
See Safaryan et al. 2022, "FedNL: Making Newton-Type Methods Applicable to Federated Learning": this is its
plain Newton, with full Hessians, which are small here.

With site intercepts each client is given the coefficients and its own intercept, and answers as ever: these
are the sums of a fit in which every client has a column of ones of its own.

Steps that do not shrink suggest that no finite optimum exists. The clients are then sent the direction of the
step along with the next model, and each answers with one bit whether any of its rows speaks against it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
from types import MappingProxyType
from typing import Any, cast

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg
from numpy.typing import NDArray

from client_code.protocol.features import Feature
from federation.errors import NoOptimumError
from federation.learning.preprocessing.statistics import ClientStatistics
from federation.learning.strategies.checked import EndsEarly, Finished
from federation.learning.strategies.newton.descent import DampedNewton, Sums
from federation.learning.strategies.newton.plausibility import problem_of, unlike
from federation.learning.strategies.newton.separation import no_optimum

MESSAGE_TYPE = "train.newton"
MAX_ROUNDS = 50  # of most tables it needs 4 to 10, and stops by itself; a far optimum takes 20 and more
Shapes = Mapping[str, tuple[int, ...]]
Floats = NDArray[np.float64]


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
    l2 : float
        The penalty is l2 ‖w‖² / 2; 1 / C in scikit-learn's terms.
    site_intercepts : bool
        Whether each client has an intercept of its own, which is not penalised.

    Attributes
    ----------
    features : sequence of Feature
        What the coefficients are of, for messages.
    name_of : callable
        The name of the client with a node id.
    told : mapping of str to ClientStatistics
        What each client told before round 1; newcomers are added.
    """

    features: Sequence[Feature] = ()
    name_of: Callable[[int], str] = str
    told: Mapping[str, ClientStatistics] = MappingProxyType({})

    def __init__(
        self,
        min_train_nodes: int = 2,
        min_available_nodes: int = 2,
        tolerance: float = 1e-7,
        max_halvings: int = 20,
        *,
        l2: float,
        site_intercepts: bool = False,
    ) -> None:
        super().__init__(min_train_nodes=min_train_nodes, min_available_nodes=min_available_nodes)
        self.tolerance, self.max_halvings = tolerance, max_halvings
        if tolerance <= 0 or max_halvings < 0:
            raise ValueError("tolerance must be above 0, and max_halvings not below")
        self.newton = DampedNewton(penalty=l2, tolerance=tolerance, max_halvings=max_halvings)
        self.site_intercepts = site_intercepts
        self._own: dict[str, float] = {}
        self._point, self._direction = np.zeros(0), cast("Floats | None", None)
        self._asked: set[str] = set()
        self._weights, self._unlike = (1.0, 1.0), ""
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
        messages = list(super().configure_train(server_round, arrays, config, grid))
        self._asked = {self.name_of(message.metadata.dst_node_id) for message in messages}
        intercepts = arrays["intercept"].numpy()
        if self.site_intercepts:
            self.newton.admit(self._asked, float(intercepts[0]))
            self._own = dict.fromkeys(self.newton.sites, float(intercepts[0])) | self._own
            intercepts = np.array([self._own[site] for site in self.newton.sites])
        self._point = np.append(arrays["coef"].numpy()[0], intercepts)
        self._direction = self.newton.suspect()
        negative, positive = cast("list[float]", config["class-weight"])
        self._weights, self.weighted = (negative, positive), negative != positive
        shared = None if self.site_intercepts else self._question("", arrays, config)
        return [
            Message(shared or self._question(self.name_of(node_id), arrays, config), node_id, MESSAGE_TYPE)
            for node_id in (message.metadata.dst_node_id for message in messages)
        ]

    def _question(self, client: str, arrays: ArrayRecord, config: ConfigRecord) -> RecordDict:
        """Return what a client is asked: the model as it is for it, and the direction to be judged."""
        content = RecordDict({"arrays": self.model_for(client, arrays), "config": config})
        if self._direction is not None:
            own = self._direction[self.newton.space(self._direction).at(client)]
            content["direction"] = _model(own[:-1], own[-1])
        return content

    def model_for(self, client: str, arrays: ArrayRecord) -> ArrayRecord:
        """Return the model as it is for a client: with its own intercept, where it has one."""
        if client not in self._own:
            return arrays
        return _model(arrays["coef"].numpy()[0], self._own[client])

    def sites(self) -> dict[str, float] | None:
        """Return the intercepts of the clients whose rows are in the fit, None where there is one for all."""
        at = self.newton.accepted
        if not self.site_intercepts or at is None:
            return None
        return {site: value for site, value in self._own.items() if site in at.losses}

    def update_shapes(self) -> Shapes:
        """Return the arrays that a client is to send this round, and their shapes."""
        k = self.newton.space(self._point).features + 1
        packed = (k * (k + 1) // 2,)
        shapes: dict[str, tuple[int, ...]] = {"loss": (1,), "gradient": (k,), "hessian": packed}
        shapes |= {"scores": packed} if self.weighted else {}
        return shapes if self._direction is None else shapes | {"separates": (1,)}

    def update_problem(self, client: str, values: Mapping[str, NDArray[np.float64]]) -> str:
        """Return what no rows could have led to in an update of the right shapes, "" if nothing is."""
        if values["loss"][0] < 0:
            return "loss is negative"
        if "separates" in values and values["separates"][0] not in (0.0, 1.0):
            return "separates is neither 0 nor 1"
        lengths = np.arange(self.newton.space(self._point).features + 1, 0, -1)
        diagonal = np.cumsum(lengths) - lengths
        for name in ("hessian", "scores"):
            if name in values and (values[name][diagonal] < 0).any():
                return f"the diagonal of {name} is negative"
        if self.newton.below_tangent(client, self._point, float(values["loss"][0])):
            return "its loss contradicts its loss and gradient of an earlier round"
        if client not in self.told:
            return ""
        own = self._point[self.newton.space(self._point).at(client)]
        return problem_of(values, self.told[client], self._weights, own)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Take one step.

        Raises
        ------
        NoOptimumError
            There is no finite optimum: every client asked confirms it.
        """
        valid, _ = self._check_and_log_replies(replies, is_train=True)
        if not valid:
            return None, None
        told = {self.name_of(reply.metadata.src_node_id): reply for reply in valid}
        sums = {name: _sums(reply) for name, reply in told.items()}
        self._unlike = unlike(sums)
        if self._direction is not None and self._asked == {name for name in told if _separates(told[name])}:
            space = self.newton.space(self._direction)
            raise self._named(
                no_optimum(
                    self._direction,
                    space,
                    self.features or [Feature(column=f"number {i + 1}") for i in range(space.features)],
                )
            )
        try:
            w = self.newton.propose(self._point, sums)
        except NoOptimumError as error:
            astray = self.newton.astray({name: one.loss for name, one in sums.items()})
            if astray:
                self._unlike = f'the loss of client "{astray}" does not follow its own gradient'
            raise self._named(error) from error
        return self.next_model(server_round, w), None

    def _named(self, error: NoOptimumError) -> NoOptimumError:
        """Return an error that names the client whose Hessian is unlike the others', where there is one."""
        if not self._unlike:
            return error
        return NoOptimumError(f"{self._unlike}; {error.problem}", error.remedy)

    def next_model(self, server_round: int, w: Floats) -> ArrayRecord:
        """End a round with the parameters ``w``; return the model that they are."""
        self.rounds = server_round
        self.halved += bool(self.newton.halvings)
        space = self.newton.space(w)
        if not self.site_intercepts:
            return _model(w[:-1], w[-1])
        self._own = dict(zip(space.sites, w[space.features :].tolist(), strict=True))
        return _model(w[: space.features], fmean((self.sites() or self._own).values()))

    def conclusion(self) -> str:
        """Say in one line whether it converged."""
        newton = self.newton
        halved = f"; {self.halved} of them halved a step that went too far" if self.halved else ""
        how = f"gradient {newton.gradient:.1e} and Newton decrement {newton.decrement:.1e} per row{halved}"
        odd = f"; {self._unlike}" if self._unlike else ""
        if newton.converged:
            return f"converged after {self.rounds} rounds ({how}){odd}"
        return f"not converged after {self.rounds} rounds ({how}): allow more with --rounds{odd}"

    def state(self) -> dict[str, NDArray[Any]]:
        """Return arrays from which :meth:`restore` goes on as if nothing had happened."""
        rounds = np.array([float(self.rounds), float(self.halved), float(self.weighted)])
        own = np.array([self._own[site] for site in self.newton.sites])
        return {"rounds": rounds, "intercepts": own} | self.newton.get_state()

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what :meth:`state` returned; the next round's model is the one that followed it."""
        self.rounds, self.halved = (int(value) for value in state["rounds"][:2])
        self.weighted = bool(state["rounds"][2])
        self.newton.set_state(state)
        self._own = dict(zip(self.newton.sites, state["intercepts"].tolist(), strict=True))


def _model(coef: Floats, intercept: float) -> ArrayRecord:
    return ArrayRecord({"coef": Array(coef[np.newaxis]), "intercept": Array(np.array([float(intercept)]))})


def _separates(reply: Message) -> bool:
    return bool(reply.content.array_records["arrays"]["separates"].numpy()[0])


def _sums(reply: Message) -> Sums:
    arrays = {name: array.numpy() for name, array in reply.content.array_records["arrays"].items()}
    return Sums(
        rows=cast("int", reply.content.metric_records["metrics"]["num-examples"]),
        loss=float(arrays["loss"][0]),
        gradient=arrays["gradient"],
        hessian=arrays["hessian"],
        scores=arrays.get("scores"),
    )
