"""The server's state for each client."""

import asyncio
from dataclasses import dataclass, field
from typing import NamedTuple

from flwr.app import Error, Message

from client_code.protocol.frames import JOIN_REFUSED

NODE_UNAVAILABLE = 5  # Flower's ErrorCode.NODE_UNAVAILABLE

Outbox = asyncio.Queue[list[bytes]]
"""Lists of frames to send over one stream; an empty list, or one that ends the run, is the last."""


class Arrived(NamedTuple):
    """A received message: its size in bytes and its SHA-256, which the client's ledger has too."""

    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """The reason for refusing a join.

    Parameters
    ----------
    reason : str
        The text that both sides log.
    fatal : Exception, optional
        Set when the peer proved to be an expected client, which can therefore never join.
    code : int
        The exit code that the refused client ends with.
    temporary : bool
        True if the same client may be admitted when it tries again.
    """

    reason: str
    fatal: Exception | None = None
    code: int = JOIN_REFUSED
    temporary: bool = False


@dataclass(eq=False)
class Pending:
    """A message without a reply yet.

    Parameters
    ----------
    message : Message
        As the strategy gave it.
    frames : list of bytes
        The message's frames, as they are sent.
    reply : Future of Message
        Set once: by the client's reply, or by an error reply.
    """

    message: Message
    frames: list[bytes]
    reply: asyncio.Future[Message]


@dataclass(eq=False)
class Member:
    """One client of the grid.

    Parameters
    ----------
    name, node_id : str, int
        The client's name and node id.
    instance : str
        Which process speaks for it.
    outbox : Queue, optional
        Queue of the data to send; None while the client has no stream.
    joined : bool
        Whether it ever joined.
    failure : str
        Why it will not come back, if that is known.
    told : bool
        Whether it acknowledged the end of the run.
    pending : dict
        The messages it has not answered, by their ids.
    give_up : TimerHandle, optional
        Timer that runs when the client has been away too long.
    received : list of (str, int)
        Kind and bytes of everything that the client sent.
    """

    name: str
    node_id: int
    instance: str = ""
    outbox: Outbox | None = None
    joined: bool = False
    failure: str = ""
    told: bool = False
    pending: dict[str, Pending] = field(default_factory=dict)
    give_up: asyncio.TimerHandle | None = None
    received: list[tuple[str, int]] = field(default_factory=list)

    def forget(self, message_id: str, _reply: "asyncio.Future[Message]") -> None:
        """Drop a message that has its reply."""
        self.pending.pop(message_id, None)

    def resolve_all(self, reason: str) -> None:
        """Answer every waiting message with an error that names this client."""
        for pending in list(self.pending.values()):
            if not pending.reply.done():
                pending.reply.set_result(error_reply(pending.message, reason))


def error_reply(message: Message, reason: str) -> Message:
    """Return a reply that states why there is no answer."""
    return Message(Error(NODE_UNAVAILABLE, reason), reply_to=message)
