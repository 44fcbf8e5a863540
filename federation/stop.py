"""Stop every training job of a federation: ``python -m federation.stop --help``."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from federation.aws.jobs.found_jobs import FoundJob
from federation.aws.ports import JobStatus, StartedJobs
from federation.cli.command import Debug, run
from federation.cli.options import AsJsonData, Config, finite
from federation.config.schema import load_config
from federation.errors import FederationError, StillRunningError

POLL_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """A job that no longer runs: whose it was, its name, and how it ended."""

    client: str
    job: str
    status: str


def main(
    *,
    config: Config,
    wait: Annotated[
        float,
        typer.Option(help="Maximum time for the jobs to end.", metavar="SECONDS", min=0, callback=finite),
    ] = 300.0,
    as_json: AsJsonData = False,
    debug: Debug = False,
) -> None:
    """Stop every training job of the federation in every client's account, and wait until none runs.

    Use it for a run that is no longer wanted, or whose server was killed. It needs the role of the server's
    notebook. Without a running job it does nothing; a run in progress ends with an error.

    \b
    Examples:
      python -m federation.stop --config federation.toml
    """
    from federation.aws.edge.views import OnAws

    federation = load_config(config)
    aws = OnAws(federation)
    running, unasked = find_running(aws.jobs.of, [client.name for client in federation.clients])
    stopped, problems = stop_all(running, aws.accounts, wait=wait, say=_say)
    problems = [*unasked, *problems]
    if as_json:
        typer.echo(
            json.dumps({"stopped": [asdict(each) for each in stopped], "problems": problems}, indent=2)
        )
    elif stopped or not problems:
        typer.echo(f"{len(stopped)} jobs stopped." if stopped else "No job of the federation is running.")
    if problems:
        raise StillRunningError(
            f"jobs may still run and cost money: {'; '.join(problems)}",
            "Run this again, or stop them in the client's console.",
        )


def find_running(
    jobs_of: Callable[[str], list[FoundJob]], clients: list[str]
) -> tuple[list[FoundJob], list[str]]:
    """Return the jobs that have not ended, and why accounts could not be asked.

    One client that refuses must not keep the others' jobs running.
    """
    running, problems = list[FoundJob](), list[str]()
    for client in clients:
        try:
            running += [job for job in jobs_of(client) if not job.status.ended]
        except FederationError as error:
            problems.append(error.problem)
    return running, problems


def stop_all(
    running: list[FoundJob],
    accounts: Mapping[str, StartedJobs],
    *,
    wait: float,
    say: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[list[Stopped], list[str]]:
    """Stop jobs and wait for their end; return those that ended, and what went wrong with the others.

    Parameters
    ----------
    running : list of FoundJob
        The jobs to stop.
    accounts : mapping of str to StartedJobs
        By the client's name.
    wait : float
        Seconds the jobs may take to end.
    say, sleep : callable
        Told of each job; and what passes time.
    """
    stopping, problems = list[FoundJob](), list[str]()
    for job in running:
        say(f"{job.client}: stopping {job.name} ({job.status.secondary})")
        try:
            accounts[job.client].stop_job(job.name)
        except FederationError as error:
            problems.append(error.problem)
        else:
            stopping.append(job)
    stopped, deadline = list[Stopped](), time.monotonic() + wait
    for job in stopping:
        while not (status := _status(accounts[job.client], job)).ended and time.monotonic() < deadline:
            sleep(POLL_SECONDS)
        if status.ended:
            say(f"{job.client}: {job.name} is {status.status}")
            stopped.append(Stopped(client=job.client, job=job.name, status=status.status))
        else:
            problems.append(f"{job.client}: {job.name} is still {status.status} after {wait:g} s")
    return stopped, problems


def _status(account: StartedJobs, job: FoundJob) -> JobStatus:
    """Return how a job stands, as far as is known: a fault of the network passes."""
    try:
        return account.job_status(job.name)
    except FederationError:
        return job.status


def _say(text: str) -> None:
    typer.echo(text, err=True)


if __name__ == "__main__":
    run(main)
