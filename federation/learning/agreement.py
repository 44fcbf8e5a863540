"""What server and clients agree on before round 1, and hold to until the run ends, resumed or not."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from flwr.app import Message, RecordDict
from flwr.serverapp import Grid
from numpy.typing import ArrayLike

from client_code.protocol.contract import Contract, Rule
from federation.data.table import Table
from federation.errors import ResumeError, RoundError
from federation.learning.preprocessing.pooling import kinds_of, left_out, pool
from federation.learning.preprocessing.screening import counted, outliers
from federation.learning.preprocessing.statistics import ClientStatistics, check_schemas
from federation.model.linear import Preprocessing

SAME = 1e-9
"""Relative difference that two machines may make of the same rows' sums."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Agreement:
    """What was agreed.

    Parameters
    ----------
    preprocessing : Preprocessing
        Goes along with every model.
    statistics : list of ClientStatistics
        Of the clients that were there, which the preprocessing and the class weights come from.
    test : str
        SHA-256 of the server's held-back rows.
    robust: bool
        Whether the strategy is one that is chosen against clients that lie.
    """

    preprocessing: Preprocessing
    statistics: list[ClientStatistics]
    test: str
    robust: bool = False

    @cached_property
    def counted(self) -> list[ClientStatistics]:
        """The statistics as they count: of a client that may lie, no more rows than are usual."""
        return counted(self.statistics) if self.robust else self.statistics

    @cached_property
    def outliers(self) -> dict[str, str]:
        """The clients that are far from everybody's, and what of them does not count."""
        return outliers(self.statistics, self.preprocessing, robust=self.robust)

    @property
    def rows(self) -> dict[str, tuple[int, int]]:
        """Training and validation rows of each client, by name."""
        return {one.client: (one.rows, one.validation_rows) for one in self.statistics}

    @property
    def left_out(self) -> dict[str, str]:
        """The columns that no feature is made of, and why."""
        return left_out(self.preprocessing, self.statistics)


def agree(
    statistics: list[ClientStatistics],
    test: Table,
    contract: Contract | None = None,
    *,
    robust: bool = False,
) -> Agreement:
    """Return what follows from the clients' statistics, the server's rows and the data contract."""
    told = counted(statistics) if robust else statistics
    preprocessing = pool(told, test, contract.columns if contract else {}, robust=robust)
    return Agreement(preprocessing=preprocessing, statistics=statistics, test=digest_of(test), robust=robust)


def digest_of(test: Table) -> str:
    """Return the SHA-256 of a table's names and values."""
    digest = hashlib.sha256(json.dumps([test.label, test.features, dict(test.levels)]).encode())
    digest.update(np.ascontiguousarray(test.X).tobytes())
    digest.update(np.ascontiguousarray(test.y).tobytes())
    return digest.hexdigest()


def ask_statistics(
    grid: Grid, node_ids: Sequence[int], name_of: Callable[[int], str], test: Table, timeout: float
) -> list[ClientStatistics]:
    """Ask clients for their statistics, whose columns must be the server's.

    Raises
    ------
    RoundError
        A client does not answer, or not usably.
    SchemaMismatchError
        A client's columns differ.
    """
    replies = ask_all(grid, node_ids, "query.statistics", RecordDict(), timeout)
    return read_statistics(replies, name_of, test)


def read_statistics(
    replies: Mapping[int, Message], name_of: Callable[[int], str], test: Table
) -> list[ClientStatistics]:
    """Return what clients replied of their statistics, whose columns must be the server's.

    Raises
    ------
    RoundError
        A client did not answer, or not usably.
    SchemaMismatchError
        A client's columns differ.
    """
    statistics = [
        ClientStatistics.from_reply(reply, name_of(node_id)) for node_id, reply in sorted(replies.items())
    ]
    check_schemas(statistics, test.label, kinds_of(test))
    return statistics


def refuse_impossible(
    statistics: Sequence[ClientStatistics], rules: Mapping[str, Rule], *, robust: bool
) -> None:
    """Refuse statistics that no rows have, or none that the contract allows.

    Parameters
    ----------
    statistics : sequence of ClientStatistics
        As clients told them.
    rules : mapping of str to Rule
        The columns of the data contract.
    robust : bool
        Whether moments that no values have are left out instead, see `screening`.

    Raises
    ------
    RoundError
        Names the first such client, and the column.
    """
    for one in statistics:
        if problem := one.against(rules):
            raise RoundError(
                f'client "{one.client}": its statistics break the data contract: {problem}.',
                "Correct its rows, prepare them with the contract, and publish them again.",
            )
        if one.impossible.any() and not robust:
            column = one.features[int(np.argmax(one.impossible))]
            raise RoundError(
                f'client "{one.client}": no values have the moments that it tells of column "{column}".',
                "Run the published code there, or use a strategy that withstands such a client.",
            )


def ask_all(
    grid: Grid,
    node_ids: Sequence[int],
    kind: str,
    content: RecordDict | Callable[[int], RecordDict],
    timeout: float,
) -> dict[int, Message]:
    """Ask every client the same, or what ``content`` returns for its node id; return replies, errors too.

    Raises
    ------
    RoundError
        The grid has no reply of a client, not even an error.
    """
    messages = [
        Message(content(node_id) if callable(content) else content, node_id, kind) for node_id in node_ids
    ]
    replies = {
        reply.metadata.src_node_id: reply
        for reply in grid.send_and_receive(messages=messages, timeout=timeout)
    }
    if missing := set(node_ids) - set(replies):
        raise RoundError(f"no answer to {kind} from nodes {sorted(missing)}.", "See the clients' logs.")
    return replies


def refuse_change(agreed: Agreement, statistics: Sequence[ClientStatistics], test: Table) -> None:
    """Refuse to go on with other data than the run began with.

    Clients that were not there when the run began may have any. What a checkpoint before protocol 6 does not
    know of a client is not compared.

    Raises
    ------
    ResumeError
        Names the party whose data changed.
    """
    remedy = "Put back the data that the run began with, or start a new run."
    if digest_of(test) != agreed.test:
        raise ResumeError("the server's held-back rows are not those that the run began with.", remedy)
    before = {one.client: one for one in agreed.statistics}
    for one in statistics:
        if one.client in before and not _same(before[one.client], one):
            raise ResumeError(
                f'client "{one.client}": its data are not those that the run began with.', remedy
            )


def _same(before: ClientStatistics, now: ClientStatistics) -> bool:
    known, told = vars(before), vars(now)
    untold = {key for key in ("same_gaps", "preparation") if not known[key]}
    return all(_equal(known[key], told[key]) for key in known.keys() - untold)


def _equal(one: ArrayLike, other: ArrayLike) -> bool:
    if isinstance(one, np.ndarray) and one.dtype == np.float64:
        return one.shape == np.shape(other) and np.allclose(one, other, rtol=SAME, atol=0.0)
    return bool(np.array_equal(one, other))
