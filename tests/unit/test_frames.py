"""The server's end of the wire format: what it sends, and what it refuses to take."""

import io
import json
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.common.serde import message_to_proto
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.frames import (
    CHUNK_BYTES,
    JOIN,
    LAST_PART,
    PART,
    FrameError,
    Join,
    MessageAssembler,
    MessageEncoder,
    control_frame,
    floats,
    schema_hash,
)

LIMIT = 64 << 20
GOOD: dict[str, Any] = {
    "protocol": 2,
    "client": "a",
    "instance": "i",
    "proof": {"token": "t"},
    "label": "y",
    "features": ["b", "c"],
    "schema": schema_hash("y", ["b", "c"]),
}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def join_frame(**changes: object) -> bytes:
    """Return a join frame with parts replaced."""
    return control_frame(JOIN, **(GOOD | changes))


def a_content() -> RecordDict:
    """Make a content with every kind of record."""
    return RecordDict(
        {
            "arrays": ArrayRecord(
                {"coef": Array(np.arange(3.0)[np.newaxis]), "intercept": Array(np.ones(1))}
            ),
            "metrics": MetricRecord({"loss": 0.25, "counts": [1, 2]}),
            "config": ConfigRecord({"features": ["a", "b"], "round": 3, "raw": b"\x00", "flag": True}),
        }
    )


def assembled(frames: list[bytes], limit: int = LIMIT) -> Message:
    """Return the message that these frames carry."""
    assembler = MessageAssembler(lambda: limit)
    *parts, last = frames
    assert [assembler.add(part) for part in parts] == [None] * len(parts)
    message = assembler.add(last)
    assert message is not None
    return message


# Joins ------------------------------------------------------------------------------------------------------


def test_a_join_frame_is_read() -> None:
    """A join holds what the frame says."""
    assert Join.from_frame(join_frame()) == Join(**(GOOD | {"features": ("b", "c")}))


@given(st.binary(max_size=200))
def test_bytes_that_are_no_join_are_refused(body: bytes) -> None:
    """Whatever a stranger sends first, the answer is FrameError and nothing else."""
    for frame in (body, JOIN + body):
        with pytest.raises(FrameError):
            Join.from_frame(frame)


@given(part=st.sampled_from(sorted(GOOD)), value=json_values)
def test_a_join_of_other_types_is_refused_or_read(part: str, value: object) -> None:
    """Any JSON value in any part either makes a join of the declared types or raises FrameError."""
    try:
        join = Join.from_frame(join_frame(**{part: value}))
    except FrameError:
        return
    assert type(join.protocol) is int
    for text in (
        join.client,
        join.instance,
        join.label,
        join.schema,
        *join.features,
        *join.proof,
        *join.proof.values(),
    ):
        assert type(text) is str
        text.encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"protocol": float("inf")},
        {"protocol": True},
        {"protocol": "1"},
        {"client": None},
        {"proof": {"token": "\ud800"}},
        {"proof": {"\ud800": "t"}},
        {"proof": {"token": 1}},
        {"proof": "t"},
        {"features": "bc"},
        {"features": {"b": 1}},
        {"features": ["b", 1]},
    ],
)
def test_a_join_with_one_wrong_part_is_refused(changes: dict[str, object]) -> None:
    """Infinity, half a surrogate pair and text for a list are malformed, not a crash."""
    with pytest.raises(FrameError, match="malformed"):
        Join.from_frame(join_frame(**changes))


@pytest.mark.parametrize("missing", sorted(GOOD))
def test_a_join_that_lacks_a_part_is_refused(missing: str) -> None:
    """Every part of the join is needed."""
    body = {key: value for key, value in GOOD.items() if key != missing}
    with pytest.raises(FrameError, match="malformed"):
        Join.from_frame(control_frame(JOIN, **body))


def test_a_deeply_nested_join_is_refused() -> None:
    """JSON deeper than Python's stack is malformed, not a crash."""
    with pytest.raises(FrameError, match="malformed"):
        Join.from_frame(JOIN + b"[" * 200_000)


def test_a_control_frame_is_its_kind_and_json() -> None:
    """The body of a control frame is JSON after one byte."""
    frame = control_frame(b"F", ok=False, reason="ü")
    assert (frame[:1], json.loads(frame[1:])) == (b"F", {"ok": False, "reason": "ü"})


# Messages ---------------------------------------------------------------------------------------------------


def test_a_message_arrives_as_it_was_sent() -> None:
    """Content and metadata are equal on the other side, under the id that was given to the message."""
    message = Message(a_content(), 7, "query.statistics", ttl=12.5, group_id="3")
    arrived = assembled(MessageEncoder().frames(message, "id-1"))
    assert arrived.content == message.content
    expected = dict(message.metadata.__dict__) | {"_message_id": "id-1"}
    assert arrived.metadata.__dict__ == expected
    assert not arrived.has_error()


def test_clients_that_share_a_content_get_their_own_metadata() -> None:
    """One content is serialised once, whoever gets it; ids and receivers stay apart."""
    content, encoder = a_content(), MessageEncoder()
    first = encoder.frames(Message(content, 2, "train"), "one")
    second = encoder.frames(Message(content, 3, "train"), "two")
    assert all(a is b for a, b in zip(first[1:], second[1:], strict=True))
    for frames, node_id, message_id in ((first, 2, "one"), (second, 3, "two")):
        message = assembled(frames)
        assert (message.metadata.dst_node_id, message.metadata.message_id) == (node_id, message_id)
        assert message.content == content


def test_contents_that_only_look_alike_are_kept_apart() -> None:
    """Two messages with two contents carry each its own."""
    encoder = MessageEncoder()
    contents = [RecordDict({"m": MetricRecord({"x": x})}) for x in (1, 2)]
    got = [assembled(encoder.frames(Message(content, 2, "train"), "i")).content for content in contents]
    assert got == contents


def test_a_large_message_is_cut() -> None:
    """Frames of a message of several chunks are small, and only the last one ends it."""
    content = RecordDict({"arrays": ArrayRecord({"a": Array(np.zeros(CHUNK_BYTES // 8 * 3))})})
    frames = MessageEncoder().frames(Message(content, 2, "train"), "i")
    assert max(map(len, frames)) == CHUNK_BYTES + 1
    assert [frame[:1] for frame in frames] == [PART] * (len(frames) - 1) + [LAST_PART]
    assert assembled(frames).content == content


def test_a_message_without_records_is_sent() -> None:
    """A query without content still ends with a last part."""
    frames = MessageEncoder().frames(Message(RecordDict(), 2, "query.statistics"), "i")
    assert frames[-1][:1] == LAST_PART
    assert assembled(frames).content == RecordDict()


def test_an_assembler_takes_one_message_after_another() -> None:
    """Nothing of a message is left over for the next."""
    assembler, encoder = MessageAssembler(lambda: LIMIT), MessageEncoder()
    for name in ("first", "second"):
        content = RecordDict({name: MetricRecord({"x": 1})})
        got = [assembler.add(frame) for frame in encoder.frames(Message(content, 2, "train"), "i")]
        assert got[-1] is not None
        assert got[-1].content == content


@pytest.mark.parametrize("sizes", [(101,), (60, 41), (40, 40, 21)])
def test_a_message_over_the_limit_is_refused_before_it_is_whole(sizes: tuple[int, ...]) -> None:
    """Bytes are counted as they come, so a client cannot fill the server's memory."""
    assembler = MessageAssembler(lambda: 100)
    for size in sizes[:-1]:
        assert assembler.add(PART + b"x" * size) is None
    with pytest.raises(FrameError, match="larger than 100 bytes"):
        assembler.add(PART + b"x" * sizes[-1])


def test_a_message_in_countless_small_parts_is_refused() -> None:
    """A part costs memory even if nothing is in it."""
    assembler = MessageAssembler(lambda: 1 << 20)
    for _ in range(16 + 1024):
        assembler.add(PART)
    with pytest.raises(FrameError, match="too many parts"):
        assembler.add(PART)


def test_a_message_that_nothing_asked_for_is_refused() -> None:
    """A client answers; it never begins."""
    with pytest.raises(FrameError, match="nothing had asked for"):
        MessageAssembler(lambda: 0).add(PART + b"x")


def test_a_large_join_is_refused_unread() -> None:
    """The first frame is a few kilobytes; megabytes are not even parsed."""
    with pytest.raises(FrameError, match="more than 1000 bytes"):
        Join.from_frame(join_frame(label="y" * 1000), 1000)


@pytest.mark.parametrize("frame", [b"", b"J{}", b"W", b"Fx", b"\x00"])
def test_a_frame_that_is_no_part_is_refused(frame: bytes) -> None:
    """After the join, clients send parts of messages only."""
    with pytest.raises(FrameError, match="unexpected frame kind"):
        MessageAssembler(lambda: LIMIT).add(frame)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_damaged_message_is_refused_or_read(data: st.DataObject) -> None:
    """Any change of a message's bytes gives a whole message or FrameError, no other error."""
    message = Message(a_content(), 2, "train")
    payload = bytearray(b"".join(frame[1:] for frame in MessageEncoder().frames(message, "i")))
    for _ in range(data.draw(st.integers(1, 3))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(payload)))
    try:
        got = MessageAssembler(lambda: LIMIT).add(LAST_PART + bytes(payload[:cut]))
    except FrameError:
        return
    assert got is not None
    assert got.has_content() or got.has_error()


def test_a_reply_that_says_nothing_is_refused() -> None:
    """A message with neither content nor error would crash whoever asks for either."""
    large = RecordDict({"arrays": ArrayRecord({"w": Array(np.zeros(CHUNK_BYTES // 8 + 1))})})
    head, *_ = MessageEncoder().frames(Message(large, 2, "train"), "i")
    with pytest.raises(FrameError, match="malformed"):
        MessageAssembler(lambda: LIMIT).add(LAST_PART + head[1:])


def test_an_error_reply_is_read() -> None:
    """A client's error arrives with its reason."""
    reply = Message(Error(2, "column a"), reply_to=Message(a_content(), 2, "train"))
    got = assembled([LAST_PART + message_to_proto(reply).SerializeToString()])
    assert got.error == reply.error


# Arrays -----------------------------------------------------------------------------------------------------


def saved(values: np.ndarray) -> bytes:
    """Return the bytes of an .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


def archive() -> bytes:
    """Return the bytes of an .npz file."""
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros(3))
    return buffer.getvalue()


NPY = saved(np.zeros((1, 3)))


def test_floats_are_read_to_the_last_bit() -> None:
    """What Flower makes of an array of float64 comes back equal."""
    values = np.array([[1 / 3, -np.inf, np.nan]])
    np.testing.assert_array_equal(floats(Array(values)), values)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        NPY[:-1],
        NPY.replace(b"(1, 3), }          ", b"(1, 30000000000), }"),
        NPY.replace(b"(1, 3), }", b"(1, 3, ((("),
        archive(),
    ],
    ids=["empty", "cut", "larger than memory", "unbalanced header", "archive"],
)
def test_bytes_that_are_no_array_are_refused(data: bytes) -> None:
    """NumPy's reader fails on foreign bytes in many ways; all of them are one error here."""
    with pytest.raises(FrameError, match="not an array"):
        floats(Array("float64", (1, 3), "numpy.ndarray", data))


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.complex128, np.bool_, ">f8"])
def test_other_types_of_numbers_are_refused(dtype: Any) -> None:
    """Only float64 counts: anything else means that the client runs other code."""
    with pytest.raises(FrameError, match="instead of float64"):
        floats(Array(np.zeros((1, 3), dtype=dtype)))
