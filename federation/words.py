"""Names in messages: the first few of many, and the one that was meant."""

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


def meant(name: str, names: Sequence[str]) -> str:
    """Return 'Did you mean "…"?' with the name that is nearest to a misspelt one, or ""."""
    of_lower = {other.lower(): other for other in names}
    near = difflib.get_close_matches(name.lower(), of_lower, n=1)
    return f'Did you mean "{of_lower[near[0]]}"?' if near else ""
