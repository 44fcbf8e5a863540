"""A symmetric matrix as it travels: its upper triangle, row by row."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def pack(matrix: Floats) -> Floats:
    """Return the upper triangle of a matrix of shape (k, k); shape (k (k + 1) / 2,)."""
    return matrix[np.triu_indices(len(matrix))]


def unpack(packed: Floats, k: int) -> Floats:
    """Return the symmetric matrix of shape (k, k) whose upper triangle is ``packed``."""
    square = np.zeros((k, k))
    square[np.triu_indices(k)] = packed
    return square + np.triu(square, 1).T
