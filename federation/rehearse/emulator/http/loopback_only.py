"""The emulator answers programs on this machine, not web pages, and counts loopback as TLS.

Any request can act as an account's root, so a page in the user's browser must not be able to send one. A
browser's request has the header ``Origin``, and a rebound DNS name appears in ``Host``. Bucket policies that
deny requests without TLS (``aws:SecureTransport``) are the same as on AWS. No other machine can read loopback
traffic, so the condition is treated as true.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from federation.rehearse.emulator import ministack_tables as ministack

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_LOOPBACK_NAMES = ("127.0.0.1", "localhost")


def refuse_browsers(application: Application) -> Application:
    """Wrap an ASGI application so that it answers only direct requests to a loopback name."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or _is_direct(scope):
            await application(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 403, "headers": []})
        await send(
            {"type": "http.response.body", "body": b"This AWS answers only programs on this machine.\n"}
        )

    return guarded


def _is_direct(scope: Scope) -> bool:
    headers = dict(scope.get("headers", []))
    host = headers.get(b"host", b"").decode("latin-1").rsplit(":", 1)[0]
    return b"origin" not in headers and any(
        host == name or host.endswith(f".{name}") for name in _LOOPBACK_NAMES
    )


def install() -> None:
    """Register the capability."""
    pin_origin = ministack.app.pin_request_origin
    ministack.app.pin_request_origin = lambda source_ip, _secure: pin_origin(source_ip, True)  # noqa: FBT003
