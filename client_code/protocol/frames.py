"""Frames: what travels over the stream, one byte that says what it is, and a body.

====  =================  ==========================================================
kind  direction          body
====  =================  ==========================================================
J     client to server   JSON: protocol, client, instance, proof, label, features, schema
W     server to client   JSON: node_id
R     server to client   JSON: code, reason (the join is refused)
M     both               a part of a message, more follow
E     both               the last part of a message
F     server to client   JSON: ok, reason (the run is over)
A     client to server   nothing (the end of the run has arrived)
====  =================  ==========================================================

The parts of a message, joined, are what `messages` makes of it.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

T = TypeVar("T")

PROTOCOL = 6
SERVICE, METHOD = "federation.Federation", "Stream"

JOIN, WELCOME, REFUSED, FINISH, ACKNOWLEDGED = b"J", b"W", b"R", b"F", b"A"
PART, LAST_PART = b"M", b"E"

JOIN_REFUSED, IDENTITY_REFUSED = 51, 58
"""Exit codes of a client that the server refuses, sent as the code of a refusal."""


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
    proof : mapping of str to str
        What shows who it is.
    label : str
        Name of its label column.
    features : tuple of str
        Names of its feature columns.
    schema : str
        SHA-256 of label, features and contract, see :func:`schema_hash`.
    protocol : int
        The version that it speaks.
    """

    client: str
    instance: str
    proof: Mapping[str, str] = field(repr=False)
    label: str
    features: tuple[str, ...]
    schema: str
    protocol: int = PROTOCOL

    def to_frame(self) -> bytes:
        """Return the join frame."""
        return control_frame(JOIN, **vars(self) | {"proof": dict(self.proof)})

    @classmethod
    def from_frame(cls, frame: bytes, limit: int = 256 << 10) -> Self:
        """Parse a join frame of at most ``limit`` bytes.

        Raises
        ------
        FrameError
            The frame is not a join, is too large, or lacks a part.
        """
        if len(frame) > limit:
            raise FrameError(f"the first frame has more than {limit} bytes")
        if frame[:1] != JOIN:
            raise FrameError("the first frame is not a join")
        try:
            body = json.loads(frame[1:])
            texts = {name: _text(body[name]) for name in ("client", "instance", "label", "schema")}
            proof = {_text(name): _text(value) for name, value in _of_type(body["proof"], dict).items()}
            features = tuple(_text(name) for name in _of_type(body["features"], list))
            return cls(**texts, proof=proof, features=features, protocol=_of_type(body["protocol"], int))
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


def schema_hash(label: str, features: Sequence[str], contract: str = "") -> str:
    """Return the SHA-256 of the column names, and of the contract's; the order of features does not count."""
    parts = [label, sorted(features), *([contract] if contract else [])]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def control_frame(kind: bytes, **body: object) -> bytes:
    """Return a frame whose body is JSON."""
    return kind + json.dumps(body).encode()
