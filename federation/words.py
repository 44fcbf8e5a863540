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


def meant(name: str, names: Sequence[str], maximum: int = 1) -> str:
    """Return 'Did you mean "a" or "b"?' with the names that are nearest to a mistyped one, or ""."""
    of_lower = {other.lower(): other for other in names}
    close = difflib.get_close_matches(name.lower(), of_lower, n=maximum)
    return "Did you mean " + " or ".join(f'"{of_lower[one]}"' for one in close) + "?" if close else ""


def nearest(name: str, names: Sequence[str]) -> str:
    """Say which of some names a mistyped one may mean, or which there are.

    Parameters
    ----------
    name : str
        What was typed.
    names : sequence of str
        One at least.
    """
    return meant(name, names, 3) or f"There {'is' if len(names) == 1 else 'are'} {some(names)}."
