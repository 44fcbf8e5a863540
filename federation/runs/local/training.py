"""One run on this machine: prepare, start server and clients, train, compare, write the run folder."""

import datetime as dt
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from federation.config.contract import contract_beside
from federation.data.contract_check import read_prepared
from federation.data.preparation.manifest import Manifest, changed_files, read_manifest
from federation.data.preparation.prepare import prepare
from federation.data.preparation.settings import PreparationSettings
from federation.data.synthetic import LABEL
from federation.data.table import Table
from federation.errors import (
    DataError,
    PortTakenError,
    ResumeError,
    SettingError,
)
from federation.learning.federate import Federated
from federation.learning.preprocessing.prepared import Prepared
from federation.learning.settings import TrainingSettings
from federation.report.facts import RunMetrics
from federation.runs.description import RunSettings, provenance_of
from federation.runs.federation import Launcher, OnExit, Server, run_federation
from federation.runs.folder import load_report, read_egress, write_run
from federation.runs.local.clients import PATIENCE_SECONDS, ClientJob, LocalClients
from federation.runs.local.comparison import compare, describe
from federation.runs.local.forked import ForkServer, fork_server
from federation.runs.local.machine import Machine
from federation.runs.logs import quiet_flower
from federation.runs.observer import RunObserver
from federation.runs.record.checkpoint import ROUNDS
from federation.runs.record.lock import clear, exclusive
from federation.runs.record.record import RunRecord
from federation.runs.record.settings import remember
from federation.stream.admission.decision import Admission, by_token
from federation.stream.certificate import RunCertificate
from federation.words import some

HOST = "127.0.0.1"
WORTH_SAYING_SECONDS = 15
A_YEAR = dt.timedelta(days=365)


@dataclass(frozen=True, kw_only=True)
class LocalRun:
    """What to run.

    Parameters
    ----------
    source : Path, optional
        A table, a folder that ``federation.data_prep`` wrote, or None for synthetic data.
    preparation : PreparationSettings, optional
        How to cut the table into clients; None if ``source`` is prepared already.
    training : TrainingSettings
        Strategy, rounds, quorum.
    out : Path
        The run folder; new or empty.
    port : int
        Where the server listens on loopback; 0 takes a free one.
    join_timeout : float, optional
        Seconds until a client that has not joined is given up; by default more the more clients a core has.
    started : datetime
        When the run began.
    clients : callable
        Makes what starts the clients, from the token that admits them and what forks them.
    forks : callable
        Starts the process that clients are forked from, for the time of a block; its None lets each client
        load its libraries itself.
    machine : Machine
        What this machine has for them.
    options : mapping
        The command's options, kept for a resume.
    resumed : bool
        Whether ``out`` holds a run that stopped and goes on now.
    """

    source: Path | None
    preparation: PreparationSettings | None
    training: TrainingSettings
    out: Path
    port: int = 0
    join_timeout: float | None = None
    started: dt.datetime
    clients: Callable[[str, ForkServer | None], LocalClients] = LocalClients
    forks: Callable[[], AbstractContextManager[ForkServer | None]] = fork_server
    machine: Machine = field(default_factory=Machine.here)
    options: Mapping[str, Any] = field(default_factory=dict)
    resumed: bool = False


@quiet_flower()
def train_locally(settings: LocalRun, progress: RunObserver) -> RunMetrics:
    """Prepare the data, run the federation, write the run folder; return the content of ``metrics.json``.

    Raises
    ------
    FederationError
        What is wrong with the data, the settings, a client or a round. A mistake in what was given leaves
        nothing behind; what was trained stays, whatever fails, and so do the clients' logs.
    """
    with settings.forks() as forks:
        settings = _where_clients_are(settings, forked=forks is not None)
        if settings.preparation and settings.preparation.clients:
            settings.machine.check_clients(settings.preparation.clients)
        return _keep_or_clear(settings, progress, forks)


def _keep_or_clear(settings: LocalRun, progress: RunObserver, forks: ForkServer | None) -> RunMetrics:
    with exclusive(settings.out, new=not settings.resumed):
        try:
            return _train_and_compare(settings, progress, forks)
        except (DataError, SettingError, PortTakenError):
            if (settings.out / ROUNDS).exists():
                progress.step(f"The rounds so far are kept: go on with --resume {settings.out}")
            elif not settings.resumed:
                clear(settings.out)
            raise


def _where_clients_are(settings: LocalRun, *, forked: bool) -> LocalRun:
    """Return the settings with the machine that clients find if they are forked, or not."""
    return replace(settings, machine=replace(settings.machine, forks=forked))


def _train_and_compare(settings: LocalRun, progress: RunObserver, forks: ForkServer | None) -> RunMetrics:
    data, manifest = _prepared(settings, progress)
    if forks and not forks.ready():
        progress.step(f"Each client loads its libraries itself, as no process can fork them: {forks.reason}")
        settings, forks = _where_clients_are(settings, forked=False), None
    balanced = manifest.resample == "balanced"
    training = replace(settings.training, balanced=balanced)
    training.check_clients(len(manifest.clients))  # what does not fit is found before anything starts
    settings.machine.check_clients(len(manifest.clients))
    test = read_prepared(data / "server" / "test.csv", label=manifest.label)
    remember(settings.out, settings.options)
    record = RunRecord(settings.out, options=settings.options)
    plan = {"strategy": training.strategy, "rounds": training.rounds, "clients": list(manifest.clients)}
    with record.telling(**plan, resumed=settings.resumed):
        federated = _train(settings, training, manifest, data, test, progress, record, forks)
        record.check()
        return _compare_and_write(settings, training, manifest, data, test, federated, progress)


def _compare_and_write(
    settings: LocalRun,
    training: TrainingSettings,
    manifest: Manifest,
    data: Path,
    test: Table,
    federated: Federated,
    progress: RunObserver,
) -> RunMetrics:
    progress.step("Comparing with the pooled model and with each client alone")
    how = RunSettings(training=training, started=settings.started)
    train, validation = (
        {name: read_prepared(data / name / file, label=manifest.label) for name in manifest.clients}
        for file in ("train.csv", "validation.csv")
    )
    scores = compare(federated, test, train, validation, how, manifest)
    return write_run(
        settings.out,
        federated,
        test=test,
        run=describe(manifest, data, how, federated),
        scores=scores,
        egress={
            name: read_egress(settings.out / "clients" / name / "ledger.jsonl") for name in manifest.clients
        },
    )


def _prepared(settings: LocalRun, progress: RunObserver) -> tuple[Path, Manifest]:
    """Return the folder of prepared data, prepared now unless the source is one."""
    if settings.resumed:
        return _resumed_data(settings, progress)
    if settings.source and settings.preparation is None:
        progress.step(f"Using the prepared data in {settings.source}")
        return settings.source, read_manifest(settings.source)
    progress.step(f"Preparing {settings.source or 'synthetic data'}")
    data = settings.out / "data"
    return data, prepare(settings.source, data, settings.preparation or PreparationSettings(label=LABEL))


def _resumed_data(settings: LocalRun, progress: RunObserver) -> tuple[Path, Manifest]:
    """Return the folder of the data that a run began with.

    Raises
    ------
    ResumeError
        They have changed since.
    """
    prepared_before = settings.source is not None and settings.preparation is None
    data = settings.source if prepared_before and settings.source else settings.out / "data"
    progress.step(f"Going on with the run in {settings.out}, with the data in {data}")
    manifest = read_manifest(data)
    if changed := changed_files(data, manifest):
        raise ResumeError(
            f"{some(changed)} in {data} changed since the run began.",
            "Put back the data that the run began with, or start a new run.",
        )
    return data, manifest


def _train(
    settings: LocalRun,
    training: TrainingSettings,
    manifest: Manifest,
    data: Path,
    test: Table,
    progress: RunObserver,
    record: RunRecord,
    forks: ForkServer | None,
) -> Federated:
    token = secrets.token_urlsafe(32)
    server = _server(settings, manifest, data, test, token)
    with settings.clients(token, forks) as clients:

        def start(address: str, on_exit: OnExit) -> None:
            count = len(server.names)
            progress.step(
                f"Starting {count} clients{_for_seconds(settings.machine.seconds_to_start(count))}; "
                f"the server listens on {address} (TLS)"
            )
            jobs = _jobs(settings, manifest, data, address=address, certificate=server.certificate)
            clients.start(jobs, on_exit=on_exit)
            load_report()

        # The grid closes first, and so tells the clients why a run failed before their processes are ended.
        federated, _ = run_federation(
            server,
            Launcher(start=start, explain=clients.explanation_of, expect_end=clients.expect_end),
            training,
            test,
            provenance=_provenance(training, manifest, settings.started),
            progress=progress,
            record=record,
            prepared=Prepared.of(manifest, contract_beside(data / "server" / "test.csv")),
        )
        clients.wait(but=federated.missed)
        clients.pack_models()
        return federated


def _server(settings: LocalRun, manifest: Manifest, data: Path, test: Table, token: str) -> Server:
    names, agreed = list(manifest.clients), contract_beside(data / "server" / "test.csv")
    return Server(
        names=names,
        host=HOST,
        port=settings.port,
        certificate=RunCertificate.create(HOST, now=dt.datetime.now(dt.UTC), lifetime=A_YEAR),
        admission=Admission(
            by_token(token),
            names=names,
            label=test.label,
            features=test.features,
            contract=agreed.digest if agreed else "",
        ),
        join_timeout=(
            settings.machine.seconds_to_join(len(names))
            if settings.join_timeout is None
            else settings.join_timeout
        ),
    )


def _for_seconds(seconds: float) -> str:
    """Say how long something takes if one would ask oneself."""
    return f", for about {seconds:.0f} s" if seconds > WORTH_SAYING_SECONDS else ""


def _jobs(
    settings: LocalRun, manifest: Manifest, data: Path, *, address: str, certificate: RunCertificate
) -> Sequence[ClientJob]:
    shared = {
        "max-iter": str(settings.training.max_iter),
        "server-address": address,
        "server-certificate": certificate.for_clients(),
        "label": manifest.label,
        "patience": str(PATIENCE_SECONDS),
        "train-file": "train.csv",
        "test-file": "validation.csv",
    }
    return [
        ClientJob(
            name=name,
            data=(data / name).resolve(),
            folder=(settings.out / "clients" / name).resolve(),
            hyperparameters=shared | {"client-name": name},
        )
        for name in manifest.clients
    ]


def _provenance(training: TrainingSettings, manifest: Manifest, started: dt.datetime) -> Mapping[str, Any]:
    return {
        **provenance_of(training, clients=len(manifest.clients), started=started),
        "seed": manifest.seed,
        "synthetic": manifest.synthetic,
    }
