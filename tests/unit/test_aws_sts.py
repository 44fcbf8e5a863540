"""What the server makes of STS's answers: an HTTP server on loopback gives them."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from client_code.protocol.proof import BODY
from federation.aws.edge.sts import sts_of
from federation.stream.admission.decision import ProofError, UncheckedError
from federation.stream.admission.role_proof import SignedRequest

ARN = "arn:aws:sts::222222222222:assumed-role/FL-claims-training-job/SageMaker"
NAMESPACE = 'xmlns="https://sts.amazonaws.com/doc/2011-06-15/"'
GOOD = f"""<GetCallerIdentityResponse {NAMESPACE}><GetCallerIdentityResult><Arn>{ARN}</Arn>
<UserId>AROA:SageMaker</UserId><Account>222222222222</Account></GetCallerIdentityResult>
</GetCallerIdentityResponse>"""
REQUEST = SignedRequest(
    headers={"authorization": "AWS4-HMAC-SHA256 x", "x-federation-run": "r1"}, signature="0"
)


def refusal(code: str) -> str:
    """Return how AWS refuses."""
    error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error>"
    return f"<ErrorResponse {NAMESPACE}>{error}</ErrorResponse>"


class Sts(HTTPServer):
    """An STS that gives one answer, and keeps what it was asked."""

    status, answer = 200, GOOD
    asked: tuple[str, str, dict[str, str], bytes] | None = None


class _Handler(BaseHTTPRequestHandler):
    server: Sts

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked = (self.command, self.path, headers, body)
        self.send_response(self.server.status)
        if self.server.status == 302:
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
        self.end_headers()
        self.wfile.write(self.server.answer.encode())

    def log_message(self, *_args: object) -> None:
        pass


Ask = Callable[[SignedRequest], str]


@pytest.fixture
def sts() -> Iterator[Sts]:
    """Start an STS."""
    with Sts(("127.0.0.1", 0), _Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def ask(sts: Sts, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Return what asks it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{sts.server_port}")
    return sts_of("eu-west-1")


def test_who_signed_is_read(sts: Sts, ask: Ask) -> None:
    """The ARN is AWS's; what is sent is the client's headers and the server's own question."""
    assert ask(REQUEST) == ARN
    assert sts.asked is not None
    method, path, headers, body = sts.asked
    assert (method, path, body) == ("POST", "/", BODY)
    assert REQUEST.headers.items() <= headers.items()
    assert not {name for name in headers if name.startswith("x-amz-")}


@pytest.mark.parametrize("code", ["SignatureDoesNotMatch", "ExpiredToken", "InvalidClientTokenId"])
def test_what_aws_refuses_is_refused(code: str, sts: Sts, ask: Ask) -> None:
    """The reason names AWS's code."""
    sts.status, sts.answer = 403, refusal(code)
    with pytest.raises(ProofError, match=code):
        ask(REQUEST)


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (503, refusal("ServiceUnavailable")),
        (500, ""),
        (400, refusal("Throttling")),
        (200, "welcome to the hotel's network"),
        (200, ""),
        (200, f"<GetCallerIdentityResponse {NAMESPACE}/>"),
        (302, ""),
    ],
)
def test_no_answer_about_the_client_is_no_refusal(status: int, answer: str, sts: Sts, ask: Ask) -> None:
    """What says nothing about the signature is the server's trouble: the client may try again."""
    sts.status, sts.answer = status, answer
    with pytest.raises(UncheckedError):
        ask(REQUEST)


def test_nobody_there_is_no_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint that is gone does not cost a client its place."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
    with pytest.raises(UncheckedError, match="does not answer"):
        sts_of("eu-west-1")(REQUEST)


def test_without_a_setting_it_is_the_regions_own_sts() -> None:
    """The address comes from the region in the configuration."""
    import botocore.session  # noqa: PLC0415

    sts = botocore.session.get_session().create_client("sts", region_name="eu-west-1")
    assert sts.meta.endpoint_url == "https://sts.eu-west-1.amazonaws.com"
