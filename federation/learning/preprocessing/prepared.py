"""What the server knows of how rows were prepared, from data preparation on its own machine."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from client_code.protocol.contract import Contract, Rule
from client_code.protocol.preparation import Preparation
from federation.data.columns.written import Written
from federation.data.preparation.beside import preparations
from federation.data.preparation.manifest import Manifest
from federation.learning.preprocessing.statistics import ClientStatistics


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What the server knows of how the rows were prepared.

    Parameters
    ----------
    notes : sequence of str
        What did not go the usual way.
    left_out : mapping of str to str
        Columns that the prepared files do not have, and why.
    contract : Contract, optional
        The data contract: which columns are logged, and how gaps are filled.
    clients : mapping of str to Preparation
        How the training rows of clients were prepared, for those that do not know it themselves.
    cells : Written
        How the cells of the table were written that was prepared on this machine.
    """

    notes: Sequence[str] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    contract: Contract | None = None
    clients: Mapping[str, Preparation] = field(default_factory=dict)
    cells: Written = field(default_factory=Written)

    @classmethod
    def of(cls, manifest: Manifest, contract: Contract | None) -> Self:
        """Return what data preparation on this machine wrote down."""
        return cls(
            notes=manifest.notes,
            left_out=manifest.left_out,
            contract=contract,
            clients=preparations(manifest),
            cells=replace(manifest.written, positive=manifest.positive),
        )

    @property
    def rules(self) -> Mapping[str, Rule]:
        """What the contract says of each column; nothing without one."""
        return self.contract.columns if self.contract else {}

    def written(self, columns: Collection[str]) -> Written:
        """Return how the cells of these columns were written, as far as options and contract tell it."""
        cells, contract = self.cells, self.contract
        if contract:
            missing = tuple(dict.fromkeys((*contract.missing_values, *cells.missing)))
            positive = cells.positive or contract.positive
            cells = replace(cells, missing=missing, positive=positive, dates=contract.dates)
        return cells.only(columns)

    def completed(self, statistics: Sequence[ClientStatistics]) -> list[ClientStatistics]:
        """Return statistics with how rows were prepared, where a client does not know and the counts fit."""
        return [
            replace(one, preparation=known)
            if one.preparation is None
            and (known := self.clients.get(one.client))
            and not known.problem(one.rows, one.positives)
            else one
            for one in statistics
        ]
