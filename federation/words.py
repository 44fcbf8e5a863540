"""Lists of names in messages: the first few, and how many more there are."""

import difflib
from collections.abc import Sequence

MAXIMUM = 5
"""Number of names that a message has room for."""


def some(names: Sequence[str], maximum: int = MAXIMUM) -> str:
    """Return "a", "a and b", "a, b and c", or the first names and "… and 7 more".

    Parameters
    ----------
    names : sequence of str
        One at least, as they shall appear.
    maximum : int
        Number of names before the rest is counted.
    """
    shown, rest = list(names[:maximum]), len(names) - maximum
    *first, last = [*shown, f"{rest} more"] if rest > 0 else shown
    return f"{', '.join(first)} and {last}" if first else last


def nearest(name: str, names: Sequence[str]) -> str:
    """Say which of some names a mistyped one may mean, or which there are.

    Parameters
    ----------
    name : str
        What was typed.
    names : sequence of str
        One at least.
    """
    of_lower = {other.lower(): other for other in names}
    if close := difflib.get_close_matches(name.lower(), of_lower, n=MAXIMUM):
        return f"Did you mean {' or '.join(of_lower[one] for one in close)}?"
    return f"There {'is' if len(names) == 1 else 'are'} {some(names)}."
