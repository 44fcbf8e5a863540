"""The rounds of one training: from the agreement, or from the last finished round, to the final model."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
from flwr.serverapp.strategy import FedAvg

from client_code.protocol.training import CALIBRATION
from federation.data.table import Table
from federation.errors import FederationError, RoundError
from federation.learning.agreement import Agreement, ask_statistics, refuse_impossible
from federation.learning.preprocessing.prepared import Prepared
from federation.learning.preprocessing.prevalence import Shifts, Weights, original_weights
from federation.learning.preprocessing.statistics import ClientStatistics, log_odds
from federation.learning.rounds.calibration import Calibration, Combine, Sums, calibrate, pooled, problem_of
from federation.learning.rounds.figures import Recorder
from federation.learning.rounds.record import Checkpoint, Record
from federation.learning.rounds.roster import Among, Roster
from federation.learning.strategies.checked import CheckedStrategy
from federation.learning.strategies.newton.fednewton import FedNewton
from federation.learning.strategies.state import get_state, set_state
from federation.model.linear import Preprocessing
from federation.words import some

PATIENCE_SECONDS = 60.0
"""Time for clients to tell what the calibration asks; four times the last round's, if that is longer."""


@dataclass(kw_only=True, eq=False)
class Training:
    """The rounds of one training.

    Parameters
    ----------
    roster : Roster
        Who takes part.
    strategy : FedAvg
        What aggregates.
    checked : CheckedStrategy
        The same, fed with valid updates only.
    recorder : Recorder
        Gathers each round's figures.
    record : Record
        Keeps every finished round.
    agreement : Agreement
        What was agreed before round 1.
    test : Table
        The server's held-back rows.
    name_of : callable
        The name of the client with a node id.
    rows : dict of str to (int, int)
        Training and validation rows by client; newcomers are added.
    told : dict of str to ClientStatistics
        By client; newcomers are added.
    prepared : Prepared
        What the server knows of how the rows were prepared.
    timeout : float
        Seconds that a client may take for a round.
    """

    roster: Roster
    strategy: FedAvg
    checked: CheckedStrategy
    recorder: Recorder
    record: Record
    agreement: Agreement
    test: Table
    name_of: Callable[[int], str]
    rows: dict[str, tuple[int, int]]
    told: dict[str, ClientStatistics]
    prepared: Prepared
    timeout: float

    def run(self, rounds: int, *, weights: Weights, l2: float, saved: Checkpoint | None) -> ArrayRecord:
        """Train until so many rounds are finished; return the final model, its intercept as trained.

        Parameters
        ----------
        rounds : int
            How many, those that were finished before included.
        weights : tuple of float
            Of a negative and of a positive row, in every fit.
        l2 : float
            The penalty of all rows together is l2 ‖w‖² / 2; each client's fit takes its rows' share of it.
        saved : Checkpoint, optional
            The last finished round.
        """
        finished = 0
        self._model = self._untrained(weights)
        if saved:
            finished = saved.round
            self._model = ArrayRecord({name: Array(array) for name, array in saved.arrays.items()})
            set_state(self.strategy, saved.strategy)
            self.recorder.resume(saved.rounds, saved.arrays)
        self.checked.start(
            self.roster,
            self._model,
            num_rounds=rounds - finished,
            timeout=self.timeout,
            train_config=ConfigRecord({"class-weight": list(weights), "l2": l2}),
            evaluate_fn=lambda number, model: self._close(model) if number or not saved else None,
        )
        return self._model

    def calibrate(self, shifts: Shifts, combine: Combine) -> Calibration:
        """Find how far to move the final model's intercept, and score that as the last round's.

        Parameters
        ----------
        shifts : Shifts
            What leads to the true prevalence.
        combine : callable
            Makes a step of what the clients tell.
        """

        def weights(name: str) -> Weights:
            return original_weights(self.told[name], self.agreement.counted)

        def problem(name: str, content: RecordDict) -> str:
            return problem_of(self.told[name], weights(name), content.metric_records["metrics"])

        asked = set(self.roster.get_node_ids())  # who is silent once is not waited for again
        patience = min(self.timeout, max(PATIENCE_SECONDS, 4 * self.recorder.rounds[-1].seconds))

        def ask(moved: float) -> list[Sums]:
            question = self._question(
                Calibration(moved).applied(shifts), lambda name: {"class-weight": list(weights(name))}
            )
            grid = Among(self.roster, asked)
            told = self.checked.figures(CALIBRATION, question, grid, patience, problem)
            lost = sorted(self.recorder.rounds[-1].clients.keys() - told.keys())
            if lost and combine is pooled:
                raise RoundError(
                    f"{some(lost)} did not tell, and it is of their rows too.", "See their logs."
                )
            asked.intersection_update([i for i in asked if self.name_of(i) in told])
            return [Sums.of(self.told[name], weights(name), each) for name, each in told.items()]

        calibration = calibrate(ask, combine)
        arrays = {name: array.numpy() for name, array in self._model.items()}
        self.recorder.score_again(arrays, calibration.applied(shifts).common)
        return calibration

    def score(self, shifts: Shifts) -> dict[str, Mapping[str, Any]]:
        """Return the figures of the final model, at the true prevalence, on each client's validation rows.

        Raises
        ------
        RoundError
            Fewer than the quorum tell theirs.
        """
        return self.checked.figures("evaluate", self._question(shifts), self.roster, self.timeout)

    def _question(
        self, shifts: Shifts, settings: Callable[[str], dict[str, Any]] = lambda _: {}
    ) -> Callable[[int], RecordDict]:
        """Return what makes the question about the final model for the client with a node id."""
        content = self.checked.contents(self._model, shifts)
        of_round = {"server-round": self.recorder.rounds[-1].round}

        def question(node_id: int) -> RecordDict:
            config = ConfigRecord(settings(self.name_of(node_id)) | of_round)
            return RecordDict({**content(node_id), "config": config})

        return question

    def _untrained(self, weights: Weights) -> ArrayRecord:
        """Return coefficients of 0; for Newton's method the rows' log-odds too, which saves it a round."""
        coef, intercept = np.zeros((1, len(self.agreement.preprocessing.features))), np.zeros(1)
        if isinstance(self.strategy, FedNewton):
            intercept[0] = log_odds(self.agreement.counted, weights)
        return ArrayRecord({"coef": Array(coef), "intercept": Array(intercept)})

    def _close(self, model: ArrayRecord) -> None:
        """Finish a round: who is set aside, who is new, the figures; keep it, and only then tell of it."""
        self._model = model
        current = self.recorder.current
        current.set_aside |= self.roster.count(self.checked.asked, current.rejected)
        self._welcome(current.set_aside)
        for name, reason in current.set_aside.items():
            self.record.event("set-aside", client=name, round=current.round, reason=reason)
        arrays = {name: array.numpy() for name, array in model.items()}
        self.recorder.evaluate(arrays)
        self.record.event("round", round=current.round, seconds=round(current.seconds, 6))
        self.record.save(
            Checkpoint(
                agreement=self.agreement,
                rounds=self.recorder.rounds,
                arrays=arrays,
                strategy=get_state(self.strategy),
            )
        )
        self.recorder.announce()

    def _welcome(self, set_aside: dict[str, str]) -> None:
        """Ask those that joined since for their statistics; what was agreed stays as it is.

        Who cannot answer is set aside, so that it holds up the others once at most.
        """
        for node_id in self.roster.newcomers():
            try:
                told = ask_statistics(self.roster, [node_id], self.name_of, self.test, self.timeout)
                refuse_impossible(told, self.prepared.rules, robust=self.agreement.robust)
                [one] = self.prepared.completed(told)
            except FederationError as error:
                set_aside[self.name_of(node_id)] = error.problem
                self.roster.set_aside(node_id)
            else:
                self.told[one.client] = one
                self.rows[one.client] = (one.rows, one.validation_rows)
                self.roster.admit(node_id)


def as_record(preprocessing: Preprocessing) -> ConfigRecord:
    """Return one text: it goes along with every message, and a client reads it once."""
    parts: dict[str, Any] = {
        "features": preprocessing.features,
        "log1p": preprocessing.log1p,
        "mean": preprocessing.mean.tolist(),
        "scale": preprocessing.scale.tolist(),
    }
    if not preprocessing.encoding.is_plain:
        parts["made_of"] = [feature.as_parts for feature in preprocessing.encoding.features]
    return ConfigRecord({"json": json.dumps(parts)})
