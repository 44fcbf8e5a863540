"""Say which class, 0 or 1, each value of a label is, or why they make no two."""

from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path

from client_code.protocol.cells import label_of
from federation.data.columns.by_file import other_labels
from federation.data.columns.column import Column
from federation.data.columns.mixed import of_labels
from federation.data.columns.scan import Scan
from federation.errors import LabelError

_TWO = (
    "Two are needed: choose another column, or remove the rows of other values, or write two values in the "
    "place of all, and say with --positive which of the two is 1."
)


def too_many(scanned: Scan, label: str, column: Column) -> tuple[str, str]:
    """Return what to say of a label of more than two values, and what to do.

    A value is shown if many rows hold it, see `federation.data.columns.mixed`.
    """
    if by_file := other_labels(scanned, label):
        return by_file, "Write the label alike in all files."
    counts = Counter[str]()
    for text, count in column.counts().items():
        counts[text.strip()] += count
    two = [text for text, _ in counts.most_common(2)]
    # The texts are in the order in which they come.
    third = next(place for text, place in column.known.items() if text.strip() not in two)
    file, where = scanned.where(column.first(third))
    return f" ({of_labels(counts)}; a third value first in {file.name}, {where})", _TWO


def binary(
    file: Path | str,
    label: str,
    values: Collection[str],
    positive: str | None,
    *,
    aside: Callable[[], tuple[str, str]] = lambda: ("", _TWO),
) -> dict[str, int]:
    """Return the class, 0 or 1, of each value of a label.

    Parameters
    ----------
    file : Path or str
        Where the label stands, for messages.
    label : str
        Its name.
    values : collection of str
        All that it has.
    positive : str, optional
        The value that counts as 1, as in `read_table`.
    aside : callable
        Says more of values that are too many, and what to do.

    Raises
    ------
    LabelError
        They are not two, or do not say themselves which is positive.
    """
    distinct = sorted(values)
    coding = {value: label_of(value) for value in distinct}
    if positive is None and None not in coding.values():
        return {value: int(found) for value, found in coding.items() if found is not None}
    if len(distinct) > 2:  # noqa: PLR2004 - binary
        more, remedy = aside()
        raise LabelError(
            f'{file}: label "{label}" has {len(distinct)} distinct values{more}: not binary.', remedy
        )
    if len(distinct) == 1 and positive is None:
        raise LabelError(
            f'{file}: label "{label}" has 1 distinct value: not binary.',
            "Two are needed: choose another column, or add rows of the other class.",
        )
    if positive not in coding:
        problem = "is not 0 and 1" if positive is None else f'is never "{positive}"'
        either = " or ".join(f'"{value}"' for value in distinct)
        raise LabelError(f'{file}: label "{label}" {problem}.', f"Say with --positive which is 1: {either}.")
    return {value: int(value == positive) for value in distinct}
