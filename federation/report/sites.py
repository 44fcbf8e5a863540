"""How a model does on each client's own validation rows: the global one, and each client's own elsewhere."""

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias, TypedDict

from numpy.typing import NDArray

from federation.data.table import Table
from federation.model.quality.metrics import evaluate

Row = dict[str, float | None]
Rows: TypeAlias = Any
"""An array or a data frame."""


class Model(Protocol):
    """A model that scores rows."""

    def predict_proba(self, X: Rows, /) -> NDArray[Any]:
        """Return the probability of class 1 of each row."""


class SiteScores(TypedDict):
    """Hold ROC-AUC on each client's validation rows, by client; None where it is undefined.

    ``federated`` is the final model, as each client measured it itself. ``local`` is each client's local-only
    model on the rows of every client; empty unless all rows are on one machine.
    """

    federated: Row
    local: dict[str, Row]


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
