"""Flower's messages as bytes and back, with the bytes of arrays kept out of protobuf.

A message is, in this order: the length of the head (4 bytes, big endian), the head, the bytes of all
arrays. The head is Flower's own ``Message`` protobuf in which each array's data is replaced by its length as
decimal digits: protobuf would copy 100 MB of arrays a dozen times; here they are copied once at each end.
Cut into frames, a message fits gRPC's default message limit.
"""

from collections import deque
from collections.abc import Iterable, Iterator

from flwr.app import Array, ArrayRecord, Message, RecordDict
from flwr.common.serde import message_from_proto, recorddict_to_proto
from flwr.common.serde_utils import error_to_proto, metadata_to_proto
from flwr.proto.message_pb2 import Message as MessageProto

from .frames import LAST_PART, PART

CHUNK_BYTES = 1 << 19
LENGTH_BYTES = 4


def encode(message: Message) -> list[bytes]:
    """Return the bytes of ``message`` in pieces: length and head, then each array's data."""
    head = MessageProto(metadata=metadata_to_proto(message.metadata))
    data: list[bytes] = []
    if message.has_content():
        hollow, data = without_data(message.content)
        head.content.CopyFrom(recorddict_to_proto(hollow))
    else:
        head.error.CopyFrom(error_to_proto(message.error))
    return [with_length(head.SerializeToString()), *data]


def with_length(head: bytes) -> bytes:
    """Return the head of a message with its length before it."""
    return len(head).to_bytes(LENGTH_BYTES, "big") + head


def without_data(content: RecordDict) -> tuple[RecordDict, list[bytes]]:
    """Return ``content`` with every array's data replaced by their length; and the data."""
    hollow, data = RecordDict(), []
    for name, record in content.items():
        if isinstance(record, ArrayRecord):
            hollow[name] = arrays = ArrayRecord()
            for key, array in record.items():
                data.append(array.data)
                arrays[key] = Array(array.dtype, tuple(array.shape), array.stype, b"%d" % len(array.data))
        else:
            hollow[name] = record
    return hollow, data


def decode(parts: Iterable[bytes | memoryview]) -> Message:
    """Return the message whose bytes are ``parts``, joined.

    Raises
    ------
    Exception
        Of many kinds: they are no message, or more or less than one.
    """
    remaining = Bytes(parts)
    head = MessageProto()
    head.ParseFromString(remaining.take(int.from_bytes(remaining.take(LENGTH_BYTES), "big")))
    message = message_from_proto(head)
    if message.has_content():
        for record in message.content.array_records.values():
            for array in record.values():
                array.data = remaining.take(_length(array.data))
    if remaining.size:
        raise ValueError("there is more than one message")
    return message


def _length(digits: bytes) -> int:
    if not digits.isdigit():
        raise ValueError("an array does not say how long it is")
    return int(digits)


class Bytes:
    """Bytes that lie in several pieces, to be taken from the front without joining them first.

    Attributes
    ----------
    size : int
        How many are left.
    """

    def __init__(self, pieces: Iterable[bytes | memoryview]) -> None:
        self._pieces = deque(memoryview(piece) for piece in pieces if piece)
        self.size = sum(map(len, self._pieces))

    def views(self, count: int) -> list[memoryview]:
        """Return the next ``count`` bytes where they lie; ValueError if there are not so many."""
        if count > self.size:
            raise ValueError("the message is cut short")
        self.size -= count
        views: list[memoryview] = []
        while count:
            piece = self._pieces.popleft()
            if len(piece) > count:
                self._pieces.appendleft(piece[count:])
            views.append(piece[:count])
            count -= len(views[-1])
        return views

    def take(self, count: int) -> bytes:
        """Return a copy of the next ``count`` bytes; ValueError if there are not so many."""
        return b"".join(self.views(count))


def frames(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Cut bytes into frames; few bytes are one frame."""
    remaining = Bytes(pieces)
    while remaining.size:
        body = remaining.views(min(CHUNK_BYTES, remaining.size))
        yield b"".join([PART if remaining.size else LAST_PART, *body])
