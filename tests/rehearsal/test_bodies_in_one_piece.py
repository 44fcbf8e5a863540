"""A request's body reaches ministack in one piece."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

from federation.rehearse.emulator.bodies_in_one_piece import join_bodies
from federation.rehearse.emulator.loopback_only import Receive, Scope, Send

Event = MutableMapping[str, Any]


def _received(*events: Event) -> list[Event]:
    """Return what an application receives of these events."""
    seen: list[Event] = []

    async def application(_scope: Scope, receive: Receive, _send: Send) -> None:
        seen.append(await receive())
        if seen[-1]["type"] == "http.request":
            seen.append(await receive())

    waiting = iter(events)

    async def receive() -> Event:
        return next(waiting)

    async def send(_event: Event) -> None:
        raise AssertionError("nothing is answered here")

    async def serve() -> None:
        await join_bodies(application)({"type": "http"}, receive, send)

    asyncio.run(serve())
    return seen


def test_pieces_arrive_as_one_and_what_follows_passes() -> None:
    """Also a piece without bytes; and the end of the connection after it."""
    pieces = [{"type": "http.request", "body": part, "more_body": True} for part in (b"ab", b"", b"c")]
    seen = _received(*pieces, {"type": "http.request"}, {"type": "http.disconnect"})
    assert seen == [{"type": "http.request", "body": b"abc", "more_body": False}, {"type": "http.disconnect"}]


def test_a_body_that_is_cut_off_is_not_handed_over() -> None:
    """Half an object must never be stored."""
    half = {"type": "http.request", "body": b"ab", "more_body": True}
    assert _received(half, {"type": "http.disconnect"}) == [{"type": "http.disconnect"}]
