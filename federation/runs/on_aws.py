"""One run on AWS: start a job in every client's account, train with them, save what came of it."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from federation.aws.checks.server import listening_address
from federation.aws.jobs.request import ClientNetwork, JobSettings, RunIdentity, build_job_request
from federation.aws.jobs.run_jobs import TrainingJobs
from federation.aws.ports import RunAccount, WritableBucket
from federation.config.names import RUNS_PREFIX
from federation.config.schema import FederationConfig
from federation.data.table import Table
from federation.errors import SettingError, TrainingJobError
from federation.files import sha256_of
from federation.learning.federate import Federated
from federation.learning.preprocessing.prepared import Prepared
from federation.learning.preprocessing.prevalence import resampling_told
from federation.learning.settings import TrainingSettings
from federation.learning.strategies.checked import listed
from federation.report.facts import ClientData, Run, RunMetrics, Scores
from federation.runs.description import RunSettings, facts_of, provenance_of
from federation.runs.federation import Launcher, OnExit, Received, Server, run_federation
from federation.runs.folder import load_report, sum_egress, write_run
from federation.runs.logs import quiet_flower
from federation.runs.observer import RunObserver
from federation.runs.record.lock import NAME as LOCK
from federation.runs.record.record import RunRecord
from federation.stream.admission.decision import Admission
from federation.stream.admission.role_proof import Binding, Role, RoleVerifier, SignedRequest
from federation.stream.certificate import RunCertificate


@dataclass(frozen=True, kw_only=True)
class ServerRun:
    """What to run.

    Parameters
    ----------
    config : FederationConfig
        The federation.
    training : TrainingSettings
        Strategy, rounds, quorum.
    jobs : JobSettings
        What the jobs are asked for.
    host : str, optional
        The address to listen on and to tell the clients; None finds this machine's own.
    join_timeout : float
        Seconds the jobs may take to start and join.
    poll_seconds : float
        How often the jobs' status is asked for.
    out : Path
        The run folder.
    run_id : str
        Names the run.
    started : datetime
        When.
    attempt : int
        How often the run was begun, this time included: a run that is resumed has jobs of its own.
    prepared : Prepared
        How the rows were prepared; its data contract is the one that every client must keep.
    note : str
        A remark for the run's record and its report.
    """

    config: FederationConfig
    training: TrainingSettings
    jobs: JobSettings
    host: str | None
    join_timeout: float
    poll_seconds: float
    out: Path
    run_id: str
    started: dt.datetime
    attempt: int = 1
    prepared: Prepared = field(default_factory=Prepared)
    note: str = ""

    def __post_init__(self) -> None:
        """Refuse what no kickoff role grants."""
        asked, longest = self.jobs.keep_alive, self.config.federation.max_keep_alive_seconds
        if asked > longest:
            raise SettingError(
                f"--keep-alive {asked} is longer than the {longest} s that the clients allow.",
                "Leave it out, or set max_keep_alive_seconds in every party's configuration and deploy the "
                "clients again.",
            )

    @property
    def jobs_id(self) -> str:
        """What names the jobs of this attempt."""
        return self.run_id if self.attempt == 1 else f"{self.run_id}-{self.attempt}"


@quiet_flower()
def run_on_aws(
    settings: ServerRun,
    test: Table,
    accounts: Mapping[str, RunAccount],
    progress: RunObserver,
    *,
    ask_sts: Callable[[SignedRequest], str],
    record: RunRecord | None = None,
) -> RunMetrics:
    """Run one federation and write the run folder.

    Parameters
    ----------
    settings : ServerRun
        What to run.
    test : Table
        The server's held-back rows.
    accounts : mapping of str to RunAccount
        By the client's name.
    progress : RunObserver
        Told about every step.
    ask_sts : callable
        Asks AWS who signed a request, see `federation.aws.edge.sts`.
    record : RunRecord, optional
        Keeps every finished round; by default in the run folder only.

    Raises
    ------
    KickoffRefusedError, ClientNetworkError
        A client's account is not ready.
    TrainingJobError
        A job was refused, failed, or did not end well.
    IdentityRefusedError, IdentityUncheckedError
        Clients came and did not prove who they are.
    JoinDeadlineError, RoundError
        Clients did not come, or did not answer as they should.
    """
    settings.training.check_clients(len(accounts))
    progress.step(f"Asking the clients to run {settings.jobs.source_key}, published by each of them")
    progress.step("Looking up the clients' training networks")
    networks = {name: account.network() for name, account in accounts.items()}
    record = record or RunRecord(settings.out)
    training = settings.training
    plan = {"strategy": training.strategy, "rounds": training.rounds, "clients": list(accounts)}
    with (
        record.telling(**plan, resumed=settings.attempt > 1),
        TrainingJobs(accounts, poll_seconds=settings.poll_seconds, on_status=progress.job) as jobs,
    ):
        federated, received = _train(settings, test, networks, jobs, progress, ask_sts, record)
        record.check()
        progress.step("Waiting for the jobs to end")
        metrics = write_run(
            settings.out,
            federated,
            test=test,
            run=_describe(settings, test, federated),
            scores=Scores(y=test.y, federated=federated.model.score(test), pooled=None, local={}),
            egress={name: sum_egress(messages) for name, messages in received.items()},
        )
        failures = jobs.wait()
    _check_ends(failures, settings.training.quorum, len(accounts), settings.out)
    return metrics


def keep_in_bucket(results: WritableBucket, out: Path, run_id: str) -> str:
    """Copy a run folder into the results bucket; return where it is.

    Raises
    ------
    AwsError
        S3 refuses.
    """
    prefix = f"{RUNS_PREFIX}{run_id}/"
    for path in sorted(path for path in out.rglob("*") if path.is_file() and path.name != LOCK):
        results.put(prefix + path.relative_to(out).as_posix(), path, sha256=sha256_of(path))
    return f"s3://{results.bucket}/{prefix}"


def _train(
    settings: ServerRun,
    test: Table,
    networks: Mapping[str, ClientNetwork],
    jobs: TrainingJobs,
    progress: RunObserver,
    ask_sts: Callable[[SignedRequest], str],
    record: RunRecord,
) -> tuple[Federated, Received]:
    server, identity = _server(settings, test, list(networks), ask_sts)

    def start(address: str, on_exit: OnExit) -> None:
        progress.step(f"Starting {len(networks)} training jobs; listening on {address} (TLS)")
        requests = {
            client.name: build_job_request(
                settings.config, client, networks[client.name], identity, settings.jobs
            )
            for client in settings.config.clients
        }
        jobs.start(requests, on_exit=on_exit)
        load_report()

    return run_federation(
        server,
        # Why a client was not let in says more than that its job ended.
        Launcher(start=start, explain=lambda e: server.admission.explanation_of(jobs.explanation_of(e))),
        settings.training,
        test,
        provenance=_provenance(settings),
        progress=progress,
        record=record,
        prepared=settings.prepared,
    )


def _server(
    settings: ServerRun, test: Table, names: Sequence[str], ask_sts: Callable[[SignedRequest], str]
) -> tuple[Server, RunIdentity]:
    """Return the server's side of the run, and what its jobs are told of it."""
    config = settings.config
    host, port = listening_address(config, settings.host), config.federation.port
    longest = dt.timedelta(hours=1, seconds=settings.join_timeout + config.federation.max_job_seconds)
    certificate = RunCertificate.create(host, now=dt.datetime.now(dt.UTC), lifetime=longest)
    identity = RunIdentity(
        run_id=settings.jobs_id, server_address=f"{host}:{port}", certificate=certificate.for_clients()
    )
    binding = Binding(
        run_id=identity.run_id,
        server_address=identity.server_address,
        certificate=certificate.fingerprint,
        region=config.server.region,
    )
    admission = Admission(
        RoleVerifier(_roles(config), binding, ask=ask_sts),
        names=names,
        label=test.label,
        features=test.features,
        contract=settings.prepared.contract.digest if settings.prepared.contract else "",
    )
    server = Server(
        names=names,
        host=host,
        port=port,
        certificate=certificate,
        admission=admission,
        join_timeout=settings.join_timeout,
    )
    return server, identity


def _roles(config: FederationConfig) -> dict[str, Role]:
    return {
        client.name: Role(account=client.account, name=config.client_names(client).training_role)
        for client in config.clients
    }


def _provenance(settings: ServerRun) -> Mapping[str, Any]:
    clients = len(settings.config.clients)
    return {
        "federation": settings.config.federation.name,
        "run": settings.run_id,
        **provenance_of(settings.training, clients=clients, started=settings.started),
    }


def _describe(settings: ServerRun, test: Table, federated: Federated) -> Run:
    resampling = resampling_told(federated.statistics)
    clients = {
        one.client: ClientData(
            train_rows=one.rows,
            train_positives=one.positives,
            validation_rows=one.validation_rows,
            validation_positives=one.validation_positives,
            data_bytes=None,
            observed_rows=one.preparation.rows if one.preparation else None,
            observed_positives=one.preparation.positives if one.preparation else None,
            resample=resampling[one.client],
        )
        for one in federated.statistics
    }
    return Run(
        title=f"Federation {settings.config.federation.name}, run {settings.run_id}",
        data="the clients' own data, in their own accounts",
        synthetic=bool(federated.model.provenance.get("synthetic")),
        label=test.label,
        clients=clients,
        seed=settings.training.seed,
        note=settings.note,
        **facts_of(RunSettings(training=settings.training, started=settings.started), federated),
    )


def _check_ends(failures: Mapping[str, str], quorum: int | None, clients: int, out: Path) -> None:
    """Raise if more jobs ended badly than the quorum allows; the model is saved all the same."""
    if clients - len(failures) < (clients if quorum is None else quorum):
        reasons = listed(failures)
        raise TrainingJobError(
            f"the model is in {out}, but jobs did not end well. {reasons}", "See their logs."
        )
