"""The server's end of the stream: Flower's ``Grid`` over one gRPC stream per client.

Clients open the streams; the server listens on one port, with TLS. All state belongs to one event loop in a
thread of its own, so there is no lock; the strategy's thread asks that loop and waits, never without a
deadline.
"""

import asyncio
import logging
import threading
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from client_code.protocol.frames import FINISH, Join, control_frame
from federation.errors import ClientFailedError, FederationError, JoinDeadlineError
from federation.events import Events, unrecorded
from federation.stream.certificate import RunCertificate
from federation.stream.limits import Limits
from federation.stream.members import Arrived, Member, Outbox, Pending, Refusal, error_reply
from federation.stream.messages import MessageEncoder
from federation.stream.service import StreamServer

RUN_ID = 1
SERVER_NODE_ID = 1  # Flower keeps node 1 for the server; clients count from 2
HOUR = 3600.0
CANCEL_SECONDS = 2.0
DEAD_STREAM_SECONDS = 16.0  # keepalive asks after 5 s of silence and waits 9 s for the answer
MOST_REFUSALS = 1000  # written down; a storm of joins must not fill the disk

log = logging.getLogger("federation.stream.grid")
T = TypeVar("T")
OnChange = Callable[[list[str], list[str]], None]


class StreamGrid(Grid):
    """Flower's grid for the clients in ``names``, and no others.

    Parameters
    ----------
    names : sequence of str
        The clients, whose node ids are 2, 3, … in this order.
    certificate : RunCertificate
        What the server proves itself with.
    admit : callable
        Decides on each join; None lets it in, and then its name is one of ``names``.
    host, port : str, int
        Where to listen; port 0 takes a free one, and ``port`` then tells which.
    rejoin_seconds : float
        How long a client whose stream broke may take to come back before it counts as lost.
    limits : Limits, optional
        What peers may cost.
    event : callable
        Told what happens.

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
        admit: Callable[[Join], Awaitable[Refusal | None]],
        host: str = "127.0.0.1",
        port: int = 0,
        rejoin_seconds: float = 30.0,
        limits: Limits | None = None,
        event: Events = unrecorded,
    ) -> None:
        self._admit = admit
        self._limits = limits or Limits()
        self._rejoin_seconds = rejoin_seconds
        self._event = event
        self._refusals = 0
        self._members = {
            name: Member(name, node_id) for node_id, name in enumerate(names, SERVER_NODE_ID + 1)
        }
        self._by_node_id = {client.node_id: client for client in self._members.values()}
        self._pushed: dict[str, Pending] = {}
        self._fatal: Exception | None = None
        self._run = Run.create_empty(RUN_ID)
        # Flower's Message asks who sends it.
        TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = RUN_ID, SERVER_NODE_ID, 1
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="grid", daemon=True)
        self._thread.start()
        try:
            self.port = self._ask(self._listen(certificate, host, port))
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

        One that has failed is among them: a message to it is answered at once with an error that says why, so
        that a strategy hears of it, where Flower's would wait without end for somebody else.
        """
        return [member.node_id for member in self._members.values() if member.joined]

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Send messages without waiting; return the ids to pull their replies with."""
        pushed = self._ask(self._send(list(messages)))
        self._pushed.update(pushed)
        return list(pushed)

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Return the replies that have arrived to pushed messages."""
        return self._ask(self._pull(list(message_ids)))

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Send messages and return a reply to each, in the order of the clients.

        Parameters
        ----------
        messages : iterable of Message
            At most one to each client.
        timeout : float, optional
            Seconds until a missing reply becomes an error reply that names the client; None: an hour.

        Returns
        -------
        list of Message
            As many as ``messages``; replies with an error carry its reason.
        """
        if not (asked := list(messages)):
            return []
        return self._ask(self._exchange(asked, HOUR if timeout is None else timeout))

    # Clients ----------------------------------------------------------------------------------------------

    def name_of(self, node_id: int) -> str:
        """Return the name of the client with ``node_id``."""
        return self._by_node_id[node_id].name

    def process_of(self, node_id: int) -> str:
        """Return what tells apart the processes that speak for the client with ``node_id``."""
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
            How many are enough; None: all.

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
        self._ask(self._wait_joined(timeout, on_change, enough))

    def fail_client(self, name: str, reason: str) -> None:
        """Note from outside that a client has ended: its messages are answered with ``reason`` at once."""
        with suppress(RuntimeError):  # the grid is closed already
            self._loop.call_soon_threadsafe(self._fail, self._members[name], reason)

    def close(self, *, failure: str = "") -> None:
        """Tell every client that the run is over, and why if it failed; then stop listening. Idempotent."""
        if self._thread.is_alive():
            try:
                self._ask(self._finish(failure))
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

    # What the stream server asks, and all else inside the loop ------------------------------------------

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

    async def _listen(self, certificate: RunCertificate, host: str, port: int) -> int:
        self._changed = asyncio.Event()
        self._server = StreamServer(self, self._limits)
        return await self._server.start(certificate, host, port)

    async def join(self, join: Join, arrived: Arrived) -> Refusal | tuple[Member, Outbox]:
        """Make a stream the client's, and send again what it has not answered; or refuse it."""
        facts = {
            "client": join.client,
            "instance": join.instance,
            "bytes": arrived.size,
            "sha256": arrived.sha256,
        }
        if refusal := await self._admit(join) or await self._rival(join):
            self._refusals += 1
            if self._refusals <= MOST_REFUSALS:
                self._event("refused", **facts, reason=refusal.reason)
            self._fatal = self._fatal or refusal.fatal
            self._announce()
            return refusal
        member = self._members[join.client]
        if member.give_up:
            member.give_up.cancel()
        if member.outbox is not None:
            member.outbox.put_nowait([])  # the same process opened a new stream: end the old one
        self._event("join", **facts)
        member.received.append(("join", arrived.size))
        member.instance, member.joined, member.failure = join.instance, True, ""
        member.outbox = outbox = Outbox()
        for pending in member.pending.values():
            outbox.put_nowait(pending.frames)
        self._announce()
        return member, outbox

    async def _rival(self, join: Join) -> Refusal | None:
        """Refuse a second process under a client's name, unless the first one's stream turns out to be dead.

        A job that was restarted elsewhere may be back before keepalive has found the old stream dead.
        """
        member = self._members[join.client]
        deadline = self._loop.time() + min(DEAD_STREAM_SECONDS, self._rejoin_seconds)
        while member.outbox is not None and member.instance != join.instance:
            if self._loop.time() > deadline:
                return Refusal(reason=f'another process has already joined as "{join.client}"')
            await asyncio.sleep(0.1)
        return None

    def leave(self, member: Member, outbox: Outbox) -> None:
        """Note that the client's stream is gone; give it some time to come back."""
        if member.outbox is outbox:
            member.outbox = None
            self._event("leave", client=member.name, instance=member.instance)
            reason = f"its connection was lost and it did not come back within {self._rejoin_seconds:g} s"
            member.give_up = self._loop.call_later(self._rejoin_seconds, self._fail, member, reason)

    def deliver(self, member: Member, message: Message, arrived: Arrived) -> None:
        """Take a reply; drop it if nothing waits for it."""
        member.received.append((message.metadata.message_type, arrived.size))
        pending = member.pending.get(message.metadata.reply_to_message_id)
        waited_for = pending is not None and not pending.reply.done()
        self._event(
            "received",
            client=member.name,
            kind=message.metadata.message_type,
            round=_round_of(pending.message) if pending else None,
            bytes=arrived.size,
            sha256=arrived.sha256,
            used=waited_for,
        )
        if pending is None or not waited_for:
            log.info('dropped a late or duplicate reply of client "%s"', member.name)
        elif message.metadata.src_node_id != member.node_id:
            pending.reply.set_result(error_reply(pending.message, "it replied in another client's name"))
        else:
            pending.reply.set_result(message)

    async def _send(self, messages: list[Message]) -> dict[str, Pending]:
        encoder = MessageEncoder()
        sent = {}
        for message in messages:
            member = self._by_node_id[message.metadata.dst_node_id]
            message_id = uuid.uuid4().hex
            pending = Pending(message, encoder.frames(message, message_id), self._loop.create_future())
            sent[message_id] = member.pending[message_id] = pending
            pending.reply.add_done_callback(partial(member.forget, message_id))
            if member.failure:
                pending.reply.set_result(error_reply(message, member.failure))
            elif member.outbox is not None:
                member.outbox.put_nowait(pending.frames)
        return sent

    async def _exchange(self, messages: list[Message], timeout: float) -> list[Message]:  # noqa: ASYNC109
        sent = await self._send(messages)
        await asyncio.wait([pending.reply for pending in sent.values()], timeout=timeout)
        for pending in sent.values():
            if not pending.reply.done():
                pending.reply.set_result(
                    error_reply(pending.message, f"it did not answer within {timeout:g} s")
                )
        by_client = sorted(sent.values(), key=lambda pending: pending.message.metadata.dst_node_id)
        return [pending.reply.result() for pending in by_client]

    async def _pull(self, message_ids: list[str]) -> list[Message]:
        done = [i for i in message_ids if i in self._pushed and self._pushed[i].reply.done()]
        return [self._pushed.pop(i).reply.result() for i in done]

    async def _wait_joined(self, timeout: float, on_change: OnChange, enough: int) -> None:  # noqa: ASYNC109
        try:
            async with asyncio.timeout(timeout):
                while missing := self._missing(on_change, enough):
                    await self._changed.wait()
        except TimeoutError:
            names = ", ".join(f'"{name}"' for name in missing)
            if len(self._members) - len(missing) >= enough:
                self._event("start-without", clients=missing)
                return
            raise JoinDeadlineError(
                f"no join from {names} within {timeout:g} s.", "Look at their logs, or allow more time."
            ) from None

    def _missing(self, on_change: OnChange, enough: int) -> list[str]:
        """Tell who has joined, and return who may still come; raise if too few ever will."""
        self._changed.clear()
        missing = [name for name, member in self._members.items() if not member.joined]
        on_change([name for name in self._members if name not in missing], missing)
        if self._fatal:
            raise self._fatal
        failed = [name for name in missing if self._members[name].failure]
        if failed and len(self._members) - len(failed) < enough:
            failure = self._members[failed[0]].failure
            raise ClientFailedError(f'client "{failed[0]}" did not join: {failure}.', "Its log says more.")
        return [name for name in missing if name not in failed]

    def _fail(self, member: Member, reason: str) -> None:
        self._event("failed", client=member.name, reason=reason)
        member.failure = reason
        member.resolve_all(reason)
        self._announce()

    def _announce(self) -> None:
        """Wake who waits for clients."""
        self._changed.set()

    async def _finish(self, failure: str) -> None:
        verdict = control_frame(FINISH, ok=not failure, reason=failure)
        for member in self._members.values():
            if member.give_up:
                member.give_up.cancel()
            if member.outbox is not None:
                member.outbox.put_nowait([verdict])
        await self._server.stop()


async def _end_other_tasks() -> None:
    """Cancel what still runs, such as a stream that gRPC gave up on: asyncio would complain of it at exit."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=CANCEL_SECONDS)


def _round_of(message: Message) -> object:
    config = message.content.config_records.get("config")
    return config.get("server-round") if config else None
