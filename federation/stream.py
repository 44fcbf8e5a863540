"""The gRPC service: one bidirectional stream per client, TLS, bytes in and bytes out."""

import asyncio
import hashlib
import logging
from typing import Any, Protocol

import grpc
from flwr.app import Message

from federation.certificate import RunCertificate
from federation.errors import PortTakenError
from federation.frames import (
    FINISH,
    METHOD,
    REFUSED,
    SERVICE,
    WELCOME,
    FrameError,
    Join,
    control_frame,
)
from federation.members import Arrived, Member, Outbox, Refusal
from federation.messages import MessageAssembler

FIRST_FRAME_SECONDS = 10.0
FINISH_SECONDS = 5.0
MAX_MESSAGE_BYTES = 1 << 30

OPTIONS = (
    ("grpc.so_reuseport", 0),  # a taken port must be an error, not a shared one
    ("grpc.keepalive_time_ms", 5_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 4_000),
)

log = logging.getLogger("federation.stream")


class Hub(Protocol):
    """Whom the streams belong to."""

    async def join(self, join: Join, arrived: Arrived) -> Refusal | tuple[Member, Outbox]:
        """Decide on a join."""

    def leave(self, member: Member, outbox: Outbox) -> None:
        """Take note that a stream has ended."""

    def deliver(self, member: Member, message: Message, arrived: Arrived) -> None:
        """Take a message from a client."""


class StreamServer:
    """Listen for clients and carry their messages; runs in the event loop it is started in.

    Parameters
    ----------
    hub : Hub
        Decides who joins, and takes what arrives.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._server: Any = None

    async def start(self, certificate: RunCertificate, host: str, port: int) -> int:
        """Listen on ``host``; return the port, which is a free one if ``port`` is 0.

        Raises
        ------
        PortTakenError
            Another process listens there, or the host is not of this machine.
        """
        self._server = grpc.aio.server(options=OPTIONS)
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
        """Let streams send what they have, then close them."""
        await self._server.stop(FINISH_SECONDS)

    async def _serve(self, _requests: object, context: Any) -> None:  # noqa: ANN401 - grpc has no types
        """Hold one stream: its join, then messages out and replies in, until either side ends it."""
        try:
            first = await asyncio.wait_for(context.read(), FIRST_FRAME_SECONDS)
            join = Join.from_frame(first if isinstance(first, bytes) else b"")
        except (TimeoutError, FrameError) as error:
            log.warning("refused a stream from %s: %s", context.peer(), error or "no join frame in time")
            return
        decision = await self._hub.join(join, Arrived(len(first), hashlib.sha256(first).hexdigest()))
        if isinstance(decision, Refusal):
            log.warning('refused client "%s" from %s: %s', join.client, context.peer(), decision.reason)
            await context.write(control_frame(REFUSED, reason=decision.reason))
            return
        member, outbox = decision
        try:
            await context.write(control_frame(WELCOME, node_id=member.node_id))
            await _first_to_end(self._read(context, member), _write(context, outbox))
        finally:
            self._hub.leave(member, outbox)

    async def _read(self, context: Any, member: Member) -> None:  # noqa: ANN401
        assembler = MessageAssembler(MAX_MESSAGE_BYTES)
        try:
            while isinstance(frame := await context.read(), bytes):
                if message := assembler.add(frame):
                    self._hub.deliver(member, message, Arrived(assembler.last_size, assembler.last_sha256))
        except FrameError as error:
            log.warning('ended the stream of client "%s": %s', member.name, error)


async def _write(context: Any, outbox: Outbox) -> None:  # noqa: ANN401
    while frames := await outbox.get():
        for frame in frames:
            await context.write(frame)
        if frames[-1][:1] == FINISH:
            return


async def _first_to_end(*coroutines: Any) -> None:  # noqa: ANN401
    """Run coroutines side by side until one ends; then cancel the rest."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
