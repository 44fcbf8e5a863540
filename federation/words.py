"""Lists of names in messages: the first few, and how many more there are."""

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
