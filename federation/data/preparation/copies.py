"""Find rows that are identical, label included, and say what was done about them. Pure functions."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from federation.data.table import Table

Positions = npt.NDArray[np.int64]

_CHUNK = 4096
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
        rows, hashes = np.arange(table.rows), _hashes(table)
        _, first, of_row = np.unique(hashes, return_index=True, return_inverse=True)
        group: Positions = first[of_row]
        if (odd := rows[group != rows][_differ(table, rows[group != rows], group[group != rows])]).size:
            seen: dict[bytes, int] = {}  # different rows of one hash
            for row in rows[np.isin(of_row, of_row[odd])]:
                group[row] = seen.setdefault(_bits(table, np.array([row])).tobytes(), row)
        return cls(group)

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


def _hashes(table: Table) -> npt.NDArray[np.uint64]:
    """Return a number for each row, the same one for identical rows."""
    mixed = table.y.astype(np.uint64)
    for values in table.X.T:
        mixed = (mixed ^ _bits_of(values)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return mixed


def _differ(table: Table, rows: Positions, others: Positions) -> npt.NDArray[np.bool_]:
    """Return which of these rows are not identical to the other ones."""
    parts = [slice(start, start + _CHUNK) for start in range(0, len(rows), _CHUNK)]
    differ = [(_bits(table, rows[part]) != _bits(table, others[part])).any(axis=1) for part in parts]
    return np.concatenate(differ) if differ else np.empty(0, dtype=np.bool_)


def _bits(table: Table, rows: Positions) -> npt.NDArray[np.uint64]:
    """Return what identical rows have in common, shape (m, d + 1)."""
    return _bits_of(np.column_stack([table.X[rows], table.y[rows]]))


def _bits_of(values: npt.NDArray[np.float64]) -> npt.NDArray[np.uint64]:
    return np.where(np.isnan(values), np.nan, values + 0.0).view(np.uint64)  # -0.0 and 0.0 are equal
