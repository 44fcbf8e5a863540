"""Interfaces to AWS without boto3: `federation.aws.edge` implements them, and tests replace them.

Each function takes the smallest interface that it needs.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from federation.aws.checks.network_path import Side
from federation.aws.jobs.request import ClientNetwork

B_co = TypeVar("B_co", covariant=True)


@dataclass(frozen=True, kw_only=True)
class Caller:
    """The identity of the caller.

    Parameters
    ----------
    account, arn : str
        Of the credentials in use; both empty if AWS refused them, of which only the clock is known then.
    ahead : float or None
        Seconds that this machine's clock is ahead of AWS's.
    refused : str
        AWS's answer if it refused.
    """

    account: str
    arn: str
    ahead: float | None
    refused: str = ""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """An object's size in bytes, and its sha256 if it was stored with one."""

    size: int
    sha256: str | None


class WritableBucket(Protocol):
    """A bucket to put objects into; every method of a bucket raises an `AwsError` if S3 refuses."""

    @property
    def bucket(self) -> str:
        """Its name."""

    def put(self, key: str, content: bytes | Path, *, sha256: str) -> None:
        """Store bytes, or the content of a file, with the given hexadecimal sha256."""


class Bucket(WritableBucket, Protocol):
    """A bucket whose content can be listed and replaced."""

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return the size in bytes of every object whose key begins with the prefix, by key."""

    def head(self, key: str) -> Stored:
        """Return an object's metadata without reading the object."""

    def remove(self, key: str) -> None:
        """Delete an object."""


class ReadableBucket(Bucket, Protocol):
    """A bucket whose objects can also be read."""

    def reach(self, prefix: str) -> None:
        """Request one key below a prefix, to verify that the bucket exists and accepts these credentials."""

    def read(self, key: str) -> bytes:
        """Return an object's bytes."""

    def read_start(self, key: str, size: int) -> bytes:
        """Return an object's first bytes, a maximum of ``size``."""

    def read_end(self, key: str, size: int) -> bytes:
        """Return an object's last bytes, a maximum of ``size``."""


class OpenBucket(Protocol[B_co]):
    """Opens a party's bucket."""

    def __call__(self, *, bucket: str, account: str, region: str) -> B_co:
        """Return the bucket of that name in a region, which must belong to the account."""


@dataclass(frozen=True, kw_only=True)
class JobStatus:
    """The status of a training job.

    Parameters
    ----------
    status : str
        ``InProgress``, ``Completed``, ``Failed``, ``Stopping`` or ``Stopped``.
    secondary : str
        The finer status, such as ``Downloading`` or ``Training``.
    failure : str
        SageMaker's reason, if it failed.
    """

    status: str
    secondary: str
    failure: str = ""

    @property
    def ended(self) -> bool:
        """True if the job's status can no longer change."""
        return self.status in ("Completed", "Failed", "Stopped")


class StartedJobs(Protocol):
    """Jobs that may still run; every method raises a `FederationError` if the account refuses."""

    def job_status(self, name: str) -> JobStatus:
        """Return a job's status."""

    def stop_job(self, name: str) -> None:
        """Stop a job, unless it has ended or is being stopped."""


class Jobs(StartedJobs, Protocol):
    """The training jobs of a run."""

    def create_job(self, request: Mapping[str, Any]) -> None:
        """Start a job, by its ``CreateTrainingJob`` request."""

    def last_log_lines(self, name: str) -> list[str]:
        """Return the last lines that a job printed."""


class RunAccount(Jobs, Protocol):
    """A client's account, for a run."""

    def network(self) -> ClientNetwork:
        """Find the training subnets, security group and key."""


class Account(RunAccount, Protocol):
    """A client's account, for a run and its checks."""

    def side(self, network: ClientNetwork) -> Side:
        """Return the training network's half of the path to the server."""

    def find_job(self, name: str) -> JobStatus | None:
        """Return a job's status, or None if no job has that name."""

    def logged_jobs(self, since: dt.datetime) -> list[str]:
        """Return the names of the federation's jobs that have started to print since then."""
