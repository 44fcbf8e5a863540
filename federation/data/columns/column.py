"""One column of a table, whole: its numbers, or which of its distinct texts each cell is."""

import mmap
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from client_code.protocol.cells import Profile, Words, number, numbers, spellings, text_of
from federation.data.columns.reader import BadValueError, Reader
from federation.data.files.decimals import with_points

if TYPE_CHECKING:
    import pyarrow as pa

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int32]

_ROOM = 1 << 17  # numbers: a megabyte


class Plain(NamedTuple):
    """Cells of a column that are finite numbers or gaps.

    Parameters
    ----------
    values : ndarray of float64
        NaN for a gap.
    digits, zeros : int
        As in `Profile`; 0 where a number has a fraction, for then they decide nothing.
    marks : set of str
        Of a file with decimal commas: whether numbers have a comma, a point, or some one and some the other.
    typed : bool
        Whether they were no texts.
    """

    values: Floats
    digits: int = 0
    zeros: int = 0
    marks: frozenset[str] = frozenset()
    typed: bool = False

    @property
    def has_points(self) -> bool:
        """Whether a number has a fraction."""
        there = self.values[~np.isnan(self.values)]
        return bool((there != np.rint(there)).any())


class Texts(NamedTuple):
    """Cells of a column as texts: which of the distinct ones each is."""

    codes: Codes
    distinct: list[str]
    marks: frozenset[str] = frozenset()
    typed: bool = False

    @property
    def has_points(self) -> bool:
        """Whether a text is a number with a point."""
        return any("." in text and number(text.strip()) is not None for text in self.distinct)


@dataclass
class Column:
    """One column, whole.

    Parameters
    ----------
    parts : list of ndarray
        Block by block: numbers (float64), or positions in `known` (int32).
    known : dict of str to int
        Each distinct text, in the order they come, and its position.
    digits, zeros : int
        Of the numbers, see `Plain`.
    as_written : bool
        Whether its texts are as the file has them, also where that has decimal commas.
    declared : int
        How many cells held a word that was declared to stand for a gap, which they are now.
    marks : set of str
        As there.
    fractions : set of bool
        Whether numbers with a fraction were texts (False), no texts (True), or some these and some those.
    """

    parts: list[Floats | Codes] = field(default_factory=list)
    known: dict[str, int] = field(default_factory=dict)
    digits: int = 0
    zeros: int = 0
    as_written: bool = False
    declared: int = 0
    marks: frozenset[str] = frozenset()
    fractions: frozenset[bool] = frozenset()
    _room: Floats = field(default_factory=lambda: np.empty(0), init=False, repr=False)

    def add(self, cells: Plain | Texts) -> None:
        """Take the next cells."""
        self.marks |= cells.marks
        if (cells.typed or isinstance(cells, Plain)) and cells.has_points:
            self.fractions |= {cells.typed}
        if isinstance(cells, Plain):
            self._keep(cells.values)
            self.digits += cells.digits
            self.zeros += cells.zeros
        else:
            known = self.known
            places = [known.setdefault(text, len(known)) for text in cells.distinct]
            self.parts.append(np.array(places, dtype=np.int32)[cells.codes])

    def _keep(self, values: Floats) -> None:
        """Copy numbers into pages of this column alone, which the system has back once it is dropped."""
        while len(values):
            if not len(self._room):
                self._room = np.frombuffer(mmap.mmap(-1, 8 * _ROOM))
            part = self._room[: len(values)]
            part[:] = values[: len(part)]
            self.parts.append(part)
            self._room, values = self._room[len(part) :], values[len(part) :]

    @property
    def as_texts(self) -> bool:
        """Whether every cell is there as a text."""
        return all(part.dtype == np.int32 for part in self.parts)

    def emptied(self, words: Words) -> "Column":
        """Return the column with gaps in the place of declared words."""
        texts, counts = words.emptied(list(self.known)), self.counts()
        new = replace(self, parts=[], known={})
        places = np.array([new.known.setdefault(text, len(new.known)) for text in texts], dtype=np.int32)
        new.declared += sum(count for text, count in counts.items() if text in words)
        for part in self.parts:
            if part.dtype == np.int32:
                new.parts.append(places[part])
            else:
                numbers = words.without(part.astype(np.float64, copy=False))
                new.declared += int(np.isnan(numbers).sum() - np.isnan(part).sum())
                new.parts.append(numbers)
        return new

    def counts(self) -> dict[str, int]:
        """Return each distinct text, and how many cells hold it."""
        total = np.zeros(len(self.known), dtype=np.int64)
        for part in self.parts:
            if part.dtype == np.int32:
                total += np.bincount(part, minlength=len(self.known))
        return dict(zip(self.known, total.tolist(), strict=True))

    def profile(self) -> Profile:
        """Return what its cells are."""
        plain = [part for part in self.parts if part.dtype == np.float64]
        gaps = sum(int(np.isnan(part).sum()) for part in plain)
        profile = Profile(
            numbers=sum(map(len, plain)) - gaps, missing=gaps, digits=self.digits, zeros=self.zeros
        )
        profile.add(self.counts())
        return profile

    def numbers(self) -> Floats:
        """Return every cell as `client_code.protocol.cells.numbers` reads it."""
        return self._filled(numbers(list(self.known)))

    def read(self, reader: Reader, out: Floats | None = None) -> Floats:
        """Return every cell as a reader reads it, in `out` if that is given.

        Raises
        ------
        BadValueError
            The first row that it cannot read.
        """
        assert reader.kind == "numeric" or self.as_texts
        try:
            return self._filled(reader.read(list(self.known)), out)
        except BadValueError as error:
            raise BadValueError(self.first(error.index), error.problem, error.remedy) from None

    def texts(self) -> list[str]:
        """Return the cells of a column that is there as texts."""
        distinct = np.array([*self.known, ""], dtype=object)
        texts: list[str] = distinct[np.concatenate(self.parts)].tolist()
        return texts

    def first(self, place: int) -> int:
        """Return the first row, from 0, that holds the text at this position of `known`."""
        start = 0
        for part in self.parts:
            if part.dtype == np.int32 and (found := np.flatnonzero(part == place)).size:
                return start + int(found[0])
            start += len(part)
        raise IndexError(place)

    def _filled(self, values: Floats, out: Floats | None = None) -> Floats:
        parts = [part if part.dtype == np.float64 else values[part] for part in self.parts]
        return np.concatenate(parts, out=out) if parts else np.empty(0)


Cells = Plain | Texts


def convert_cells(array: "pa.Array", *, as_texts: bool, decimal: str = ".") -> Cells:
    """Convert a part of a column: to numbers if nothing but finite numbers and gaps is in it.

    Parameters
    ----------
    array : pyarrow.Array
        Texts as a file has them, or values of another type.
    as_texts : bool
        Keep numbers as texts too.
    decimal : str
        What stands before the fraction of a number: a point or a comma.
    """
    import pyarrow as pa  # noqa: PLC0415 - a tenth of a second that commands without tables do not need

    marks = frozenset[str]()
    if decimal == ",":
        array, found = with_points(array)
        marks = marks if as_texts else found
    if not as_texts and (plain := _plain(array)):
        return plain._replace(marks=marks)
    if pa.types.is_nested(array.type) or pa.types.is_dictionary(array.type):
        array = pa.array([text_of(value) for value in array.to_pylist()], pa.string())
    encoded = array.dictionary_encode()
    distinct = [text_of(value) for value in encoded.dictionary.to_pylist()]
    codes = encoded.indices.fill_null(len(distinct)).to_numpy(zero_copy_only=False)
    return Texts(codes, [*distinct, ""] if encoded.null_count else distinct, marks)


def _plain(array: "pa.Array") -> Plain | None:
    """Return cells as numbers, or None if anything but finite numbers and gaps is in them.

    pyarrow reads a number as Python does, to the last bit, or not at all.
    """
    import pyarrow as pa  # noqa: PLC0415 - as above
    import pyarrow.compute as pc  # noqa: PLC0415

    kind = array.type
    if pa.types.is_decimal(kind):  # its own cast may be off by one bit
        array, kind = array.cast(pa.string()), pa.string()
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        values = array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        return None if np.isinf(values).any() else Plain(values)
    if not pa.types.is_string(kind):
        return None
    values = _cast(array)
    if values is None or np.isnan(values).any():  # it takes nan(1) for a number, and NaN is a gap
        array = pc.utf8_trim_whitespace(array)
        gaps = pc.is_in(array, pa.array(spellings()))
        array = pc.if_else(gaps, None, array)
        values = _cast(array)
        if values is None or int(np.isnan(values).sum()) != array.null_count:
            return None
    if np.isinf(values).any():
        return None
    return Plain(values, *_digits(array, values))


def _cast(texts: "pa.Array") -> Floats | None:
    import pyarrow as pa  # noqa: PLC0415 - as above

    try:
        values: Floats = texts.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        return None
    return values


def _digits(texts: "pa.Array", values: Floats) -> tuple[int, int]:
    """Return how many texts are nothing but digits, and how many of these begin with a 0 before others."""
    import pyarrow.compute as pc  # noqa: PLC0415 - as above

    with np.errstate(invalid="ignore"):
        if (values != np.rint(values))[~np.isnan(values)].any():
            return 0, 0
    digits = pc.ascii_is_decimal(texts)
    zeros = pc.and_(digits, pc.and_(pc.starts_with(texts, "0"), pc.greater(pc.binary_length(texts), 1)))
    return pc.sum(digits).as_py() or 0, pc.sum(zeros).as_py() or 0
