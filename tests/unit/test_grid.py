"""The stream between server and clients: real gRPC and TLS on loopback, clients in threads."""

import datetime as dt
import io
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import grpc
import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from numpy.typing import NDArray

import link
import proof
from client_code.protocol.frames import METHOD, SERVICE, WELCOME
from errors import ClientError, IdentityError, JoinRefusedError, RunFailedError, ServerUnreachableError
from federation.errors import ClientFailedError, JoinDeadlineError, PortTakenError, SchemaMismatchError
from federation.events import EventLog
from federation.stream import service
from federation.stream.admission.decision import Admission, by_token
from federation.stream.certificate import RunCertificate
from federation.stream.clients import hub
from federation.stream.grid import StreamGrid
from federation.stream.limits import Limits
from ledger import Ledger

TOKEN, LABEL, FEATURES = "open sesame", "y", ("a", "b")
NAMES = ("anna", "bert", "carl")
CERTIFICATE = RunCertificate.create("127.0.0.1", now=dt.datetime.now(dt.UTC))


def echo() -> ClientApp:
    """Return an app that sends back the arrays it gets, and counts how often it is asked."""
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        context.run_config["calls"] = int(str(context.run_config.get("calls", 0))) + 1
        time.sleep(float(str(message.content.config_records["config"].get("sleep", 0.0))))
        metrics = MetricRecord({"calls": int(context.run_config["calls"])})
        reply = Message(
            RecordDict({"arrays": message.content["arrays"], "metrics": metrics}), reply_to=message
        )
        if "forge" in message.content.config_records["config"]:
            reply.metadata.__dict__["_src_node_id"] += 1
        return reply

    return app


class Wire:
    """A loopback TCP line to ``port`` that a test can cut, or let swallow what it carries."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._ends: list[socket.socket] = []
        self._swallows = False
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self._port))
                except OSError:
                    near.close()
                    continue
                self._ends += [near, far]
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if not self._swallows:
                    target.sendall(data)
        for end in (source, target):
            _close(end)

    def swallow(self) -> None:
        """Take what comes and carry nothing, until the line is cut: neither end notices."""
        self._swallows = True

    def cut(self) -> None:
        """Break every connection; new ones may come."""
        while self._ends:
            _close(self._ends.pop())
        self._swallows = False

    def close(self) -> None:
        """Break every connection for good."""
        _close(self._listener)  # wakes the thread that accepts
        self.cut()


def _close(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


class Peer:
    """A client in a thread, and how it ended."""

    def __init__(self, port: int, name: str, /, **identity: object) -> None:
        self.ledger = io.StringIO()
        self.error: Exception | None = None
        self.context = Context(run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config={})
        self._identity = {
            "prove": proof.by_token(TOKEN),
            "label": LABEL,
            "features": FEATURES,
            "name": name,
        } | identity
        self._server = link.Server(
            address=f"127.0.0.1:{port}", certificate=CERTIFICATE.certificate, patience=5
        )
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            link.serve(
                echo(),
                self.context,
                server=self._server,
                identity=link.Identity(**self._identity),  # type: ignore[arg-type]
                ledger=Ledger(self.ledger),
            )
        except ClientError as error:
            self.error = error

    def ended(self) -> Exception | None:
        """Wait for the end; return the error, if any."""
        self.thread.join(10)
        assert not self.thread.is_alive()
        return self.error


Opened = Callable[..., StreamGrid]
Wired = Callable[[StreamGrid], Wire]


@pytest.fixture
def wired() -> Iterator[Wired]:
    """Lay lines to grids that are gone at the end of the test."""
    with ExitStack() as stack:
        yield lambda grid: stack.enter_context(closing(Wire(grid.port)))


@pytest.fixture
def opened(wired: Wired) -> Iterator[Opened]:  # noqa: ARG001 - the lines last longer than the grids
    """Open grids that are closed at the end of the test."""
    with ExitStack() as stack:

        def open_grid(*names: str, **settings: object) -> StreamGrid:
            admit = Admission(by_token(TOKEN), names=names, label=LABEL, features=FEATURES)
            return stack.enter_context(
                StreamGrid(names, certificate=CERTIFICATE, admit=admit, **settings)  # type: ignore[arg-type]
            )

        yield open_grid


def ask(
    grid: StreamGrid, values: NDArray[np.float64], *, timeout: float = 10, **config: float
) -> list[Message]:
    """Send the same arrays to every client; return the replies."""
    content = RecordDict({"arrays": ArrayRecord({"w": Array(values)}), "config": ConfigRecord(dict(config))})
    messages = [Message(content, node_id, "train") for node_id in grid.get_node_ids()]
    return grid.send_and_receive(messages=messages, timeout=timeout)


def ready(grid: StreamGrid, *names: str, port: int | None = None) -> list[Peer]:
    """Start clients and wait until they have joined."""
    peers = [Peer(port or grid.port, name) for name in names]
    grid.wait_for_clients(10, lambda _joined, _missing: None)
    return peers


def test_every_client_answers_in_the_order_of_names(opened: Opened) -> None:
    """Replies come in the clients' order, whatever order they arrive in."""
    grid = opened(*NAMES)
    ready(grid, *reversed(NAMES))
    replies = ask(grid, np.arange(3.0))
    assert [grid.name_of(reply.metadata.src_node_id) for reply in replies] == list(NAMES)
    for reply in replies:
        np.testing.assert_array_equal(reply.content.array_records["arrays"]["w"].numpy(), np.arange(3.0))


def test_messages_beyond_the_grpc_limit_travel_in_parts(opened: Opened) -> None:
    """Arrays of 20 MB, five times gRPC's default limit, arrive unchanged."""
    grid = opened("anna")
    ready(grid, "anna")
    values = np.random.default_rng(0).standard_normal(2_500_000)
    (reply,) = ask(grid, values)
    np.testing.assert_array_equal(reply.content.array_records["arrays"]["w"].numpy(), values)


def test_the_end_of_the_run_ends_the_clients(opened: Opened) -> None:
    """Closing the grid ends each client without an error."""
    grid = opened("anna")
    (peer,) = ready(grid, "anna")
    grid.close()
    assert peer.ended() is None


def test_clients_hear_why_a_run_failed(opened: Opened) -> None:
    """A failed run ends each client with the server's reason."""
    grid = opened("anna")
    (peer,) = ready(grid, "anna")
    grid.close(failure="the sky fell")
    error = peer.ended()
    assert isinstance(error, RunFailedError)
    assert "the sky fell" in str(error)


def test_a_silent_client_is_named_after_the_deadline(opened: Opened) -> None:
    """The reply of a client that is too slow is an error; the others' replies count."""
    grid = opened("anna", "bert")
    ready(grid, "anna", "bert")
    content = RecordDict({"arrays": ArrayRecord({}), "config": ConfigRecord({"sleep": 0.0})})
    slow = RecordDict({"arrays": ArrayRecord({}), "config": ConfigRecord({"sleep": 2.0})})
    first, second = grid.get_node_ids()
    replies = grid.send_and_receive(
        messages=[Message(content, first, "train"), Message(slow, second, "train")], timeout=0.5
    )
    assert [reply.has_error() for reply in replies] == [False, True]
    assert grid.name_of(replies[1].metadata.src_node_id) == "bert"
    assert "did not answer within 0.5 s" in str(replies[1].error.reason)


def test_a_late_reply_does_not_answer_the_next_message(opened: Opened) -> None:
    """What comes after the deadline is dropped; the next round gets its own reply."""
    grid = opened("anna")
    ready(grid, "anna")
    (late,) = ask(grid, np.array([1.0]), timeout=0.2, sleep=0.6)
    assert late.has_error()
    (reply,) = ask(grid, np.array([2.0]))
    assert reply.content.array_records["arrays"]["w"].numpy() == [2.0]


def test_a_client_that_loses_its_stream_gets_the_message_again(opened: Opened, wired: Wired) -> None:
    """A line cut in the middle of a round costs a reconnect, not the round, and no second fit."""
    grid = opened("anna")
    wire = wired(grid)
    (peer,) = ready(grid, "anna", port=wire.port)
    threading.Timer(0.3, wire.cut).start()
    (reply,) = ask(grid, np.array([7.0]), sleep=0.8)
    assert not reply.has_error()
    assert reply.content.metric_records["metrics"]["calls"] == 1
    kinds = [json.loads(line)["kind"] for line in peer.ledger.getvalue().splitlines()]
    assert kinds.count("join") == 2


def test_a_client_that_does_not_come_back_is_given_up(opened: Opened, wired: Wired) -> None:
    """A broken line is waited for, but not as long as the round's deadline."""
    grid = opened("anna", rejoin_seconds=0.5)
    wire = wired(grid)
    ready(grid, "anna", port=wire.port)
    threading.Timer(0.2, wire.close).start()
    started = time.monotonic()
    (reply,) = ask(grid, np.array([7.0]), timeout=60, sleep=2)
    assert "did not come back within 0.5 s" in str(reply.error.reason)
    assert time.monotonic() - started < 10


def test_a_client_that_is_away_when_the_run_ends_hears_of_it(opened: Opened, wired: Wired) -> None:
    """Its line breaks just then: it comes back, and is told that the run is over."""
    grid = opened("anna")
    wire = wired(grid)
    (peer,) = ready(grid, "anna", port=wire.port)
    wire.cut()
    grid.close()
    assert peer.ended() is None


def test_a_client_whose_line_is_dead_when_the_run_ends_hears_of_it(opened: Opened, wired: Wired) -> None:
    """The end of the run seems to be sent, and is not: it comes back for it, and then the server is gone."""
    grid = opened("anna")
    wire = wired(grid)
    (peer,) = ready(grid, "anna", port=wire.port)
    wire.swallow()
    threading.Timer(0.5, wire.cut).start()
    grid.close()
    assert peer.ended() is None


def test_a_client_that_is_busy_when_the_run_ends_hears_of_it(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server does not wait for its answer for long, and what it sent stays to be read."""
    monkeypatch.setattr(hub, "LAST_SECONDS", 0.2)
    monkeypatch.setattr(service, "FINISH_SECONDS", 0.2)
    grid = opened("anna")
    (peer,) = ready(grid, "anna")
    (late,) = ask(grid, np.array([1.0]), timeout=0.1, sleep=2)
    assert late.has_error()
    grid.close()
    assert peer.thread.is_alive()
    assert peer.ended() is None


def test_a_failed_client_is_answered_for_at_once(opened: Opened) -> None:
    """Once its end is known, a message to a client waits for nothing."""
    grid = opened("anna")
    ready(grid, "anna")
    grid.fail_client("anna", "its process was killed")
    started = time.monotonic()
    (reply,) = ask(grid, np.array([1.0]), sleep=5)
    assert str(reply.error.reason) == "its process was killed"
    assert time.monotonic() - started < 2


def test_a_client_that_heard_of_the_end_has_not_failed(opened: Opened, tmp_path: Path) -> None:
    """Its process ends then, and whoever watches it says so."""
    log = EventLog(tmp_path / "events.jsonl")
    grid = opened("anna", "bert", event=log)
    anna, bert = ready(grid, "anna", "bert")
    content = RecordDict({"arrays": ArrayRecord({}), "config": ConfigRecord({"sleep": 1.0})})
    grid.push_messages([Message(content, grid.get_node_ids()[1], "train")])

    def watch() -> None:
        anna.ended()
        grid.fail_client("anna", "its process ended")

    watching = threading.Thread(target=watch)
    watching.start()
    grid.close()  # bert is busy, and waited for
    watching.join()
    assert bert.ended() is None
    assert "failed" not in log.path.read_text()
    log.close()


def test_missing_clients_are_named_when_the_join_deadline_passes(opened: Opened) -> None:
    """Waiting for clients ends, and names those who did not come."""
    grid = opened("anna", "bert")
    Peer(grid.port, "anna")
    told: list[list[str]] = []
    with pytest.raises(JoinDeadlineError, match='"bert" within 1 s') as ended:
        grid.wait_for_clients(1, lambda _joined, missing: told.append(missing))
    assert told[-1] == ["bert"]
    assert ended.value.missing == ("bert",)


def test_a_client_that_ended_before_it_joined_ends_the_waiting(opened: Opened) -> None:
    """Nobody waits for a process that is gone."""
    grid = opened("anna")
    threading.Timer(0.2, grid.fail_client, ("anna", "no module named flwr")).start()
    with pytest.raises(ClientFailedError, match='"anna" did not join: no module named flwr'):
        grid.wait_for_clients(30, lambda _joined, _missing: None)


@pytest.mark.parametrize(
    ("identity", "words"),
    [
        ({"prove": proof.by_token("guess")}, "join token"),
        ({"name": "mallory"}, 'no client is named "mallory"'),
        ({"features": ("a", "c")}, "lacks b; it has in addition c"),
        ({"label": "z"}, 'its label is "z"'),
    ],
)
@pytest.mark.fault(
    "a stranger: a join with a guessed token, an unknown name, other columns, another label",
    "refused with the reason, before round 1",
)
def test_who_does_not_belong_is_told_why(identity: dict[str, object], words: str, opened: Opened) -> None:
    """A refused client ends with the reason, and does not count as joined."""
    grid = opened("anna")
    error = Peer(grid.port, "anna", **identity).ended()
    assert isinstance(error, IdentityError if "prove" in identity else JoinRefusedError)
    assert words in str(error)
    assert grid.get_node_ids() == []


@pytest.mark.parametrize("character", ["x", "é", "\n", "😀", '"', "\\"])
@pytest.mark.fault(
    "a stranger: a join with a name of 10,000 characters", "its refusal is 300 bytes or less on disk"
)
def test_a_strangers_words_are_cut_before_they_are_written(
    character: str, opened: Opened, tmp_path: Path
) -> None:
    """However long a name it invents, its refusal is a line of 300 bytes at most."""
    log = EventLog(tmp_path / "events.jsonl")
    grid = opened("anna", event=log)
    Peer(grid.port, character * 10_000).ended()
    Peer(grid.port, character * 10_000, prove=proof.by_token("guess")).ended()
    grid.close()
    log.close()
    refused = [line for line in log.path.read_bytes().splitlines() if b'"refused"' in line]
    assert len(refused) == 2
    assert max(map(len, refused)) <= 300


def test_other_columns_end_the_waiting(opened: Opened) -> None:
    """A proven client with other columns can never join: the server says so instead of waiting."""
    grid = opened("anna")
    Peer(grid.port, "anna", features=("a",))
    with pytest.raises(SchemaMismatchError, match='client "anna": it lacks b'):
        grid.wait_for_clients(30, lambda _joined, _missing: None)


@pytest.mark.fault("a second process under a client's name", "refused, the first one goes on")
def test_a_second_process_under_a_taken_name_is_refused(opened: Opened) -> None:
    """While a client is connected, nobody else becomes it; the first goes on."""
    grid = opened("anna", rejoin_seconds=0.5)
    ready(grid, "anna")
    error = Peer(grid.port, "anna").ended()
    assert isinstance(error, JoinRefusedError)
    assert "another process" in str(error)
    assert not ask(grid, np.array([1.0]))[0].has_error()


def test_another_certificate_is_not_trusted(opened: Opened) -> None:
    """A client talks to the server of its run only, and gives up in time."""
    grid = opened("anna")
    other = RunCertificate.create("127.0.0.1", now=dt.datetime.now(dt.UTC))
    server = link.Server(address=f"127.0.0.1:{grid.port}", certificate=other.certificate, patience=0.5)
    identity = link.Identity(name="anna", prove=proof.by_token(TOKEN), label=LABEL, features=FEATURES)
    context = Context(run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config={})
    with pytest.raises(ServerUnreachableError, match="no answer from"):
        link.serve(echo(), context, server=server, identity=identity, ledger=Ledger(io.StringIO()))
    assert grid.get_node_ids() == []


@pytest.mark.fault("a stranger: more connections than may be", "not greeted; the client goes on")
def test_connections_are_bounded(opened: Opened) -> None:
    """Who holds connections open without joining finds no more of them; who has joined is not disturbed."""
    grid = opened("anna", limits=Limits(connections=4))
    ready(grid, "anna")
    context = ssl.create_default_context(cadata=CERTIFICATE.certificate.decode())
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.set_alpn_protocols(["h2"])
    with ExitStack() as held:
        greeted = 0
        for _ in range(8):
            line = held.enter_context(socket.create_connection(("127.0.0.1", grid.port), 5))
            with suppress(OSError):
                stream = held.enter_context(context.wrap_socket(line, server_hostname="127.0.0.1"))
                greeted += bool(stream.recv(1))
        assert 1 <= greeted <= 4
        assert not ask(grid, np.array([1.0]))[0].has_error()


@pytest.mark.fault("a client sends what nobody asked for", "its stream is ended, and it may join again")
def test_what_nobody_asked_for_ends_the_stream(opened: Opened, caplog: pytest.LogCaptureFixture) -> None:
    """A client that begins to send by itself is hung up on, and may join again as an honest one."""
    grid = opened("anna")
    credentials = grpc.ssl_channel_credentials(root_certificates=CERTIFICATE.certificate)
    identity = link.Identity(name="anna", prove=proof.by_token(TOKEN), label=LABEL, features=FEATURES)
    with grpc.secure_channel(f"127.0.0.1:{grid.port}", credentials) as channel:
        answers = channel.stream_stream(f"/{SERVICE}/{METHOD}")(
            iter([identity.frame(), b"M" + b"x" * 1000]), timeout=10
        )
        assert [answer[:1] for answer in answers] == [WELCOME]
    assert "a message came that nothing had asked for" in caplog.text
    ready(grid, "anna")
    assert not ask(grid, np.array([1.0]))[0].has_error()


def test_two_servers_never_share_a_port(opened: Opened) -> None:
    """A taken port is an error, not a second listener."""
    grid = opened("anna")
    with pytest.raises(PortTakenError, match=str(grid.port)):
        opened("anna", port=grid.port)


@pytest.mark.fault("a client answers in another one's name", "an error of the one whose stream it came over")
def test_nobody_answers_in_another_clients_name(opened: Opened) -> None:
    """A reply that claims to be another client's counts as an error of the one whose stream it came over."""
    grid = opened("anna", "bert")
    ready(grid, "anna", "bert")
    content = RecordDict({"arrays": ArrayRecord({}), "config": ConfigRecord({"forge": 1})})
    honest = RecordDict({"arrays": ArrayRecord({}), "config": ConfigRecord({})})
    anna, bert = grid.get_node_ids()
    replies = grid.send_and_receive(
        messages=[Message(content, anna, "train"), Message(honest, bert, "train")], timeout=10
    )
    assert [reply.metadata.src_node_id for reply in replies] == [anna, bert]
    assert "another client's name" in str(replies[0].error.reason)
    assert not replies[1].has_error()


def test_pushed_messages_are_pulled_when_answered(opened: Opened) -> None:
    """Flower's own push and pull work too."""
    grid = opened("anna")
    ready(grid, "anna")
    content = RecordDict({"arrays": ArrayRecord({}), "config": ConfigRecord({})})
    ids = grid.push_messages([Message(content, node_id, "train") for node_id in grid.get_node_ids()])
    deadline = time.monotonic() + 10
    replies: list[Message] = []
    while not replies and time.monotonic() < deadline:
        replies = grid.pull_messages(ids)
    assert len(replies) == 1
    assert grid.pull_messages(ids) == []
