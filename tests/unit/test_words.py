"""Lists of names in messages."""

import pytest

from federation.words import some


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["a"], "a"),
        (["a", "b"], "a and b"),
        (["a", "b", "c"], "a, b and c"),
        (["a", "b", "c", "d"], "a, b, c and 1 more"),
        (list("abcdefg"), "a, b, c and 4 more"),
    ],
)
def test_the_rest_is_counted(names: list[str], text: str) -> None:
    """A message names a few, and says how many more there are."""
    assert some(names, 3) == text
