"""The server's end of the wire format: frames, joins and Flower messages as bytes.

One byte says what a frame is, a body follows; ``client_code/link.py`` holds the table of kinds and the
client's end, and a contract test keeps the two equal. This is the one place on the server that knows Flower's
protobuf.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

import numpy as np
from flwr.app import Array, Message
from flwr.common.serde import message_from_proto, recorddict_to_proto
from flwr.common.serde_utils import metadata_to_proto
from flwr.proto.message_pb2 import Message as MessageProto
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

T = TypeVar("T")

PROTOCOL = 1
SERVICE, METHOD = "federation.Federation", "Stream"
CHUNK_BYTES = 2 << 20

JOIN, WELCOME, REFUSED, PART, LAST_PART, FINISH = b"J", b"W", b"R", b"M", b"E", b"F"


class FrameError(ValueError):
    """What came over the stream is not what a client of this protocol sends."""


@dataclass(frozen=True, kw_only=True)
class Join:
    """What a client says of itself in its first frame.

    Parameters
    ----------
    client : str
        Its name.
    instance : str
        Drawn at random by each client process: tells a reconnect from a second process.
    token : str
        Its proof that it belongs to this run.
    label : str
        Name of its label column.
    features : tuple of str
        Names of its feature columns.
    schema : str
        SHA-256 of label and features, see :func:`schema_hash`.
    """

    client: str
    instance: str
    token: str = field(repr=False)
    label: str
    features: tuple[str, ...]
    schema: str
    protocol: int

    @classmethod
    def from_frame(cls, frame: bytes) -> Self:
        """Parse a join frame.

        Raises
        ------
        FrameError
            The frame is not a join, or lacks a part.
        """
        if frame[:1] != JOIN:
            raise FrameError("the first frame is not a join")
        try:
            body = json.loads(frame[1:])
            texts = {name: _text(body[name]) for name in ("client", "instance", "token", "label", "schema")}
            features = tuple(_text(name) for name in _of_type(body["features"], list))
            return cls(**texts, features=features, protocol=_of_type(body["protocol"], int))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise FrameError("the join frame is malformed") from error


def _of_type(value: Any, kind: type[T]) -> T:  # noqa: ANN401 - JSON has any type
    if type(value) is not kind:
        raise TypeError
    return value


def _text(value: object) -> str:
    text = _of_type(value, str)
    text.encode()  # JSON can hold half a surrogate pair, which nothing can log or hash
    return text


def schema_hash(label: str, features: Sequence[str]) -> str:
    """Return the SHA-256 of the column names; the order of the features does not count."""
    return hashlib.sha256(json.dumps([label, sorted(features)]).encode()).hexdigest()


def control_frame(kind: bytes, **body: object) -> bytes:
    """Return a frame whose body is JSON."""
    return kind + json.dumps(body).encode()


class MessageEncoder:
    """Serialise messages, each distinct content once however many clients it goes to.

    Protobuf merges concatenated serialisations: a message is its metadata's bytes, then its content's.
    """

    def __init__(self) -> None:
        self._content: dict[int, tuple[Any, list[bytes]]] = {}

    def frames(self, message: Message, message_id: str) -> list[bytes]:
        """Return the frames that carry ``message`` under ``message_id``."""
        metadata = metadata_to_proto(message.metadata)
        metadata.message_id = message_id
        head: bytes = MessageProto(metadata=metadata).SerializeToString()
        body = self._content_frames(message)
        if len(body) == 1:  # one frame is one write: waiting for a second costs a millisecond and more
            return [LAST_PART + head + body[0][1:]]
        return [PART + head, *body]

    def _content_frames(self, message: Message) -> list[bytes]:
        content = message.content
        # The content is kept with its frames, so that its id cannot be given to another object meanwhile.
        if id(content) not in self._content:
            body = MessageProto(content=recorddict_to_proto(content)).SerializeToString()
            self._content[id(content)] = (content, _cut(body))
        return self._content[id(content)][1]


def _cut(body: bytes) -> list[bytes]:
    view = memoryview(body)
    starts = range(0, max(len(view), 1), CHUNK_BYTES)
    chunks = [view[start : start + CHUNK_BYTES] for start in starts]
    return [PART + chunk for chunk in chunks[:-1]] + [LAST_PART + chunks[-1]]


class MessageAssembler:
    """Put the parts of a message back together.

    Parameters
    ----------
    limit : int
        Most bytes a message may have.

    Attributes
    ----------
    last_size : int
        Bytes of the message completed last.
    last_sha256 : str
        And their SHA-256.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.last_size, self.last_sha256 = 0, ""
        self._parts: list[bytes] = []
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
        self._parts.append(frame[1:])
        self._size += len(frame) - 1
        if self._size > self._limit:
            raise FrameError(f"a message is larger than {self._limit} bytes")
        if kind == PART:
            return None
        payload = b"".join(self._parts)
        self.last_size, self._parts, self._size = self._size, [], 0
        self.last_sha256 = hashlib.sha256(payload).hexdigest()
        try:
            proto = MessageProto()
            proto.ParseFromString(payload)
            return message_from_proto(proto)
        except (DecodeError, ValueError, TypeError, KeyError) as error:
            raise FrameError("a message is malformed") from error


def floats(array: Array) -> NDArray[np.float64]:
    """Return the values of an array of float64 that came over the stream.

    Raises
    ------
    FrameError
        Its bytes are not one NumPy array, or not of float64.
    """
    try:
        values = array.numpy()
    except Exception as error:  # NumPy's reader fails on foreign bytes in many ways: MemoryError, TokenError…
        raise FrameError("not an array") from error
    if not isinstance(values, np.ndarray):  # an archive of arrays
        raise FrameError("not an array")
    if values.dtype != np.float64:
        raise FrameError(f"{values.dtype} instead of float64")
    return values
