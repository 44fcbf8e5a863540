"""The client's end of the stream, held against the server's end."""

import hashlib
import io
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode
from hypothesis import example, given, settings
from hypothesis import strategies as st

import client
import link
import proof
import utils
from client_code.protocol import frames, messages
from client_code.protocol.frames import FINISH, PROTOCOL, REFUSED, schema_hash
from errors import IdentityError, JoinRefusedError, LedgerError, ProtocolError, RunFailedError, TableError
from federation.stream import messages as servers
from ledger import Ledger, open_ledger

GRPC_DEFAULT_LIMIT = 4 << 20
LIMIT = 1 << 30
AROUND_THE_CUT = st.integers(-400, 400).flatmap(
    lambda off: st.sampled_from([messages.CHUNK_BYTES + off, 2 * messages.CHUNK_BYTES + off])
)

Handler = Callable[[Message, Context], Message]


def an_answer(handler: Handler, ledger: io.StringIO | None = None) -> link.Answer:
    """Return what answers the server's messages with this train function."""
    app = ClientApp()
    app.train()(handler)
    context = Context(run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config={})
    return link.Answer(app, context, Ledger(ledger or io.StringIO()))


def echo(message: Message, _context: Context) -> Message:
    """Reply with what came."""
    return Message(message.content, reply_to=message)


def sent(content: RecordDict, message_id: str = "m1", kind: str = "train") -> list[bytes]:
    """Return the frames that the server sends for a message."""
    return servers.MessageEncoder().frames(Message(content, 2, kind), message_id)


def payload_of(parts: list[bytes]) -> list[bytes]:
    """Return what the client keeps of the frames it gets."""
    return [part[1:] for part in parts]


def received(pieces: list[bytes]) -> Message:
    """Return what the server makes of a reply that the client cut into frames."""
    assembler = servers.MessageAssembler(lambda: LIMIT)
    *parts, last = messages.frames(pieces)
    assert [assembler.add(part) for part in parts] == [None] * len(parts)
    message = assembler.add(last)
    assert message is not None
    return message


# Contract ---------------------------------------------------------------------------------------------------


def test_a_failure_has_flowers_code() -> None:
    """The error code of a failed app is Flower's, so that a stock strategy reads it too."""
    assert link.CLIENT_APP_RAISED == ErrorCode.CLIENT_APP_RAISED_EXCEPTION


def test_the_hash_tells_schemas_apart() -> None:
    """Another label, or another or a moved name, is another schema."""
    schemas = [("y", ("a", "b")), ("a", ("y", "b")), ("y", ("a",)), ("y", ("ab",)), ("y", ("a", "B"))]
    assert len({schema_hash(*schema) for schema in schemas}) == len(schemas)


def an_identity() -> link.Identity:
    """Return a client that knows a token."""
    return link.Identity(
        name="hospital-ü", prove=proof.by_token("t0ken"), label="y", features=("b", 'a "quoted"')
    )


def test_the_server_reads_the_join_frame() -> None:
    """Every part of the join arrives as the client said it."""
    identity = an_identity()
    assert frames.Join.from_frame(identity.frame()) == frames.Join(
        client=identity.name,
        instance=identity.instance,
        proof={"token": "t0ken"},
        label="y",
        features=identity.features,
        schema=schema_hash("y", identity.features),
        protocol=PROTOCOL,
    )


def test_each_process_is_another_instance() -> None:
    """Two clients with one name are told apart."""
    assert an_identity().instance != an_identity().instance


def test_the_token_is_not_shown() -> None:
    """Neither end's record of a join shows the token when it is printed or logged."""
    identity = an_identity()
    assert "t0ken" not in f"{identity} {identity!r} {frames.Join.from_frame(identity.frame())!r}"


@given(size=AROUND_THE_CUT | st.integers(1, 1000))
@settings(max_examples=40)
@example(size=messages.CHUNK_BYTES)
@example(size=2 * messages.CHUNK_BYTES)
def test_frames_fit_grpcs_default_limit(size: int) -> None:
    """Frames of any message are within 4 MB and hold every byte in order, and only the last says so."""
    payload = np.random.default_rng(size).bytes(size)
    cut = list(messages.frames([payload[:100], b"", payload[100:]]))
    assert max(map(len, cut)) <= GRPC_DEFAULT_LIMIT
    assert b"".join(payload_of(cut)) == payload
    assert [part[:1] for part in cut] == [frames.PART] * (len(cut) - 1) + [frames.LAST_PART]


@given(size=AROUND_THE_CUT | st.integers(0, 1000))
@settings(max_examples=15)
def test_a_message_survives_both_ways(size: int) -> None:
    """What the server cuts the client reads, and what the client cuts the server reads, at any size."""
    data = np.random.default_rng(size).bytes(size)
    content = RecordDict({"arrays": ArrayRecord({"a": Array("uint8", (size,), "numpy.ndarray", data)})})
    parts = sent(content)
    assert max(map(len, parts)) <= GRPC_DEFAULT_LIMIT
    reply = received(an_answer(echo)(payload_of(parts)))
    assert reply.content == content
    assert reply.metadata.reply_to_message_id == "m1"
    assert reply.metadata.src_node_id == 2


# Failures ---------------------------------------------------------------------------------------------------


def test_an_unforeseen_error_does_not_tell_the_server_its_text(caplog: pytest.LogCaptureFixture) -> None:
    """Its text may quote a value of the data: the server learns the kind only, the client's log all."""

    def fail(_message: Message, _context: Context) -> Message:
        raise ValueError("could not convert 987654.25")

    reply = received(an_answer(fail)(payload_of(sent(RecordDict()))))
    assert reply.error.code == link.CLIENT_APP_RAISED
    assert reply.error.reason == "ValueError (the details are in the client's own log)"
    assert "could not convert 987654.25" in caplog.text


def test_an_unknown_query_is_an_error_reply() -> None:
    """A message that the app has no handler for is answered, not ignored."""
    reply = received(an_answer(echo)(payload_of(sent(RecordDict(), kind="query.rows"))))
    assert reply.has_error()


def test_a_foreseen_error_tells_the_server_its_text() -> None:
    """An error whose text was written to be safe reaches the server's operator."""

    def fail(_message: Message, _context: Context) -> Message:
        raise TableError('column "a": its values are too large.')

    reply = received(an_answer(fail)(payload_of(sent(RecordDict()))))
    assert reply.error.reason == 'column "a": its values are too large.'


def test_a_message_that_comes_again_is_answered_from_memory() -> None:
    """After a lost reply the same bytes go out again, written down again, without a second fit."""
    calls: list[str] = []
    ledger = io.StringIO()

    def count(message: Message, _context: Context) -> Message:
        calls.append(message.metadata.message_id)
        return Message(RecordDict({"metrics": MetricRecord({"calls": len(calls)})}), reply_to=message)

    answer = an_answer(count, ledger)
    first, again, other = (answer(payload_of(sent(RecordDict(), i))) for i in ("m1", "m1", "m2"))
    assert calls == ["m1", "m2"]
    assert first == again
    assert received(other).content["metrics"] == {"calls": 2}
    lines = [json.loads(line) for line in ledger.getvalue().splitlines()]
    assert [line["line"] for line in lines] == [1, 2, 3]
    assert lines[0]["sha256"] == lines[1]["sha256"] != lines[2]["sha256"]


def ended(kind: bytes, verdict: dict[str, object]) -> None:
    """Give a client the server's last word."""
    link._end(kind, json.dumps(verdict).encode(), an_identity())


def test_a_run_that_failed_says_why() -> None:
    """The server's last word becomes the client's error, each kind with its own exit code."""
    with pytest.raises(RunFailedError, match="round 2: too few") as failed:
        link._end(FINISH, json.dumps({"ok": False, "reason": "round 2: too few"}).encode(), an_identity())
    with pytest.raises(JoinRefusedError, match='refused client "hospital-ü": wrong token') as refused:
        ended(REFUSED, {"code": 51, "reason": "wrong token"})
    with pytest.raises(IdentityError, match="another role") as unproven:
        ended(REFUSED, {"code": 58, "reason": "another role"})
    assert unproven.value.exit_code == 58
    ended(FINISH, {"ok": True, "reason": ""})
    assert (refused.value.exit_code, failed.value.exit_code) == (51, 53)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"null", b'{"ok": true}', b"[" * 100_000, b"\xff"])
@pytest.mark.parametrize("kind", [REFUSED, FINISH])
def test_a_malformed_end_is_a_clear_error(kind: bytes, body: bytes) -> None:
    """What no server of this protocol says ends the client with an error of its own, not a traceback."""
    with pytest.raises(ProtocolError) as error:
        link._end(kind, body, an_identity())
    assert error.value.exit_code == 59


@given(st.binary(max_size=200))
def test_bytes_that_are_no_message_are_a_clear_error(payload: bytes) -> None:
    """The server's bytes are parsed with care too."""
    with suppress(ProtocolError):
        an_answer(echo)([payload])


# The ledger -------------------------------------------------------------------------------------------------


def test_the_ledger_describes_what_was_sent_without_its_values() -> None:
    """Names, shapes, types, size and hash of a reply are written down; no number of it is."""
    ledger = io.StringIO()
    content = RecordDict(
        {
            "arrays": ArrayRecord({"coef": Array(np.full((1, 3), 987654.25))}),
            "metrics": MetricRecord({"loss": 876543.75}),
            "schema": ConfigRecord({"label": "secretive"}),
        }
    )

    def reply(message: Message, _context: Context) -> Message:
        return Message(content, reply_to=message)

    question = RecordDict({"config": ConfigRecord({"server-round": 7})})
    pieces = an_answer(reply, ledger)(payload_of(sent(question)))
    (text,) = ledger.getvalue().splitlines()
    line: dict[str, Any] = json.loads(text)
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "line": 1,
        "kind": "train",
        "round": 7,
        "bytes": len(b"".join(pieces)),
        "sha256": hashlib.sha256(b"".join(pieces)).hexdigest(),
        "arrays": [{"name": "arrays.coef", "shape": [1, 3], "dtype": "float64"}],
        "metrics": ["metrics.loss"],
        "config": ["schema.label"],
    }
    for value in ("987654", "876543", "secretive"):
        assert value not in text


def test_an_error_reply_is_written_down_too() -> None:
    """The ledger has a line for every message, also one without content."""

    def fail(_message: Message, _context: Context) -> Message:
        raise TableError("no")

    ledger = io.StringIO()
    pieces = an_answer(fail, ledger)(payload_of(sent(RecordDict())))
    line = json.loads(ledger.getvalue())
    assert (line["bytes"], line["arrays"], line["metrics"]) == (sum(map(len, pieces)), [], [])


def test_what_cannot_be_written_down_is_not_sent() -> None:
    """The line comes before the message: a ledger that fails keeps the message from leaving."""

    class FullDisk(io.StringIO):
        def write(self, _text: str, /) -> int:
            raise OSError("no space left on device")

    with pytest.raises(LedgerError, match="no space left"):
        an_answer(echo, FullDisk())(payload_of(sent(RecordDict())))


def test_the_ledger_goes_on_where_it_was(tmp_path: Path) -> None:
    """Opening a ledger again appends; its folder is made if need be."""
    for text in ("one\n", "two\n"):
        with open_ledger(tmp_path / "output") as stream:
            stream.write(text)
    assert (tmp_path / "output" / "ledger.jsonl").read_text(encoding="utf-8") == "one\ntwo\n"


def test_the_ledger_does_not_grow_with_the_rows(make_task: Callable[..., utils.Task], agreement: str) -> None:
    """A client with a hundred times the rows writes down and sends as much, but for digits of its counts."""
    scaling = ConfigRecord({"json": agreement})
    model = ArrayRecord({"coef": Array(np.zeros((1, 3))), "intercept": Array(np.zeros(1))})
    config = ConfigRecord({"class-weight": [1.0, 1.0], "l2": 1.0, "rows": 50, "server-round": 1})
    content = RecordDict({"arrays": model, "config": config, "preprocessing": scaling})
    lines = []
    for rows in (50, 5000):
        stream = io.StringIO()
        context = Context(run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config={})
        answer = link.Answer(client.create_app(make_task(rows)), context, Ledger(stream))
        for kind in ("query.statistics", "train", "evaluate", "query.save_model"):
            reply = received(answer(payload_of(sent(content, kind, kind))))
            assert not reply.has_error()
        lines.append([json.loads(line) for line in stream.getvalue().splitlines()])
    for few, many in zip(*lines, strict=True):
        assert abs(few.pop("bytes") - many.pop("bytes")) <= 8
        for changing in ("time", "sha256"):
            assert len(few.pop(changing)) == len(many.pop(changing))
        assert few == many


@pytest.mark.parametrize("before", ["", "{}\n", '{}\n{"line": 2, "ki'])
def test_half_a_line_of_a_ledger_does_not_damage_the_next(before: str, tmp_path: Path) -> None:
    """A process that is killed may leave one; the next one's first line is whole."""
    path = tmp_path / "ledger.jsonl"
    path.write_text(before)
    with open_ledger(tmp_path) as stream:
        Ledger(stream).record([b"x"], kind="join")
    lines = path.read_text().splitlines()
    assert json.loads(lines[-1])["kind"] == "join"
    assert lines[:-1] == before.splitlines()
