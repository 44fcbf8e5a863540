"""Whoever else comes to the port is refused, is heard of once, and changes nothing about the run."""

import re
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from client_code.protocol.frames import REFUSED
from federation.stream.certificate import RunCertificate
from federation.stream.limits import Limits
from tests.security import strangers
from tests.security.running import Running
from tests.security.strangers import join_frame, shout, speak

FOR_EVER = 100_000
FAILED = re.compile(r"a TLS handshake with ipv4:127\.0\.0\.1:\d+ failed: (.*)")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Start a run that goes on and on."""
    running = Running(tmp_path_factory.mktemp("run") / "run", FOR_EVER)
    running.await_rounds(2)
    yield running
    running.end()


@pytest.fixture(autouse=True)
def _goes_on(run: Running) -> Iterator[None]:
    """After each attack the run goes on with all of its clients."""
    yield
    run.await_rounds(3)
    assert "rejected" not in " ".join(run.lines[-3:])


@pytest.fixture(scope="module")
def certificate(run: Running) -> bytes:
    """Return the run's certificate."""
    return strangers.certificate_of(run.port)


def failed_handshakes(run: Running, before: int) -> list[str]:
    """Return the reasons of the handshakes that failed since then, as the server's log has them."""
    run.await_rounds(2)
    return [FAILED.findall(line)[0] for line in run.refusals()[before:]]


@pytest.mark.fault("a stranger: TLS 1.2", "no handshake, one line in the log")
def test_old_tls_is_refused_and_logged(run: Running) -> None:
    """TLS 1.2 gets no handshake, and what is spoken is TLS 1.3."""
    before = len(run.refusals())
    with pytest.raises((ssl.SSLError, ConnectionError)):
        strangers.tls(run.port, ssl.TLSVersion.TLSv1_2)
    assert failed_handshakes(run, before) == ["no shared cipher"]
    with strangers.tls(run.port) as stream:
        assert stream.version() == "TLSv1.3"


@pytest.mark.fault("a stranger: HTTP/2 without TLS", "hung up on, one line in the log")
def test_plaintext_is_refused_and_logged(run: Running) -> None:
    """HTTP/2 without TLS is hung up on, and hears nothing."""
    before = len(run.refusals())
    assert shout(run.port, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 9) == b""
    assert failed_handshakes(run, before) == ["wrong version number"]


@pytest.mark.fault("a stranger: random bytes instead of TLS", "hung up on")
def test_garbage_is_refused(run: Running) -> None:
    """Random bytes instead of a handshake end the connection, with at most TLS's own alert."""
    for _ in range(10):
        assert len(shout(run.port, strangers.garbage())) < 100


@pytest.mark.fault("a stranger: random bytes inside TLS", "hung up on")
def test_garbage_inside_tls_is_refused(run: Running) -> None:
    """Random bytes instead of HTTP/2 end the connection."""
    with strangers.tls(run.port) as stream:
        stream.settimeout(15)
        try:
            stream.sendall(strangers.garbage())
            while stream.recv(4096):
                pass
        except (ConnectionError, ssl.SSLError):
            pass


def test_a_client_of_another_authority_trusts_nobody_here(run: Running) -> None:
    """With another certificate the client ends the handshake, which is logged, and no frame is sent."""
    import datetime as dt  # noqa: PLC0415

    before = len(run.refusals())
    other = RunCertificate.create("127.0.0.1", now=dt.datetime.now(dt.UTC)).certificate
    answers, ended = speak(run.port, other, join_frame())
    assert (answers, ended) == ([], "UNAVAILABLE")
    assert "Socket closed" in failed_handshakes(run, before)[0]


@pytest.mark.fault("a stranger: a join with a guessed token", "refused with the reason, one line in the log")
def test_a_guessed_token_is_refused_and_logged(run: Running, certificate: bytes) -> None:
    """The stranger is told the reason, and the server's log has it once."""
    before = len(run.refusals())
    (answer,), _ = speak(run.port, certificate, join_frame())
    assert answer[:1] == REFUSED
    assert b"join token" in answer
    run.await_rounds(2)
    (line,) = run.refusals()[before:]
    assert 'refused client "site-1" from ipv4:127.0.0.1:' in line


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (b"", "not a join"),
        (b"E\x0a\x00", "not a join"),
        (b"J{}", "malformed"),
        (b"J" + b"[" * 100_000, "malformed"),
        (join_frame(label="y" * Limits().join_bytes), "more than"),
    ],
)
@pytest.mark.fault(
    "a stranger: a first frame that is no join, or one that is too large ({words})",
    "hung up on, one line in the log",
)
def test_a_first_frame_that_is_no_join_is_refused(
    frame: bytes, words: str, run: Running, certificate: bytes
) -> None:
    """It is hung up on without an answer, and logged."""
    before = len(run.refusals())
    answers, _ = speak(run.port, certificate, frame)
    assert answers == []
    run.await_rounds(2)
    assert [words in line for line in run.refusals()[before:]] == [True]


@pytest.mark.fault("a stranger: line breaks in the name of a join", "one line in the log")
def test_a_name_cannot_write_into_the_log(run: Running, certificate: bytes) -> None:
    """Line breaks in a name do not make lines."""
    speak(run.port, certificate, join_frame(client="x\nWARNING:federation.stream:all is well"))
    run.await_rounds(2)
    assert "all is well" not in [line.rpartition(":")[2] for line in run.refusals()]
    assert 'refused client "x?WARNING' in run.refusals()[-1]


@pytest.mark.fault("a stranger: a stream without a frame", "ended after ten seconds")
def test_a_stream_without_a_frame_is_ended(run: Running, certificate: bytes) -> None:
    """Silence is listened to for ten seconds."""
    started = time.monotonic()
    answers, ended = speak(run.port, certificate, wait=20)
    assert (answers, ended) == ([], "ended")
    assert 9 < time.monotonic() - started < 15
    run.await_rounds(2)
    assert "no join frame in time" in run.refusals()[-1]


def test_a_connection_that_never_shakes_hands_is_ended(run: Running) -> None:
    """A TCP connection without TLS is closed in time and logged; it holds no place for long."""
    before = len(run.refusals())
    with run.connect() as silent:
        silent.settimeout(20)
        assert silent.recv(1) == b""
    assert len(failed_handshakes(run, before)) == 1


@pytest.mark.fault("a stranger: 150 joins at once", "most are turned away unread, less than 100 lines")
def test_a_flood_of_joins_is_a_few_lines(run: Running, certificate: bytes) -> None:
    """Most of a flood is turned away unread, and the log says how many."""
    before = len(run.refusals())
    outcomes = [speak(run.port, certificate, join_frame())[1] for _ in range(150)]
    assert outcomes.count("RESOURCE_EXHAUSTED") > 10
    assert len(run.refusals()) - before < 100


def test_a_run_under_attack_ends_with_the_same_model(tmp_path: Path) -> None:
    """Strangers at every step do not change a bit of the result."""
    quiet, attacked = Running(tmp_path / "quiet", 60), Running(tmp_path / "attacked", 60)
    try:
        attacked.await_rounds(1)
        certificate = strangers.certificate_of(attacked.port)
        for _ in range(5):
            shout(attacked.port, strangers.garbage(1000))
            speak(attacked.port, certificate, join_frame())
            speak(attacked.port, certificate, b"E\xff\xff")
        assert (attacked.finish(), quiet.finish()) == (0, 0)
    finally:
        quiet.end()
        attacked.end()
    models = [(one.out / "model.json").read_text() for one in (quiet, attacked)]
    coefficients = [text.partition('"features"')[2].partition('"provenance"')[0] for text in models]
    assert coefficients[0]
    assert coefficients[0] == coefficients[1]
