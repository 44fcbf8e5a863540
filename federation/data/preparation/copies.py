"""Find rows that are identical, label included, and say what was done about them. Pure functions."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from federation.data.table import Table

Positions = npt.NDArray[np.int64]

_MANY = 10
_MANY_SHARE = 0.05
_MOST = 0.5


@dataclass(frozen=True, eq=False)
class Copies:
    """Tell which rows of a table are identical.

    Parameters
    ----------
    group : ndarray of int64, shape (n,)
        For each row the position of the first row that equals it, its own if that is the first.
    """

    group: Positions

    @classmethod
    def of(cls, table: Table) -> "Copies":
        """Compare every value and the label; missing values are equal."""
        rows = np.column_stack([table.X, table.y]) + 0.0  # -0.0 and 0.0 are equal, but not their bytes
        first: dict[bytes, int] = {}
        found = (first.setdefault(row.tobytes(), position) for position, row in enumerate(rows))
        return cls(np.fromiter(found, dtype=np.int64, count=len(rows)))

    @property
    def repeats(self) -> npt.NDArray[np.bool_]:
        """Which rows equal an earlier one."""
        first: Positions = np.arange(len(self.group))
        return np.not_equal(self.group, first)

    @property
    def usual(self) -> bool:
        """Whether identical rows are different cases of few combinations, rather than copies of one record.

        So it is where more than half of the rows have an identical other, or one combination alone has more
        than ten rows and more than a twentieth of all: to keep its rows together would make or break a split.
        """
        sizes = np.bincount(self.group)
        alone = int((sizes == 1).sum())
        rows = len(self.group)
        return rows - alone > _MOST * rows or int(sizes.max()) > max(_MANY, _MANY_SHARE * rows)

    def note(self, *, drop: bool) -> str | None:
        """Say how many rows are identical and what was done, if there are any."""
        if not (count := int(self.repeats.sum())):
            return None
        are = "is" if count == 1 else "are"
        found = f"{count:,} of {len(self.group):,} rows {are} identical to an earlier row, label included"
        if drop:
            return f"{found}: dropped."
        if self.usual:
            return f"{found}: kept, and divided at random, as rows of few combinations."
        return (
            f"{found}: kept, and never divided between training and held-back rows. "
            "--drop-duplicates drops them."
        )
