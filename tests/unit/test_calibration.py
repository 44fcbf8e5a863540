"""The final model's probabilities add up to the clients' positive rows, or the run says why they may not."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from flwr.app import Error, Message, MetricRecord, RecordDict
from scipy.special import expit

from federation.learning.federate import Federated
from federation.learning.preprocessing.prepared import Prepared
from federation.learning.rounds.calibration import Calibration, Sums, calibrate, middle, pooled
from federation.learning.strategies.catalogue import ROBUST, STRATEGIES
from protocol.preparation import Preparation
from tests.unit.pooling import AnyOrder, Floats, Pool, Rows
from tests.unit.test_prevalence import drawn, fewer_negatives, halves, told

KIND = "evaluate.calibration"
QUORUM = 2


def thirds(rows: Rows) -> list[Rows]:
    """Deal rows to three clients."""
    X, y = rows
    return [(X[i::3], y[i::3]) for i in range(3)]


def changed(by: int, change: Callable[[dict[str, Any]], Mapping[str, Any]]) -> dict[int, Any]:
    """Return what changes the sums that one client tells."""

    def spoil(reply: Message) -> Message:
        if reply.metadata.message_type == KIND:
            told = dict(reply.content.metric_records["metrics"])
            reply.content["metrics"] = MetricRecord(dict(change(told)))
        return reply

    return {by: spoil}


def failing(reply: Message) -> Message:
    """Answer the question about the sums with an error."""
    if reply.metadata.message_type != KIND:
        return reply
    return Message(Error(2, "gone"), reply_to=Message(RecordDict(), reply_to=reply))


def moved(result: Federated) -> float:
    """Return by how much the intercept was moved."""
    return float(result.model.provenance["intercept_moved"])  # type: ignore[arg-type]


def ratio(result: Federated, rows: Rows) -> float:
    """Return the mean probability of rows over the share of positive ones."""
    X, y = rows
    return float(result.model.predict_proba(X).mean() / y.mean())


# The step ---------------------------------------------------------------------------------------------------


def asked_of(z: Floats, y: Floats) -> Callable[[float], list[Sums]]:
    """Return what two clients tell of rows with these log-odds, moved."""

    def ask(by: float) -> list[Sums]:
        p = expit(z + by)
        halves = [(p[i::2], y[i::2]) for i in range(2)]
        return [
            Sums(rows=len(q), positives=t.sum(), expected=q.sum(), variance=(q * (1 - q)).sum())
            for q, t in halves
        ]

    return ask


@pytest.mark.parametrize("away", [-12.0, -3.0, -0.1, 0.0, 0.1, 3.0, 12.0])
def test_the_intercept_is_that_of_a_regression_with_the_log_odds_as_offset(away: float) -> None:
    """Statsmodels' fit of an intercept alone, from however far."""
    rng = np.random.default_rng(0)
    z = rng.normal(-2.0, 1.5, 4_000)
    y = (rng.random(4_000) < expit(z)).astype(np.float64)
    reference = sm.GLM(y, np.ones_like(y), sm.families.Binomial(), offset=z + away).fit().params[0]
    assert calibrate(asked_of(z + away, y), pooled).moved == pytest.approx(reference, abs=1e-4)


def test_probabilities_near_0_and_1_do_not_lead_too_far() -> None:
    """There the line of Newton's step is nearly flat; a step of 149 would make all of them 1."""
    z = np.where(np.arange(1_000) % 10 == 0, 9.0, -9.0)
    y = (np.arange(1_000) % 25 < 3).astype(np.float64)
    found = calibrate(asked_of(z, y), pooled)
    assert expit(z + found.moved).mean() == pytest.approx(y.mean(), rel=1e-3)


def test_rows_of_one_class_move_nothing() -> None:
    """There is no such intercept: not of all rows, nor where that is so at every other client."""
    z = np.array([-1.0, 0.5, 1.0, 2.0])
    for y in (np.zeros(4), np.ones(4)):
        assert calibrate(asked_of(z, y), pooled) == Calibration(
            problem="the rows of too many clients are of one class"
        )
    assert calibrate(asked_of(z, np.array([0.0, 1.0, 0.0, 1.0])), middle).problem


def test_without_a_client_nothing_moves() -> None:
    """As where all have left after their last update."""
    assert calibrate(lambda _: [], pooled) == Calibration(problem="no client is left")


# Federations ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if name not in ROBUST | {"fednewton"}])
def test_probabilities_add_up_whatever_the_strategy(strategy: str, tmp_path: Path) -> None:
    """To a thousandth on the clients' rows after three rounds of any strategy that averages."""
    rows = drawn(3_000, rarity=2.5)
    result = Pool(thirds(rows), tmp_path).train(strategy=strategy, rounds=3)
    assert ratio(result, rows) == pytest.approx(1.0, abs=1e-3)
    assert f"the intercept was moved by {moved(result):+.3f} " in (result.conclusion or "")


@pytest.mark.parametrize("strategy", sorted(ROBUST))
def test_robust_strategies_take_the_middle_clients_step(strategy: str, tmp_path: Path) -> None:
    """Near the prevalence where clients are alike."""
    rows = drawn(9_000, rarity=2.5)
    result = Pool(thirds(rows), tmp_path).train(strategy=strategy, rounds=3)
    assert ratio(result, rows) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("balanced", [False, True])
def test_resampled_rows_count_as_they_did_before(balanced: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """With a tenth of the negative rows, or another share at each client, and with weights in the fit."""
    before = drawn()
    parts = halves(before)
    kept = [fewer_negatives(part, share) for part, share in zip(parts, (0.1, 0.4), strict=True)]
    pool = Pool(kept, tmp_path, test=[before], prepared=[told(part, "smote") for part in parts])
    result = pool.train(strategy="fedavg", rounds=2, balanced=balanced)
    assert ratio(result, before) == pytest.approx(1.0, abs=0.02)
    weighted = sum(
        (result.model.predict_proba(X) * np.where(y == 1, 1.0, (1 - whole).sum() / (1 - y).sum())).sum()
        for (X, y), (_, whole) in zip(kept, parts, strict=True)
    )
    assert weighted == pytest.approx(before[1].sum(), rel=1e-3)


def test_class_weights_do_not_count(tmp_path: Path) -> None:
    """After --balanced the rows' own sums are those of the positives."""
    rows = drawn(3_000)
    result = Pool(thirds(rows), tmp_path).train(strategy="fedavg", rounds=3, balanced=True)
    assert ratio(result, rows) == pytest.approx(1.0, abs=1e-3)


def test_where_preparation_is_unknown_rows_count_as_they_are(tmp_path: Path) -> None:
    """As the correction of the prevalence does, which then corrects nothing."""
    rows = drawn(3_000)
    parts = thirds(rows)
    prepared = [None, *(told((part[0], np.repeat(part[1], 2)), "smote") for part in parts[1:])]
    result = Pool(parts, tmp_path, prepared=prepared).train(strategy="fedavg", rounds=2)
    assert ratio(result, rows) == pytest.approx(1.0, abs=1e-3)


def test_federated_newton_is_left_as_it_is(tmp_path: Path) -> None:
    """Its optimum has the property by itself, so its clients are asked nothing more."""
    asked: list[str] = []

    def seen(reply: Message) -> Message:
        asked.append(reply.metadata.message_type)
        return reply

    rows = drawn(1_000)
    result = Pool(thirds(rows), tmp_path, spoil={2: seen}).train()
    assert KIND not in asked
    assert "intercept_moved" not in result.model.provenance
    assert ratio(result, rows) == pytest.approx(1.0, abs=1e-9)


# Clients that lie, or are lost ------------------------------------------------------------------------------


@pytest.mark.parametrize("lie", [0.02, 30.0])
def test_a_lying_client_cannot_move_a_robust_strategys_intercept_far(lie: float, tmp_path: Path) -> None:
    """The middle client's step is that of an honest one; the sum of all may be moved as the liar likes."""

    def told(honest: dict[str, Any]) -> dict[str, Any]:
        expected = min(honest["expected"] * lie, honest["num-examples"] * 0.9)
        most = expected * (1 - expected / honest["num-examples"])
        return honest | {"expected": expected, "variance": 0.9 * most}

    rows = drawn(9_000, rarity=2.5)
    parts = thirds(rows)
    robust, averaged = (
        Pool(parts, tmp_path, spoil=changed(3, told)).train(strategy=name, rounds=3)
        for name in ("fedmedian", "fedavg")
    )
    assert ratio(robust, rows) == pytest.approx(1.0, abs=0.1)
    if lie < 1:
        assert abs(ratio(averaged, rows) - 1.0) > 0.3
    else:  # told again whatever the steps: they lead nowhere
        assert "its steps did not settle" in (averaged.conclusion or "")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"expected": None}, 'its reply does not tell "expected"'),
        ({"variance": math.nan}, 'its reply does not tell "variance"'),
        ({"expected": 1e9}, "its sums are not those of probabilities of its rows"),
        ({"expected": 0.0}, "its sums are not those of probabilities of its rows"),
        ({"expected": 5e-324, "variance": 5e-324}, "its sums are not those of probabilities of its rows"),
        ({"variance": 1e9}, "its sums are not those of probabilities of its rows"),
        ({"variance": 0.0}, "its sums are not those of probabilities of its rows"),
        ({"num-examples": 7}, "its number of examples is 7, and it had told of 1000"),
    ],
)
def test_impossible_sums_do_not_count(wrong: dict[str, Any], words: str, tmp_path: Path) -> None:
    """The model stays as it was trained, and the run says why; with a quorum too, as it is of their rows."""
    rows = drawn(3_000, rarity=2.5)
    parts = thirds(rows)

    def spoilt(told: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in (told | wrong).items() if value is not None}

    result = Pool(parts, tmp_path, spoil=changed(3, spoilt)).train(strategy="fedavg", rounds=2)
    assert moved(result) == 0.0
    assert "the intercept was not moved to the clients' prevalence: " in (result.conclusion or "")
    assert f'Client "c1": {words}' in (result.conclusion or "")
    others = Pool(parts, tmp_path, spoil=changed(3, spoilt))
    result = others.train(strategy="fedavg", rounds=2, quorum=QUORUM)
    assert moved(result) == 0.0
    assert "c1 did not tell, and it is of their rows too" in (result.conclusion or "")
    robust = Pool(parts, tmp_path, spoil=changed(3, spoilt))
    assert moved(robust.train(strategy="fedmedian", rounds=2, quorum=QUORUM)) != 0.0


def test_a_run_does_not_fail_where_nobody_answers(tmp_path: Path) -> None:
    """The model is that of the last round, to the last bit."""
    rows = drawn(3_000, rarity=2.5)
    parts = thirds(rows)
    spoil = dict.fromkeys((2, 3, 4), failing)
    kept = Pool(parts, tmp_path, spoil=spoil).train(strategy="fedavg", rounds=2)
    free = Pool(parts, tmp_path).train(strategy="fedavg", rounds=2)
    np.testing.assert_array_equal(kept.model.coef, free.model.coef)
    assert kept.model.intercept == pytest.approx(free.model.intercept - moved(free), rel=1e-12)
    assert "evaluate.calibration: 0 valid replies of 3 needed" in (kept.conclusion or "")


def test_who_does_not_answer_is_asked_once(tmp_path: Path) -> None:
    """So that a silent client holds up the run for one timeout and no more."""
    asked = {2: 0, 3: 0}

    def counted(reply: Message) -> Message:
        asked[reply.metadata.src_node_id] += reply.metadata.message_type == KIND
        return failing(reply) if reply.metadata.src_node_id == 3 else reply

    pool = Pool(thirds(drawn(3_000, rarity=2.5)), tmp_path, spoil={2: counted, 3: counted})
    assert moved(pool.train(strategy="fedmedian", rounds=2, quorum=QUORUM)) != 0.0
    assert asked[2] > 1
    assert asked[3] == 1


# Clients that come late -------------------------------------------------------------------------------------


class Late(AnyOrder):
    """A grid whose last client joins during round 1."""

    def get_node_ids(self) -> list[int]:
        """Return the ids of the clients that are there."""
        ids = super().get_node_ids()
        return ids if self.exchanges > 1 else ids[:-1]


def with_latecomer(
    tmp_path: Path, parts: list[Rows], prepared: list[Preparation | None], known: Prepared | None = None
) -> Federated:
    """Train with the last client coming late."""
    pool = Pool(parts, tmp_path, prepared=prepared)
    pool.grid.__class__ = Late
    return pool.train(strategy="fedavg", rounds=3, prepared=known)


def test_a_latecomers_rows_count_as_it_says(tmp_path: Path) -> None:
    """With its own counts before resampling, like everybody's."""
    before = drawn(9_000)
    parts = thirds(before)
    kept = [fewer_negatives(part, 0.3) for part in parts]
    result = with_latecomer(tmp_path, kept, [told(part, "smote") for part in parts])
    assert "c2" in result.rounds[-1].clients
    weighted = sum(
        (result.model.predict_proba(X) * np.where(y == 1, 1.0, (1 - whole).sum() / (1 - y).sum())).sum()
        for (X, y), (_, whole) in zip(kept, parts, strict=True)
    )
    assert weighted == pytest.approx(before[1].sum(), rel=1e-3)


def test_a_latecomer_that_does_not_know_leaves_the_intercept_where_it_is(tmp_path: Path) -> None:
    """Its rows may be resampled as the others' are, or not."""
    parts = thirds(drawn(9_000))
    kept = [fewer_negatives(part, 0.3) for part in parts]
    result = with_latecomer(tmp_path, kept, [*(told(part, "smote") for part in parts[:2]), None])
    assert moved(result) == 0.0
    assert 'client "c2" does not know how its rows were prepared' in (result.conclusion or "")


def test_what_the_server_knows_of_a_latecomer_counts(tmp_path: Path) -> None:
    """As of the clients that are there from the start."""
    parts = thirds(drawn(9_000))
    kept = [fewer_negatives(part, 0.3) for part in parts]
    theirs = [told(part, "smote") for part in parts]
    known = Prepared(clients={"c2": theirs[2]})
    itself = with_latecomer(tmp_path / "a", kept, [*theirs])
    completed = with_latecomer(tmp_path / "b", kept, [*theirs[:2], None], known)
    assert completed.model.intercept == itself.model.intercept


# Everywhere the same model ----------------------------------------------------------------------------------


def test_the_moved_intercept_is_everybodys(tmp_path: Path) -> None:
    """The server's last figures, each client's, and each client's own copy are of the model that is saved."""
    rows = drawn(3_000, rarity=2.5)
    parts = thirds(rows)
    result = Pool(parts, tmp_path).train(strategy="fedadam", rounds=3)
    assert abs(moved(result)) > 0.1
    X, y = rows
    scores = result.model.predict_proba(X)
    assert result.rounds[-1].server["brier"] == pytest.approx(np.mean((scores - y) ** 2), rel=1e-9)
    own_X, own_y = parts[0]
    own = np.mean((result.model.predict_proba(own_X) - own_y) ** 2)
    assert result.at_clients["c0"]["brier"] == pytest.approx(own, rel=1e-9)
    mine = joblib.load(tmp_path / "c0" / "model.joblib")
    frame = pd.DataFrame(X, columns=["x0", "x1", "x2"])
    np.testing.assert_allclose(mine.predict_proba(frame)[:, 1], scores, rtol=1e-9)


def test_the_order_of_answers_changes_nothing(tmp_path: Path) -> None:
    """To the last bit."""
    parts = thirds(drawn(900, rarity=2.5))
    one, other = (
        Pool(parts, tmp_path, seed=seed).train(strategy="fedmedian", rounds=2).model.intercept
        for seed in (1, 2)
    )
    assert one == other
