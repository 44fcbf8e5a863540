"""Find the training jobs of a federation, including those of a server that was killed.

The kickoff role may describe and stop this federation's jobs but not list an account's jobs: a list would
also show the client's other jobs, because it accepts no narrower resource. A run therefore records the names
of its jobs in the results bucket before it starts the first one. A job that has started to print can also be
found without that record, by its log stream, whose name begins with the federation's prefix. See
`docs/decisions/0021-jobs-are-found-without-listing.md`.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from pydantic import TypeAdapter

from federation.aws.jobs.request import job_name
from federation.aws.ports import Account, JobStatus, ReadableBucket
from federation.config.names import RUNS_PREFIX
from federation.config.schema import Client, FederationConfig
from federation.errors import AwsError

NOTE = "jobs.json"
_LEEWAY = dt.timedelta(days=1)
_STAMP = "%Y%m%d-%H%M%S"


@dataclass(frozen=True)
class _Note:
    """What a run notes before it starts jobs: their names, by client."""

    jobs: dict[str, str]


_NOTE = TypeAdapter(_Note)


@dataclass(frozen=True, kw_only=True)
class FoundJob:
    """A training job that exists.

    Parameters
    ----------
    client, name : str
        The client that owns the job, and the job's name.
    status : JobStatus
        The job's status at the time of the search.
    """

    client: str
    name: str
    status: JobStatus


def new_run_id(started: dt.datetime, suffix: str) -> str:
    """Return a run id: its start time, which distinguishes old from recent runs, and a suffix."""
    return f"{started:{_STAMP}}-{suffix}"


def note_jobs(results: ReadableBucket, config: FederationConfig, run_id: str) -> None:
    """Record the names of the jobs that a run is about to start.

    Raises
    ------
    AwsError
        S3 refuses; no job may be started then.
    """
    jobs = {client.name: job_name(config, client, run_id) for client in config.clients}
    content = json.dumps({"jobs": jobs}, indent=2).encode()
    results.put(f"{RUNS_PREFIX}{run_id}/{NOTE}", content, sha256=hashlib.sha256(content).hexdigest())


class JobFinder:
    """Finds the jobs of a federation that may still run, and those that ended recently.

    Parameters
    ----------
    config : FederationConfig
        The federation.
    results : ReadableBucket
        The bucket in which runs record the names of their jobs.
    accounts : mapping of str to Account
        The accounts, by the client's name.
    now : datetime
        Jobs that began longer ago than they may run do not count.
    """

    def __init__(
        self,
        config: FederationConfig,
        results: ReadableBucket,
        accounts: Mapping[str, Account],
        *,
        now: dt.datetime,
    ) -> None:
        self._results, self._accounts = results, accounts
        self._since = now - dt.timedelta(seconds=config.federation.max_job_seconds) - _LEEWAY

    def of(self, client: str) -> list[FoundJob]:
        """Return a client's jobs, the oldest first.

        Raises
        ------
        FederationError
            The account or the bucket refuses.
        """
        account = self._accounts[client]
        noted = {name for whose, name in self._noted if whose == client}
        found = ((name, account.find_job(name)) for name in noted | set(account.logged_jobs(self._since)))
        jobs = [FoundJob(client=client, name=name, status=status) for name, status in found if status]
        return sorted(jobs, key=lambda job: job.name)

    @cached_property
    def _noted(self) -> list[tuple[str, str]]:
        noted = list[tuple[str, str]]()
        for key in self._results.sizes(RUNS_PREFIX):
            if key.endswith(f"/{NOTE}") and _began(_run_id(key)) >= self._since:
                noted.extend(self._read(key).items())
        return noted

    def _read(self, key: str) -> dict[str, str]:
        try:
            return _NOTE.validate_json(self._results.read(key)).jobs
        except ValueError as error:
            raise AwsError(
                f"s3://{self._results.bucket}/{key} does not say which jobs a run started.",
                "Look for jobs of that run in the clients' accounts, then remove this object.",
            ) from error


def stop_former_jobs(
    config: FederationConfig,
    results: ReadableBucket,
    accounts: Mapping[str, Account],
    run_id: str,
    *,
    now: dt.datetime,
) -> None:
    """Stop the remaining jobs of a run whose server ended: they do not trust the new certificate.

    Raises
    ------
    FederationError
        An account or the bucket refuses: a job may still run.
    """
    finder = JobFinder(config, results, accounts, now=now)
    for client in config.clients:
        for job in finder.of(client.name):
            if is_of_run(job, config, client, run_id) and not job.status.ended:
                accounts[client.name].stop_job(job.name)


def is_of_run(job: FoundJob, config: FederationConfig, client: Client, run_id: str) -> bool:
    """Return whether an attempt at this run started the job."""
    return job.name.startswith(job_name(config, client, run_id))


def past_runs(results: ReadableBucket) -> dict[str, set[str]]:
    """Return the runs in the results bucket, the latest last, each with the names of its files."""
    runs = dict[str, set[str]]()
    for key in sorted(results.sizes(RUNS_PREFIX)):
        runs.setdefault(_run_id(key), set()).add(key.rpartition("/")[2])
    return runs


def _run_id(key: str) -> str:
    return key.removeprefix(RUNS_PREFIX).partition("/")[0]


def _began(run_id: str) -> dt.datetime:
    """Return the start time of a run; a run whose id contains none counts as recent."""
    try:
        return dt.datetime.strptime(run_id[: len("20260101-000000")], _STAMP).replace(tzinfo=dt.UTC)
    except ValueError:
        return dt.datetime.max.replace(tzinfo=dt.UTC)
