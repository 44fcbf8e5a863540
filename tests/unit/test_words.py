"""Lists of names in messages."""

import pytest

from federation.words import nearest, some


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


def test_a_mistyped_name_is_answered_with_the_near_ones_or_the_first() -> None:
    """In any case of letters; all of them where few are there."""
    assert nearest("Hospitl-A", ["hospital-a", "clinic"]) == 'Did you mean "hospital-a"?'
    assert nearest("x", ["hospital-a"]) == "There is hospital-a."
    assert nearest("x", list("abcdefg")) == "There are a, b, c, d, e and 2 more."
