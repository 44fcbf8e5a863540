"""The gRPC service: one bidirectional stream per client, TLS, bytes in and bytes out."""

import asyncio
import hashlib
import logging
from typing import Any, Protocol, TypeAlias

import grpc
from flwr.app import Message

from client_code.protocol.frames import (
    ACKNOWLEDGED,
    FINISH,
    METHOD,
    REFUSED,
    SERVICE,
    WELCOME,
    FrameError,
    Join,
    control_frame,
)
from federation.errors import PortTakenError
from federation.stream.certificate import RunCertificate
from federation.stream.clients.members import Arrived, Member, Outbox, Refusal
from federation.stream.limits import Doorkeeper, Exchange, Limits, SparingLog
from federation.stream.messages import MessageAssembler

FIRST_FRAME_SECONDS = 10.0
FINISH_SECONDS = 5.0

OPTIONS = (
    ("grpc.so_reuseport", 0),  # a taken port must be an error, not a shared one
    ("grpc.keepalive_time_ms", 5_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 9_000),  # what really bounds a silence; gRPC's default is a minute
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 4_000),
    ("grpc.max_concurrent_streams", 2),  # of one connection: a client needs one, and one more to reconnect
    ("grpc.max_connection_idle_ms", 15_000),  # without a stream
    ("grpc.server_handshake_timeout_ms", 10_000),
)

log = logging.getLogger("federation.stream")


Stream: TypeAlias = Any
"""gRPC's context of one stream, which has no types."""


class Hub(Protocol):
    """The owner of the streams."""

    async def join(self, join: Join, arrived: Arrived) -> Refusal | tuple[Member, Outbox]:
        """Decide on a join."""

    def leave(self, member: Member, outbox: Outbox) -> None:
        """Record that a stream has ended."""

    def deliver(self, member: Member, message: Message, arrived: Arrived) -> None:
        """Accept a message from a client."""


class StreamServer:
    """Listen for clients and transfer their messages; runs in the event loop that starts it.

    Parameters
    ----------
    hub : Hub
        Decides on joins, and receives messages.
    limits : Limits
        Limits on the resources that peers may use.
    """

    def __init__(self, hub: Hub, limits: Limits) -> None:
        self._hub = hub
        self._limits = limits
        self._doorkeeper = Doorkeeper(limits)
        self._refusals = SparingLog(log)
        self._server: Any = None

    async def start(self, certificate: RunCertificate, host: str, port: int) -> int:
        """Listen on ``host``; return the port, which is a free one if ``port`` is 0.

        Raises
        ------
        PortTakenError
            Another process listens there, or the host is not of this machine.
        """
        connections = ("grpc.max_allowed_incoming_connections", self._limits.connections)
        self._server = grpc.aio.server(options=(*OPTIONS, connections))
        handler = grpc.stream_stream_rpc_method_handler(self._serve)
        service = grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler})
        self._server.add_generic_rpc_handlers((service,))
        credentials = grpc.ssl_server_credentials([(certificate.key, certificate.certificate)])
        try:
            bound: int = self._server.add_secure_port(f"{host}:{port}", credentials)
        except RuntimeError as error:
            raise PortTakenError(
                f"cannot listen on port {port} of {host}: another process does.", "Choose another port."
            ) from error
        await self._server.start()
        return bound

    async def stop(self) -> None:
        """Let streams send their pending data, then close them."""
        await self._server.stop(FINISH_SECONDS)
        self._refusals.flush()

    async def _serve(self, _requests: object, context: Stream) -> None:
        """Serve one stream: its join, then messages out and replies in, until either side ends it."""
        address = context.peer().rpartition(":")[0]
        if problem := self._doorkeeper.enter(address):
            self._refusals.warning("refused a stream from %s: %s", address, problem)
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, problem)
        try:
            joined = await self._join(context)
        finally:
            self._doorkeeper.leave(address)
        if joined is None:
            return
        member, outbox = joined
        exchange = Exchange(self._limits)
        try:
            await context.write(control_frame(WELCOME, node_id=member.node_id))
            await _first_to_end(self._read(context, member, exchange), _write(context, outbox, exchange))
        finally:
            self._hub.leave(member, outbox)

    async def _join(self, context: Stream) -> tuple[Member, Outbox] | None:
        """Read the join of a new stream and decide; None if it is refused and has been notified."""
        try:
            first = await asyncio.wait_for(context.read(), FIRST_FRAME_SECONDS)
            join = Join.from_frame(first if isinstance(first, bytes) else b"", self._limits.join_bytes)
        except (TimeoutError, FrameError) as error:
            why = error if isinstance(error, FrameError) else "no join frame in time"
            self._refusals.warning("refused a stream from %s: %s", context.peer(), why)
            return None
        decision = await self._hub.join(join, Arrived(len(first), hashlib.sha256(first).hexdigest()))
        if not isinstance(decision, Refusal):
            return decision
        self._refusals.warning(
            'refused client "%s" from %s: %s', join.client, context.peer(), decision.reason
        )
        if decision.temporary:
            await context.abort(grpc.StatusCode.UNAVAILABLE, decision.reason)
        await context.write(control_frame(REFUSED, code=decision.code, reason=decision.reason))
        return None

    async def _read(self, context: Stream, member: Member, exchange: Exchange) -> None:
        assembler = MessageAssembler(lambda: exchange.room)
        try:
            while isinstance(frame := await context.read(), bytes):
                if frame == ACKNOWLEDGED:
                    member.told = True
                    return
                if message := assembler.add(frame):
                    exchange.answered()
                    self._hub.deliver(member, message, Arrived(assembler.last_size, assembler.last_sha256))
        except FrameError as error:
            self._refusals.warning('ended the stream of client "%s": %s', member.name, error)


async def _write(context: Stream, outbox: Outbox, exchange: Exchange) -> None:
    while frames := await outbox.get():
        exchange.asked(sum(map(len, frames)))
        for frame in frames:
            await context.write(frame)
        if frames[-1][:1] == FINISH:
            await asyncio.sleep(FINISH_SECONDS)  # the client's acknowledgement ends the stream before
            return


async def _first_to_end(*coroutines: Any) -> None:
    """Run coroutines concurrently until one ends; then cancel the others."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
