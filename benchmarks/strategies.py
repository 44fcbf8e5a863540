"""Every strategy with its default parameters and rounds, on rows cut in ways that are easy and hard for it.

python -m benchmarks.strategies ../shared/data/cms_improper_payments/processed_data_classification_v2.csv \
    ../shared/data/heart

The clients' own code in this process. How far a model is from that of the pooled rows is told relative to its
size; the loss is on held-back rows.
"""

import logging
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from flwr.supercore.task_identity import TaskIdentity
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from benchmarks import heart
from benchmarks.machine import describe
from benchmarks.poisoning import Peers, Silent, apps_of
from benchmarks.prepared import write_prepared
from benchmarks.results import write_section
from federation.data.table import Table, read_table
from federation.learning.federate import Federated, federate
from federation.learning.settings import TrainingSettings
from federation.learning.strategies.advice import dissimilarity
from federation.learning.strategies.catalogue import STRATEGIES, default_rounds

LABEL, VOLUME = "fraudulent_provider", "total_claim_count_sum"
HELD_BACK, SEED, CONCENTRATION = 0.25, 0, 0.5
DRAWS = (3, 0, 1, 2)  # the fourth is a case of the table too
SKEWED = ("fednewton", "fedavg", "fedmedian")  # the first is the pooled model's
Indices = NDArray[np.intp]
Cut = Callable[[Table, Indices], list[Indices]]
"""Takes a table and its rows to train with, in random order; returns those of each client."""


class Case(NamedTuple):
    """A federation: its clients' training and validation rows."""

    name: str
    clients: Mapping[str, tuple[Table, Table]]


def iid(_: Table, order: Indices) -> list[Indices]:
    """Cut into ten at random."""
    return np.array_split(order, 10)


def by_volume(table: Table, order: Indices) -> list[Indices]:
    """Cut into three of low, middle and high claim volume."""
    by = table.X[order, table.features.index(VOLUME)]
    return np.array_split(order[np.argsort(by, kind="stable")], 3)


def by_label(draw: int) -> Cut:
    """Return how to cut into five with shares of each class drawn from Dirichlet distributions.

    Hsu et al. 2019, "Measuring the Effects of Non-Identical Data Distribution".
    """

    def cut(table: Table, order: Indices) -> list[Indices]:
        rng, parts = np.random.default_rng(draw), [np.array([], dtype=np.intp) for _ in range(5)]
        for label in (0, 1):
            of_class = order[table.y[order] == label]
            cuts = (np.cumsum(rng.dirichlet(np.full(5, CONCENTRATION)))[:-1] * of_class.size).astype(int)
            parts = [np.append(a, b) for a, b in zip(parts, np.split(of_class, cuts), strict=True)]
        return parts

    return cut


CUTS: Mapping[str, Cut] = {
    "iid, 10": iid,
    "by volume, 3": by_volume,
    "label skew, 5": by_label(2),
}


def cut_articles(articles: Path, cuts: Mapping[str, Cut]) -> Iterator[Case]:
    """Cut the article's table, without duplicates, in several ways."""
    table = read_table(articles, label=LABEL)
    _, first = np.unique(np.column_stack([table.X, table.y]), axis=0, return_index=True)
    rows = np.sort(first)
    fit, held = train_test_split(rows, test_size=HELD_BACK, random_state=SEED, stratify=table.y[rows])
    for name, cut in cuts.items():
        parts = cut(table, fit)
        tests = np.array_split(held, len(parts))
        yield Case(
            name,
            {
                f"client-{i:02}": (_rows(table, part), _rows(table, test))
                for i, (part, test) in enumerate(zip(parts, tests, strict=True))
            },
        )


def cases(articles: Path, hospitals: Path) -> Iterator[Case]:
    """Cut the article's table in three ways; take the hospitals as they are."""
    yield from cut_articles(articles, CUTS)
    of_hospitals = {name: heart.hospital(hospitals / f"processed.{name}.data") for name in heart.HOSPITALS}
    yield Case("hospitals, 4", of_hospitals)


def _rows(table: Table, rows: Indices) -> Table:
    return Table(features=table.features, X=table.X[rows], y=table.y[rows], label=table.label)


class Bench:
    """One case, whose clients are asked by strategy after strategy."""

    def __init__(self, case: Case, folder: Path) -> None:
        _, self.test = write_prepared(folder / "data", case.clients, synthetic=False)
        self._apps = apps_of(folder / "data", folder, self.test.label)
        pooled = self.train("fednewton")
        self.dissimilarity = dissimilarity(pooled.statistics)
        self._optimum = np.append(pooled.model.coef, pooled.model.intercept)

    def train(self, strategy: str, rounds: int | None = None, **parameters: float) -> Federated:
        """Run a strategy."""
        peers = Peers(self._apps, None)
        given = {name: str(value) for name, value in parameters.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            return federate(
                peers,
                TrainingSettings(
                    strategy=strategy, parameters=given, rounds=rounds or default_rounds(strategy)
                ),
                self.test,
                name_of=peers.names.__getitem__,
                observer=Silent(),
                provenance={},
            )

    def distance(self, result: Federated) -> float:
        """Return how far a model is from the pooled one, relative to its size."""
        w = np.append(result.model.coef, result.model.intercept)
        return float(np.linalg.norm(w - self._optimum) / np.linalg.norm(self._optimum))


def quietly() -> None:
    """Keep Flower's log off the terminal, and tell it that this process is one run."""
    logging.getLogger("flwr").setLevel(logging.ERROR)
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1


def by_dissimilarity(articles: Path) -> Iterator[str]:
    """Yield a row for each draw of label skew, from alike to unlike: what it costs fedavg and fedmedian."""
    for case in cut_articles(articles, {str(draw): by_label(draw) for draw in DRAWS}):
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(case, Path(folder))
            losses = [bench.train(name).rounds[-1].server["log_loss"] for name in SKEWED]
            cells = (f"{loss:.3f} ({100 * (loss / losses[0] - 1):+.0f} %)" for loss in losses[1:])
            yield f"| {bench.dissimilarity:.2f} | {losses[0]:.3f} | {' | '.join(cells)} |"


def main(articles: Path, hospitals: Path) -> None:
    """Measure, and write the tables."""
    quietly()
    machine = describe()
    cells: dict[str, list[str]] = {name: [] for name in STRATEGIES}
    heads = []
    for case in cases(articles, hospitals):
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(case, Path(folder))
            heads.append(f"{case.name} ({bench.dissimilarity:.2f})")
            for name in STRATEGIES:
                result = bench.train(name)
                log_loss = result.rounds[-1].server["log_loss"]
                cells[name].append(f"{log_loss:.3f} / {bench.distance(result):.2f}")
    lines = [
        "Every strategy with its default parameters and rounds: log loss on held-back rows / distance to the",
        "pooled model, relative. In brackets how unlike the clients' labels are (index of dissimilarity).",
        "The article's table without duplicates and resampling, 25 % held back; the hospitals as in FLamby.",
        "",
        f"| strategy | rounds | {' | '.join(heads)} |",
        "|---|---|" + "---|" * len(heads),
        *(f"| `{name}` | {default_rounds(name)} | {' | '.join(row)} |" for name, row in cells.items()),
        "",
        "The log loss by that index, four draws of five clients of the article's table:",
        "",
        f"| index | {' | '.join(f'`{name}`' for name in SKEWED)} |",
        "|---|" + "---|" * len(SKEWED),
        *by_dissimilarity(articles),
    ]
    write_section("Strategies with their defaults", machine, lines)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
