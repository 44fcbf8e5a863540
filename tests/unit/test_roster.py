"""A grid that stands before another one."""

from unittest.mock import Mock

import pytest
from flwr.serverapp import Grid

from federation.learning.rounds.roster import GridProxy


@pytest.mark.parametrize("name", sorted(Grid.__abstractmethods__ - {"run"}))
def test_a_proxy_leaves_every_method_to_its_grid(name: str) -> None:
    """With the same arguments, and with the grid's answer."""
    grid = Mock(spec=Grid)
    answer = getattr(GridProxy(grid), name)("given", named="by name")
    assert answer is getattr(grid, name).return_value
    getattr(grid, name).assert_called_once_with("given", named="by name")


def test_a_proxy_is_of_its_grids_run() -> None:
    """Flower asks for it before it makes a message."""
    grid = Mock(spec=Grid)
    assert GridProxy(grid).run is grid.run
