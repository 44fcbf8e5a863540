"""What a report is made of: the facts of one run, as values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

from numpy.typing import ArrayLike

from federation.model.linear import Scalar
from federation.model.quality.metrics import Metrics
from federation.model.sampling import UNKNOWN
from federation.report.sites import Row


@dataclass(frozen=True, kw_only=True)
class ClientData:
    """Describe what a client holds.

    Parameters
    ----------
    train_rows, train_positives : int
        The rows that it trains on.
    validation_rows, validation_positives : int
        Its held-back rows, which are never resampled.
    data_bytes : int or None
        Size of the files that stayed with it.
    observed_rows, observed_positives : int, optional
        Its training rows before they were resampled, where that is known.
    resample : str
        What it told of that: "none", "smote", "balanced" or "unknown".
    """

    train_rows: int
    train_positives: int
    validation_rows: int
    validation_positives: int
    data_bytes: int | None
    observed_rows: int | None = None
    observed_positives: int | None = None
    resample: str = UNKNOWN

    @property
    def single_class(self) -> bool:
        """Whether its training rows are all of one class."""
        return self.train_positives in (0, self.train_rows)


@dataclass(frozen=True, kw_only=True)
class Run:
    """Describe what was run.

    Parameters
    ----------
    title, data : str
        What to call the run, and where the rows come from.
    synthetic : bool
        Whether the rows are made up.
    label : str
        Column the model predicts.
    columns, features : int
        How many columns it predicts from, and how many features these become.
    clients : mapping of str to ClientData
        By client name.
    strategy : str
        Name of the aggregation strategy.
    parameters : mapping of str to a JSON scalar
        Further settings of the strategy and of the clients' fits.
    rounds, seed : int
        Rounds that took place, and the seed of every random choice.
    resample : str
        "none", "smote", "balanced" or "unknown", see `federation.learning.preprocessing.prevalence`.
    seconds : float
        From the first process to the last.
    versions : mapping of str to str
        Of the packages the result depends on.
    started : str
        When, as it shall appear.
    conclusion : str, optional
        How the strategy ended, where it can tell.
    warnings : sequence of str
        What may surprise, see `federation.learning.notes`.
    left_out : mapping of str to str
        Columns that are not used, and why.
    duplicates : mapping of str to int, optional
        How many rows were ``found`` to equal an earlier one, and how many ``dropped``, where that is known.
    note : str
        A remark of whoever started the run; "" without one.
    """

    title: str
    data: str
    synthetic: bool
    label: str
    columns: int
    features: int
    clients: Mapping[str, ClientData]
    strategy: str
    parameters: Mapping[str, Scalar]
    rounds: int
    seed: int
    resample: str
    seconds: float
    versions: Mapping[str, str]
    started: str
    conclusion: str | None = None
    warnings: Sequence[str] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    duplicates: Mapping[str, int] | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Egress:
    """Count what a client sent, as its ledger has it.

    Parameters
    ----------
    messages : int
        How many.
    sent_bytes : mapping of str to int
        Bytes by kind of message, such as "join", "query", "train" and "evaluate".
    """

    messages: int
    sent_bytes: Mapping[str, int]

    @property
    def total(self) -> int:
        """All bytes that left the client."""
        return sum(self.sent_bytes.values())


class RunMetrics(TypedDict):
    """Hold every model's metrics on the server's test rows; without all rows in one place no yardsticks."""

    federated: Metrics
    pooled: Metrics | None
    local: Mapping[str, Metrics]


@dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """Hold the probabilities behind the metrics, each of shape (n,), and the rows' true classes `y`.

    ``cross_site`` is the ROC-AUC of each local-only model on each client's validation rows.
    """

    y: ArrayLike
    federated: ArrayLike
    pooled: ArrayLike | None = None
    local: Mapping[str, ArrayLike]
    cross_site: Mapping[str, Row] = field(default_factory=dict)
