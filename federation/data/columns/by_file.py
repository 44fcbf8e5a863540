"""Say which files of a folder hold other things in a column than the rest."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from client_code.protocol.cells import is_missing, what
from federation.data.columns.mixed import of_levels, option
from federation.data.columns.scan import Scan
from federation.words import some

_REPEATING = 0.5  # different texts a row


def texts_by_file(scanned: Scan, name: str) -> dict[str, set[str]]:
    """Return the different texts, without gaps, of a column of texts in each file of a folder."""
    column = scanned.columns[name]
    known, places = list(column.known), np.concatenate(column.parts)
    found, start = dict[str, set[str]](), 0
    for file in scanned.files:
        own = np.unique(places[start : start + file.rows]).tolist()
        texts = {known[place].strip() for place in own if not is_missing(known[place])}
        found[str(file.path.relative_to(scanned.path))] = texts
        start += file.rows
    return found


def two_kinds(scanned: Scan, name: str) -> str:
    """Return which files hold words in a column and which numbers; "" if one holds both, or all the same."""
    if len(scanned.files) == 1 or not scanned.columns[name].as_texts:
        return ""
    by_kind: dict[bool, list[str]] = {True: [], False: []}
    for file, texts in texts_by_file(scanned, name).items():
        kinds = {what(text) == "texts" for text in texts}
        if len(kinds) > 1:
            return ""
        for kind in kinds:
            by_kind[kind].append(file)
    words, numbers = by_kind[True], by_kind[False]
    return f"holds words in {some(words)} and numbers in {some(numbers)}" if words and numbers else ""


def odd_levels(scanned: Scan, name: str) -> list[str]:
    """Return a line for each thing in a column of levels that may be a mistake."""
    column = scanned.columns[name]
    prose = len(column.known) > _REPEATING * scanned.rows  # or it names rows
    return [] if prose else of_levels(name, column.counts())


def without_values(scanned: Scan, features: Sequence[str], X: NDArray[np.float64]) -> list[str]:
    """Return a line for each column of which a file has no value: it may be an export that went wrong.

    Parameters
    ----------
    scanned : Scan
        The table.
    features : sequence of str
        The columns of `X`.
    X : ndarray of float64, shape (n, d)
        NaN where a value is missing.
    """
    empty: dict[str, list[str]] = {}
    start = 0
    for file in scanned.files:
        own = X[start : start + file.rows]
        for at in np.flatnonzero(np.isnan(own[0])).tolist():
            if np.isnan(own[:, at]).all():
                empty.setdefault(features[at], []).append(f"{file.path.name} ({file.rows:,} rows)")
        start += file.rows
    return [
        f'"{name}": no value in any row of {some(files)}. Check the export, or leave the column out '
        f'({option("--ignore", name)}, or type = "ignored" in a contract).'
        for name, files in empty.items()
    ]


def other_labels(scanned: Scan, label: str) -> str:
    """Return how many different labels each file holds, where that tells why all together hold too many."""
    found = texts_by_file(scanned, label) if len(scanned.files) > 1 else {}
    if not found or any(len(texts) > 2 for texts in found.values()):  # noqa: PLR2004 - two classes
        return ""
    several = len({frozenset(texts) for texts in found.values()})
    told = some([f"{len(texts)} in {file}" for file, texts in found.items()])
    return f" ({told}: {several} different pairs)" if several > 1 else ""
