"""Arrays of numbers in NumPy's format, read where their bytes lie, and refused if they are not."""

import math
from functools import lru_cache
from io import BytesIO
from typing import Any, Self, cast

import numpy as np
from flwr.app import Array
from flwr.common.constant import SType
from numpy.typing import NDArray

HEAD_BYTES = 10  # of NumPy's format, up to and with the length of what describes the array


class ArrayError(ValueError):
    """Bytes that are not the array they should be."""


class ArrayView(Array):
    """An array that is read where its bytes lie, once, however often a round asks for its values."""

    @classmethod
    def of(cls, array: Array) -> Self:
        """Return the same array, over the same bytes."""
        return cls(array.dtype, array.shape, array.stype, array.data)

    def numpy(self) -> NDArray[Any]:
        """Return the values; they are read-only."""
        if "_values" not in self.__dict__:
            if self.stype != SType.NUMPY:
                raise ValueError(f"an array in the form {self.stype!r}")
            self.__dict__["_values"] = _view(self.data)
        return cast("NDArray[Any]", self.__dict__["_values"])

    def __eq__(self, other: object) -> bool:
        """Return whether the other is an array of the same bytes."""
        fields = ("dtype", "shape", "stype", "data")
        return isinstance(other, Array) and all(getattr(self, it) == getattr(other, it) for it in fields)

    __hash__ = None  # type: ignore[assignment]  # as Array's


def _view(data: bytes) -> NDArray[Any]:
    """Return the array that bytes in NumPy's format hold, without copying it."""
    start = HEAD_BYTES + int.from_bytes(data[HEAD_BYTES - 2 : HEAD_BYTES], "little")
    shape, is_fortran, dtype = _layout(data[:start])
    if min(shape, default=1) < 0:
        raise ValueError("an array's shape is negative")
    values = np.frombuffer(data, dtype, math.prod(shape), start)
    return values.reshape(shape, order="F" if is_fortran else "C")


@lru_cache(maxsize=64)
def _layout(head: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return what the head of NumPy's format says, which takes longer to read than a model's values."""
    stream = BytesIO(head)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("another version of NumPy's format")
    return np.lib.format.read_array_header_1_0(stream)


def floats(array: Array) -> NDArray[np.float64]:
    """Return the values of an array of float64 that came over the stream.

    Raises
    ------
    ArrayError
        Its bytes are not one NumPy array, or not of float64.
    """
    try:
        values = array.numpy()
    except Exception as error:  # NumPy's reader fails on foreign bytes in many ways: MemoryError, TokenError…
        raise ArrayError("not an array") from error
    if not isinstance(values, np.ndarray):  # an archive of arrays
        raise ArrayError("not an array")
    if values.dtype != np.float64:
        raise ArrayError(f"{values.dtype} instead of float64")
    return values
