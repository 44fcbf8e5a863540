"""Streams that no client opens: plaintext, old TLS, garbage, silence, joins that prove nothing."""

import json
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import grpc

from client_code.protocol.frames import PROTOCOL

METHOD = "/federation.Federation/Stream"


def tls(port: int, version: ssl.TLSVersion | None = None) -> ssl.SSLSocket:
    """Return a TLS connection that trusts anybody, at most of this version."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    if version:
        context.maximum_version = version
    with socket.create_connection(("127.0.0.1", port), 10) as plain:
        return context.wrap_socket(plain)


def certificate_of(port: int) -> bytes:
    """Return the certificate that the server shows, which is no secret."""
    with tls(port) as stream:
        return ssl.DER_cert_to_PEM_cert(stream.getpeercert(binary_form=True) or b"").encode()


def join_frame(**changes: Any) -> bytes:
    """Return a join that proves nothing."""
    join = {
        "protocol": PROTOCOL,
        "client": "site-1",
        "instance": "i",
        "proof": {"token": "guess"},
        "label": "y",
        "features": [],
        "schema": "",
    }
    return b"J" + json.dumps(join | changes).encode()


def speak(port: int, certificate: bytes, *frames: bytes, wait: float = 5.0) -> tuple[list[bytes], str]:
    """Open a stream, send frames, and return what came back and how the stream ended."""
    credentials = grpc.ssl_channel_credentials(root_certificates=certificate)
    hold = threading.Event()
    answers: list[bytes] = []

    def requests() -> Iterator[bytes]:
        yield from frames
        hold.wait(wait)

    with grpc.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
        call = channel.stream_stream(METHOD)(requests(), timeout=wait)
        try:
            answers.extend(call)
        except grpc.RpcError as error:
            return answers, str(error.code().name) if isinstance(error, grpc.Call) else type(error).__name__
        finally:
            hold.set()
    return answers, "ended"


def shout(port: int, data: bytes) -> bytes:
    """Send bytes over plain TCP; return what comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", port), 15) as plain:
        heard = b""
        with suppress(ConnectionError):
            plain.sendall(data)
            while more := plain.recv(4096):
                heard += more
        return heard


def garbage(size: int = 100_000) -> bytes:
    """Return random bytes."""
    return os.urandom(size)


Attack = Callable[[int, bytes], object]
