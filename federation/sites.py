"""How a model does on each client's own validation rows: the global one, and each client's own elsewhere."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypedDict

from numpy.typing import NDArray

from federation.evaluation import evaluate
from federation.tables import Table

Row = dict[str, float | None]


class Model(Protocol):
    """A model that scores rows."""

    def predict_proba(self, X: Any, /) -> NDArray[Any]:  # noqa: ANN401 - an array or a data frame
        """Return the probability of class 1 of each row."""


class SiteScores(TypedDict):
    """Hold ROC-AUC on each client's validation rows, by client; None where it is undefined.

    ``federated`` is the global model after the last round, as each client measured it itself. ``local`` is
    each client's local-only model on the rows of every client; empty unless all rows are on one machine.
    """

    federated: Row
    local: dict[str, Row]


def site_scores(rounds: Sequence[Mapping[str, Any]], local: Mapping[str, Row]) -> SiteScores:
    """Take the global model's figures from the last line of ``rounds.jsonl``, and add the matrix."""
    clients = rounds[-1].get("clients", {}) if rounds else {}
    federated = {
        name: figures["evaluate"].get("roc_auc") for name, figures in clients.items() if "evaluate" in figures
    }
    return {"federated": federated, "local": dict(local)}


def cross_site(models: Mapping[str, Model], validation: Mapping[str, Table]) -> dict[str, Row]:
    """Score every model on the validation rows of every client.

    Only where all rows are on one machine anyway: between accounts models would have to travel (ADR 0071).
    """
    return {
        name: {
            client: evaluate(table.y, model.predict_proba(table.X))["roc_auc"]
            for client, table in validation.items()
        }
        for name, model in models.items()
    }
