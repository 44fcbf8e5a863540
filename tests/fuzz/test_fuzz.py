"""A short run of every fuzz target; ``make fuzz`` is the long one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS, Target, damaged

CHANGES = st.lists(
    st.tuples(st.integers(0, 4095), st.sampled_from([0, 1, 1, 2, 8, 64]), st.binary(max_size=6)), max_size=4
)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: str(target.name))
@pytest.mark.filterwarnings("ignore")  # what NumPy says about damaged arrays
@pytest.mark.fault(
    "300 damaged inputs of {target.name}", "each is read, or refused with the parser's own error"
)
def test_whatever_comes_is_refused_or_read(target: Target) -> None:
    """No input makes a parser raise anything but its own error."""

    @settings(max_examples=300)
    @given(st.sampled_from(target.seeds()), CHANGES)
    def holds(seed: bytes, changes: list[tuple[int, int, bytes]]) -> None:
        target.parse(damaged(seed, changes))

    holds()
