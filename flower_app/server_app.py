"""The server's side on stock Flower: wait for the SuperNodes, train with them, keep the model.

Everything that learns is `federation.learning.federate.federate`, which takes any grid of Flower.
"""

import datetime as dt
import json
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from federation.config.contract import contract_beside
from federation.data.contract_check import read_prepared
from federation.data.preparation.prepared import manifest_beside
from federation.errors import JoinDeadlineError, OutputExistsError
from federation.learning.federate import federate
from federation.learning.preprocessing.prepared import Prepared
from federation.learning.preprocessing.statistics import ClientStatistics
from federation.learning.rounds.figures import Round
from federation.learning.settings import TrainingSettings
from federation.model.pipeline import save
from federation.runs.description import provenance_of

app = ServerApp()
log = logging.getLogger("flwr")


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Train as the run configuration says; write ``model.json``, ``model.joblib`` and ``rounds.jsonl``."""
    config: dict[str, Any] = dict(context.run_config)
    training = TrainingSettings.from_run_config(config)
    out = Path(config["out"])
    if out.exists() and any(out.iterdir()):
        raise OutputExistsError(f"{out} exists already.", "Choose another folder with out=…, or remove it.")
    held_back, started = Path(config["test"]), dt.datetime.now(dt.UTC)
    contract, manifest = contract_beside(held_back), manifest_beside(held_back)
    test = read_prepared(held_back, label=config["label"], contract=contract)
    _wait_for_nodes(grid, config["clients"], config["join-timeout"], training.min_clients)
    federated = federate(
        grid,
        training,
        test,
        name_of=None,
        observer=Log(),
        provenance=provenance_of(training, clients=config["clients"], started=started),
        prepared=Prepared.of(manifest, contract) if manifest else Prepared(contract=contract),
    )
    if federated.conclusion:
        log.info(federated.conclusion)
    out.mkdir(parents=True, exist_ok=True)
    save(federated.model, out)
    lines = [json.dumps(record.as_json(), allow_nan=False) + "\n" for record in federated.rounds]
    (out / "rounds.jsonl").write_text("".join(lines), encoding="utf-8")


class Log:
    """Tells Flower's log, which `flwr run --stream` shows, how the training goes."""

    def agreed(self, statistics: list[ClientStatistics], notes: Sequence[str]) -> None:
        """Take note of what the clients said of their data, and of what may surprise."""
        for one in statistics:
            log.info("%s: %d training rows, %d positive", one.client, one.rows, one.positives)
        for note in notes:
            log.info("note: %s", note)

    def round_ended(self, record: Round, of: int) -> None:
        """Take note of a round's figures."""
        roc_auc = record.server["roc_auc"]
        log.info("round %d/%d: %.3f s, ROC-AUC %s", record.round, of, record.seconds, roc_auc)

    def scored(self, at_clients: Mapping[str, Mapping[str, Any]]) -> None:
        """Take note of the final model's figures at each client."""
        for name, figures in at_clients.items():
            log.info("%s: ROC-AUC %s of the final model", name, figures["roc_auc"])


def _wait_for_nodes(grid: Grid, count: int, timeout: float, minimum: int | None) -> None:
    """Wait for all SuperNodes until the deadline, then for the minimum; Flower would wait for ever."""
    deadline = time.monotonic() + timeout
    while (there := len(list(grid.get_node_ids()))) < count:
        if time.monotonic() > deadline:
            if minimum is not None and there >= minimum:
                return
            raise JoinDeadlineError(
                f"{there} of {count} SuperNodes are connected after {timeout:g} s.",
                "Start the others, or allow more time with join-timeout=….",
            )
        time.sleep(0.2)
