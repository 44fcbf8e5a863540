"""What a proof by a training role must be, and what it is refused for; signatures are made by botocore."""

import asyncio
import datetime as dt
import threading
import time
from collections.abc import Callable, Mapping

import botocore.session
import pytest

import link
import proof
from client_code.protocol.frames import PROTOCOL, Join
from federation.stream.admission.decision import ProofError, UncheckedError
from federation.stream.admission.role_proof import Binding, Role, RoleVerifier, SignedRequest, read_proof
from federation.stream.certificate import RunCertificate

CERTIFICATE = RunCertificate.create("10.0.0.5", now=dt.datetime.now(dt.UTC))
BINDING = Binding(
    run_id="20261122-1",
    server_address="10.0.0.5:8080",
    certificate=CERTIFICATE.fingerprint,
    region="eu-west-1",
)
ROLE = Role(account="222222222222", name="FL-claims-training-job")
ARN = "arn:aws:sts::222222222222:assumed-role/FL-claims-training-job/SageMaker"


def signed(**changes: str) -> dict[str, str]:
    """Return the proof of a client's job, made for something else where ``changes`` say so."""
    session = botocore.session.Session()
    session.set_credentials("ASIAEXAMPLE", "secret", changes.pop("token", "session token"))
    facts = {
        "region": "eu-west-1",
        "run_id": "20261122-1",
        "name": "hospital-a",
        "address": "10.0.0.5:8080",
    } | changes
    server = link.Server(address=facts.pop("address"), certificate=CERTIFICATE.certificate, patience=1)
    return proof.ByRole(server=server, session=session, **facts)()


def read(headers: Mapping[str, str], *, later: dt.timedelta = dt.timedelta(0)) -> SignedRequest:
    """Read a proof as the server does, so much later."""
    return read_proof(headers, client="hospital-a", binding=BINDING, now=dt.datetime.now(dt.UTC) + later)


def test_the_proof_of_a_client_is_read() -> None:
    """What the client's job signs is what the server expects; each proof is another one."""
    first, second = read(signed()), read(signed())
    assert first.headers["x-federation-client"] == "hospital-a"
    assert first.signature != second.signature


def test_the_signature_covers_everything_that_is_sent() -> None:
    """No header of a proof can be changed without changing the signature."""
    request = read(signed())
    listed = request.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    assert set(listed) == (set(request.headers) | {"host"}) - {"authorization"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"run_id": "20261121-1"}, "for another run"),
        ({"address": "10.0.0.6:8080"}, "for another server"),
        ({"name": "hospital-b"}, "for another client"),
        ({"region": "us-east-1"}, "not for STS in eu-west-1"),
    ],
)
def test_a_proof_for_something_else_is_refused(changes: dict[str, str], words: str) -> None:
    """A proof serves one run, one server, one client and one STS; the reason says which was another."""
    with pytest.raises(ProofError, match=words):
        read(signed(**changes))


def test_a_proof_for_another_certificate_is_refused() -> None:
    """Somebody between client and server cannot pass a proof on: it names the certificate that was seen."""
    with pytest.raises(ProofError, match="for another certificate"):
        read(signed() | {"x-federation-certificate": "0" * 64})


@pytest.mark.parametrize("minutes", [-6, 6, 60 * 24])
def test_a_stale_proof_is_refused(minutes: int) -> None:
    """Within minutes of the server's clock it was signed, in both directions."""
    with pytest.raises(ProofError, match="more than 5 minutes"):
        read(signed(), later=dt.timedelta(minutes=minutes))


def _without_from_signed(name: str) -> dict[str, str]:
    headers = signed()
    return headers | {"Authorization": headers["Authorization"].replace(f"{name};", "")}


@pytest.mark.parametrize(
    "name",
    [
        "content-type",
        "host",
        "x-amz-date",
        "x-amz-security-token",
        "x-federation-certificate",
        "x-federation-client",
        "x-federation-nonce",
        "x-federation-run",
    ],
)
def test_an_unsigned_header_is_refused(name: str) -> None:
    """A header that the signature does not cover could be anybody's."""
    with pytest.raises(ProofError, match=f"does not cover {name}"):
        read(_without_from_signed(name))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: {},
        lambda _: {"token": "guess"},
        lambda h: h | {"Host": "sts.example.org"},
        lambda h: h | {"X-Forwarded-Host": "sts.example.org"},
        lambda h: {k: v for k, v in h.items() if k != "X-Amz-Security-Token"},
        lambda h: h | {"X-Federation-Run": h["x-federation-run"]},
        lambda h: h | {"x-federation-nonce": "a\r\nHost: sts.example.org"},
        lambda h: h | {"X-Amz-Security-Token": ""},
        lambda h: h | {"X-Amz-Date": "yesterday"},
        lambda h: h | {"X-Amz-Date": h["X-Amz-Date"] + " "},
        lambda h: h | {"Authorization": "Bearer x"},
        lambda h: h | {"Authorization": h["Authorization"] + "0"},
        lambda h: h | {"Authorization": h["Authorization"].replace("/sts/", "/s3/")},
    ],
)
def test_a_proof_that_is_none_is_refused(spoil: Callable[[dict[str, str]], dict[str, str]]) -> None:
    """More headers, fewer, headers twice, line breaks or another kind of signature never reach AWS."""
    with pytest.raises(ProofError):
        read(spoil(signed()))


@pytest.mark.parametrize(
    ("arn", "role"),
    [
        (ARN, ROLE),
        ("arn:aws:iam::222222222222:role/FL-claims-training-job", None),
        ("arn:aws:iam::222222222222:user/FL-claims-training-job", None),
        ("arn:aws:sts::222222222222:federated-user/FL-claims-training-job", None),
        ("arn:aws:iam::222222222222:root", None),
        (ARN + "/more", None),
        ("", None),
    ],
)
def test_only_the_session_of_a_role_is_a_role(arn: str, role: Role | None) -> None:
    """Users, roots and federated users of the same name are somebody else."""
    assert Role.of_session(arn) == role


# The verifier -----------------------------------------------------------------------------------------------


def join(headers: Mapping[str, str], name: str = "hospital-a") -> Join:
    """Return a join with this proof."""
    return Join(
        client=name, instance="i", proof=headers, label="y", features=(), schema="", protocol=PROTOCOL
    )


def verifier(ask: Callable[[SignedRequest], str]) -> RoleVerifier:
    """Return the verifier of a run with one client."""
    return RoleVerifier({"hospital-a": ROLE}, BINDING, ask=ask)


def test_the_expected_role_is_accepted_once() -> None:
    """The first join with a proof is let in; a copy of it is not, and AWS is not asked again."""
    asked: list[SignedRequest] = []

    def ask(request: SignedRequest) -> str:
        asked.append(request)
        return ARN

    verify, headers = verifier(ask), signed()
    asyncio.run(verify(join(headers)))
    with pytest.raises(ProofError, match="used before"):
        asyncio.run(verify(join(headers)))
    assert len(asked) == 1


def test_of_two_copies_at_the_same_time_one_is_accepted() -> None:
    """While AWS is asked about one, another copy does not slip in."""
    both = threading.Barrier(2)

    def ask(_request: SignedRequest) -> str:
        both.wait(5)
        return ARN

    async def twice() -> tuple[BaseException | None, ...]:
        verify, headers = verifier(ask), signed()
        return await asyncio.gather(verify(join(headers)), verify(join(headers)), return_exceptions=True)

    outcomes = asyncio.run(twice())
    assert [type(outcome) for outcome in outcomes].count(ProofError) == 1
    assert outcomes.count(None) == 1


@pytest.mark.parametrize(
    "arn",
    [
        ARN.replace("222222222222", "444444444444"),
        ARN.replace("FL-claims-training-job", "FL-kickoff-client-job"),
        "arn:aws:iam::222222222222:root",
    ],
)
def test_another_principal_is_refused_and_named(arn: str) -> None:
    """Another account and another role of the same account are not the client; the reason says who it was."""
    with pytest.raises(ProofError, match=arn):
        asyncio.run(verifier(lambda _: arn)(join(signed())))


def test_an_unknown_client_costs_no_request() -> None:
    """A name that nobody has is refused before AWS is asked."""

    def ask(_request: SignedRequest) -> str:
        raise AssertionError

    with pytest.raises(ProofError, match='no client is named "hospital-z"'):
        asyncio.run(verifier(ask)(join(signed(name="hospital-z"), "hospital-z")))


def test_an_sts_that_hangs_holds_up_nobody_else() -> None:
    """The server goes on with its streams meanwhile, and gives the join up after the deadline."""
    released = threading.Event()

    def ask(_request: SignedRequest) -> str:
        released.wait(5)
        return ARN

    async def meanwhile() -> float:
        verify = RoleVerifier({"hospital-a": ROLE}, BINDING, ask=ask, answer_seconds=0.2)
        asking = asyncio.ensure_future(verify(join(signed())))
        started = time.monotonic()
        await asyncio.sleep(0.01)
        waited = time.monotonic() - started
        with pytest.raises(UncheckedError, match="does not answer"):
            await asking
        return waited

    assert asyncio.run(meanwhile()) < 0.15
    released.set()
