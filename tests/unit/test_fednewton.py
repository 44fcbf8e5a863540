"""Federated Newton ends at the pooled optimum, whatever the clients' rows, or says why it cannot."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from flwr.app import Array, Error, Message, RecordDict
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

import newton
from federation.errors import NoOptimumError, RoundError, SettingError
from federation.learning.strategies.catalogue import create_strategy, default_rounds
from federation.learning.strategies.newton.descent import Sums
from federation.learning.strategies.newton.fednewton import FedNewton
from rows import Rows as BlockRows
from streamed import StreamedTable, StreamedTask
from tests.conftest import DATA
from tests.unit.pooling import Floats, Pool, Rows, distance, made_up, parameters, thirds
from tests.unit.test_checked_strategy import Spoil

# The pooled optimum ----------------------------------------------------------------------------------------


def test_the_articles_data_cut_by_volume(cms: Path, tmp_path: Path) -> None:
    """Three clients of low, middle and high claim volume: scikit-learn's pooled fit to 1e-8, in 8 rounds."""
    frame = pd.read_csv(cms).drop_duplicates()
    y = frame.pop("fraudulent_provider").to_numpy(dtype=np.int64)
    by = list(frame.columns).index("total_claim_count_sum")
    pool = Pool(thirds(frame.to_numpy(dtype=np.float64), y, by), tmp_path)
    result = pool.train()
    assert result.rounds[-1].round <= 8
    assert result.conclusion is not None
    assert result.conclusion.startswith(f"converged after {result.rounds[-1].round} rounds (gradient ")
    assert distance(parameters(result), pool.pooled(result)) < 1e-8


@pytest.fixture(scope="session")
def heart() -> list[tuple[Floats, Floats]]:
    """Return the rows of four hospitals, prepared as FLamby does: features, then label."""
    folder = DATA / "heart"
    if not folder.exists():
        pytest.skip("the reference data are not on this machine")
    hospitals = []
    for name in ("cleveland", "hungarian", "switzerland", "va"):
        frame = pd.read_csv(folder / f"processed.{name}.data", header=None, na_values="?")
        frame = frame.drop(columns=[10, 11, 12]).dropna()
        y = (frame.pop(13) > 0).to_numpy(dtype=np.int64)
        levels = {2: [2, 3, 4], 6: [1, 2]}
        dummies = [(frame[c] == level).to_numpy(float) for c, known in levels.items() for level in known]
        hospitals.append((np.column_stack([frame.drop(columns=[2, 6]).to_numpy(float), *dummies]), y))
    return hospitals


def test_four_hospitals_one_of_them_with_a_single_class(heart: list[Rows], tmp_path: Path) -> None:
    """With one scaling: pooled scikit-learn to 1e-8, and a mean accuracy of the hospitals of 0.80."""
    train, test = [], []
    for X, y in heart:
        stratify = None if len(y) < 50 else y  # Switzerland's
        fit, held = train_test_split(
            np.arange(len(y)),
            test_size=1 - 0.66,
            train_size=0.66,
            random_state=43,
            shuffle=True,
            stratify=stratify,
        )
        train.append((X[fit], y[fit]))
        test.append((X[held], y[held]))
    assert sum(len(y) for _, y in heart) == 740
    assert [np.unique(y).size for _, y in train] == [2, 2, 1, 2]
    pool = Pool(train, tmp_path, test=test)
    result = pool.train()
    assert distance(parameters(result), pool.pooled(result)) < 1e-8
    accuracies = [np.mean((result.model.predict_proba(X) >= 0.5) == y) for X, y in test]
    assert np.mean(accuracies) >= 0.80


@pytest.mark.parametrize("weight", [None, "balanced"])
@pytest.mark.parametrize(("penalty", "C"), [("l2", 1.0), ("l2", 0.02), ("l2", 30.0), ("none", math.inf)])
def test_made_up_rows(penalty: str, C: float, weight: str | None, tmp_path: Path) -> None:
    """With and without penalty and class weights: what scikit-learn makes of all rows together."""
    pool = Pool(thirds(*made_up(), by=5), tmp_path)
    result = pool.train(penalty=penalty, balanced=weight is not None, **({"c": C} if math.inf > C else {}))
    assert result.rounds[-1].round <= 10
    assert distance(parameters(result), pool.pooled(result, C=C, weight=weight)) < 1e-8


def test_clients_whose_rows_stay_in_their_files(tmp_path: Path) -> None:
    """Read in blocks from Parquet, they end where clients with rows in memory do, and keep the same model."""
    parts = thirds(*made_up(), by=5)
    tasks = []
    for i, (X, y) in enumerate(parts):
        frame = pd.DataFrame(X, columns=[f"x{j}" for j in range(6)]).assign(y=y)
        frame.to_parquet(tmp_path / f"{i}.parquet", index=False, row_group_size=100)
        table = StreamedTable(source=BlockRows(tmp_path / f"{i}.parquet", "y"))
        task = StreamedTask(
            name=f"c{i}",
            label="y",
            train=table,
            validation=table,
            max_iter=10,
            model_dir=tmp_path / f"c{i}",
        )
        tasks.append(task)
    pool = Pool(parts, tmp_path, tasks=tasks)
    result = pool.train(balanced=True)
    assert distance(parameters(result), pool.pooled(result, weight="balanced")) < 1e-8
    in_memory = Pool(parts, tmp_path).train(balanced=True)
    assert distance(parameters(result), parameters(in_memory)) < 1e-12
    assert result.at_clients["c1"].keys() == in_memory.at_clients["c1"].keys()
    assert (tmp_path / "c0" / "model.joblib").exists()


def test_a_client_of_one_class(tmp_path: Path) -> None:
    """A client without a positive row adds its sums like any other."""
    X, y = made_up()
    pool = Pool([(X[y == 0][:200], y[y == 0][:200]), (X[400:], y[400:])], tmp_path)
    result = pool.train()
    assert distance(parameters(result), pool.pooled(result)) < 1e-8


@pytest.mark.parametrize(("penalty", "C"), [("l2", 1.0), ("none", math.inf)])
def test_constant_and_collinear_columns(penalty: str, C: float, tmp_path: Path) -> None:
    """They converge too: scikit-learn's scores, equal shares for equal columns; no constant one."""
    X, y = made_up(d=3)
    X = np.column_stack([X, X[:, 0], 2 * X[:, 1] - X[:, 2], np.full(len(y), 7.0)])
    pool = Pool(thirds(X, y), tmp_path)
    result = pool.train(penalty=penalty)
    assert result.conclusion is not None
    assert result.conclusion.startswith("converged")
    w, Z = parameters(result), pool.scaled(result)
    reference = LogisticRegression(C=C, tol=1e-12, max_iter=10_000).fit(Z, pool.y)
    np.testing.assert_allclose(Z @ w[:-1] + w[-1], reference.decision_function(Z), atol=2e-4)
    assert w[0] == pytest.approx(w[3], abs=1e-8)
    assert result.model.preprocessing.features == ("x0", "x1", "x2", "x3", "x4")


def test_separable_rows_with_a_penalty(tmp_path: Path) -> None:
    """The penalty makes the optimum finite."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3))
    pool = Pool(thirds(X, (X[:, 0] > 0).astype(np.int64), by=1), tmp_path)
    result = pool.train()
    assert distance(parameters(result), pool.pooled(result)) < 1e-8


@pytest.mark.parametrize("kind", ["complete", "quasi-complete"])
def test_separable_rows_without_a_penalty_end_with_the_reason(kind: str, tmp_path: Path) -> None:
    """No overflow and no invented model: the error says what happens and what to do."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 3)), rng.integers(0, 2, 300)
    if kind == "complete":
        y = (X[:, 0] > 0).astype(np.int64)
    else:
        X[:, 0] = X[:, 0] > 0.5
        y[X[:, 0] == 1] = 1
    with pytest.raises(NoOptimumError, match=r"no finite optimum.*--penalty l2") as caught:
        Pool(thirds(X, y, by=1), tmp_path).train(penalty="none")
    assert caught.value.exit_code == 34


def test_rows_of_one_class_altogether_end_with_the_reason(tmp_path: Path) -> None:
    """No client has a positive row: the intercept, which is not penalised, would fall for ever."""
    X, _ = made_up()
    with pytest.raises(NoOptimumError, match="one class"):
        Pool(thirds(X, np.zeros(len(X), dtype=np.int64)), tmp_path).train()


def test_a_rare_and_strong_effect_is_not_taken_for_separation(tmp_path: Path) -> None:
    """A coefficient whose steps stay long for many rounds ends where the rows have it, at log(999)."""
    y = np.random.default_rng(0).integers(0, 2, 20_000)
    X = np.zeros((20_000, 1))
    X[:1000], y[:1000], y[0] = 1.0, 1, 0
    pool = Pool(thirds(X, y), tmp_path)
    result = pool.train(penalty="none")
    baseline = math.log(y[1000:].mean() / (1 - y[1000:].mean()))
    effect = result.model.coef[0] / result.model.preprocessing.scale[0]
    assert effect == pytest.approx(math.log(999) - baseline, rel=1e-9)


# How it goes there -----------------------------------------------------------------------------------------


def test_a_round_is_one_exchange_and_no_round_follows_the_last(tmp_path: Path) -> None:
    """Statistics, an exchange a round, the final model's scores, the final model."""
    pool = Pool(thirds(*made_up()), tmp_path)
    result = pool.train(rounds=20)
    rounds = result.rounds[-1].round
    assert rounds < 20
    assert [one.round for one in result.rounds] == list(range(rounds + 1))
    assert pool.grid.exchanges == 1 + rounds + 1 + 1
    assert result.model.provenance["rounds"] == rounds


def test_too_few_rounds_are_said_to_be_too_few(tmp_path: Path) -> None:
    """--rounds is a cap: the model is the last step's, without inference, and the line says so."""
    result = Pool(thirds(*made_up()), tmp_path).train(rounds=2)
    assert result.rounds[-1].round == 2
    assert result.conclusion is not None
    assert result.conclusion.startswith("not converged after 2 rounds")
    assert result.model.inference is None
    assert result.rounds[-1].server["log_loss"] < result.rounds[0].server["log_loss"]


def test_the_order_of_answers_changes_no_bit(tmp_path: Path) -> None:
    """Sums are taken by node id, not by arrival."""
    parts = thirds(*made_up())
    results = [Pool(parts, tmp_path / str(seed), seed=seed).train(balanced=True) for seed in range(4)]
    for other in results[1:]:
        np.testing.assert_array_equal(parameters(other), parameters(results[0]))
        assert other.model.inference == results[0].model.inference


def _in_training(change: Spoil, *, times: set[int] | None = None) -> Spoil:
    """Change the replies to training, all or the n-th ones."""
    count = 0

    def spoil(reply: Message) -> Message:
        nonlocal count
        if reply.metadata.message_type != "train.newton":
            return reply
        count += 1
        return change(reply) if times is None or count in times else reply

    return spoil


def _array(name: str, change: float) -> Spoil:
    def spoil(reply: Message) -> Message:
        values = reply.content.array_records["arrays"][name].numpy().copy()
        values[0] += change
        reply.content.array_records["arrays"][name] = Array(values)
        return reply

    return spoil


def test_a_step_that_raises_the_loss_is_halved(tmp_path: Path) -> None:
    """Two rounds report a higher loss: the step is halved twice, and the optimum still found."""
    parts = thirds(*made_up())
    pool = Pool(parts, tmp_path, {2: _in_training(_array("loss", 1e4), times={3, 4})})
    result = pool.train()
    assert result.conclusion is not None
    assert "2 of them halved a step" in result.conclusion
    assert distance(parameters(result), pool.pooled(result)) < 1e-8


def test_a_loss_that_never_falls_ends_the_run(tmp_path: Path) -> None:
    """A client whose loss contradicts its gradient is not followed for ever."""
    pool = Pool(thirds(*made_up()), tmp_path, {2: _in_training(_array("loss", 1e4), times=set(range(2, 99)))})
    with pytest.raises(NoOptimumError, match="did not decrease after 3 halvings"):
        pool.train(parameters={"max_halvings": "3"})


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("loss", math.nan, "loss is not finite"),
        ("loss", -1e9, "loss is negative"),
        ("gradient", math.inf, "gradient is not finite"),
        ("hessian", -1e9, "the diagonal of hessian is negative"),
    ],
)
def test_impossible_sums_end_the_run_or_are_left_out(
    name: str, change: float, words: str, tmp_path: Path
) -> None:
    """Below the quorum the error names the client; above it the others' optimum is found."""
    parts, bad = thirds(*made_up()), {3: _in_training(_array(name, change))}
    with pytest.raises(RoundError, match=f'"c1": {words}'):
        Pool(parts, tmp_path / "all", bad).train()
    pool = Pool(parts, tmp_path / "quorum", bad)
    result = pool.train(quorum=2)
    assert {name for one in result.rounds for name in one.rejected} == {"c1"}
    Z, y = (np.concatenate([part[i] for part in (parts[0], parts[2])]) for i in (0, 1))
    model = LogisticRegression(tol=1e-14, max_iter=1000, solver="newton-cholesky")
    model.fit(result.model.preprocessing.apply(Z), y)
    assert distance(parameters(result), np.append(model.coef_[0], model.intercept_)) < 1e-8


def test_a_client_that_misses_one_round_changes_nothing_in_the_end(tmp_path: Path) -> None:
    """Losses are compared only among those that answered at both points; the optimum is still everybody's."""

    def lost(reply: Message) -> Message:
        return Message(Error(2, "a hiccup"), reply_to=Message(RecordDict(), reply_to=reply))

    pool = Pool(thirds(*made_up()), tmp_path, {3: _in_training(lost, times={2, 4})})
    result = pool.train(quorum=2)
    assert [bool(one.rejected) for one in result.rounds[:5]] == [False, False, True, False, True]
    assert distance(parameters(result), pool.pooled(result)) < 1e-8


# The start -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("balanced", [False, True])
def test_it_starts_with_what_the_labels_alone_tell(tmp_path: Path, *, balanced: bool) -> None:
    """The untrained model gives every row the share of positive ones, whatever the classes weigh."""
    X, y = made_up()
    pool = Pool(thirds(X, y), tmp_path)
    share = y.mean()
    expected = -np.mean(np.where(y == 1, np.log(share), np.log(1 - share)))
    assert pool.train(balanced=balanced).rounds[0].server["log_loss"] == pytest.approx(expected)


@pytest.mark.parametrize("weight", [None, "balanced"])
def test_the_first_step_goes_to_the_linear_discriminant(weight: str | None, tmp_path: Path) -> None:
    """To scikit-learn's, of all rows with these weights of the classes."""
    pool = Pool(thirds(*made_up()), tmp_path)
    result = pool.train(rounds=1, balanced=weight is not None, penalty="none")
    Z, y, positives = pool.scaled(result), pool.y, int(pool.y.sum())
    if weight:  # each row as often as it weighs, for scikit-learn's discriminant knows no weights
        times = np.where(y == 1, y.size - positives, positives)
        Z, y = np.repeat(Z, times, axis=0), np.repeat(y, times)
    reference = LinearDiscriminantAnalysis(solver="lsqr").fit(Z, y)
    expected = np.append(reference.coef_[0], reference.intercept_)
    np.testing.assert_allclose(parameters(result), expected, rtol=1e-8, atol=1e-10)


def test_a_rare_class_and_outliers_need_no_more_rounds_than_are_allowed(tmp_path: Path) -> None:
    """From the log-odds of 1 in 1,000, steps go too far and are halved many times; it starts from 0 then."""
    rng = np.random.default_rng(0)
    X = rng.standard_t(2, size=(30_000, 8))
    z = X @ rng.normal(size=8)
    y = (rng.random(len(z)) < 1 / (1 + np.exp(2 * (np.quantile(z, 0.999) - z)))).astype(np.int64)
    pool = Pool(thirds(X, y), tmp_path)
    result = pool.train()
    assert result.conclusion is not None
    assert result.conclusion.startswith("converged")
    assert distance(parameters(result), pool.pooled(result)) < 1e-8
    assert result.rounds[0].server["log_loss"] == pytest.approx(math.log(2))


# Settings and state ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters_", "words"),
    [
        ({"tolerance": "0"}, "tolerance must be above 0"),
        ({"max_halvings": "-1"}, "refuses"),
        ({"fraction_train": "0.5"}, 'no parameter "fraction_train"'),
    ],
)
def test_parameters_that_make_no_sense_are_refused(parameters_: dict[str, str], words: str) -> None:
    """All clients train in every round, so a fraction is no parameter."""
    with pytest.raises(SettingError, match=words):
        create_strategy("fednewton", parameters_, clients=3)


def test_it_has_a_cap_of_its_own() -> None:
    """Fifty rounds are allowed and seldom needed; other strategies keep three."""
    assert default_rounds("fednewton") == 50
    assert default_rounds("fedavg") == 3


def _sums_at(w: Floats, parts: list[Rows], weights: tuple[float, float]) -> dict[str, Sums]:
    """Return what three clients say at ``w``, without a federation around it."""
    told = {}
    for i, (X, y) in enumerate(parts, 2**63):  # as large as ids of stock Flower
        one = newton.sums(np.column_stack([X, np.ones(len(y))]), y, w, weights)
        arrays = one.arrays()
        told[str(i)] = Sums(one.rows, one.loss, one.gradient, arrays["hessian"], arrays.get("scores"))
    return told


@pytest.mark.parametrize("weights", [(1.0, 1.0), (1.0, 3.0)])
@pytest.mark.parametrize("after", range(6))
def test_its_state_is_enough_to_go_on(after: int, weights: tuple[float, float]) -> None:
    """Put back after any round, it proposes the same points to the last bit, and converges with them."""
    X, y = made_up()
    parts = thirds(X / X.std(axis=0), y)

    def strategy() -> FedNewton:
        return FedNewton(min_train_nodes=1, min_available_nodes=1, l2=1.0)

    one, point, points = strategy(), np.zeros(7), []
    for done in range(20):
        if done == after:
            state = {name: array.copy() for name, array in one.state().items()}
            one = strategy()
            one.restore(state)
        point = one.newton.propose(point, _sums_at(point, parts, weights))
        points.append(point)
        if one.newton.converged:
            break
    plain, expected, w = strategy(), [], np.zeros(7)
    while not plain.newton.converged:
        w = plain.newton.propose(w, _sums_at(w, parts, weights))
        expected.append(w)
    np.testing.assert_array_equal(points, expected)
    assert list(one.state()) == list(plain.state())
    for name, array in plain.state().items():
        np.testing.assert_array_equal(one.state()[name], array)
