"""Everything that parses a peer's bytes, on both sides: it raises what it promises, or nothing.

Each target takes damaged copies of its seeds: from hypothesis in `test_fuzz.py`, briefly, and at random, by
the million, in ``python -m tests.fuzz``.
"""

import datetime as dt
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import botocore.session
import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Error, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

import link
import proof
from client_code.protocol import frames, messages
from client_code.protocol.frames import FINISH, REFUSED
from errors import ClientError, ProtocolError
from federation.model.arrays import ArrayError, floats
from federation.stream import messages as servers
from federation.stream.admission.decision import ProofError
from federation.stream.admission.role_proof import Binding, Role, read_proof
from ledger import Ledger

NOW = dt.datetime.now(dt.UTC)
SERVER = link.Server(address="10.0.0.5:8080", certificate=b"", patience=1)
BINDING = Binding(run_id="r", server_address=SERVER.address, certificate="0" * 64, region="eu-west-1")


Changes = Sequence[tuple[int, int, bytes]]


@dataclass(frozen=True, kw_only=True)
class Target:
    """Something that parses bytes.

    Parameters
    ----------
    parse : callable
        Feeds it; raises if a promise is broken.
    seeds : callable
        Returns inputs that are valid.
    """

    parse: Callable[[bytes], None]
    seeds: Callable[[], tuple[bytes, ...]]

    @property
    def name(self) -> str:
        """What it is called."""
        return self.parse.__name__


def damaged(seed: bytes, changes: Changes) -> bytes:
    """Return a seed with slices replaced: so bytes are changed, cut out and put in."""
    for start, length, new in changes:
        at = start % (len(seed) + 1)
        seed = seed[:at] + new + seed[at + length :]
    return seed


def _content() -> RecordDict:
    return RecordDict(
        {
            "arrays": ArrayRecord({"coef": Array(np.arange(3.0)[np.newaxis])}),
            "metrics": MetricRecord({"loss": 0.25, "counts": [1, 2]}),
            "config": ConfigRecord({"features": ["a"], "server-round": 3, "raw": b"\x00", "flag": True}),
        }
    )


@cache
def message_seeds() -> tuple[bytes, ...]:
    """Return serialised messages of every kind."""
    question = Message(_content(), 2, "train")
    question.metadata.__dict__["_message_id"] = "m"
    error = Message(Error(2, "reason"), reply_to=question)
    answer = Message(_content(), reply_to=question)
    sent = b"".join(frame[1:] for frame in servers.MessageEncoder().frames(question, "m"))
    return (sent, *(b"".join(messages.encode(it)) for it in (answer, error)))


JOIN = link.Identity(name="a", prove=proof.by_token("t"), label="y", features=("b", "c")).frame()


def join_frame(frame: bytes) -> None:
    """Read a stranger's first frame, as the server does."""
    with suppress(frames.FrameError):
        join = frames.Join.from_frame(frame)
        join.client.encode()
        json.dumps([join.label, *join.features, *join.proof.items()]).encode()


def frames_of_a_client(data: bytes) -> None:
    """Put a client's messages together and read their arrays, as the server does."""
    # The first bytes say where the message is cut, and what its frames claim to be.
    at, kinds, payload = int.from_bytes(data[:2], "big"), data[2:3], data[3:]
    first, last = {b"\x01": (b"E", b"E"), b"\x02": (b"M", b"J"), b"\x03": (b"", b"E")}.get(
        kinds, (b"M", b"E")
    )
    at %= len(payload) + 1
    assembler = servers.MessageAssembler(lambda: 1 << 16)
    with suppress(frames.FrameError):
        for part in (first + payload[:at], last + payload[at:]):
            if message := assembler.add(part):
                assert message.has_content() or message.has_error()
                _read_all(message)


def _read_all(message: Message) -> None:
    if message.has_error():
        assert isinstance(message.error.reason, str | None)
        return
    for record in message.content.array_records.values():
        for array in record.values():
            with suppress(ArrayError):
                floats(array)


@cache
def _answer() -> link.Answer:
    app = ClientApp()

    @app.train()
    def train(message: Message, _context: Context) -> Message:
        return Message(message.content, reply_to=message)

    context = Context(run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config={})
    return link.Answer(app, context, Ledger(Path(os.devnull).open("w")))


def message_of_the_server(payload: bytes) -> None:
    """Answer whatever the server sends, or say what is wrong with it, as the client does."""
    with suppress(ProtocolError):
        assert b"".join(_answer()([payload]))


IDENTITY = link.Identity(name="a", prove=proof.by_token("t"), label="y", features=())
VERDICTS = (b'F{"ok": true, "reason": ""}', b'R{"code": 58, "reason": "another role"}')


def verdict_of_the_server(frame: bytes) -> None:
    """Hear how the run ended, or say that it cannot be told, as the client does."""
    with suppress(ClientError):
        link._end(REFUSED if frame[:1] == REFUSED else FINISH, frame[1:], IDENTITY)


@cache
def _headers() -> bytes:
    session = botocore.session.Session()
    session.set_credentials("ASIAEXAMPLE", "secret", "token")
    server = link.Server(
        address=SERVER.address,
        certificate=b"-----BEGIN CERTIFICATE-----\nTUlJ\n-----END CERTIFICATE-----\n",
        patience=1,
    )
    prove = proof.ByRole(region="eu-west-1", run_id="r", server=server, name="a", session=session)
    return json.dumps(prove() | {"x-federation-certificate": "0" * 64}).encode()


def proof_of_a_role(text: bytes) -> None:
    """Read a proof, as the server does before it asks AWS about it."""
    with suppress(ProofError, frames.FrameError):
        body = json.loads(JOIN[1:]) | {"proof": _loaded(text)}
        join = frames.Join.from_frame(frames.JOIN + json.dumps(body).encode())
        request = read_proof(join.proof, client=join.client, binding=BINDING, now=NOW)
        assert all("\n" not in value and "\r" not in value for value in request.headers.values())


def _loaded(text: bytes) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text.decode("latin-1")


def arn_of_a_caller(arn: bytes) -> None:
    """Read whom AWS names: a role with an account of twelve digits, or none."""
    role = Role.of_session(arn.decode("latin-1"))
    assert role is None or (len(role.account) == 12 and role.name)


ARN = b"arn:aws:sts::222222222222:assumed-role/FL-claims-training-job/SageMaker"

TARGETS = (
    Target(parse=join_frame, seeds=lambda: (JOIN, frames.JOIN)),
    Target(
        parse=frames_of_a_client,
        seeds=lambda: tuple(bytes([0, 20, kind]) + seed for kind in range(4) for seed in message_seeds()),
    ),
    Target(parse=message_of_the_server, seeds=message_seeds),
    Target(parse=verdict_of_the_server, seeds=lambda: VERDICTS),
    Target(parse=proof_of_a_role, seeds=lambda: (_headers(),)),
    Target(parse=arn_of_a_caller, seeds=lambda: (ARN,)),
)
