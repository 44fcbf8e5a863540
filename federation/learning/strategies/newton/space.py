"""Where each client's parameters are among those of all, so that what it says of its own can be added up.

With one intercept for all these are the same. Where every client has an intercept of its own, its rows have a
column of ones for it and none for the others': its gradient and its Hessian hold all that a fit with one
column of ones per client needs.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from client_code.protocol.triangle import unpack

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Space:
    """Where the parameters of each client are among those of all: coefficients, then intercepts.

    Parameters
    ----------
    features : int
        How many coefficients there are; all clients share them.
    sites : tuple of str
        The clients that have an intercept of their own, in the order of these; empty: one for all.
    """

    features: int
    sites: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """How many parameters there are."""
        return self.features + max(len(self.sites), 1)

    def at(self, client: str) -> NDArray[np.intp]:
        """Return where the client's coefficients and its intercept are, shape (features + 1,)."""
        own = self.sites.index(client) if self.sites else 0
        return np.append(np.arange(self.features), self.features + own)

    def vector(self, parts: Mapping[str, Floats]) -> Floats:
        """Return the sum of the clients' vectors, in the order given."""
        total = np.zeros(self.size)
        for client, part in parts.items():
            total[self.at(client)] += part
        return total

    def matrix(self, parts: Mapping[str, Floats]) -> Floats:
        """Return the sum of the clients' symmetric matrices, of which the upper triangles are given."""
        k = self.features + 1
        if not self.sites:
            return unpack(_total(list(parts.values())), k)
        total = np.zeros((self.size, self.size))
        for client, packed in parts.items():
            at = self.at(client)
            total[np.ix_(at, at)] += unpack(packed, k)
        return total


def _total(parts: list[Floats]) -> Floats:
    """Return the sum in the order given: NumPy's own ``sum`` may pair them otherwise."""
    total = np.zeros_like(parts[0])
    for part in parts:
        total += part
    return total
