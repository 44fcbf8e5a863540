"""What becomes of gRPC's lines on standard error."""

import os
import subprocess
import sys

import pytest

from federation.stream.handshakes import failed_handshakes, log_failed_handshakes
from tests.local.processes import ROOT, environment

RECORD = """\
I1122 10:00:00.000001   12 handshaker.cc:155] CallNextHandshakerLocked: error={error}
=== Source Location Trace: ===
src/core/util/status_helper.cc:68
 shutdown=false index=2, args={{endpoint=0x1, grpc.internal.endpoint_peer_address={peer}, grpc.x=1}}}}
"""
OPENSSL = (
    "UNKNOWN: Ssl handshake failed (TSI_PROTOCOL_FAILURE): SSL_ERROR_SSL: error:100000f7:SSL routines:"
    "OPENSSL_internal:WRONG_VERSION_NUMBER: Invalid certificate verification context: OK"
)
SUCCESS = "I1122 10:00:00.000001   12 handshaker.cc:155] CallNextHandshakerLocked: error=OK shutdown=false\n"

WRITER = """
import federation, logging, os, sys
from federation.stream.handshakes import log_failed_handshakes
log_failed_handshakes()
os.write(2, b"I1122 10:00:00.000001   12 chttp2_server.cc:1] of no interest\\n")
os.write(2, b"from a native library\\n")
print("from Python", file=sys.stderr)
import time; time.sleep(0.5)
"""


def test_a_failed_handshake_has_an_address_and_a_reason() -> None:
    """OpenSSL's reason where it has one, otherwise gRPC's; two that alternate are not mixed up."""
    closed = "UNAVAILABLE: Handshake read failed (Socket closed)"
    text = (
        SUCCESS
        + RECORD.format(error=OPENSSL, peer="ipv4:10.0.0.1:5000")
        + SUCCESS
        + RECORD.format(error=closed, peer="ipv6:%5Bfd00::1%5D:5000")
    )
    others: list[str] = []
    assert list(failed_handshakes(text.splitlines(keepends=True), others.append)) == [
        ("ipv4:10.0.0.1:5000", "wrong version number"),
        ("ipv6:%5Bfd00::1%5D:5000", "Handshake read failed (Socket closed)"),
    ]
    assert others == []


@pytest.mark.process
def test_only_grpcs_lines_are_dropped() -> None:
    """What Python or a native library writes to standard error arrives there."""
    done = subprocess.run(
        [sys.executable, "-c", WRITER],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env=environment(),
    )
    assert sorted(done.stderr.splitlines()) == ["from Python", "from a native library"]


def test_whoever_asks_for_grpcs_lines_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """With GRPC_VERBOSITY set nothing is changed."""
    monkeypatch.setenv("GRPC_VERBOSITY", "DEBUG")
    before = os.fstat(2)
    log_failed_handshakes()
    assert (os.environ["GRPC_VERBOSITY"], os.fstat(2)) == ("DEBUG", before)


@pytest.mark.process
@pytest.mark.parametrize("command", ["federation.local", "federation.server"])
def test_commands_that_listen_do_not_load_grpc_at_their_top(command: str) -> None:
    """It reads its settings when it is imported: by then they must be made."""
    subprocess.run(
        [sys.executable, "-c", f"import sys, {command}; sys.exit('grpc' in sys.modules)"],
        check=True,
        cwd=ROOT,
    )
