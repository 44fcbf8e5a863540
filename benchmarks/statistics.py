"""Whether the statistics hold what they promise: tests, intervals, probabilities, distance to pooled.

python -m benchmarks.statistics ../shared/data/cms_improper_payments/processed_data_classification_v2.csv

Seeded simulations and the source article's data: the same seeds give the same figures. Clients' and server's
own code run in this process. ``--only`` runs one part; without a file the parts that need it are left out.
"""

import argparse
import logging
import math
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from flwr.supercore.task_identity import TaskIdentity
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression

from benchmarks.machine import describe
from benchmarks.one_process import Floats, Rows, newton_of, prepared, train_here
from benchmarks.results import write_section
from federation.data.preparation.partition import Resample
from federation.data.preparation.settings import PreparationSettings
from federation.data.table import Table, read_table
from federation.learning.federate import Federated
from federation.learning.settings import TrainingSettings
from federation.model.linear import LinearModel
from federation.model.quality.delong import auc_interval
from federation.model.quality.metrics import evaluate

LABEL = "fraudulent_provider"
PENALTIES = ("none", "firth")
DRAWS, AUC_DRAWS, SITE_DRAWS = 400, 2_000, 200
SEEDS, RESAMPLED_SEEDS, IID_SEEDS = range(10), range(3), range(3)
RESAMPLE: tuple[Resample, ...] = ("none", "balanced", "smote")
CALIBRATED = ("fedavg", "fedprox", "fedadam", "fedmedian", "fednewton")
IID_CLIENTS, IID_ROUNDS = 10, 50
SMALL_P = 0.05


class Case(NamedTuple):
    """Say how the rows of a simulation come about: how many, at how many clients, how rare the positives."""

    rows: int
    clients: int
    noise: float  # by which the null column differs from the one that it follows
    intercept: float

    @property
    def title(self) -> str:
        """Describe it in a table."""
        clients = "1 client" if self.clients == 1 else f"{self.clients} clients"
        correlation = 1 / math.sqrt(1 + self.noise**2)
        return f"{self.rows:,} rows, {clients}, correlation {correlation:.3f}"


CASES = (
    Case(200, 1, 0.1, -0.5),
    Case(1_000, 1, 0.3, -1.5),
    Case(1_000, 3, 0.1, -1.5),
    Case(1_000, 20, 0.3, -1.5),
    Case(2_000, 3, 0.3, -3.0),
)
EFFECTS = {"x1": 0.7, "x2": 0.0, "x3": 0.0, "x4": -0.5}
"""x2 follows x1 and has no effect; x3 has none either; clients are cut along x3 and x4."""


class TestRows(NamedTuple):
    """Say how many rows of each class there are, and how well their scores rank them."""

    positives: int
    negatives: int
    auc: float


TEST_ROWS = (
    TestRows(50, 496, 0.85),
    TestRows(10, 90, 0.75),
    TestRows(10, 90, 0.9),
    TestRows(30, 30, 0.9),
    TestRows(6, 54, 0.97),
    TestRows(5, 495, 0.85),
    TestRows(2, 1_998, 0.85),
)


# Tests and intervals of coefficients ------------------------------------------------------------------------


def draw(case: Case, rng: np.random.Generator) -> list[Rows]:
    """Return each client's rows: the first has the most, and their columns differ in mean."""
    x1, noise, x3, x4, order = rng.normal(size=(5, case.rows))
    X = np.column_stack([x1, x1 + case.noise * noise, x3, x4])
    y = _labels(case.intercept + X @ np.array(list(EFFECTS.values())), rng)
    shares = 1 / np.arange(1, case.clients + 1)
    ends = np.cumsum(shares / shares.sum() * case.rows).astype(int)[:-1]
    return [(X[part], y[part]) for part in np.split(np.argsort(x3 + x4 + order), ends)]


def _labels(z: Floats, rng: np.random.Generator) -> NDArray[np.int64]:
    return (rng.random(len(z)) < 1 / (1 + np.exp(-z))).astype(np.int64)


def told(result: Federated, effects: Mapping[str, float]) -> Floats:
    """Return by column whether p < 0.05, and whether the interval holds the true effect, shape (2, d)."""
    assert result.model.inference is not None, "no optimum was found"
    of = {one["name"]: one for one in result.model.inference["features"]}
    small = [of[name]["p"] < SMALL_P for name in effects]
    intervals = [(of[name]["natural"]["low"], of[name]["natural"]["high"]) for name in effects]
    held = [low <= effect <= high for (low, high), effect in zip(intervals, effects.values(), strict=True)]
    return np.array([small, held], dtype=np.float64)


def inference(penalties: Sequence[str]) -> list[str]:
    """Count false positives of columns without effect, and how many intervals hold the true effect."""
    lines = [
        f"Federated Newton, {DRAWS} draws of each kind of rows; the clients' shares are 1, 1/2, 1/3, …, cut",
        "along two columns, so that their means differ. False positives: p < 0.05 of the two columns without",
        "effect. Coverage: of the 95 % intervals of all four coefficients. In brackets the column farthest",
        "off. Wanted: 3 to 7 % and 93 to 97 %.",
        "",
        "| rows | positive | penalty | false positives | coverage |",
        "|---|---|---|---|---|",
    ]
    null = np.array([effect == 0 for effect in EFFECTS.values()])
    for case in CASES:
        for penalty in penalties:
            found, positives = np.zeros((DRAWS, 2, len(EFFECTS))), 0
            for seed in range(DRAWS):
                clients = draw(case, np.random.default_rng([seed, case.rows, case.clients]))
                positives += sum(int(y.sum()) for _, y in clients)
                found[seed] = told(newton_of(clients, tuple(EFFECTS), penalty=penalty), EFFECTS)
            small, held = found.mean(axis=0)
            cells = (
                f"{100 * positives / (DRAWS * case.rows):.0f} %",
                penalty,
                _with_farthest(small[null], SMALL_P),
                _with_farthest(held, 1 - SMALL_P),
            )
            lines.append(f"| {case.title} | {' | '.join(cells)} |")
    return lines


def _with_farthest(shares: Floats, wanted: float) -> str:
    farthest = shares[np.argmax(np.abs(shares - wanted))]
    return f"{100 * shares.mean():.1f} % ({100 * farthest:.1f} %)"


def sites() -> list[str]:
    """Count how many intervals of a slope hold the true one where the clients' base rates go with x."""
    lines = [
        f"Federated Newton without a penalty, {SITE_DRAWS} draws of four clients of 200 rows each: their",
        "means of x and their log-odds at x = 0 rise together. The true slope is 0.5.",
        "",
        "| | mean slope | coverage of its 95 % interval |",
        "|---|---|---|",
    ]
    for title, options in (("one intercept", {}), ("`--site-intercepts`", {"site_intercepts": True})):
        held, slopes = [], []
        for seed in range(SITE_DRAWS):
            rng = np.random.default_rng([seed, 4])
            columns = [rng.normal(mean, 1, (200, 1)) for mean in (-1.5, -0.5, 0.5, 1.5)]
            clients = [(x, _labels(x[:, 0] / 2 + x.mean() - 0.5, rng)) for x in columns]
            result = newton_of(clients, ("x",), penalty="none", **options)
            held.append(told(result, {"x": 0.5})[1, 0])
            slopes.append(result.model.coef[0] / result.model.preprocessing.scale[0])
        lines.append(f"| {title} | {np.mean(slopes):.3f} | {100 * np.mean(held):.1f} % |")
    return lines


# Intervals of ROC-AUC ---------------------------------------------------------------------------------------


def auc_coverage() -> list[str]:
    """Count how many intervals of ROC-AUC hold the true one, where scores are normal."""
    lines = [
        f"95 % intervals, {AUC_DRAWS:,} sets of test rows each. Below 20 rows of a class a run warns.",
        "",
        "| positive rows | negative rows | true ROC-AUC | coverage | mean width |",
        "|---|---|---|---|---|",
    ]
    for m, n, auc in TEST_ROWS:
        rng, shift = np.random.default_rng([m, n]), math.sqrt(2) * norm.ppf(auc)
        y = np.repeat([1.0, 0.0], [m, n])
        bounds = [auc_interval(y, rng.normal(shift * y), level=0.95) for _ in range(AUC_DRAWS)]
        low, high = np.array(bounds, dtype=np.float64).T
        held = np.mean((low <= auc) & (auc <= high))
        lines.append(f"| {m} | {n:,} | {auc} | {100 * held:.1f} % | {np.mean(high - low):.3f} |")
    return lines


# The source article's data ----------------------------------------------------------------------------------


def on_data(source: Path) -> list[str]:
    """Score a default run and one of federated Newton, over the seeds, without identical rows and with."""
    wanted = {"fedavg": "≤ 0.225, ≥ 0.42", "fednewton": "≤ 0.215, ≥ 0.435"}
    lines = [
        "3 clients (iid), l2, no resampling, 10 % held back, each strategy's own number of rounds; mean of",
        f"{len(SEEDS)} seeds (least–greatest). All 38 identical rows are positive: kept, as in a default",
        "run, they raise the prevalence, and with it the log loss and average precision of any model.",
        "",
        "| identical rows | strategy | log loss | average precision | ROC-AUC | wanted |",
        "|---|---|---|---|---|---|",
    ]
    for dropped in (True, False):
        found: dict[str, list[Mapping[str, Any]]] = {strategy: [] for strategy in wanted}
        for seed in SEEDS:
            how = _of_data(clients=3, seed=seed, drop_duplicates=dropped)
            with tempfile.TemporaryDirectory() as folder:
                apps, test = prepared(source, Path(folder) / "data", how)
                for strategy, results in found.items():
                    model = train_here(apps, test, TrainingSettings(strategy=strategy, seed=seed)).model
                    results.append(evaluate(test.y, model.predict_proba(test.X)))
        for strategy, results in found.items():
            cells = [
                _spread([one[key] for one in results]) for key in ("log_loss", "average_precision", "roc_auc")
            ]
            which = "dropped" if dropped else "kept"
            lines.append(f"| {which} | `{strategy}` | {' | '.join(cells)} | {wanted[strategy]} |")
    return lines


def resampling(source: Path) -> list[str]:
    """Compare mean predicted probability and prevalence of the test rows, before and after calibration."""
    lines = [
        f"3 clients, each strategy's own number of rounds, mean of {len(RESAMPLED_SEEDS)} seeds; on the",
        "test rows, which keep the prevalence. Ratio: mean probability ÷ prevalence; wanted: 0.95 to 1.05.",
        "The arrow is the calibration, which moves the intercept: average precision stays.",
        "",
        "| `--resample` | strategy | intercept | ratio | log loss | average precision |",
        "|---|---|---|---|---|---|",
    ]
    for resample in RESAMPLE:
        found: dict[str, list[tuple[float, ...]]] = {strategy: [] for strategy in CALIBRATED}
        for seed in RESAMPLED_SEEDS:
            how = _of_data(clients=3, seed=seed, resample=resample)
            with tempfile.TemporaryDirectory() as folder:
                apps, test = prepared(source, Path(folder) / "data", how)
                for strategy, results in found.items():
                    settings = TrainingSettings(strategy=strategy, seed=seed, balanced=resample == "balanced")
                    results.append(_before_and_after(train_here(apps, test, settings).model, test))
        for strategy, results in found.items():
            moved, ratio, loss, calibrated, lower, precision = np.mean(results, axis=0)
            newton = strategy == "fednewton"
            cells = (
                ("–", f"{ratio:.3f}", f"{loss:.3f}")
                if newton
                else (f"{moved:+.3f}", f"{ratio:.3f} → {calibrated:.3f}", f"{loss:.4f} → {lower:.4f}")
            )
            lines.append(f"| {resample} | `{strategy}` | {' | '.join(cells)} | {precision:.3f} |")
    return lines


def _before_and_after(model: LinearModel, test: Table) -> tuple[float, ...]:
    """Return by how much the intercept was moved, ratio and log loss before that and after, and precision."""
    moved = float(model.provenance.get("intercept_moved") or 0.0)
    figures: list[float] = []
    for one in (replace(model, intercept=model.intercept - moved), model):
        p = one.predict_proba(test.X)
        found = evaluate(test.y, p)
        figures += [float(p.mean() / test.y.mean()), found["log_loss"] or math.nan]
    return moved, *figures, found["average_precision"] or math.nan


def iid(source: Path) -> list[str]:
    """Measure how far fedavg stays from the pooled optimum where clients are alike."""
    distances = []
    for seed in IID_SEEDS:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "data"
            settings = _of_data(clients=IID_CLIENTS, seed=seed, drop_duplicates=True)
            apps, test = prepared(source, out, settings)
            model = train_here(apps, test, TrainingSettings(rounds=IID_ROUNDS, seed=seed)).model
            tables = [read_table(part / "train.csv", label=LABEL) for part in sorted(out.glob("client-*"))]
        fit = LogisticRegression(solver="newton-cholesky", tol=1e-12, max_iter=1_000).fit(
            np.concatenate([model.preprocessing.prepare(table) for table in tables]),
            np.concatenate([table.y for table in tables]),
        )
        ours, best = np.append(model.coef, model.intercept), np.append(fit.coef_[0], fit.intercept_)
        distances.append(float(np.linalg.norm(ours - best) / np.linalg.norm(best)))
    return [
        f"`fedavg`, {IID_CLIENTS} iid clients, {IID_ROUNDS} rounds, l2, no resampling, identical rows",
        f"dropped: ‖w − pooled‖ ÷ ‖pooled‖, intercept included, mean of {len(IID_SEEDS)} seeds",
        "(least–greatest). Wanted: ≤ 0.18.",
        "",
        f"**{_spread(distances)}**",
    ]


def _of_data(
    *, clients: int, seed: int, resample: Resample = "none", drop_duplicates: bool = False
) -> PreparationSettings:
    return PreparationSettings(
        label=LABEL,
        clients=clients,
        partition="iid",
        resample=resample,
        seed=seed,
        drop_duplicates=drop_duplicates,
    )


def _spread(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3f} ({min(values):.3f}–{max(values):.3f})"


def main(arguments: Sequence[str]) -> None:
    """Measure, and write a section for each part."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", nargs="?", type=Path, help="the source article's table")
    parser.add_argument("--only", choices=("inference", "sites", "auc", "data", "resampling", "iid"))
    parser.add_argument(
        "--penalty", action="append", help="of the tested coefficients; repeat it for several"
    )
    options = parser.parse_args(arguments)
    parts: dict[str, tuple[str, Callable[[], list[str]]]] = {
        "inference": ("tests and intervals", lambda: inference(options.penalty or PENALTIES)),
        "sites": ("clients whose base rates differ", sites),
        "auc": ("intervals of ROC-AUC", auc_coverage),
    }
    if options.data:
        parts |= {
            "data": ("the source article's data", lambda: on_data(options.data)),
            "resampling": ("probabilities and resampling", lambda: resampling(options.data)),
            "iid": ("fedavg among clients that are alike", lambda: iid(options.data)),
        }
    logging.getLogger("flwr").setLevel(logging.ERROR)
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1
    for name, (title, measure) in parts.items():
        if options.only in (None, name):
            machine = describe()
            write_section(f"Statistics: {title}", machine, measure())


if __name__ == "__main__":
    main(sys.argv[1:])
