"""Hand a request's body over in one piece, gathered where it stays.

ministack keeps the pieces of a body until it has joined them: each wheel that is published would be in memory
twice.
"""

import io
from collections.abc import MutableMapping
from typing import Any

from federation.rehearse.emulator.loopback_only import Application, Receive, Scope, Send


def join_bodies(application: Application) -> Application:
    """Wrap an ASGI application so that it receives every body whole."""

    async def joined(scope: Scope, receive: Receive, send: Send) -> None:
        await application(scope, lambda: _whole(receive), send)

    return joined


async def _whole(receive: Receive) -> MutableMapping[str, Any]:
    body = io.BytesIO()
    while (message := await receive())["type"] == "http.request":
        body.write(message.get("body", b""))
        if not message.get("more_body", False):
            return {"type": "http.request", "body": body.getvalue(), "more_body": False}
    return message
