"""The server's end of Flower's messages as bytes, with the bytes of arrays kept out of protobuf.

``client_code/messages.py`` describes the form; a contract test keeps the two ends equal. This is the one
place on the server that knows Flower's protobuf.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from flwr.app import Array, ArrayRecord, Message, RecordDict
from flwr.common.serde import message_from_proto, recorddict_to_proto
from flwr.common.serde_utils import metadata_to_proto
from flwr.proto.message_pb2 import Message as MessageProto

from federation.model.arrays import ArrayView
from federation.stream.frames import FrameError
from federation.stream.limits import FEW_PARTS, PART_BYTES

CHUNK_BYTES = 1 << 19
PART, LAST_PART = b"M", b"E"

LENGTH_BYTES = 4


class MessageEncoder:
    """Serialise messages, each distinct content once however many clients it goes to.

    Protobuf merges concatenated serialisations: a head is its metadata's bytes, then its content's.
    """

    def __init__(self) -> None:
        self._content: dict[int, tuple[RecordDict, bytes, list[bytes]]] = {}

    def frames(self, message: Message, message_id: str) -> list[bytes]:
        """Return the frames that carry ``message`` under ``message_id``."""
        metadata = metadata_to_proto(message.metadata)
        metadata.message_id = message_id
        content, data = self._serialised(message.content)
        head = MessageProto(metadata=metadata).SerializeToString() + content
        head = len(head).to_bytes(LENGTH_BYTES, "big") + head
        if sum(map(len, data)) <= CHUNK_BYTES:  # one frame is one write: a second costs a millisecond
            return [b"".join([LAST_PART, head, *(frame[1:] for frame in data)])]
        return [PART + head, *data]

    def _serialised(self, content: RecordDict) -> tuple[bytes, list[bytes]]:
        """Return the head's part of a content, and the frames of its arrays' data."""
        # The content is kept with its bytes, so that its id cannot be given to another object meanwhile.
        if id(content) not in self._content:
            hollow, data = _without_data(content)
            head = MessageProto(content=recorddict_to_proto(hollow)).SerializeToString()
            self._content[id(content)] = (content, head, list(cut(data)))
        return self._content[id(content)][1:]


class MessageAssembler:
    """Put the parts of a message back together.

    Parameters
    ----------
    room : callable
        Returns the most bytes that the next message may have, 0 if none may come.

    Attributes
    ----------
    last_size : int
        Bytes of the message completed last.
    last_sha256 : str
        And their SHA-256.
    """

    def __init__(self, room: Callable[[], int]) -> None:
        self._room = room
        self.last_size, self.last_sha256 = 0, ""
        self._digest = hashlib.sha256()
        self._parts: list[memoryview] = []
        self._size = 0

    def add(self, frame: bytes) -> Message | None:
        """Take the next frame; return the message it completes, if it does.

        Raises
        ------
        FrameError
            The frame is no part of a message, or the message is too large or not Flower's.
        """
        kind = frame[:1]
        if kind not in (PART, LAST_PART):
            raise FrameError(f"unexpected frame kind {kind!r}")
        room = self._room()
        if not room:
            raise FrameError("a message came that nothing had asked for")
        self._parts.append(memoryview(frame)[1:])
        self._digest.update(self._parts[-1])
        self._size += len(frame) - 1
        if self._size > room:
            raise FrameError(f"a message is larger than {room} bytes")
        if len(self._parts) > FEW_PARTS + room // PART_BYTES:  # small parts cost more than their bytes
            raise FrameError("a message comes in too many parts")
        if kind == PART:
            return None
        parts = self._parts
        self.last_size, self._parts, self._size = self._size, [], 0
        self.last_sha256, self._digest = self._digest.hexdigest(), hashlib.sha256()
        try:
            return decode(parts)
        except Exception as error:  # Flower's reader fails on foreign bytes in many ways
            raise FrameError("a message is malformed") from error


def _without_data(content: RecordDict) -> tuple[RecordDict, list[bytes]]:
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
            for key, array in record.items():
                data = remaining.take(_length(array.data))
                record[key] = ArrayView(array.dtype, array.shape, array.stype, data)
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


def cut(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Cut bytes into frames; few bytes are one frame."""
    remaining = Bytes(pieces)
    while remaining.size:
        body = remaining.views(min(CHUNK_BYTES, remaining.size))
        yield b"".join([PART if remaining.size else LAST_PART, *body])
