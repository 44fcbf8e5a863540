"""The server's side of the learning: agree on preprocessing, run a strategy, keep every client's figures.

It needs nothing but Flower's ``Grid``, so it runs over ours and over stock Flower alike.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

from flwr.app import ArrayRecord, Message, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg

from federation.data.table import Table
from federation.errors import RoundError
from federation.learning.agreement import (
    Agreement,
    agree,
    ask_all,
    read_statistics,
    refuse_change,
    refuse_impossible,
)
from federation.learning.notes import notes_of
from federation.learning.preprocessing.pooling import references
from federation.learning.preprocessing.prepared import Prepared
from federation.learning.preprocessing.prevalence import (
    Shifts,
    Weights,
    corrected,
    provenance_told,
    resample_of,
    sampling_of,
)
from federation.learning.preprocessing.statistics import ClientStatistics, claimed_names, class_weight
from federation.learning.rounds.calibration import middle, pooled
from federation.learning.rounds.figures import Observer, Recorder, Round
from federation.learning.rounds.record import Record, Unrecorded
from federation.learning.rounds.roster import Roster
from federation.learning.rounds.training import Training, as_record
from federation.learning.settings import TrainingSettings
from federation.learning.strategies.advice import conclude, resolve
from federation.learning.strategies.catalogue import FLOWERS, ROBUST
from federation.learning.strategies.checked import CheckedStrategy, listed
from federation.learning.strategies.newton.fednewton import FedNewton
from federation.learning.strategies.newton.inference import infer, reason_for_no_tests
from federation.learning.strategies.rules import Rules
from federation.model.linear import LinearModel
from federation.model.quality.metrics import warnings_of_rows


@dataclass(frozen=True, kw_only=True)
class Federated:
    """What a training leaves.

    Parameters
    ----------
    model : LinearModel
        The global model, its intercept that of the true prevalence.
    rounds : list of Round
        From round 0 on.
    statistics : list of ClientStatistics
        Of every client that was there before round 1.
    notes : list of str
        What may surprise, see :func:`federation.learning.notes.notes_of`, and of the test rows.
    at_clients : mapping
        Figures of the model on each client's validation rows, by client.
    conclusion : str, optional
        How the strategy ended, or whether its model has stopped moving.
    missed : mapping of str to str
        Per client that did not get the final model, why.
    taken : TrainingSettings, optional
        With the strategy and the rounds that were taken where the settings left them open.
    """

    model: LinearModel
    rounds: list[Round]
    statistics: list[ClientStatistics]
    notes: list[str]
    at_clients: Mapping[str, Mapping[str, Any]]
    conclusion: str | None = None
    missed: Mapping[str, str] = field(default_factory=dict)
    taken: TrainingSettings | None = None


def federate(  # noqa: PLR0913 - all but the first three by name
    grid: Grid,
    settings: TrainingSettings,
    test: Table,
    *,
    name_of: Callable[[int], str] | None,
    observer: Observer,
    provenance: Mapping[str, Any],
    record: Record | None = None,
    process_of: Callable[[int], str] = str,
    prepared: Prepared | None = None,
) -> Federated:
    """Train the global model with the clients of ``grid``.

    Parameters
    ----------
    grid : Grid
        Whose clients have joined.
    settings : TrainingSettings
        Strategy, rounds, quorum.
    test : Table
        The server's held-back rows; their columns are the federation's schema.
    name_of : callable, optional
        The name of the client with a node id, which our grid knows; None: what each client says of itself.
    observer : Observer
        Told about every step.
    provenance : mapping
        Kept in the model.
    record : Record, optional
        Keeps every finished round; if it holds some already, the training goes on after them.
    process_of : callable
        What tells the processes apart that speak for one client, by its node id.
    prepared : Prepared, optional
        What the server knows of how the rows were prepared.

    Raises
    ------
    SchemaMismatchError
        A client's columns differ from the server's.
    ResumeError
        The data are not those that the finished rounds were trained on.
    RoundError
        A round had too few valid updates; says which clients failed and why.
    """
    record = record or Unrecorded()
    node_ids = list(grid.get_node_ids())
    settings.check_clients(len(node_ids))
    saved = record.load()
    replies = ask_all(grid, node_ids, "query.statistics", RecordDict(), settings.round_timeout)
    name_of = name_of or _claimed(replies)
    prepared = prepared or Prepared()
    statistics = prepared.completed(read_statistics(replies, name_of, test))
    robust = settings.strategy in ROBUST
    refuse_impossible(statistics, prepared.rules, robust=robust)
    if saved:
        refuse_change(saved.agreement, statistics, test)
    agreement = (
        agree(statistics, test, prepared.contract, robust=robust)
        if saved is None
        else replace(saved.agreement, robust=robust)
    )
    settings, why = resolve(settings, agreement)
    if why:
        record.event("taken", strategy=settings.strategy, rounds=settings.rounds)
    strategy = settings.strategy_for(len(node_ids))
    lost = saved.notes if saved else ()
    notes = [*lost, *why, *notes_of(settings, agreement, prepared), *warnings_of_rows(test.y)]
    observer.agreed(statistics, notes)

    roster = Roster(grid, name_of=name_of, process_of=process_of, limit=settings.set_aside_after)
    roster.admit(*node_ids)
    told = {one.client: one for one in (*agreement.statistics, *statistics)}
    rows = {name: (one.rows, one.validation_rows) for name, one in told.items()}
    weights = class_weight(agreement.counted, balanced=settings.balanced)
    shifts = Shifts.of(agreement.counted, weights, by_site=settings.site_intercepts)
    recorder = Recorder(test, agreement.preprocessing, observer, settings.rounds, shifts.common)
    rules = Rules(
        quorum=settings.quorum,
        max_update_norm=settings.max_update_norm,
        rows=rows,
        seed=settings.seed,
        finished=saved.round if saved else 0,
        robust=robust,
        event=record.event,
    )
    if isinstance(strategy, FedNewton):
        strategy.features, strategy.name_of = agreement.preprocessing.encoding.features, name_of
        strategy.told = told
    training = Training(
        roster=roster,
        strategy=strategy,
        checked=CheckedStrategy(strategy, as_record(agreement.preprocessing), recorder, name_of, rules),
        recorder=recorder,
        record=record,
        agreement=agreement,
        test=test,
        name_of=name_of,
        rows=rows,
        told=told,
        prepared=prepared,
        timeout=settings.round_timeout,
    )
    trained = training.run(settings.rounds, weights=weights, l2=settings.l2, saved=saved)
    conclusion = conclude(settings, agreement, recorder.rounds)
    moved = dict[str, float]()
    if not isinstance(strategy, FedNewton):
        calibration = training.calibrate(shifts, pooled if settings.strategy in FLOWERS - ROBUST else middle)
        shifts, moved = calibration.applied(shifts), {"intercept_moved": calibration.moved}
        conclusion = "; ".join(filter(None, (conclusion, str(calibration))))
    at_clients = training.score(shifts)
    observer.scored(at_clients)
    model = _model(trained, strategy, agreement, shifts, weights)
    ran = {"rounds": recorder.rounds[-1].round} | ({"strategy": settings.strategy} if why else {})
    model = replace(
        model,
        provenance={**provenance, **model.provenance, **ran, **moved},
        left_out={**prepared.left_out, **agreement.left_out} or None,
        outliers=agreement.outliers or None,
        written=prepared.written(model.preprocessing.encoding.columns).parts or None,
    )
    if isinstance(strategy, FedNewton):
        reason = reason_for_no_tests(settings.penalty, resample_of(agreement.counted, weights))
        inference = infer(strategy, model, penalty=settings.penalty, reason=reason)
        model, conclusion = replace(model, inference=inference), strategy.conclusion()
    missed = _hand_over(roster, training.checked.contents(trained, shifts), name_of, settings)
    return Federated(
        model=model,
        rounds=recorder.rounds,
        statistics=agreement.statistics,
        notes=notes,
        at_clients=at_clients,
        conclusion=conclusion,
        missed=missed,
        taken=settings,
    )


def _model(
    trained: ArrayRecord, strategy: FedAvg, agreement: Agreement, shifts: Shifts, weights: Weights
) -> LinearModel:
    """Return what was trained as a model at the true prevalence, with what the clients' rows say of it."""
    told, rows = agreement.counted, sum(one.rows for one in agreement.counted)
    intercept = float(trained["intercept"].numpy()[0])
    sites = (strategy.sites() if isinstance(strategy, FedNewton) else None) or {}
    sites = {site: corrected(value, shifts.at(site)) for site, value in sites.items()}
    return LinearModel(
        label=told[0].label,
        preprocessing=agreement.preprocessing,
        references=references(agreement.preprocessing, told) or None,
        coef=trained["coef"].numpy()[0],
        intercept=fmean(sites.values()) if sites else corrected(intercept, shifts.common),
        site_intercepts=sites or None,
        provenance=provenance_told(told, weights) | {"rows": rows},
        sampling=sampling_of(told, weights, intercept),
    )


def _claimed(replies: Mapping[int, Message]) -> Callable[[int], str]:
    names = claimed_names(replies)
    return lambda node_id: names.get(node_id, f"node {node_id}")


def _hand_over(
    roster: Roster,
    content: Callable[[int], RecordDict],
    name_of: Callable[[int], str],
    settings: TrainingSettings,
) -> dict[str, str]:
    """Give every client that takes part the final model; return who missed it, and why.

    Raises
    ------
    RoundError
        Fewer than the quorum have it.
    """
    replies = ask_all(roster, roster.get_node_ids(), "query.save_model", content, settings.round_timeout)
    failed = {name_of(i): str(reply.error.reason) for i, reply in replies.items() if reply.has_error()}
    if len(replies) - len(failed) < (len(replies) if settings.quorum is None else settings.quorum):
        raise RoundError(f"the final model did not reach every client: {listed(failed)}", "See their logs.")
    return failed | dict.fromkeys(roster.aside(), "it was set aside")
