"""Whose credentials are in use, and how far this machine's clock is off."""

import datetime as dt
import threading
from collections.abc import Iterator
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest

from federation.aws.identity import caller
from federation.errors import CredentialsError, UnreachableError

WELL = """<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
<Arn>arn:aws:sts::111111111111:assumed-role/r/s</Arn><UserId>u</UserId><Account>111111111111</Account>
</GetCallerIdentityResult></GetCallerIdentityResponse>"""
SKEWED = """<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>
<Code>SignatureDoesNotMatch</Code><Message>Signature expired</Message></Error></ErrorResponse>"""


class Sts(BaseHTTPRequestHandler):
    """An STS whose clock is wrong, or this machine's: a real server, asked by the real botocore."""

    ahead = dt.timedelta()
    answer = (200, WELL)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        status, body = self.answer
        self.send_response_only(status)
        self.send_header("Date", format_datetime(dt.datetime.now(dt.UTC) + self.ahead, usegmt=True))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def sts(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Sts]]:
    """Return an STS on loopback whose answers the test sets."""

    class Ours(Sts):
        pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Ours) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        yield Ours
        server.shutdown()
        thread.join()


def session() -> boto3.Session:
    """Return a session with credentials."""
    return boto3.Session("made-up", "made-up")


def test_the_caller_is_who_sts_says(sts: type[Sts]) -> None:
    """And a clock that goes right is within seconds of AWS's."""
    assert sts.answer == (200, WELL)
    found = caller(session(), "us-east-1")
    assert (found.account, found.arn) == ("111111111111", "arn:aws:sts::111111111111:assumed-role/r/s")
    assert found.ahead is not None
    assert abs(found.ahead) < 10


@pytest.mark.parametrize("seconds", [-3600, -100, 100, 3600])
def test_the_clock_is_compared_with_awss(sts: type[Sts], seconds: int) -> None:
    """Ahead of AWS, or behind."""
    sts.ahead = dt.timedelta(seconds=-seconds)
    found = caller(session(), "us-east-1")
    assert found.ahead == pytest.approx(seconds, abs=10)


def test_a_refusal_still_tells_the_time(sts: type[Sts]) -> None:
    """AWS refuses what a wrong clock signed: the reason is in the answer's date."""
    sts.answer, sts.ahead = (403, SKEWED), dt.timedelta(hours=1)
    found = caller(session(), "us-east-1")
    assert (found.account, found.refused) == ("", "SignatureDoesNotMatch")
    assert found.ahead == pytest.approx(-3600, abs=10)


def test_no_credentials_are_an_error_of_ours(sts: type[Sts], monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is sent."""
    assert sts
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(CredentialsError):
        caller(boto3.Session(), "us-east-1")


def test_an_sts_out_of_reach_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a network without an endpoint of STS."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(UnreachableError):
        caller(session(), "us-east-1")
