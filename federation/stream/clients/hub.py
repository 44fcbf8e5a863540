"""The clients of a run in one event loop: connections, pending messages and replies."""

import asyncio
import json
import logging
import uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial

from flwr.app import Message

from client_code.protocol.frames import FINISH, Join, control_frame
from federation.errors import ClientFailedError, JoinDeadlineError
from federation.events import Events
from federation.stream.certificate import RunCertificate
from federation.stream.clients.members import Arrived, Member, Outbox, Pending, Refusal, error_reply
from federation.stream.limits import Limits, one_line
from federation.stream.messages import MessageEncoder
from federation.stream.service import StreamServer
from federation.words import some

DEAD_STREAM_SECONDS = 16.0  # keepalive asks after 5 s of silence and waits 9 s for the answer
LAST_SECONDS = 5.0  # for clients to acknowledge the end of the run, and to come back for it if they are away
MAXIMUM_REFUSALS = 1000  # written down; a storm of joins must not fill the disk
MAXIMUM_NAME, MAXIMUM_REASON = 40, 60  # characters of a stranger's words that are written down

log = logging.getLogger("federation.stream.grid")
OnChange = Callable[[list[str], list[str]], None]
Admit = Callable[[Join], Awaitable[Refusal | None]]
"""Decides on a join; None lets it in, and then its name is one of the expected ones."""


class ClientHub:
    """Holds the members of a run; all methods run in one event loop, so there is no lock.

    Parameters
    ----------
    members : sequence of Member
        The clients that are expected.
    admit : callable
        Decides on each join.
    rejoin_seconds : float
        Time that a client may take to return after its stream broke, before it counts as lost.
    limits : Limits
        Limits on the resources that peers may use.
    event : callable
        Callback for events.
    """

    def __init__(
        self,
        members: Sequence[Member],
        *,
        admit: Admit,
        rejoin_seconds: float,
        limits: Limits,
        event: Events,
    ) -> None:
        self._members = {member.name: member for member in members}
        self._by_node_id = {member.node_id: member for member in members}
        self._admit, self._rejoin_seconds, self._event = admit, rejoin_seconds, event
        self._refusals = 0
        self._pushed: dict[str, Pending] = {}
        self._fatal: Exception | None = None
        self._verdict: list[bytes] = []
        self._changed = asyncio.Event()
        self._server = StreamServer(self, limits)

    async def listen(self, certificate: RunCertificate, host: str, port: int) -> int:
        """Listen for clients; return the port.

        Raises
        ------
        PortTakenError
            Another process listens there.
        """
        return await self._server.start(certificate, host, port)

    # What the stream server asks ---------------------------------------------------------------------------

    async def join(self, join: Join, arrived: Arrived) -> Refusal | tuple[Member, Outbox]:
        """Assign a stream to the client and send unanswered messages again, or refuse the stream."""
        facts = {"client": join.client, "bytes": arrived.size, "sha256": arrived.sha256}
        if refusal := await self._admit(join) or await self._rival(join):
            self._refusals += 1
            if self._refusals <= MAXIMUM_REFUSALS:
                words = {
                    "client": _cut(join.client, MAXIMUM_NAME),
                    "reason": _cut(refusal.reason, MAXIMUM_REASON),
                }
                self._event("refused", **facts | words)
            self._fatal = self._fatal or refusal.fatal
            self._announce()
            return refusal
        member = self._members[join.client]
        if member.give_up:
            member.give_up.cancel()
        if member.outbox is not None:
            member.outbox.put_nowait([])  # the same process opened a new stream: end the old one
        self._event("join", **facts, instance=_cut(join.instance, MAXIMUM_NAME))
        member.received.append(("join", arrived.size))
        member.instance, member.joined, member.failure = join.instance, True, ""
        member.outbox = outbox = Outbox()
        for pending in member.pending.values():
            outbox.put_nowait(pending.frames)
        if self._verdict:
            outbox.put_nowait(self._verdict)
        self._announce()
        return member, outbox

    async def _rival(self, join: Join) -> Refusal | None:
        """Refuse a second process under a client's name, unless the first one's stream turns out to be dead.

        A job that was restarted elsewhere may be back before keepalive has found the old stream dead.
        """
        member = self._members[join.client]
        deadline = asyncio.get_running_loop().time() + min(DEAD_STREAM_SECONDS, self._rejoin_seconds)
        while member.outbox is not None and member.instance != join.instance:
            if asyncio.get_running_loop().time() > deadline:
                return Refusal(reason=f'another process has already joined as "{join.client}"')
            await asyncio.sleep(0.1)
        return None

    def leave(self, member: Member, outbox: Outbox) -> None:
        """Record that the client's stream has ended, and allow it some time to return."""
        if member.outbox is outbox:
            member.outbox = None
            self._event("leave", client=member.name, instance=_cut(member.instance, MAXIMUM_NAME))
            self._announce()
            reason = f"its connection was lost and it did not come back within {self._rejoin_seconds:g} s"
            member.give_up = asyncio.get_running_loop().call_later(
                self._rejoin_seconds, self.fail, member, reason
            )

    def deliver(self, member: Member, message: Message, arrived: Arrived) -> None:
        """Accept a reply; drop it if no message waits for it."""
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

    # What the grid asks -----------------------------------------------------------------------------------

    async def push(self, messages: Iterable[Message]) -> list[str]:
        """Send messages without waiting; return the ids to pull their replies with."""
        pushed = self._send(messages)
        self._pushed.update(pushed)
        return list(pushed)

    async def pull(self, message_ids: Iterable[str]) -> list[Message]:
        """Return the replies that have arrived to pushed messages."""
        done = [i for i in message_ids if i in self._pushed and self._pushed[i].reply.done()]
        return [self._pushed.pop(i).reply.result() for i in done]

    async def exchange(self, messages: Iterable[Message], seconds: float) -> list[Message]:
        """Send messages; return a reply to each, in the order of the clients; late replies become errors."""
        sent = self._send(messages)
        await asyncio.wait([pending.reply for pending in sent.values()], timeout=seconds)
        for pending in sent.values():
            if not pending.reply.done():
                pending.reply.set_result(
                    error_reply(pending.message, f"it did not answer within {seconds:g} s")
                )
        by_client = sorted(sent.values(), key=lambda pending: pending.message.metadata.dst_node_id)
        return [pending.reply.result() for pending in by_client]

    async def wait_joined(self, seconds: float, on_change: OnChange, enough: int) -> None:
        """Wait until every client has joined, or until enough have when the time is over.

        Raises
        ------
        JoinDeadlineError, ClientFailedError, SchemaMismatchError
            Too few have joined, or ever will.
        """
        try:
            async with asyncio.timeout(seconds):
                while missing := self._missing(on_change, enough):
                    await self._changed.wait()
        except TimeoutError:
            names = some([f'"{name}"' for name in missing])
            if len(self._members) - len(missing) >= enough:
                self._event("start-without", clients=missing)
                return
            raise JoinDeadlineError(
                f"no join from {names} within {seconds:g} s.",
                "Look at their logs, or allow more time.",
                missing=missing,
            ) from None

    def _missing(self, on_change: OnChange, enough: int) -> list[str]:
        """Report the clients that joined and return those that may still join; raise if too few can."""
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

    def fail(self, member: Member, reason: str) -> None:
        """Record that a client has ended, and answer its messages with ``reason`` at once.

        One that has heard of the end of the run, and ended, has not failed.
        """
        if member.told:
            return
        self._event("failed", client=member.name, reason=reason)
        member.failure = reason
        member.resolve_all(reason)
        self._announce()

    async def finish(self, failure: str) -> None:
        """Notify every client of the run's end, with the reason if it failed; then stop listening.

        What is sent over a connection that has just been lost seems to be sent: each client acknowledges the
        end, and has some seconds to come back for it.
        """
        self._verdict = [control_frame(FINISH, ok=not failure, reason=failure)]
        present = [member for member in self._members.values() if member.joined]
        for member in present:
            if member.outbox is not None:
                member.outbox.put_nowait(self._verdict)
        with suppress(TimeoutError):
            async with asyncio.timeout(min(LAST_SECONDS, self._rejoin_seconds)):
                while any(not (member.told or member.failure) for member in present):
                    self._changed.clear()
                    await self._changed.wait()
        for member in present:
            if member.give_up:
                member.give_up.cancel()
        await self._server.stop()

    def _send(self, messages: Iterable[Message]) -> dict[str, Pending]:
        encoder, loop = MessageEncoder(), asyncio.get_running_loop()
        sent = {}
        for message in messages:
            member = self._by_node_id[message.metadata.dst_node_id]
            message_id = uuid.uuid4().hex
            pending = Pending(message, encoder.frames(message, message_id), loop.create_future())
            sent[message_id] = member.pending[message_id] = pending
            pending.reply.add_done_callback(partial(member.forget, message_id))
            if member.failure:
                pending.reply.set_result(error_reply(message, member.failure))
            elif member.outbox is not None:
                member.outbox.put_nowait(pending.frames)
        return sent

    def _announce(self) -> None:
        """Wake the callers that wait for clients."""
        self._changed.set()


def _cut(text: str, maximum: int) -> str:
    """Return a peer's words in plain characters, and no longer than this in JSON, which escapes some."""
    plain = one_line(text, maximum).encode("ascii", "replace").decode()
    while len(json.dumps(plain)) > maximum + len('"…"'):
        plain = plain[:-1]
    return plain


def _round_of(message: Message) -> object:
    config = message.content.config_records.get("config")
    return config.get("server-round") if config else None
