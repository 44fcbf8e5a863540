"""A request's body reaches ministack in one piece, and its answer leaves in several."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from federation.rehearse.emulator.http.large_bodies import LARGE_BYTES, PIECE_BYTES, bound_bodies
from federation.rehearse.emulator.http.loopback_only import Receive, Scope, Send

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
        await bound_bodies(application)({"type": "http"}, receive, send)

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


def _sent(*events: Event) -> list[Event]:
    """Return what arrives of an application's answer."""
    arrived: list[Event] = []

    async def application(_scope: Scope, _receive: Receive, send: Send) -> None:
        for event in events:
            await send(event)

    async def receive() -> Event:
        raise AssertionError("nothing is asked here")

    async def send(event: Event) -> None:
        arrived.append(event)

    async def serve() -> None:
        await bound_bodies(application)({"type": "http"}, receive, send)

    asyncio.run(serve())
    return arrived


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES])
def test_an_answer_leaves_in_pieces(size: int) -> None:
    """No piece is large, all of them are the answer, and the last says that it is."""
    start, body = {"type": "http.response.start", "status": 200}, bytes(range(256)) * (size // 256 + 1)
    first, *pieces = _sent(start, {"type": "http.response.body", "body": body[:size]})
    assert first == start
    assert b"".join(piece["body"] for piece in pieces) == body[:size]
    assert max(len(piece["body"]) for piece in pieces) <= PIECE_BYTES
    assert [piece["more_body"] for piece in pieces] == [True] * (len(pieces) - 1) + [False]


def test_large_requests_take_turns() -> None:
    """Two wheels that come together are in memory one after the other; small requests do not wait."""
    inside: list[int] = []
    most: dict[int, int] = {}

    async def application(scope: Scope, receive: Receive, _send: Send) -> None:
        length = int(scope["headers"][0][1])
        inside.append(length)
        most[length] = max(most.get(length, 0), inside.count(length))
        await receive()
        inside.remove(length)

    async def receive() -> Event:
        await asyncio.sleep(0.01)
        return {"type": "http.request"}

    async def send(_event: Event) -> None:
        raise AssertionError("nothing is answered here")

    async def serve() -> None:
        bounded = bound_bodies(application)
        scopes = [{"headers": [(b"content-length", b"%d" % size)]} for size in (LARGE_BYTES, 5) * 3]
        await asyncio.gather(*(bounded(scope, receive, send) for scope in scopes))

    asyncio.run(serve())
    assert most == {LARGE_BYTES: 1, 5: 3}
