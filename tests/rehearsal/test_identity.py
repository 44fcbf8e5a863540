"""Who gets in by the signature of a role: real signatures, an STS that checks them, real streams."""

import datetime as dt
import io
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import botocore.session
import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

import link
import proof
from errors import ClientError, IdentityError, JoinRefusedError, ServerUnreachableError
from federation.aws.edge.sts import sts_of
from federation.errors import JoinDeadlineError
from federation.rehearse.machine.embedded_aws import EmbeddedAws
from federation.stream.admission.decision import Admission
from federation.stream.admission.role_proof import Binding, Role, RoleVerifier
from federation.stream.certificate import RunCertificate
from federation.stream.grid import StreamGrid
from ledger import Ledger
from tests.rehearsal.conftest import CLIENT, REGION, SERVER, Connect

ROLE, OTHER_ACCOUNT = "FL-claims-training-job", "444444444444"
ADDRESS, RUN = "10.0.0.5:8080", "r1"
CERTIFICATE = RunCertificate.create("127.0.0.1", now=dt.datetime.now(dt.UTC))
Prove = Callable[[], Mapping[str, str]]


@pytest.fixture(autouse=True)
def _endpoint(aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ends find the emulator's STS as their environment says."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.endpoint_url)


def session_of(connect: Connect, account: str, role: str, *, secret: str = "") -> Any:
    """Return a session of a new role, which has no permissions at all."""
    trust = {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": account}}]}
    connect("iam", account).create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(trust))
    keys = connect("sts", account).assume_role(
        RoleArn=f"arn:aws:iam::{account}:role/{role}", RoleSessionName="SageMaker"
    )["Credentials"]
    session = botocore.session.Session()
    session.set_credentials(keys["AccessKeyId"], secret or keys["SecretAccessKey"], keys["SessionToken"])
    return session


class Gate:
    """A server that expects one client, ``site-1``, and a job that is it."""

    def __init__(self, connect: Connect, clock_error: dt.timedelta = dt.timedelta(0)) -> None:
        self.binding = Binding(
            run_id=RUN, server_address=ADDRESS, certificate=CERTIFICATE.fingerprint, region=REGION
        )
        verify = RoleVerifier(
            {"site-1": Role(account=CLIENT, name=ROLE)},
            self.binding,
            ask=sts_of(REGION),
            clock=lambda: dt.datetime.now(dt.UTC) + clock_error,
        )
        self.admission = Admission(verify, names=["site-1"], label="y", features=("a",))
        self.grid = StreamGrid(["site-1"], certificate=CERTIFICATE, admit=self.admission, rejoin_seconds=0.5)
        self.job = session_of(connect, CLIENT, ROLE)

    def proof(self, session: Any = None, **changes: str) -> Prove:
        """Return what makes proofs as a client's job does, or with facts changed."""
        facts = {"run_id": RUN, "name": "site-1", "region": REGION, "address": ADDRESS} | changes
        server = link.Server(address=facts.pop("address"), certificate=CERTIFICATE.certificate, patience=1)
        return proof.ByRole(server=server, session=session or self.job, **facts)

    def start(self, prove: Prove, *, name: str = "site-1") -> "Peer":
        """Let somebody join."""
        return Peer(self.grid.port, prove, name)

    def runs(self) -> bool:
        """Tell whether the client that is here answers a message."""
        content = RecordDict({"arrays": ArrayRecord({"w": Array(np.ones(2))}), "config": ConfigRecord({})})
        messages = [Message(content, node_id, "train") for node_id in self.grid.get_node_ids()]
        replies = self.grid.send_and_receive(messages=messages, timeout=10)
        return [reply.has_error() for reply in replies] == [False]


class Peer(threading.Thread):
    """A client in a thread, and how it ended."""

    def __init__(self, port: int, prove: Prove, name: str) -> None:
        super().__init__(daemon=True)
        self.error: ClientError | None = None
        self._server = link.Server(
            address=f"127.0.0.1:{port}", certificate=CERTIFICATE.certificate, patience=1.5
        )
        self._identity = link.Identity(name=name, prove=prove, label="y", features=("a",))
        self.start()

    def run(self) -> None:
        app = ClientApp()

        @app.train()
        def train(message: Message, _context: Context) -> Message:
            return Message(RecordDict({"metrics": MetricRecord({"n": 1})}), reply_to=message)

        context = Context(run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config={})
        ledger = Ledger(io.StringIO())
        try:
            link.serve(app, context, server=self._server, identity=self._identity, ledger=ledger)
        except ClientError as error:
            self.error = error

    def refusal(self) -> str:
        """Wait until the server refused it for who it is; return the reason."""
        self.join(15)
        assert isinstance(self.error, IdentityError), self.error
        assert self.error.exit_code == 58
        return str(self.error)


@pytest.fixture
def gate(connect: Connect) -> Iterator[Gate]:
    """Open a server."""
    made = Gate(connect)
    with made.grid:
        yield made


@pytest.fixture
def run(gate: Gate) -> Gate:
    """Open a server whose client is here."""
    gate.start(gate.proof())
    gate.grid.wait_for_clients(10, lambda _joined, _missing: None)
    assert gate.runs()
    return gate


def test_the_training_role_of_the_client_is_let_in(run: Gate) -> None:
    """Its signature is enough: it needs no permission, and no secret was handed over."""
    assert run.runs()


def test_another_accounts_role_of_the_same_name_is_refused(
    run: Gate, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """Both sides say who it was, and the run goes on."""
    stranger = run.start(run.proof(session_of(connect, OTHER_ACCOUNT, ROLE)))
    words = f"arn:aws:sts::{OTHER_ACCOUNT}:assumed-role/{ROLE}/SageMaker, and not the role {ROLE} of account"
    assert words in stranger.refusal()
    assert words in caplog.text
    assert run.runs()


@pytest.mark.parametrize("role", ["FL-kickoff-client-job", f"{ROLE}-2", ROLE.lower()])
def test_another_role_of_the_clients_account_is_refused(role: str, run: Gate, connect: Connect) -> None:
    """The account alone is not enough."""
    assert f"assumed-role/{role}/" in run.start(run.proof(session_of(connect, CLIENT, role))).refusal()
    assert run.runs()


def test_the_servers_own_role_is_not_a_client(run: Gate, connect: Connect) -> None:
    """A role of the server's account with a client's role name is another role."""
    assert SERVER in run.start(run.proof(session_of(connect, SERVER, ROLE))).refusal()
    assert run.runs()


def test_a_long_lived_key_is_refused(run: Gate) -> None:
    """Who signs with a key that never expires is no job."""
    root = botocore.session.Session()
    root.set_credentials(CLIENT, "test")
    assert "not a signed request with the headers of a client" in run.start(run.proof(root)).refusal()


def test_a_proof_for_another_run_is_refused(run: Gate) -> None:
    """What a client signed for one run lets nobody into the next."""
    assert "for another run" in run.start(run.proof(run_id="r0")).refusal()
    assert run.runs()


def test_a_proof_for_another_server_is_refused(run: Gate) -> None:
    """A server that collects proofs cannot use them elsewhere."""
    assert "for another server" in run.start(run.proof(address="10.9.9.9:8080")).refusal()


def test_a_proof_under_another_name_is_refused(run: Gate) -> None:
    """The signature names the client."""
    assert "for another client" in run.start(run.proof(name="site-2")).refusal()


def test_a_replayed_proof_is_refused(gate: Gate) -> None:
    """A copy of a proof that was used is worth nothing."""
    headers = gate.proof()()
    gate.start(lambda: headers)
    gate.grid.wait_for_clients(10, lambda _joined, _missing: None)
    assert "used before" in gate.start(lambda: headers).refusal()
    assert gate.runs()


@pytest.mark.parametrize("minutes", [-7, 7])
def test_a_stale_proof_is_refused(minutes: int, connect: Connect) -> None:
    """A proof counts within minutes of the server's clock."""
    gate = Gate(connect, dt.timedelta(minutes=minutes))
    with gate.grid:
        assert "more than 5 minutes" in gate.start(gate.proof()).refusal()


@pytest.mark.parametrize("header", ["x-federation-nonce", "X-Amz-Security-Token"])
def test_a_changed_header_breaks_the_signature(header: str, run: Gate) -> None:
    """AWS itself notices a header that was changed after it was signed."""
    changed = dict(run.proof()()) | {header: "0" * 32}
    assert "AWS does not accept its proof" in run.start(lambda: changed).refusal()
    assert run.runs()


def test_a_header_swapped_for_the_servers_facts_breaks_the_signature(run: Gate) -> None:
    """A proof for another run does not become one for this by changing what it says."""
    changed = dict(run.proof(run_id="r0")()) | {"x-federation-run": RUN}
    assert "SignatureDoesNotMatch" in run.start(lambda: changed).refusal()


def test_a_guessed_secret_is_refused(run: Gate, connect: Connect) -> None:
    """A session's key and token without its secret sign nothing."""
    thief = session_of(connect, OTHER_ACCOUNT, "thief", secret="guessed")
    assert "SignatureDoesNotMatch" in run.start(run.proof(thief)).refusal()


def test_two_clients_under_one_name_are_one_too_many(run: Gate) -> None:
    """Even with the right role, a second process is refused while the first is connected."""
    second = run.start(run.proof())
    second.join(15)
    assert isinstance(second.error, JoinRefusedError)
    assert "another process" in str(second.error)
    assert run.runs()


def test_an_sts_that_does_not_answer_is_tried_again(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody gets in unchecked; the client keeps trying, and both sides name the cause in the end."""
    honest = gate.proof()
    honest()  # finds its endpoint
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    verify = RoleVerifier({"site-1": Role(account=CLIENT, name=ROLE)}, gate.binding, ask=sts_of(REGION))
    admission = Admission(verify, names=["site-1"], label="y", features=("a",))
    with StreamGrid(["site-1"], certificate=CERTIFICATE, admit=admission) as grid:
        peer = Peer(grid.port, honest, "site-1")
        with pytest.raises(JoinDeadlineError) as missing:
            grid.wait_for_clients(4, lambda _joined, _missing: None)
        assert "AWS STS does not answer the server" in str(admission.explanation_of(missing.value))
        peer.join(15)
    assert isinstance(peer.error, ServerUnreachableError)
    assert "AWS STS does not answer the server" in str(peer.error)
