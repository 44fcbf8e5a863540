"""How good the federated model is on the source article's data, beside its yardsticks and its own recipe.

python -m benchmarks.accuracy ../shared/data/cms_improper_payments/processed_data_classification_v2.csv
"""

import datetime as dt
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from benchmarks.machine import describe
from benchmarks.results import write_section
from federation.cli.progress import Progress
from federation.data.preparation.settings import PreparationSettings
from federation.data.table import read_table
from federation.learning.settings import TrainingSettings
from federation.runs.local.training import LocalRun, train_locally

LABEL = "fraudulent_provider"
SEEDS = range(5)
PARTITIONS = ("iid", "quantile:total_claim_count_sum")
CLIENTS, ROUNDS, MAX_ITER = 3, 3, 10


def source_recipe(data: Path, names: list[str]) -> float:
    """Return the test ROC-AUC of the article's recipe: raw features, few iterations, plain averages."""
    tables = [read_table(data / name / "train.csv", label=LABEL) for name in names]
    test = read_table(data / "server" / "test.csv", label=LABEL)
    coef, intercept = np.zeros((1, len(test.features))), np.zeros(1)
    weights = np.array([table.rows for table in tables]) / sum(table.rows for table in tables)
    for _ in range(ROUNDS):
        fits = []
        for table in tables:
            model = LogisticRegression(max_iter=MAX_ITER, warm_start=True)
            model.coef_, model.intercept_, model.classes_ = coef.copy(), intercept.copy(), np.array([0, 1])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                fits.append(model.fit(table.X, table.y))
        coef = sum(w * fit.coef_ for w, fit in zip(weights, fits, strict=True))
        intercept = sum(w * fit.intercept_ for w, fit in zip(weights, fits, strict=True))
    return float(roc_auc_score(test.y, test.X @ coef[0] + intercept[0]))


def measure(source: Path, partition: str, seed: int, folder: Path) -> dict[str, float]:
    """Run one federation; return the test ROC-AUC of every model."""
    out = folder / f"{partition.partition(':')[0]}-{seed}"
    metrics = train_locally(
        LocalRun(
            source=source,
            preparation=PreparationSettings(
                label=LABEL, clients=CLIENTS, partition=partition, resample="smote", seed=seed
            ),
            training=TrainingSettings(rounds=ROUNDS, seed=seed, max_iter=MAX_ITER),
            out=out,
            started=dt.datetime.now(dt.UTC),
        ),
        Progress(),
    )
    assert metrics["pooled"] is not None
    local = [figures["roc_auc"] for figures in metrics["local"].values()]
    return {
        "federated": metrics["federated"]["roc_auc"] or float("nan"),
        "pooled": metrics["pooled"]["roc_auc"] or float("nan"),
        "local": float(np.mean([value for value in local if value is not None])),
        "source": source_recipe(out / "data", list(metrics["local"])),
    }


def main(source: Path) -> None:
    """Measure every partition and seed, and write the table."""
    machine = describe()
    lines = [
        f"{CLIENTS} clients, fedavg, {ROUNDS} rounds of {MAX_ITER} iterations, SMOTE and undersampling, 10 %",
        f"held back; mean ROC-AUC on those rows over {len(SEEDS)} seeds (least–greatest). The last column is",
        "the source article's recipe: the same data, rounds and iterations without shared `log1p` and",
        "standardisation.",
        "",
        "| partition | federated | pooled | local-only, mean | source recipe |",
        "|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for partition in PARTITIONS:
            results = [measure(source, partition, seed, Path(folder)) for seed in SEEDS]
            cells = [
                f"{np.mean(values):.3f} ({min(values):.3f}–{max(values):.3f})"
                for values in ([result[key] for result in results] for key in results[0])
            ]
            lines.append(f"| `{partition}` | " + " | ".join(cells) + " |")
    write_section("Accuracy on the source article's data", machine, lines)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
