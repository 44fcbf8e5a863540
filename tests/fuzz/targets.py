"""Everything that parses a peer's bytes, on both sides: it raises what it promises, or nothing.

Each target is a hypothesis test: `test_fuzz.py` runs it briefly, ``python -m tests.fuzz`` for long.
"""

import datetime as dt
import json
import os
from contextlib import suppress
from functools import cache
from pathlib import Path

import botocore.session
import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Error, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from hypothesis import given
from hypothesis import strategies as st

import link
import messages
import proof
from federation import frames
from federation import messages as servers
from federation.admission import ProofError
from federation.role_proof import Binding, Role, read_proof

NOW = dt.datetime.now(dt.UTC)
SERVER = link.Server(address="10.0.0.5:8080", certificate=b"", patience=1)
BINDING = Binding(run_id="r", server_address=SERVER.address, certificate="0" * 64, region="eu-west-1")


def _mutate(seed: bytes, changes: list[tuple[int, int, bytes]]) -> bytes:
    """Replace slices of a seed: so bytes are changed, cut out and put in."""
    for start, length, new in changes:
        at = start % (len(seed) + 1)
        seed = seed[:at] + new + seed[at + length :]
    return seed


CHANGES = st.lists(
    st.tuples(st.integers(0, 4095), st.sampled_from([0, 1, 1, 2, 8, 64]), st.binary(max_size=6)),
    min_size=1,
    max_size=4,
)


def _mutated(*seeds: bytes) -> st.SearchStrategy[bytes]:
    return st.builds(_mutate, st.sampled_from(seeds), CHANGES)


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


@given(_mutated(JOIN) | st.binary(max_size=80).map(lambda body: frames.JOIN + body))
def join_frame(frame: bytes) -> None:
    """Read a stranger's first frame, as the server does."""
    with suppress(frames.FrameError):
        join = frames.Join.from_frame(frame)
        join.client.encode()
        json.dumps([join.label, *join.features, *join.proof.items()]).encode()


@st.composite
def _cut(draw: st.DrawFn) -> list[bytes]:
    """Cut a damaged message into frames, or into frames of any kind."""
    payload = draw(_mutated(*message_seeds()))
    at = draw(st.integers(0, len(payload)))
    kinds = draw(st.sampled_from([(b"M", b"E"), (b"M", b"E"), (b"E", b"E"), (b"M", b"J"), (b"", b"E")]))
    return [kinds[0] + payload[:at], kinds[1] + payload[at:]]


@given(_cut())
def frames_of_a_client(parts: list[bytes]) -> None:
    """Put a client's messages together and read their arrays, as the server does."""
    assembler = servers.MessageAssembler(lambda: 1 << 16)
    with suppress(frames.FrameError):
        for part in parts:
            if message := assembler.add(part):
                assert message.has_content() or message.has_error()
                _read_all(message)


def _read_all(message: Message) -> None:
    if message.has_error():
        assert isinstance(message.error.reason, str | None)
        return
    for record in message.content.array_records.values():
        for array in record.values():
            with suppress(frames.FrameError):
                servers.floats(array)


@cache
def _answer() -> link.Answer:
    app = ClientApp()

    @app.train()
    def train(message: Message, _context: Context) -> Message:
        return Message(message.content, reply_to=message)

    context = Context(run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config={})
    return link.Answer(app, context, link.Ledger(Path(os.devnull).open("w")))


@given(st.deferred(lambda: _mutated(*message_seeds())) | st.binary(max_size=80))
def message_of_the_server(payload: bytes) -> None:
    """Answer whatever the server sends, or say what is wrong with it, as the client does."""
    with suppress(link.ProtocolError):
        assert b"".join(_answer()([payload]))


IDENTITY = link.Identity(name="a", prove=proof.by_token("t"), label="y", features=())
VERDICTS = (b'{"ok": true, "reason": ""}', b'{"code": 58, "reason": "another role"}')


@given(st.sampled_from([link.FINISH, link.REFUSED]), _mutated(*VERDICTS) | st.binary(max_size=40))
def verdict_of_the_server(kind: bytes, body: bytes) -> None:
    """Hear how the run ended, or say that it cannot be told, as the client does."""
    with suppress(link.ClientError):
        link._end(kind, body, IDENTITY)


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
    return json.dumps(prove() | {"X-Federation-Certificate": "0" * 64}).encode()


@given(st.deferred(lambda: _mutated(_headers())))
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


@given(_mutated(b"arn:aws:sts::222222222222:assumed-role/FL-claims-training-job/SageMaker"))
def arn_of_a_caller(arn: bytes) -> None:
    """Read whom AWS names: a role with an account of twelve digits, or none."""
    role = Role.of_session(arn.decode("latin-1"))
    assert role is None or (len(role.account) == 12 and role.name)


TARGETS = (
    join_frame,
    frames_of_a_client,
    message_of_the_server,
    verdict_of_the_server,
    proof_of_a_role,
    arn_of_a_caller,
)
