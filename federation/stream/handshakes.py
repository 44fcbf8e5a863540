"""Log failed TLS handshakes, which gRPC reports only on the process's standard error."""

import logging
import os
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator

from federation.stream.limits import SparingLog

# One record of gRPC's log: its first line has the reason, the second of these, a few lines on, the address.
_STANDARD_ERROR = 2
_FAILED = re.compile(r"CallNextHandshakerLocked: error=(?!OK )\w+: (.*)")
_PEER = re.compile(r" shutdown=.*endpoint_peer_address=([^,}]+)")
_OPENSSL = re.compile(r"OPENSSL_internal:(\w+)")
_OF_GRPC = re.compile(
    r"[DIWE]\d{4} [\d:.]+ +\d+ \S+:\d+\] |=== Source Location Trace: ===|src/core/| shutdown=|$"
)


def log_failed_handshakes() -> None:
    """Log gRPC's lines about failed handshakes as warnings of `federation.stream`, with a rate limit.

    Plaintext, old TLS and a client that trusts another certificate fail below Python, and gRPC for Python has
    no call that reports it. gRPC's native log reports it on file descriptor 2. This function replaces that
    descriptor by a pipe. Failed handshakes become warnings. Other lines of gRPC are dropped, as with
    ``GRPC_VERBOSITY=NONE``. All other output goes to its previous destination. Python's own standard error
    does not pass the pipe.

    Call this function before gRPC is imported. It changes nothing if ``GRPC_VERBOSITY`` requests gRPC's
    lines, or if standard error is not file descriptor 2.
    """
    if os.environ.get("GRPC_VERBOSITY") != "NONE" or not _is_descriptor_2():
        return
    os.environ |= {"GRPC_VERBOSITY": "INFO", "GRPC_TRACE": "handshaker"}
    sys.stderr.flush()
    encoding = sys.stderr.encoding
    sys.stderr = os.fdopen(
        os.dup(_STANDARD_ERROR), "w", buffering=1, encoding=encoding, errors="backslashreplace"
    )
    heard, told = os.pipe()
    os.set_blocking(told, False)  # in a flood lines get lost, and gRPC waits for nobody
    os.dup2(told, _STANDARD_ERROR)
    os.close(told)
    threading.Thread(target=_listen, args=(heard,), name="handshakes", daemon=True).start()


def _is_descriptor_2() -> bool:
    try:
        return sys.stderr.fileno() == _STANDARD_ERROR
    except (AttributeError, OSError, ValueError):  # there is none, it is a capture's, or closed
        return False


def _listen(heard: int) -> None:
    """Read gRPC's log for as long as the process runs."""
    refusals = SparingLog(logging.getLogger("federation.stream"))
    with os.fdopen(heard, encoding="utf-8", errors="replace") as lines:
        for address, why in failed_handshakes(lines, sys.stderr.write):
            refusals.warning("a TLS handshake with %s failed: %s", address, why)


def failed_handshakes(lines: Iterable[str], others: Callable[[str], object]) -> Iterator[tuple[str, str]]:
    """Yield the address and reason of each failed handshake; pass on the lines that are not gRPC's."""
    why = ""
    for line in lines:
        if failed := _FAILED.search(line):
            openssl = _OPENSSL.search(failed[1])
            why = openssl[1].replace("_", " ").lower() if openssl else failed[1]
        elif why and (peer := _PEER.match(line)):
            yield peer[1], why
            why = ""
        elif not _OF_GRPC.match(line):
            others(line)
