"""Who takes part in the next round: everybody admitted, but for those that failed too often in a row."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from flwr.serverapp import Grid


def _of_grid(name: str) -> Callable[..., Any]:
    """Return a method that hands its arguments on to the method of the grid behind a proxy."""

    def hand_on(self: "GridProxy", *given: Any, **named: Any) -> object:
        return getattr(self.grid, name)(*given, **named)

    return hand_on


class GridProxy(Grid):
    """A grid that leaves everything to another one, but for what a subclass does itself."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid

    run = property(lambda self: self.grid.run)
    set_run = _of_grid("set_run")
    create_message = _of_grid("create_message")
    get_node_ids = _of_grid("get_node_ids")
    push_messages = _of_grid("push_messages")
    pull_messages = _of_grid("pull_messages")
    send_and_receive = _of_grid("send_and_receive")


class Among(GridProxy):
    """A grid of some of another one's clients.

    Parameters
    ----------
    grid : Grid
        The other one.
    node_ids : collection of int
        Those that are left.
    """

    def __init__(self, grid: Grid, node_ids: Collection[int]) -> None:
        super().__init__(grid)
        self._node_ids = node_ids

    def get_node_ids(self) -> list[int]:
        """Return those that are left and still there."""
        return [node_id for node_id in self.grid.get_node_ids() if node_id in self._node_ids]


class Roster(GridProxy):
    """A grid without clients that are new, or set aside: those that a strategy may choose from.

    A client that is set aside comes back with a new process of it: whoever restarted it may have mended it.

    Parameters
    ----------
    grid : Grid
        Whose clients these are; all messages go over it.
    name_of : callable
        The name of the client with a node id.
    process_of : callable
        What tells the processes apart that speak for one client, by its node id.
    limit : int
        Rounds running in which a client may fail before it is set aside.
    """

    def __init__(
        self,
        grid: Grid,
        *,
        name_of: Callable[[int], str],
        process_of: Callable[[int], str],
        limit: int,
    ) -> None:
        super().__init__(grid)
        self._name_of = name_of
        self._process_of = process_of
        self._limit = limit
        self._admitted: set[int] = set()
        self._failing: dict[str, int] = {}
        self._process: dict[str, str] = {}

    def get_node_ids(self) -> list[int]:
        """Return the clients that take part."""
        return [i for i in self.grid.get_node_ids() if i in self._admitted and self._takes_part(i)]

    def newcomers(self) -> list[int]:
        """Return the clients that joined and are not admitted yet."""
        return [i for i in self.grid.get_node_ids() if i not in self._admitted and self._takes_part(i)]

    def admit(self, *node_ids: int) -> None:
        """Let clients take part from the next round on."""
        self._admitted.update(node_ids)

    def set_aside(self, node_id: int) -> None:
        """Leave a client out until another process speaks for it."""
        name = self._name_of(node_id)
        self._failing[name], self._process[name] = self._limit, self._process_of(node_id)

    def aside(self) -> list[str]:
        """Return the names of those that are set aside."""
        return [name for name, times in self._failing.items() if times >= self._limit]

    def count(self, asked: Iterable[int], rejected: Mapping[str, str]) -> dict[str, str]:
        """Note who failed in a round that has ended; return whom that sets aside, and why.

        Parameters
        ----------
        asked : iterable of int
            The node ids of the clients that were asked.
        rejected : mapping of str to str
            The names of those that failed, and how.
        """
        aside = {}
        for node_id in asked:
            name = self._name_of(node_id)
            if name not in rejected:
                self._failing.pop(name, None)
                continue
            self._failing[name] = self._failing.get(name, 0) + 1
            self._process[name] = self._process_of(node_id)
            if self._failing[name] == self._limit:
                aside[name] = f"it failed {self._limit} rounds running, last: {rejected[name]}"
        return aside

    def _takes_part(self, node_id: int) -> bool:
        name = self._name_of(node_id)
        if self._failing.get(name, 0) < self._limit:
            return True
        if self._process_of(node_id) == self._process[name]:
            return False
        del self._failing[name], self._process[name]
        return True
