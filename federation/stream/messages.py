"""The server's end of messages: serialise each content once, and limit what a client may send.

`client_code.protocol.messages` defines the format of messages.
"""

import hashlib
from collections.abc import Callable

from flwr.app import Message, RecordDict
from flwr.common.serde import recorddict_to_proto
from flwr.common.serde_utils import metadata_to_proto
from flwr.proto.message_pb2 import Message as MessageProto

from client_code.protocol.frames import LAST_PART, PART, FrameError
from client_code.protocol.messages import CHUNK_BYTES, decode, frames, with_length, without_data
from federation.model.arrays import ArrayView
from federation.stream.limits import FEW_PARTS, PART_BYTES


class MessageEncoder:
    """Serialise messages, each distinct content once for any number of clients.

    Protobuf merges concatenated serialisations: a head is its metadata's bytes, then its content's.
    """

    def __init__(self) -> None:
        self._content: dict[int, tuple[RecordDict, bytes, list[bytes]]] = {}

    def frames(self, message: Message, message_id: str) -> list[bytes]:
        """Return the frames that carry ``message`` under ``message_id``."""
        metadata = metadata_to_proto(message.metadata)
        metadata.message_id = message_id
        content, data = self._serialised(message.content)
        head = with_length(MessageProto(metadata=metadata).SerializeToString() + content)
        if sum(map(len, data)) <= CHUNK_BYTES:  # one frame is one write: a second costs a millisecond
            return [b"".join([LAST_PART, head, *(frame[1:] for frame in data)])]
        return [PART + head, *data]

    def _serialised(self, content: RecordDict) -> tuple[bytes, list[bytes]]:
        """Return the head's part of a content, and the frames of its arrays' data."""
        # The content is kept with its bytes, so that its id cannot be given to another object meanwhile.
        if id(content) not in self._content:
            hollow, data = without_data(content)
            head = MessageProto(content=recorddict_to_proto(hollow)).SerializeToString()
            self._content[id(content)] = (content, head, list(frames(data)))
        return self._content[id(content)][1:]


class MessageAssembler:
    """Put the parts of a message back together.

    Parameters
    ----------
    room : callable
        Returns the maximum bytes of the next message, or 0 if none is allowed.

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
        """Add the next frame; return the message that it completes, if any.

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
            return _decoded(parts)
        except Exception as error:  # Flower's reader fails on foreign bytes in many ways
            raise FrameError("a message is malformed") from error


def _decoded(parts: list[memoryview]) -> Message:
    """Return a message whose arrays are views of the received bytes."""
    message = decode(parts)
    if message.has_content():
        for record in message.content.array_records.values():
            for key, array in record.items():
                record[key] = ArrayView.of(array)
    return message
