"""A short run of every fuzz target; ``make fuzz`` is the long one."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: str(target.__name__))
@pytest.mark.filterwarnings("ignore")  # what NumPy says about damaged arrays
def test_whatever_comes_is_refused_or_read(target: Callable[..., Any]) -> None:
    """No input makes a parser raise anything but its own error."""
    settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))(target)()
