"""That no finite optimum exists is said only when every client has shown it; one that is far is found."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from flwr.app import Array, Error, Message, RecordDict
from numpy.typing import NDArray
from statsmodels.discrete.discrete_model import Logit

import newton
from client_code.protocol.features import Feature
from federation.errors import NoOptimumError, RoundError
from federation.learning.strategies.newton.separation import no_optimum
from federation.learning.strategies.newton.space import Space
from rows import Rows as BlockRows
from streamed import StreamedTable, StreamedTask
from tests.unit.pooling import Floats, Pool, distance, parameters, thirds
from tests.unit.test_checked_strategy import Spoil

Table = Callable[[], tuple[Floats, NDArray[np.int64]]]


def _drawn(p: Floats, rng: np.random.Generator) -> NDArray[np.int64]:
    return (rng.random(p.size) < p).astype(np.int64)


# Far, and there --------------------------------------------------------------------------------------------


def steep() -> tuple[Floats, NDArray[np.int64]]:
    """Return 6,000 rows with P(y) = logistic(250 x)."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=6000)
    return x[:, np.newaxis], _drawn(1 / (1 + np.exp(-np.clip(250 * x, -700, 700))), rng)


def two_swapped() -> tuple[Floats, NDArray[np.int64]]:
    """Return 400 equally spaced rows, all positive ones above all negative ones but for a pair."""
    x = np.linspace(-2, 2, 400)
    y = (x > 0).astype(np.int64)
    y[199], y[200] = 1, 0
    return x[:, np.newaxis], y


def one_of_heavy_tails() -> tuple[Floats, NDArray[np.int64]]:
    """Return rows of Student's t with 1.5 degrees of freedom, of which one near the border is swapped."""
    x = np.random.default_rng(2).standard_t(1.5, size=3000)
    y = (x > 0).astype(np.int64)
    near = np.argsort(np.abs(x))[5]
    y[near] = 1 - y[near]
    return x[:, np.newaxis], y


@pytest.mark.parametrize("table", [steep, two_swapped, one_of_heavy_tails])
def test_an_optimum_that_is_far_is_found(table: Table, tmp_path: Path) -> None:
    """Coefficients and errors are statsmodels' on the same rows; no round is lost to the questions."""
    pool = Pool(thirds(*table()), tmp_path)
    result = pool.train(penalty="none", rounds=50)
    assert result.conclusion is not None
    assert result.conclusion.startswith("converged")
    assert pool.grid.exchanges == 1 + result.rounds[-1].round + 1 + 1
    A = np.column_stack([pool.scaled(result), np.ones(len(pool.y))])
    with np.errstate(over="ignore"):  # its probabilities are exp(-z)
        start = parameters(result)  # from afar its Newton takes whole steps, and goes too far
        fitted = Logit(pool.y, A).fit(start, disp=False, tol=1e-14, method="newton", maxiter=200)
    assert distance(parameters(result), fitted.params) < 1e-8
    assert result.model.inference is not None
    [feature] = result.model.inference["features"]
    assert feature["standard_error"] == pytest.approx(fitted.bse[0], rel=1e-5)


# Not there -------------------------------------------------------------------------------------------------


def complete() -> tuple[Floats, NDArray[np.int64]]:
    """Return rows that x0 separates."""
    X = np.random.default_rng(0).normal(size=(300, 3))
    return X, (X[:, 0] > 0).astype(np.int64)


def a_level(rows: int, of: int) -> Table:
    """Return what draws rows of which some have a level, x0, and are all positive."""

    def table() -> tuple[Floats, NDArray[np.int64]]:
        rng = np.random.default_rng(0)
        X = rng.normal(size=(of, 3))
        y = _drawn(1 / (1 + np.exp(1 - X[:, 1])), rng)
        X[:, 0] = 0.0
        X[:rows, 0], y[:rows] = 1.0, 1
        return X, y

    return table


def two_levels() -> tuple[Floats, NDArray[np.int64]]:
    """Return rows with two levels, x0 of positive ones and x2 of negative ones."""
    X, y = a_level(25, 3000)()
    X[:, 2] = 0.0
    X[1000:1300, 2], y[1000:1300] = 1.0, 0
    return X, y


def more_columns_than_rows() -> tuple[Floats, NDArray[np.int64]]:
    """Return 30 rows of 60 columns, which any labels can be told apart by."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(30, 60)), np.tile([0, 1], 15)


@pytest.mark.parametrize(
    ("table", "named"),
    [
        (complete, ': "x0"'),
        (a_level(30, 300), ': "x0" separates the classes'),
        (a_level(1, 40_000), ': "x0" separates the classes'),
        (two_levels, ': ("x0" and "x2"|"x2" and "x0") separate the classes'),
        (more_columns_than_rows, r': "x\d+", .* and \d+ more separate'),
    ],
    ids=["complete", "a level of 30", "a level of 1 of 40,000", "two levels", "more columns than rows"],
)
@pytest.mark.parametrize("own", [False, True], ids=["one intercept", "site intercepts"])
def test_columns_that_separate_are_named(table: Table, named: str, tmp_path: Path, *, own: bool) -> None:
    """At most five, in at most 20 rounds; the remedies are those that make the optimum finite."""
    X, y = table()
    pool = Pool(thirds(X, y, by=1), tmp_path)
    with pytest.raises(NoOptimumError, match="no finite optimum" + named) as caught:
        pool.train(penalty="none", site_intercepts=own, rounds=20)
    for remedy in ("--penalty l2", "--penalty firth", "--ignore "):
        assert remedy in caught.value.remedy
    pool.train(penalty="l2", site_intercepts=own)


def test_rows_in_blocks_confirm_it_too(tmp_path: Path) -> None:
    """A client that reads its rows from a file judges a direction in the pass for its sums."""
    parts, tasks = thirds(*a_level(30, 600)(), by=1), []
    for i, (X, y) in enumerate(parts):
        path = tmp_path / f"{i}.parquet"
        pd.DataFrame(X, columns=["x0", "x1", "x2"]).assign(y=y).to_parquet(path, row_group_size=50)
        table = StreamedTable(source=BlockRows(path, "y"))
        task = StreamedTask(
            name=f"c{i}",
            label="y",
            train=table,
            validation=table,
            max_iter=10,
            model_dir=tmp_path / f"c{i}",
        )
        tasks.append(task)
    with pytest.raises(NoOptimumError, match='"x0" separates the classes'):
        Pool(parts, tmp_path, tasks=tasks).train(penalty="none", balanced=True)


# Who is asked, and what the answers do ---------------------------------------------------------------------


def _answers(seen: list[float], change: float | None = None) -> Spoil:
    """Note what a client answers to a direction, or answer something else."""

    def spoil(reply: Message) -> Message:
        arrays = reply.content.array_records.get("arrays") if reply.has_content() else None
        if arrays is not None and "separates" in arrays:
            seen.append(float(arrays["separates"].numpy()[0]))
            if change is not None:
                arrays["separates"] = Array(np.array([change]))
        return reply

    return spoil


def test_one_client_that_speaks_against_it_is_enough(tmp_path: Path) -> None:
    """Two clients whose rows x0 separates confirm it, the third does not, and the optimum is found."""
    x, y = two_swapped()
    clear = np.abs(x[:, 0]) > 0.5
    parts = [(x[clear][i::2], y[clear][i::2]) for i in (0, 1)] + [(x[~clear], y[~clear])]
    seen: dict[int, list[float]] = {i: [] for i in (2, 3, 4)}
    pool = Pool(parts, tmp_path, {i: _answers(seen[i]) for i in seen})
    result = pool.train(penalty="none", rounds=50)
    assert result.conclusion is not None
    assert result.conclusion.startswith("converged")
    assert [set(seen[i]) for i in (2, 3, 4)] == [{1.0}, {1.0}, {0.0}]


def test_a_client_that_is_missing_has_confirmed_nothing(tmp_path: Path) -> None:
    """While one does not answer, the run goes on, though the others confirm; then it ends."""
    count, seen = 0, list[float]()

    def late(reply: Message) -> Message:
        nonlocal count
        if reply.metadata.message_type != "train.newton":
            return reply
        count += 1
        if count not in (4, 5):
            return reply
        return Message(Error(2, "a hiccup"), reply_to=Message(RecordDict(), reply_to=reply))

    pool = Pool(thirds(*more_columns_than_rows()), tmp_path, {2: late, 3: _answers(seen)})
    with pytest.raises(NoOptimumError, match="no finite optimum"):
        pool.train(penalty="none", quorum=2)
    assert seen[0] == 1.0
    assert count > 5


def test_an_answer_that_is_no_bit_is_refused(tmp_path: Path) -> None:
    """Anything but 0 and 1 is named as the client's fault."""
    pool = Pool(thirds(*complete()), tmp_path, {3: _answers([], 0.5)})
    with pytest.raises(RoundError, match='"c1": separates is neither 0 nor 1'):
        pool.train(penalty="none")


def test_tables_that_converge_at_once_are_not_asked(tmp_path: Path) -> None:
    """What clients send is then as before."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(900, 3))
    seen: list[float] = []
    Pool(thirds(X, _drawn(1 / (1 + np.exp(-X[:, 0])), rng)), tmp_path, {2: _answers(seen)}).train(
        penalty="none"
    )
    assert not seen


@pytest.mark.parametrize(("loss", "bit"), [(0.9e-6, 1.0), (1.1e-6, 0.0)])
def test_a_row_may_lose_a_millionth(loss: float, bit: float) -> None:
    """The least (2 y - 1) A d of all blocks decides, with a share for what still converges."""
    A, y = np.array([[1.0, 1.0], [-loss, 1.0]]), np.array([1, 1])
    direction = np.array([1.0, 0.0])
    parts = [newton.sums(A[[i]].copy(), y[[i]], np.zeros(2), (1.0, 1.0), direction) for i in (0, 1)]
    assert newton.total(parts).arrays()["separates"] == [bit]
    assert "separates" not in newton.sums(A.copy(), y, np.zeros(2), (1.0, 1.0)).arrays()


@pytest.mark.parametrize(
    ("direction", "sites", "words"),
    [
        ([0.0, 0.0, 1.0], (), "all of one class, so the intercept grows"),
        (
            [0.0, 0.0, 0.0, -1.0],
            ("a", "b"),
            'intercept of client "b", whose rows are all of one class, grows for ever',
        ),
        ([1.0, 0.0, 0.2, 0.2], ("a", "b"), '"u" separates the classes, so its coefficient grows for ever.$'),
        ([0.5, 0.0, 0.0, 1.0], ("a", "b"), '"u" separates.*; the intercept of client "b", whose'),
        (
            [0.0, 0.0, 1.0, -1.0],
            ("a", "b"),
            'intercepts of clients "a" and "b", whose rows are all of one class, grow for ever',
        ),
    ],
)
def test_what_grows_is_named(direction: list[float], sites: tuple[str, ...], words: str) -> None:
    """Columns, clients whose rows are of one class, or both; not what all intercepts share."""
    error = no_optimum(np.array(direction), Space(2, sites), (Feature(column="u"), Feature(column="v")))
    assert re.search(words, error.problem)


def test_the_remedy_names_columns_that_can_be_ignored() -> None:
    """A mark of missing values and a level are of a column, which a penalty keeps."""
    features = (
        Feature(column="thal rate", kind="missing"),
        Feature(column="cp", kind="level", level="4"),
        Feature(column="cp", kind="level", level="3"),
    )
    error = no_optimum(np.array([1.0, 0.9, 0.8, 0.0]), Space(3, ()), features)
    assert error.remedy == (
        "Use --penalty l2 or --penalty firth, or leave out the columns with --ignore 'thal rate' --ignore cp."
        ' "thal rate is missing" is a mark of missing values: --penalty l2 or firth keeps the measurement.'
    )
    error = no_optimum(np.array([0.0, 0.9, 0.8, 0.0]), Space(3, ()), features)
    assert error.remedy.endswith("leave out the column with --ignore cp.")
