"""Firth's penalty: the estimates are those of R's brglm2 and logistf, from two exchanges a step."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from flwr.app import Array, Error, Message, RecordDict
from numpy.typing import NDArray
from scipy.optimize import minimize

from federation.errors import RoundError
from federation.learning.federate import Federated, federate
from federation.learning.rounds.record import Checkpoint
from federation.learning.settings import TrainingSettings
from federation.learning.strategies.newton.descent import Sums
from federation.learning.strategies.newton.firth import FirthNewton
from federation.runs.record.record import RunRecord
from rows import Rows as BlockRows
from streamed import StreamedTable, StreamedTask
from tests.unit.pooling import Floats, Pool, Rows, distance, made_up, parameters, thirds
from tests.unit.test_checked_strategy import Spoil
from tests.unit.test_resume import CutShortError, comparable, cut_short, exactly, last_of
from tests.unit.test_site_intercepts import LateGrid

ENDOMETRIAL = """
NV 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 1 1 1 1 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 1 1 1 1 0 0
0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 1 0 0 0 1 1 0 1 0
PI 13 16 8 34 20 5 17 10 26 17 8 7 20 10 18 16 18 8 29 12 20 38 22 7 25 15 7 28 11 19 10 10 18 14 21 11 17
25 16 19 15 33 24 48 12 19 2 22 40 5 0 21 15 29 15 12 3 20 23 12 22 42 15 13 14 19 12 13 10 12 49 6 5 17 11
21 5 19 33
EH 1.64 2.26 3.14 2.68 1.28 2.31 1.8 1.68 1.56 2.31 2.01 1.89 3.15 1.23 1.27 1.76 2 2.64 0.88 1.27 1.37 0.97
1.14 0.88 0.91 0.58 0.97 1.5 1.33 2.37 1.82 3.13 1.31 1.92 1.64 2.01 1.88 1.93 2.11 1.29 1.72 0.75 1.92 1.84
1.11 1.61 1.18 1.44 1.18 0.93 1.17 1.19 1.06 2.02 2.29 2.33 2.9 1.7 1.41 2.25 1.54 1.97 1.75 2.16 2.57 1.37
3.61 2.04 2.17 1.69 0.27 1.84 1.3 0.96 1.01 0.98 0.35 1.02 0.85
HG 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 1 1 1 1 1 1 1 1 1 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 1 1 1 1 1 1 1 1 1 1
0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 1 1 1 1 1 1 1 1 1 1
"""
"""Endometrial cancer: 79 patients, neovasculation, pulsatility index, endometrium height, and histology. From
Heinze and Schemper 2002, "A solution to the problem of separation in logistic regression"; NV = 1 has HG = 1
only, so the maximum of the likelihood is infinite."""


def endometrial() -> list[Rows]:
    """Return three clients' rows, shifted so that no column is logged: slopes stay as they are."""
    NV, PI, EH, HG = (
        np.array([float(value) for value in column.split()]) for column in re.split("[A-Z]+", ENDOMETRIAL)[1:]
    )
    X, y = np.column_stack([NV - 0.5, PI - 20.0, EH - 2.0]), HG.astype(np.int64)
    return [(X[part::3], y[part::3]) for part in range(3)]


def _train(parts: list[Rows], folder: Path, **settings: Any) -> tuple[Pool, Federated]:
    pool = Pool(parts, folder)
    return pool, pool.train(**({"penalty": "firth", "rounds": 100} | settings))


def _maximum(A: Floats, y: NDArray[np.int64]) -> Floats:
    """Return where the penalised likelihood is largest, by a search that shares no code with ours."""

    def minus(w: Floats) -> float:
        z = A @ w
        p = 1 / (1 + np.exp(-z))
        _, log_determinant = np.linalg.slogdet((A.T * (p * (1 - p))) @ A)
        return float(np.logaddexp(0, np.where(y == 1, -z, z)).sum() - log_determinant / 2)

    found = minimize(minus, np.zeros(A.shape[1]), method="BFGS", jac="3-point", options={"gtol": 1e-8})
    return np.asarray(found.x)


def test_estimates_are_those_of_brglm2(tmp_path: Path) -> None:
    """R 4.2.2, brglm2 0.9: ``glm(HG ~ NV + PI + EH, binomial, method = "brglmFit", type = "MPL_Jeffreys")``.

    They are the published ones: 3.775, 2.929, -0.035, -2.604 (Heinze and Schemper 2002).
    """
    _, result = _train(endometrial(), tmp_path)
    inference = result.model.inference
    assert inference is not None
    assert (inference["penalty"], inference["method"]) == ("firth", "inverse information")
    natural = [one["natural"] for one in inference["features"]]
    slopes = [2.9292733531971989, -0.03475175987043666, -2.60416392529368235]
    np.testing.assert_allclose([one["coefficient"] for one in natural], slopes, rtol=1e-6)
    errors = [1.5507637294530492, 0.0395781473477635, 0.7760176425015671]
    np.testing.assert_allclose([one["standard_error"] for one in natural], errors, rtol=1e-6)
    p = [0.0589021404208401114, 0.3799142874051486540, 0.0007913432949809385]
    np.testing.assert_allclose([one["p"] for one in inference["features"]], p, rtol=1e-5)
    shift = np.array([0.5, 20.0, 2.0]) @ slopes
    intercept = inference["intercept"]["natural"]["coefficient"]
    assert intercept - shift == pytest.approx(3.77455971364711429, rel=1e-6)


def test_separated_rows_have_the_estimates_of_brglm2(tmp_path: Path) -> None:
    """R 4.2.2, brglm2 0.9, ``glm(y ~ x + g, binomial, method = "brglmFit", type = "MPL_Jeffreys")``."""
    x = np.array([-3, -2.5, -2, -1.5, -1, -0.5, 0.5, 1, 1.5, 2, 2.5, 3])
    X, y = np.column_stack([x, np.tile([-0.5, 0.5, -0.5], 4)]), (x > 0).astype(np.int64)
    _, result = _train([(X[part::3], y[part::3]) for part in range(3)], tmp_path)
    assert result.model.inference is not None
    of_x, of_g = result.model.inference["features"]
    assert of_x["natural"]["coefficient"] == pytest.approx(1.342698214488928, rel=1e-6)
    assert of_x["natural"]["standard_error"] == pytest.approx(0.6897315285607121, rel=1e-6)
    assert of_x["p"] == pytest.approx(0.05157108593347339, rel=1e-5)
    assert of_g["natural"]["coefficient"] == pytest.approx(0.0, abs=1e-6)
    assert of_g["natural"]["standard_error"] == pytest.approx(1.9434969996260241, rel=1e-6)


@pytest.mark.parametrize("kind", ["overlapping", "complete", "quasi-complete", "one class"])
def test_estimates_are_where_the_penalised_likelihood_is_largest(kind: str, tmp_path: Path) -> None:
    """Also where the likelihood itself has no maximum: separated rows, or rows of one class."""
    X, y = made_up(120, 3, seed=2)
    X /= X.std(axis=0)
    if kind == "complete":
        y = (X[:, 0] > 0).astype(np.int64)
    elif kind == "quasi-complete":
        X[:, 0] = X[:, 0] > 0.9
        y[X[:, 0] == 1] = 1
    elif kind == "one class":
        y = np.zeros_like(y)
    pool, result = _train(thirds(X, y, by=1), tmp_path)
    assert result.conclusion is not None
    assert result.conclusion.startswith("converged")
    A = np.column_stack([pool.scaled(result), np.ones(len(y))])
    np.testing.assert_allclose(parameters(result), _maximum(A, pool.y), rtol=1e-6, atol=1e-6)


def test_a_table_of_four_cells_gains_half_a_row_in_each(tmp_path: Path) -> None:
    """The log-odds ratio is that of the counts plus a half, its error √ Σ 1 / (n + ½), but for I at n."""
    cells = {(1, 1): 7, (1, 0): 0, (0, 1): 12, (0, 0): 31}
    X = np.array([[x - 0.5] for (x, _), count in cells.items() for _ in range(count)])
    y = np.array([label for (_, label), count in cells.items() for _ in range(count)])
    _, result = _train([(X[part::3], y[part::3]) for part in range(3)], tmp_path)
    assert result.model.inference is not None
    natural = result.model.inference["features"][0]["natural"]
    a, b, c, d = (count + 0.5 for count in cells.values())
    assert natural["coefficient"] == pytest.approx(math.log(a * d / (b * c)), rel=1e-7)
    p, q = a / (a + b), c / (c + d)
    error = math.sqrt(1 / (7 * p * (1 - p)) + 1 / (43 * q * (1 - q)))
    assert natural["standard_error"] == pytest.approx(error, rel=1e-6)


def test_each_client_may_have_its_intercept(tmp_path: Path) -> None:
    """Those of a fit with a column of ones per client, one of which has rows of one class only."""
    X, y = made_up(150, 3, seed=4)
    X /= X.std(axis=0)
    parts = thirds(X, y, by=0)
    parts[0][1][:] = 0
    pool, result = _train(parts, tmp_path, site_intercepts=True)
    A = np.column_stack([pool.scaled(result), np.repeat(np.eye(3), 50, axis=0)])
    assert result.model.site_intercepts is not None
    found = np.append(result.model.coef, list(result.model.site_intercepts.values()))
    np.testing.assert_allclose(found, _maximum(A, pool.y), rtol=1e-6, atol=1e-6)
    p = 1 / (1 + np.exp(-A @ found))
    errors = np.sqrt(np.diag(np.linalg.inv((A.T * (p * (1 - p))) @ A)))
    inference = result.model.inference
    assert inference is not None
    told = [*inference["features"], *inference["site_intercepts"].values()]
    np.testing.assert_allclose([one["standard_error"] for one in told], errors, rtol=1e-6)


def test_equal_columns_share_and_are_named(tmp_path: Path) -> None:
    """The penalty is that of columns which the rows tell apart: estimates are as without the copy."""
    X, y = made_up(120, 2, seed=2)
    X /= X.std(axis=0)
    _, one = _train(thirds(X, y, by=1), tmp_path)
    _, twice = _train(thirds(np.column_stack([X, X[:, 0]]), y, by=1), tmp_path)
    assert twice.model.inference is not None
    assert twice.model.inference["undetermined"] == [["x0", "x2"]]
    shared = np.array([one.model.coef[0] / 2, one.model.coef[1], one.model.coef[0] / 2])
    np.testing.assert_allclose(twice.model.coef, shared, rtol=1e-6)


# How it goes there -----------------------------------------------------------------------------------------


def test_rows_in_files_give_the_same(tmp_path: Path) -> None:
    """Read in blocks from Parquet, to the last digits."""
    X, y = made_up(90, 3)
    X /= X.std(axis=0)
    parts, tasks = thirds(X, y), []
    for i, (part, labels) in enumerate(parts):
        file = tmp_path / f"{i}.parquet"
        frame = pd.DataFrame(part, columns=["x0", "x1", "x2"]).assign(y=labels)
        frame.to_parquet(file, row_group_size=7)
        table = StreamedTable(source=BlockRows(file, "y"))
        how: dict[str, Any] = {"max_iter": 10, "model_dir": tmp_path / f"c{i}"}
        tasks.append(StreamedTask(name=f"c{i}", label="y", train=table, validation=table, **how))
    streamed = Pool(parts, tmp_path, tasks=tasks).train(penalty="firth", rounds=100)
    _, in_memory = _train(parts, tmp_path)
    assert distance(parameters(streamed), parameters(in_memory)) < 1e-10


def test_a_step_takes_two_exchanges(tmp_path: Path) -> None:
    """Rounds of sums and of corrections take turns; the first tells loss and Hessian, the second k sums."""
    pool = Pool(endometrial(), tmp_path)
    result = pool.train(penalty="firth", rounds=100)
    rounds = result.rounds[-1].round
    assert rounds % 2 == 0
    assert rounds < 60
    assert pool.grid.exchanges == 1 + rounds + 1 + 1
    assert result.conclusion is not None
    assert result.conclusion.startswith(f"converged after {rounds} rounds")


def _with_record(folder: Path, record: Path, spoil: Spoil | None = None) -> Federated:
    pool = Pool(endometrial(), folder, {2: spoil} if spoil else {})
    return federate(
        pool.grid,
        TrainingSettings(strategy="fednewton", penalty="firth", site_intercepts=True),
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
    return _with_record(folder / "clients", folder / "run"), last_of(folder / "run")


@pytest.mark.parametrize("at", [4, 5, 9, 10])
def test_a_run_that_was_cut_short_goes_on_to_the_same_bits(
    at: int, tmp_path: Path, whole: tuple[Federated, Checkpoint]
) -> None:
    """Between the two exchanges of a step as after both, with what it carries and each round's figures."""
    result, kept = whole
    with pytest.raises(CutShortError):
        _with_record(tmp_path / "b", tmp_path / "cut", cut_short("train", at))
    assert last_of(tmp_path / "cut").round == at - 1
    resumed = _with_record(tmp_path / "c", tmp_path / "cut")
    np.testing.assert_array_equal(resumed.model.coef, result.model.coef)
    assert resumed.model.inference == result.model.inference
    assert resumed.conclusion == result.conclusion
    assert comparable(resumed.rounds) == comparable(result.rounds)
    assert exactly(last_of(tmp_path / "cut").strategy) == exactly(kept.strategy)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Floats:
    """Return the parameters of a run in which no reply is lost."""
    _, result = _train(endometrial(), tmp_path_factory.mktemp("undisturbed"))
    return parameters(result)


@pytest.mark.parametrize("times", [{2, 3}, {4}, {5, 8}])
def test_a_client_that_misses_an_exchange_changes_nothing_in_the_end(
    times: set[int], tmp_path: Path, undisturbed: Floats
) -> None:
    """Without its correction the point is asked about again; without its sums the step is the others'."""
    count = 0

    def lost(reply: Message) -> Message:
        nonlocal count
        count += reply.metadata.message_type.startswith("train")
        if not reply.metadata.message_type.startswith("train") or count not in times:
            return reply
        return Message(Error(2, "a hiccup"), reply_to=Message(RecordDict(), reply_to=reply))

    pool = Pool(endometrial(), tmp_path, {3: lost})
    result = pool.train(penalty="firth", rounds=100, quorum=2)
    assert sum(bool(one.rejected) for one in result.rounds) == len(times)
    np.testing.assert_allclose(parameters(result), undisturbed, rtol=1e-6)


@pytest.mark.parametrize("since", [2, 3])
@pytest.mark.parametrize("own", [True, False])
def test_a_client_that_comes_late_is_in_the_fit(since: int, tmp_path: Path, *, own: bool) -> None:
    """Between the two exchanges of a step as after both, with an intercept of its own or without."""
    X, y = made_up(150, 3, seed=4)
    X /= X.std(axis=0)
    parts = thirds(X, y, by=0)
    pool = Pool(parts, tmp_path)
    pool.grid = LateGrid(pool.grid, since)  # type: ignore[assignment]
    late = pool.train(penalty="firth", rounds=100, site_intercepts=own, quorum=2)
    assert "c2" not in late.rounds[1].clients
    _, there = _train(parts, tmp_path, site_intercepts=own)
    np.testing.assert_allclose(late.model.predict_proba(X), there.model.predict_proba(X), rtol=1e-5)


def test_a_correction_that_is_no_number_is_rejected(tmp_path: Path) -> None:
    """The run ends with the client's name."""

    def spoil(reply: Message) -> Message:
        if reply.metadata.message_type == "train.firth":
            reply.content.array_records["arrays"]["correction"] = Array(np.full(4, math.nan))
        return reply

    with pytest.raises(RoundError, match='"c1": correction is not finite'):
        Pool(endometrial(), tmp_path, {3: spoil}).train(penalty="firth")


def test_a_step_to_where_nothing_varies_is_halved() -> None:
    """Where all probabilities are 0 or 1 the information is zero, and nothing is divided by it."""
    search = FirthNewton(penalty=0.0, tolerance=1e-7, max_halvings=20)
    start = Sums(rows=4, loss=2.0, gradient=np.array([1.0]), hessian=np.array([0.5]), scores=None)
    search.propose(np.zeros(1), {"a": start})
    far = search.correct({"a": np.zeros(1)})
    flat = Sums(rows=4, loss=0.0, gradient=np.zeros(1), hessian=np.zeros(1), scores=None)
    np.testing.assert_array_equal(search.propose(far, {"a": flat}), far / 2)
