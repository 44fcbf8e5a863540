"""The client's end of the stream: join, receive messages, reply, and record everything that is sent.

The client opens one bidirectional gRPC stream to the server; nothing listens on the client. `protocol.frames`
and `protocol.messages` define frames and messages.
"""

import json
import logging
import queue
import random
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import grpc
from flwr.app import Context, Error, Message
from flwr.clientapp import ClientApp

from errors import (
    ClientError,
    IdentityError,
    JoinRefusedError,
    ProtocolError,
    RunFailedError,
    ServerUnreachableError,
)
from ledger import Ledger
from protocol.frames import (
    ACKNOWLEDGED,
    FINISH,
    LAST_PART,
    METHOD,
    PART,
    REFUSED,
    SERVICE,
    WELCOME,
    Join,
    schema_hash,
)
from protocol.messages import decode, encode, frames

MAX_MESSAGE_BYTES = 1 << 30

CLIENT_APP_RAISED = 2  # Flower's ErrorCode.CLIENT_APP_RAISED_EXCEPTION

CHANNEL_OPTIONS = (
    ("grpc.keepalive_time_ms", 5_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 9_000),  # what really bounds a silence; gRPC's default is a minute
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.enable_http_proxy", 0),  # the server is in a private network, never behind a proxy
)

log = logging.getLogger("client.link")


@dataclass(frozen=True, kw_only=True)
class Server:
    """The server's address and its certificate.

    Parameters
    ----------
    address : str
        ``host:port``.
    certificate : bytes
        PEM certificate made for this run, the only one the client trusts.
    patience : float
        Seconds to go on trying when the server does not answer.
    """

    address: str
    certificate: bytes
    patience: float


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The client's identity and the schema of its table: the content of the join frame.

    Parameters
    ----------
    name : str
        The client's name in the federation.
    prove : callable
        Creates the proof of this client's identity for each join; see ``proof.py``.
    label : str
        Name of the label column.
    features : tuple of str
        Names of the feature columns.
    contract : str
        SHA-256 of the data contract that the rows keep; "" without one.
    """

    name: str
    prove: Callable[[], Mapping[str, str]] = field(repr=False)
    label: str
    features: tuple[str, ...]
    contract: str = ""
    instance: str = field(default_factory=lambda: uuid.uuid4().hex)

    def frame(self) -> bytes:
        """Return the join frame."""
        join = Join(
            client=self.name,
            instance=self.instance,
            proof=self.prove(),
            label=self.label,
            features=self.features,
            schema=schema_hash(self.label, self.features, self.contract),
        )
        return join.to_frame()


def serve(app: ClientApp, context: Context, *, server: Server, identity: Identity, ledger: Ledger) -> None:
    """Answer the server's messages with ``app`` until the server ends the run.

    A lost stream is opened again, with growing pauses, until ``server.patience`` seconds have passed without
    an answer. A message that comes again because its reply was lost is answered from memory.

    Raises
    ------
    IdentityError, JoinRefusedError
        The server refuses this client; trying again would not help.
    ProtocolError
        The server sends a message that the protocol does not allow.
    ServerUnreachableError
        The server did not answer for ``server.patience`` seconds.
    RunFailedError
        The server ended the run without a model.
    """
    answer = Answer(app, context, ledger)
    pause, last_heard = 0.1, time.monotonic()
    while True:
        loss = "connection closed by the server"
        try:
            for run_is_over in _converse(answer, server, identity, ledger):
                if run_is_over:
                    return
                pause, last_heard = 0.1, time.monotonic()
        except grpc.RpcError as error:
            loss = _status(error)
        silent = time.monotonic() - last_heard
        if silent > server.patience:
            raise ServerUnreachableError(f"no answer from {server.address} for {silent:.0f} s ({loss}).")
        log.info("stream to %s lost (%s); trying again in %.1f s", server.address, loss, pause)
        time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
        pause = min(2 * pause, 2.0)


class Answer:
    """Turn the server's messages into replies; keep the last reply in case it must be sent again.

    Parameters
    ----------
    app : ClientApp
        The app that answers messages.
    context : Context
        Flower's context of the app.
    ledger : Ledger
        The ledger that records each reply.
    """

    def __init__(self, app: ClientApp, context: Context, ledger: Ledger) -> None:
        self._app = app
        self._context = context
        self._ledger = ledger
        self._last: tuple[str, Callable[[], list[bytes]]] | None = None

    def __call__(self, parts: Sequence[bytes | memoryview]) -> list[bytes]:
        """Return the bytes of the reply to the message whose bytes are ``parts``, both in pieces.

        Raises
        ------
        ProtocolError
            They are no message.
        """
        message = _message(parts)
        message_id = message.metadata.message_id
        if self._last is None or self._last[0] != message_id:
            self._last = (message_id, self._reply(message))
        return self._last[1]()

    def _reply(self, message: Message) -> Callable[[], list[bytes]]:
        try:
            reply = self._app(message, self._context)
        except ClientError as error:
            log.error("%s failed: %s", message.metadata.message_type, error)  # noqa: TRY400 - a user's mistake
            reply = Message(Error(CLIENT_APP_RAISED, str(error)), reply_to=message)
        except Exception as error:
            # The text of an unforeseen error may quote a value of the data: it stays in this account's log.
            log.exception("%s failed", message.metadata.message_type)
            reason = f"{type(error).__name__} (the details are in the client's own log)"
            reply = Message(Error(CLIENT_APP_RAISED, reason), reply_to=message)
        pieces = encode(reply)
        config = message.content.config_records.get("config")

        def send() -> list[bytes]:
            self._ledger.record(
                pieces,
                kind=message.metadata.message_type,
                content=reply.content if reply.has_content() else None,
                server_round=config.get("server-round") if config else None,
            )
            return pieces

        return send


def _converse(answer: Answer, server: Server, identity: Identity, ledger: Ledger) -> Iterator[bool]:
    """Serve one stream; yield whenever the server sent something, True when it ended the run."""
    outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    credentials = grpc.ssl_channel_credentials(root_certificates=server.certificate)
    with grpc.secure_channel(server.address, credentials, CHANNEL_OPTIONS) as channel:
        open_stream = channel.stream_stream(f"/{SERVICE}/{METHOD}")
        join = identity.frame()
        ledger.record([join], kind="join")
        outbox.put(join)
        parts: list[memoryview] = []
        try:
            for frame in (stream := open_stream(iter(outbox.get, None))):
                kind, body = frame[:1], memoryview(frame)[1:]
                if kind == WELCOME:
                    log.info('joined the federation at %s as "%s"', server.address, identity.name)
                if kind in (PART, LAST_PART):
                    parts.append(body)
                    if sum(map(len, parts)) > MAX_MESSAGE_BYTES:
                        raise ProtocolError(f"the server sent more than {MAX_MESSAGE_BYTES} bytes at once.")
                if kind == LAST_PART:
                    for part in frames(answer(parts)):
                        outbox.put(part)
                    parts.clear()
                if kind == FINISH:
                    outbox.put(ACKNOWLEDGED)
                    with suppress(grpc.RpcError):  # whatever happens now, the run is over
                        deque(stream, maxlen=0)  # to its end: the server has the acknowledgement
                if kind in (REFUSED, FINISH):
                    _end(kind, bytes(body), identity)
                if kind not in (WELCOME, REFUSED, PART, LAST_PART, FINISH):
                    raise ProtocolError(f"the server sent a frame of kind {kind!r}.")
                yield kind == FINISH
        finally:
            outbox.put(None)


def _message(parts: Sequence[bytes | memoryview]) -> Message:
    try:
        message = decode(parts)
    except Exception as error:  # Flower's reader fails on foreign bytes in many ways
        raise ProtocolError(f"the server sent a malformed message ({type(error).__name__}).") from error
    if not message.has_content():
        raise ProtocolError("the server sent a message without content.")
    return message


def _end(kind: bytes, body: bytes, identity: Identity) -> None:
    """Return if the run succeeded; otherwise raise the server's reason."""
    try:
        verdict = json.loads(body)
        reason, ended_well = str(verdict["reason"]), bool(verdict.get("ok"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ProtocolError("the server sent a malformed end of the stream.") from error
    if kind == REFUSED:
        kinds = {IdentityError.exit_code: IdentityError}
        refused = kinds.get(verdict.get("code"), JoinRefusedError)
        raise refused(f'the server refused client "{identity.name}": {reason}')
    if not ended_well:
        raise RunFailedError(f"the server ended the run: {reason}")
    log.info("the run is over")


def _status(error: grpc.RpcError) -> str:
    code = error.code() if isinstance(error, grpc.Call) else None
    return f"{code.name}: {error.details()}" if code else type(error).__name__
