"""The server's end of the stream: Flower's ``Grid`` over one gRPC stream per client.

Clients open the streams; the server listens on one port, with TLS. All state belongs to one event loop in its
own thread (`federation.stream.clients.hub`). The strategy's thread calls that loop and waits, always with a
deadline.
"""

import asyncio
import threading
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from federation.errors import FederationError
from federation.events import Events, unrecorded
from federation.stream.certificate import RunCertificate
from federation.stream.clients.hub import Admit, ClientHub, OnChange
from federation.stream.clients.members import Member
from federation.stream.limits import Limits

RUN_ID = 1
SERVER_NODE_ID = 1  # Flower keeps node 1 for the server; clients count from 2
HOUR = 3600.0
CANCEL_SECONDS = 2.0

T = TypeVar("T")


class StreamGrid(Grid):
    """Flower's grid for exactly the clients in ``names``.

    Parameters
    ----------
    names : sequence of str
        The clients; their node ids are 2, 3, … in this order.
    certificate : RunCertificate
        The certificate with which the server proves its identity.
    admit : callable
        Decides on each join; None lets it in, and then its name is one of ``names``.
    host, port : str, int
        Listening address; with port 0 the server takes a free port, and ``port`` then contains it.
    rejoin_seconds : float
        Time that a client may take to return after its stream broke, before it counts as lost.
    limits : Limits, optional
        Limits on the resources that peers may use.
    event : callable
        Callback for events.

    Raises
    ------
    PortTakenError
        Another process listens on the port.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        certificate: RunCertificate,
        admit: Admit,
        host: str = "127.0.0.1",
        port: int = 0,
        rejoin_seconds: float = 30.0,
        limits: Limits | None = None,
        event: Events = unrecorded,
    ) -> None:
        self._members = {
            name: Member(name, node_id) for node_id, name in enumerate(names, SERVER_NODE_ID + 1)
        }
        self._by_node_id = {member.node_id: member for member in self._members.values()}
        self._hub = ClientHub(
            list(self._members.values()),
            admit=admit,
            rejoin_seconds=rejoin_seconds,
            limits=limits or Limits(),
            event=event,
        )
        self._run = Run.create_empty(RUN_ID)
        # Flower's Message asks who sends it.
        TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = RUN_ID, SERVER_NODE_ID, 1
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="grid", daemon=True)
        self._thread.start()
        try:
            self.port = self._ask(self._hub.listen(certificate, host, port))
        except BaseException:
            self._stop_loop()
            raise

    # Flower's Grid ----------------------------------------------------------------------------------------

    def set_run(self, run: Run) -> None:
        """Set the run that messages belong to."""
        self._run = run

    @property
    def run(self) -> Run:
        """The run that messages belong to."""
        return self._run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Return a message to one client."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> list[int]:
        """Return every client that ever joined.

        The result includes failed clients. A message to a failed client is answered at once with an error
        that states the reason, so that a strategy receives it; Flower's strategies would otherwise wait for
        ever.
        """
        return [member.node_id for member in self._members.values() if member.joined]

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Send messages without waiting; return the ids to pull their replies with."""
        return self._ask(self._hub.push(list(messages)))

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Return the replies that have arrived to pushed messages."""
        return self._ask(self._hub.pull(list(message_ids)))

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Send messages and return a reply to each, in the order of the clients.

        Parameters
        ----------
        messages : iterable of Message
            A maximum of one message to each client.
        timeout : float, optional
            Seconds until a missing reply becomes an error reply that names the client; None: an hour.

        Returns
        -------
        list of Message
            As many as ``messages``; replies with an error carry its reason.
        """
        if not (asked := list(messages)):
            return []
        return self._ask(self._hub.exchange(asked, HOUR if timeout is None else timeout))

    # Clients ----------------------------------------------------------------------------------------------

    def name_of(self, node_id: int) -> str:
        """Return the name of the client with ``node_id``."""
        return self._by_node_id[node_id].name

    def process_of(self, node_id: int) -> str:
        """Return the id of the process that currently represents the client with ``node_id``."""
        return self._by_node_id[node_id].instance

    def received(self) -> dict[str, list[tuple[str, int]]]:
        """Return the kind and the bytes of everything that each client sent, in order of arrival."""
        return {name: list(member.received) for name, member in self._members.items()}

    def wait_for_clients(self, timeout: float, on_change: OnChange, *, least: int | None = None) -> None:
        """Wait until every client has joined, or until enough have when the time is over.

        Those that join later take part from the next round on.

        Parameters
        ----------
        timeout : float
            Seconds to wait.
        on_change : callable
            Called with the joined and the missing names, at once and after each join.
        least : int, optional
            Minimum number of clients at the deadline; None: all of them.

        Raises
        ------
        JoinDeadlineError
            Too few have joined after ``timeout`` seconds; the missing ones are named.
        ClientFailedError
            A client ended before it joined, and without it they are too few.
        SchemaMismatchError
            A client's columns differ from the server's.
        """
        enough = len(self._members) if least is None else least
        self._ask(self._hub.wait_joined(timeout, on_change, enough))

    def fail_client(self, name: str, reason: str) -> None:
        """Record that a client has ended, and answer its messages with ``reason`` at once."""
        with suppress(RuntimeError):  # the grid is closed already
            self._loop.call_soon_threadsafe(self._hub.fail, self._members[name], reason)

    def close(self, *, failure: str = "") -> None:
        """Notify every client of the run's end and the reason of a failure; stop listening. Idempotent."""
        if self._thread.is_alive():
            try:
                self._ask(self._hub.finish(failure))
            finally:
                self._stop_loop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, FederationError):
            self.close(failure=error.problem)  # the remedy is for this side only
        else:
            self.close(failure=kind.__name__ if kind else "")

    def _ask(self, coroutine: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def _stop_loop(self) -> None:
        self._ask(_end_other_tasks())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _end_other_tasks() -> None:
    """Cancel the remaining tasks, such as an abandoned stream: asyncio would warn about it at exit."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=CANCEL_SECONDS)
