"""Flower's messages as bytes: what the server sends, and what it refuses to take."""

import io
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.common.serde_utils import metadata_to_proto
from flwr.proto.message_pb2 import Message as MessageProto
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from client_code.protocol import messages
from client_code.protocol.frames import LAST_PART, PART, FrameError
from client_code.protocol.messages import CHUNK_BYTES
from federation.model.arrays import ArrayError, ArrayView, floats
from federation.stream.messages import MessageAssembler, MessageEncoder

LIMIT = 64 << 20


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


def test_a_message_arrives_as_it_was_sent() -> None:
    """Content and metadata are equal on the other side, under the id that was given to the message."""
    message = Message(a_content(), 7, "query.statistics", ttl=12.5, group_id="3")
    arrived = assembled(MessageEncoder().frames(message, "id-1"))
    assert arrived.content == message.content
    expected = dict(message.metadata.__dict__) | {"_message_id": "id-1"}
    assert arrived.metadata.__dict__ == expected
    assert not arrived.has_error()


def test_an_array_that_arrived_is_decoded_once_and_cannot_be_changed() -> None:
    """Whoever reads it in a round gets the same values, and nobody spoils them for the next."""
    arrived = assembled(MessageEncoder().frames(Message(a_content(), 7, "train"), "i"))
    coef = arrived.content.array_records["arrays"]["coef"]
    assert coef.numpy() is coef.numpy()
    with pytest.raises(ValueError, match="read-only"):
        coef.numpy()[0, 0] = 1.0


def test_clients_that_share_a_content_get_their_own_metadata() -> None:
    """The arrays of a large content are cut once, whoever gets them; ids and receivers stay apart."""
    large = ArrayRecord({"w": Array(np.zeros(CHUNK_BYTES // 8 + 1))})
    content, encoder = a_content(), MessageEncoder()
    content["large"] = large
    first = encoder.frames(Message(content, 2, "train"), "one")
    second = encoder.frames(Message(content, 3, "train"), "two")
    assert all(a is b for a, b in zip(first[1:], second[1:], strict=True))
    assert len(first) > 2
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
@pytest.mark.fault("a client sends a message over the limit", "refused before it is whole")
def test_a_message_over_the_limit_is_refused_before_it_is_whole(sizes: tuple[int, ...]) -> None:
    """Bytes are counted as they come, so a client cannot fill the server's memory."""
    assembler = MessageAssembler(lambda: 100)
    for size in sizes[:-1]:
        assert assembler.add(PART + b"x" * size) is None
    with pytest.raises(FrameError, match="larger than 100 bytes"):
        assembler.add(PART + b"x" * sizes[-1])


@pytest.mark.fault("a client sends a message in countless empty parts", "refused")
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


@pytest.mark.parametrize("frame", [b"", b"J{}", b"W", b"Fx", b"\x00"])
def test_a_frame_that_is_no_part_is_refused(frame: bytes) -> None:
    """After the join, clients send parts of messages only."""
    with pytest.raises(FrameError, match="unexpected frame kind"):
        MessageAssembler(lambda: LIMIT).add(frame)


@given(st.data())
@settings(max_examples=300)
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
    metadata = metadata_to_proto(Message(RecordDict(), 2, "train").metadata)
    head = MessageProto(metadata=metadata).SerializeToString()
    with pytest.raises(FrameError, match="malformed"):
        MessageAssembler(lambda: LIMIT).add(LAST_PART + len(head).to_bytes(4, "big") + head)


@pytest.mark.parametrize("change", [-1, 1])
def test_an_array_of_another_length_than_it_says_is_refused(change: int) -> None:
    """A byte too few or too many at the end is a malformed message, not a shorter array."""
    (frame,) = MessageEncoder().frames(Message(a_content(), 2, "train"), "i")
    wrong = frame[:-1] if change < 0 else frame + b"x"
    with pytest.raises(FrameError, match="malformed"):
        MessageAssembler(lambda: LIMIT).add(wrong)


def test_an_error_reply_is_read() -> None:
    """A client's error arrives with its reason."""
    reply = Message(Error(2, "column a"), reply_to=Message(a_content(), 2, "train"))
    got = assembled(list(messages.frames(messages.encode(reply))))
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
    "values",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array(1.5),
        np.zeros((0, 3)),
        np.arange(3, dtype=">i4"),
        np.array(["a", "bc"]),
    ],
    ids=lambda values: f"{values.dtype}{values.shape}",
)
def test_a_view_of_an_array_is_what_numpy_reads(values: NDArray[Any]) -> None:
    """Of any shape, order and plain type."""
    read = ArrayView(str(values.dtype), values.shape, "numpy.ndarray", saved(values)).numpy()
    np.testing.assert_array_equal(read, values, strict=True)
    assert read.flags.f_contiguous == values.flags.f_contiguous


@pytest.mark.parametrize("kind", [Array, ArrayView])
@pytest.mark.parametrize(
    "data",
    [
        b"",
        NPY[:-1],
        NPY.replace(b"(1, 3), }          ", b"(1, 30000000000), }"),
        NPY.replace(b"(1, 3), }", b"(1, 3, ((("),
        NPY.replace(b"(1, 3), }", b"(-3, 8),}"),
        archive(),
    ],
    ids=["empty", "cut", "larger than memory", "unbalanced header", "negative", "archive"],
)
def test_bytes_that_are_no_array_are_refused(data: bytes, kind: type[Array]) -> None:
    """NumPy's reader fails on foreign bytes in many ways; all of them are one error here."""
    with pytest.raises(ArrayError, match="not an array"):
        floats(kind("float64", (1, 3), "numpy.ndarray", data))


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.complex128, np.bool_, ">f8"])
def test_other_types_of_numbers_are_refused(dtype: Any) -> None:
    """Only float64 counts: anything else means that the client runs other code."""
    with pytest.raises(ArrayError, match="instead of float64"):
        floats(Array(np.zeros((1, 3), dtype=dtype)))
