"""One intercept per client: the fit with a dummy for each, in messages as ever, also when clients vary."""

import json
import math
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from flwr.app import Error, Message, RecordDict
from scipy.optimize import minimize
from statsmodels.discrete.discrete_model import Logit
from statsmodels.genmod.families import Binomial
from statsmodels.genmod.generalized_linear_model import GLM

from federation.api.model import Model
from federation.errors import DataError, NoOptimumError, SettingError
from federation.learning.federate import Federated, federate
from federation.learning.rounds.record import Checkpoint
from federation.learning.settings import TrainingSettings
from federation.model.linear import LinearModel
from federation.runs.record.record import RunRecord
from rows import Rows as BlockRows
from streamed import StreamedTable, StreamedTask
from tests.unit.pooling import Floats, Pool, Rows, distance
from tests.unit.test_checked_strategy import Spoil
from tests.unit.test_resume import CutShortError, comparable, cut_short, exactly, last_of

SLOPES = np.array([0.6, -0.4, 0.0])


def sites(sizes: tuple[int, ...] = (60, 400, 900, 150), seed: int = 0) -> list[Rows]:
    """Draw clients of unequal size whose base rates differ, and go with the columns."""
    rng, parts = np.random.default_rng(seed), []
    for rows, shift in zip(sizes, np.linspace(-1.0, 1.0, len(sizes)), strict=True):
        X = rng.normal(size=(rows, 3)) + shift
        z = X @ SLOPES - 2.0 * shift
        parts.append((X, (rng.random(rows) < 1 / (1 + np.exp(-z))).astype(np.int64)))
    return parts


def design(pool: Pool, result: Federated, parts: list[Rows]) -> Floats:
    """Return the pooled, prepared rows, with one column of ones per client."""
    dummies = np.repeat(np.eye(len(parts)), [len(y) for _, y in parts], axis=0)
    return np.column_stack([pool.scaled(result), dummies])


def estimates(result: Federated) -> Floats:
    """Return the coefficients, then the clients' intercepts, as they were trained."""
    model = result.model
    assert model.site_intercepts is not None
    shift = model.sampling["trained_intercept"] - model.intercept if model.sampling else 0.0
    return np.append(model.coef, np.array(list(model.site_intercepts.values())) + shift)


def errors(result: Federated) -> Floats:
    """Return their standard errors."""
    assert result.model.inference is not None
    inference = result.model.inference
    blocks = [*inference["features"], *inference["site_intercepts"].values()]
    return np.array([block["standard_error"] for block in blocks])


@pytest.mark.parametrize("balanced", [False, True])
def test_they_are_those_of_a_dummy_per_client(tmp_path: Path, *, balanced: bool) -> None:
    """Coefficients, intercepts and errors are statsmodels'; the intercept is their mean, with its error."""
    parts = sites()
    pool = Pool(parts, tmp_path)
    result = pool.train(penalty="none", site_intercepts=True, balanced=balanced)
    A = design(pool, result, parts)
    if balanced:
        v = (len(pool.y) / (2 * np.bincount(pool.y)))[pool.y]
        family = Binomial()
        fitted = GLM(pool.y, A, family=family, var_weights=v).fit(tol=1e-14, cov_type="HC0")
    else:
        fitted = Logit(pool.y, A).fit(disp=False, tol=1e-14, method="newton")
    assert distance(estimates(result), fitted.params) < 1e-8
    np.testing.assert_allclose(errors(result), np.sqrt(np.diag(fitted.cov_params())), rtol=1e-6)
    assert result.model.inference is not None
    intercept = result.model.inference["intercept"]
    mean = np.append(np.zeros(3), np.full(4, 0.25))
    assert mean @ estimates(result) == pytest.approx(mean @ fitted.params, rel=1e-8)
    assert intercept["standard_error"] == pytest.approx(
        math.sqrt(mean @ fitted.cov_params() @ mean), rel=1e-7
    )


def test_they_are_those_of_columns_in_their_own_units_too(tmp_path: Path) -> None:
    """Natural intercepts, the clients' and their mean, are those of a fit to the columns as they are."""
    parts = sites()
    pool = Pool(parts, tmp_path)
    result = pool.train(penalty="none", site_intercepts=True)
    A = design(pool, result, parts)
    A[:, :3] = pool.X
    fitted = Logit(pool.y, A).fit(disp=False, tol=1e-14, method="newton")
    assert result.model.inference is not None
    inference = result.model.inference
    natural = [inference["site_intercepts"][f"c{i}"]["natural"] for i in range(4)]
    np.testing.assert_allclose([one["coefficient"] for one in natural], fitted.params[3:], rtol=1e-6)
    np.testing.assert_allclose([one["standard_error"] for one in natural], fitted.bse[3:], rtol=1e-6)
    mean = np.append(np.zeros(3), np.full(4, 0.25))
    of_mean = inference["intercept"]["natural"]
    assert of_mean["coefficient"] == pytest.approx(mean @ fitted.params, rel=1e-6)
    assert of_mean["standard_error"] == pytest.approx(math.sqrt(mean @ fitted.cov_params() @ mean), rel=1e-6)


def test_no_intercept_is_penalised(tmp_path: Path) -> None:
    """With a penalty the optimum is that of the penalised loss, its penalty on the coefficients alone."""
    parts = sites()
    pool = Pool(parts, tmp_path)
    result = pool.train(site_intercepts=True)
    A, signs = design(pool, result, parts), np.where(pool.y == 1, -1.0, 1.0)

    def loss(w: Floats) -> tuple[float, Floats]:
        p = 1 / (1 + np.exp(-A @ w))
        penalty = np.append(w[:3], np.zeros(4))
        value = np.logaddexp(0.0, signs * (A @ w)).sum() + penalty @ penalty / 2
        return float(value), A.T @ (p - pool.y) + penalty

    found = minimize(loss, np.zeros(7), jac=True, method="BFGS", options={"gtol": 1e-9}).x
    assert distance(estimates(result), found) < 1e-8


def test_intervals_of_slopes_cover_where_base_rates_go_with_columns(tmp_path: Path) -> None:
    """Of 20 draws the true slope is in its 95 % interval in 17 or more; with one intercept in 2 at most."""
    covered = {True: 0, False: 0}
    for seed in range(20):
        parts = sites((300, 300, 300, 300), seed)
        for own in covered:
            result = Pool(parts, tmp_path).train(penalty="none", site_intercepts=own)
            assert result.model.inference is not None
            natural = result.model.inference["features"][0]["natural"]
            covered[own] += natural["low"] <= SLOPES[0] <= natural["high"]
    assert covered[True] >= 17
    assert covered[False] <= 2


def test_a_client_scores_and_keeps_a_model_with_its_own(tmp_path: Path) -> None:
    """Figures at each client are those of its own intercept, the server's those of the mean."""
    pool = Pool(sites(), tmp_path)
    result = pool.train(site_intercepts=True)
    assert result.model.site_intercepts is not None
    Z, start = pool.scaled(result), 0
    for i, (name, intercept) in enumerate(result.model.site_intercepts.items()):
        end = start + (60, 400, 900, 150)[i]
        z = Z[start:end] @ result.model.coef + intercept
        signs = np.where(pool.y[start:end] == 1, -1.0, 1.0)
        assert result.at_clients[name]["loss"] == pytest.approx(np.logaddexp(0.0, signs * z).mean())
        kept = joblib.load(tmp_path / name / "model.joblib")
        np.testing.assert_array_equal(kept["classify"].intercept_, [intercept])
        start = end
    p = result.model.predict_proba(pool.X)
    loss = -np.mean(np.where(pool.y == 1, np.log(p), np.log1p(-p)))
    assert result.rounds[-1].server["log_loss"] == pytest.approx(loss)
    assert result.model.intercept == pytest.approx(np.mean(list(result.model.site_intercepts.values())))


def test_messages_are_as_large_as_ever(tmp_path: Path) -> None:
    """No client is asked more often, and what it answers has the same arrays."""
    sent: dict[bool, list[dict[str, tuple[int, ...]]]] = {True: [], False: []}
    for own, seen in sent.items():

        def noted(reply: Message, seen: list[dict[str, tuple[int, ...]]] = seen) -> Message:
            if reply.metadata.message_type == "train.newton":
                arrays = reply.content.array_records["arrays"]
                seen.append({name: tuple(array.shape) for name, array in arrays.items()})
            return reply

        Pool(sites(), tmp_path, {3: noted}).train(site_intercepts=own)
    assert sent[True][0] == sent[False][0]


def test_rows_in_files_do_as_well(tmp_path: Path) -> None:
    """A client that reads its rows in blocks has an intercept too."""
    import pandas as pd  # noqa: PLC0415 - this test alone

    parts, tasks = sites(), []
    for i, (X, y) in enumerate(parts):
        path = tmp_path / f"{i}.parquet"
        pd.DataFrame(X, columns=["x0", "x1", "x2"]).assign(y=y).to_parquet(path, row_group_size=100)
        table = StreamedTable(source=BlockRows(path, "y"))
        how: dict[str, Any] = {"max_iter": 10, "model_dir": tmp_path / f"c{i}"}
        tasks.append(StreamedTask(name=f"c{i}", label="y", train=table, validation=table, **how))
    streamed = Pool(parts, tmp_path, tasks=tasks).train(penalty="none", site_intercepts=True)
    in_memory = Pool(parts, tmp_path).train(penalty="none", site_intercepts=True)
    assert distance(estimates(streamed), estimates(in_memory)) < 1e-10


# Clients that vary -----------------------------------------------------------------------------------------


class LateGrid:
    """Wrap a grid so that its last client is seen from the n-th exchange on."""

    def __init__(self, grid: Any, since: int) -> None:
        self._grid, self._since = grid, since

    def __getattr__(self, name: str) -> Any:
        return getattr(self._grid, name)

    def get_node_ids(self) -> list[int]:
        """Return the ids of the clients that are there."""
        ids: list[int] = self._grid.get_node_ids()
        return ids if self._grid.exchanges >= self._since else ids[:-1]


def test_a_client_that_comes_late_gets_one_too(tmp_path: Path) -> None:
    """It starts from the mean of the others and ends where it would have been had it been there."""
    parts = sites()
    pool = Pool(parts, tmp_path)
    pool.grid = LateGrid(pool.grid, 3)  # type: ignore[assignment]
    result = pool.train(penalty="none", site_intercepts=True, quorum=2)
    assert [sorted(one.clients) for one in result.rounds][1] == ["c0", "c1", "c2"]
    fitted = Logit(pool.y, design(pool, result, parts)).fit(disp=False, tol=1e-14, method="newton")
    assert distance(estimates(result), fitted.params) < 1e-8
    np.testing.assert_allclose(errors(result), fitted.bse, rtol=1e-6)


def _missing(times: set[int]) -> Spoil:
    """Lose the n-th replies to training."""
    count = 0

    def lost(reply: Message) -> Message:
        nonlocal count
        count += reply.metadata.message_type == "train.newton"
        if reply.metadata.message_type != "train.newton" or count not in times:
            return reply
        return Message(Error(2, "a hiccup"), reply_to=Message(RecordDict(), reply_to=reply))

    return lost


def test_a_client_that_misses_a_round_keeps_its_own(tmp_path: Path) -> None:
    """Its intercept rests while it is away, and the optimum is everybody's."""
    parts = sites()
    pool = Pool(parts, tmp_path, {3: _missing({2, 4})})
    result = pool.train(penalty="none", site_intercepts=True, quorum=2)
    assert [bool(one.rejected) for one in result.rounds[:5]] == [False, False, True, False, True]
    fitted = Logit(pool.y, design(pool, result, parts)).fit(disp=False, tol=1e-14, method="newton")
    assert distance(estimates(result), fitted.params) < 1e-8


def test_a_client_that_is_lost_is_in_no_mean(tmp_path: Path) -> None:
    """The fit is that of the others; model.json has their intercepts only, and their mean."""
    parts = sites()
    pool = Pool(parts, tmp_path, {3: _missing(set(range(2, 99)))})
    result = pool.train(penalty="none", site_intercepts=True, quorum=2)
    assert result.model.site_intercepts is not None
    assert list(result.model.site_intercepts) == ["c0", "c2", "c3"]
    kept = [parts[i] for i in (0, 2, 3)]
    others = Pool(kept, tmp_path)
    Z = result.model.preprocessing.apply(others.X)
    dummies = np.repeat(np.eye(3), [len(y) for _, y in kept], axis=0)
    fitted = Logit(others.y, np.column_stack([Z, dummies])).fit(disp=False, tol=1e-14, method="newton")
    assert distance(estimates(result), fitted.params) < 1e-8
    np.testing.assert_allclose(errors(result), fitted.bse, rtol=1e-6)
    assert result.model.intercept == pytest.approx(fitted.params[3:].mean(), rel=1e-6)


def _with_record(pool: Pool, record: Path) -> Federated:
    return federate(
        pool.grid,
        TrainingSettings(strategy="fednewton", site_intercepts=True, penalty="none"),
        pool.test,
        name_of=lambda node_id: f"c{node_id - 2}",
        observer=pool.notes,
        provenance={},
        record=RunRecord(record),
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Federated, Checkpoint]:
    """Return a run that nothing interrupted, and its last checkpoint."""
    folder = tmp_path_factory.mktemp("whole")
    return _with_record(Pool(sites(), folder), folder / "run"), last_of(folder / "run")


@pytest.mark.parametrize("at", [2, 9, 16])
def test_a_resumed_run_goes_on_to_the_last_bit(
    at: int, tmp_path: Path, whole: tuple[Federated, Checkpoint]
) -> None:
    """Intercepts, and all that the search carries, are in the checkpoint."""
    result, kept = whole
    stop = cut_short("train", at)
    with pytest.raises(CutShortError):
        _with_record(Pool(sites(), tmp_path, dict.fromkeys(range(2, 6), stop)), tmp_path / "cut")
    resumed = _with_record(Pool(sites(), tmp_path), tmp_path / "cut")
    assert exactly(resumed.model.coef) == exactly(result.model.coef)
    assert resumed.model.site_intercepts == result.model.site_intercepts
    assert resumed.model.inference == result.model.inference
    assert comparable(resumed.rounds) == comparable(result.rounds)
    assert kept.strategy
    assert exactly(last_of(tmp_path / "cut").strategy) == exactly(kept.strategy)


# Limits ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("penalty", ["l2", "none"])
def test_a_client_of_one_class_is_named(penalty: str, tmp_path: Path) -> None:
    """Its own intercept grows for ever, with a penalty too, as that is not on intercepts."""
    parts = sites()
    parts[1] = (parts[1][0], np.zeros(400, dtype=np.int64))
    with pytest.raises(NoOptimumError, match='the intercept of client "c1", whose') as caught:
        Pool(parts, tmp_path).train(penalty=penalty, site_intercepts=True)
    assert "--site-intercepts" in caught.value.remedy
    Pool(parts, tmp_path).train(penalty=penalty)  # which follows the remedy


def test_other_strategies_refuse_it() -> None:
    """They have no sums to fit it from; the remedy works."""
    with pytest.raises(SettingError, match=r"fedavg.*cannot") as caught:
        TrainingSettings(site_intercepts=True)
    assert "--strategy fednewton" in caught.value.remedy
    assert TrainingSettings(strategy="fednewton", site_intercepts=True).as_words() == [
        "--strategy",
        "fednewton",
        "--site-intercepts",
    ]


def test_they_are_kept_in_the_model(tmp_path: Path) -> None:
    """model.json gives them back to the last bit, and one that is no number is refused."""
    result = Pool(sites(), tmp_path).train(site_intercepts=True)
    text = result.model.to_json()
    (tmp_path / "model.json").write_text(text)
    assert Model.load(tmp_path / "model.json").site_intercepts == result.model.site_intercepts
    again = LinearModel.from_json(text)
    assert again.site_intercepts == result.model.site_intercepts
    assert again.to_json() == text
    for bad in ("0.5", None, True):
        parts = json.loads(text)
        parts["site_intercepts"]["c0"] = bad
        with pytest.raises(DataError, match="not a number"):
            LinearModel.from_json(json.dumps(parts))


def test_the_run_says_so_once(tmp_path: Path) -> None:
    """One note tells that new rows get the mean."""
    with_, without = (Pool(sites(), tmp_path).train(site_intercepts=own) for own in (True, False))
    assert "get their mean" in with_.notes[-1]
    hint = [note for note in without.notes if "--site-intercepts" in note]
    assert len(hint) == 1  # as the clients' base rates differ
    assert [note for note in without.notes if note not in hint] == with_.notes[:-1]
