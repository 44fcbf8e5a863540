"""Keep only one copy of a large body in memory, both of requests and of responses.

ministack keeps the pieces of a request's body until it has joined them, and passes on a response's body
whole, of which hypercorn and asyncio make one copy each: a wheel would be in memory two or three times.
"""

import asyncio
import io
from collections.abc import MutableMapping
from contextlib import nullcontext
from functools import partial
from typing import Any

from federation.rehearse.emulator.http.loopback_only import Application, Receive, Scope, Send

PIECE_BYTES = 1 << 18
LARGE_BYTES = 1 << 23


def bound_bodies(application: Application) -> Application:
    """Wrap an ASGI application: read request bodies whole, large ones singly; send bodies in pieces."""
    one_at_a_time = asyncio.Lock()

    async def bounded(scope: Scope, receive: Receive, send: Send) -> None:
        async with one_at_a_time if _length(scope) >= LARGE_BYTES else nullcontext():
            await application(scope, partial(_whole, receive), partial(_send_in_pieces, send))

    return bounded


def _length(scope: Scope) -> int:
    """Return the body size that a request announces, in bytes."""
    return int(dict(scope.get("headers", [])).get(b"content-length", 0))


async def _whole(receive: Receive) -> MutableMapping[str, Any]:
    body = io.BytesIO()
    while (message := await receive())["type"] == "http.request":
        body.write(message.get("body", b""))
        if not message.get("more_body", False):
            return {"type": "http.request", "body": body.getvalue(), "more_body": False}
    return message


async def _send_in_pieces(send: Send, message: MutableMapping[str, Any]) -> None:
    if message["type"] != "http.response.body":
        await send(message)
        return
    body, more = memoryview(message.get("body", b"")), message.get("more_body", False)
    for start in range(0, max(len(body), 1), PIECE_BYTES):
        end = start + PIECE_BYTES
        await send({**message, "body": bytes(body[start:end]), "more_body": more or end < len(body)})
