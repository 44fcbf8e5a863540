"""One federation, wherever its clients run: listen, start them, train with them, say what went wrong.

A run on this machine and one on AWS differ in who starts the clients and how these prove who they are; both
tell it here, in a `Launcher` and a `Server`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from federation.data.table import Table
from federation.errors import ClientFailedError, FederationError, JoinDeadlineError, RoundError
from federation.learning.federate import Federated, federate
from federation.learning.preprocessing.pooling import most_features
from federation.learning.preprocessing.prepared import Prepared
from federation.learning.settings import TrainingSettings
from federation.runs.observer import RunObserver
from federation.runs.record.record import RunRecord
from federation.stream.admission.decision import Admission
from federation.stream.certificate import RunCertificate
from federation.stream.grid import StreamGrid
from federation.stream.limits import Limits

OnExit = Callable[[str, str], None]
"""Told the name of a client that ended before the run did, and why."""
Received = Mapping[str, list[tuple[str, int]]]
"""Kind and bytes of everything that each client sent."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where the clients reach the server, and whom it lets in.

    Parameters
    ----------
    names : sequence of str
        The clients that are expected.
    host, port : str, int
        Where to listen; port 0 takes a free one.
    certificate : RunCertificate
        What the server proves itself with.
    admission : Admission
        Decides who may join.
    join_timeout : float
        Seconds until clients that have not joined are given up.
    """

    names: Sequence[str]
    host: str
    port: int
    certificate: RunCertificate
    admission: Admission
    join_timeout: float


@dataclass(frozen=True, kw_only=True)
class Launcher:
    """Who starts the clients.

    Parameters
    ----------
    start : callable
        Starts them, from the server's address and whom to tell of one that ends.
    explain : callable
        Returns the error that the end of a client explains, or the one it is given.
    expect_end : callable
        Called when the training is over: from now on clients may end.
    """

    start: Callable[[str, OnExit], None]
    explain: Callable[[FederationError], FederationError]
    expect_end: Callable[[], None] = lambda: None


def run_federation(
    server: Server,
    launcher: Launcher,
    training: TrainingSettings,
    test: Table,
    *,
    provenance: Mapping[str, Any],
    progress: RunObserver,
    record: RunRecord,
    prepared: Prepared | None = None,
) -> tuple[Federated, Received]:
    """Start the clients and train with them; return what the training leaves, and what they sent.

    Parameters
    ----------
    server : Server
        Where the clients reach the server, and whom it lets in.
    launcher : Launcher
        Who starts the clients.
    training : TrainingSettings
        Strategy, rounds, quorum.
    test : Table
        The server's held-back rows.
    provenance : mapping
        Kept in the model.
    progress : RunObserver
        Told about every step.
    record : RunRecord
        Keeps every finished round.
    prepared : Prepared, optional
        What the server knows of how the rows were prepared.

    Raises
    ------
    FederationError
        Clients did not come, or did not answer as they should; as `launcher` explains it.
    """
    record.load()  # a damaged checkpoint is found before clients are started, which may cost money
    with StreamGrid(
        server.names,
        certificate=server.certificate,
        admit=server.admission,
        host=server.host,
        port=server.port,
        limits=Limits.for_run(most_features(test), len(server.names)),
        event=record.event,
    ) as grid:
        launcher.start(f"{server.host}:{grid.port}", grid.fail_client)
        try:
            grid.wait_for_clients(server.join_timeout, progress.joined, least=training.min_clients)
            progress.step(f"Training: {training.plan}")
            federated = federate(
                grid,
                training,
                test,
                name_of=grid.name_of,
                observer=progress,
                provenance=provenance,
                record=record,
                process_of=grid.process_of,
                prepared=prepared,
            )
        except (ClientFailedError, JoinDeadlineError, RoundError) as error:
            if (explained := launcher.explain(error)) is error:
                raise
            raise explained from error
        progress.concluded(federated.conclusion)
        launcher.expect_end()
        return federated, grid.received()
