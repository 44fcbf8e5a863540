"""The training jobs of one run: start them, watch them, explain failures, and leave none running."""

import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from federation.aws.ports import Jobs, JobStatus
from federation.errors import FederationError, TrainingJobError

END_SECONDS = 900.0
LOG_TRIES = 3  # CloudWatch shows a line some seconds after it was printed


class TrainingJobs:
    """One job per client; a job that does not end by itself is stopped with the run.

    Parameters
    ----------
    accounts : mapping of str to Jobs
        The accounts, by the client's name.
    poll_seconds : float
        Interval between two requests for the jobs' status.
    on_status : callable
        Receives a client's name and its job's new status.
    """

    def __init__(
        self, accounts: Mapping[str, Jobs], *, poll_seconds: float, on_status: Callable[[str, str], None]
    ) -> None:
        self._accounts = accounts
        self._poll_seconds = poll_seconds
        self._on_status = on_status
        self._jobs: dict[str, str] = {}
        self._ended: dict[str, JobStatus] = {}
        self._failures: dict[str, str] = {}
        self._stop = threading.Event()
        self._watcher: threading.Thread | None = None

    def start(
        self, requests: Mapping[str, Mapping[str, Any]], *, on_exit: Callable[[str, str], None]
    ) -> None:
        """Start a job for each client.

        Parameters
        ----------
        requests : mapping of str to mapping
            ``CreateTrainingJob`` requests, by the client's name.
        on_exit : callable
            Receives the name of a client whose job ended before the run did, and the reason.

        Raises
        ------
        KickoffRefusedError, TrainingJobError
            A job was refused; those that had been started are stopped at the end of the context.
        """
        for name, request in requests.items():
            self._accounts[name].create_job(request)
            self._jobs[name] = request["TrainingJobName"]
            self._on_status(name, "Starting")
        self._watcher = threading.Thread(target=self._watch, args=(on_exit,), name="jobs", daemon=True)
        self._watcher.start()

    def explanation_of(self, error: FederationError) -> FederationError:
        """Return the error of a failed job, or ``error`` if no job has failed."""
        for name, reason in self._failures.items():
            return TrainingJobError(f'client "{name}": {reason}.', self._where(name))
        return error

    def wait(self) -> dict[str, str]:
        """Wait until every job has ended; return the failure reasons by client."""
        deadline = time.monotonic() + END_SECONDS
        while len(self._ended) < len(self._jobs) and time.monotonic() < deadline:
            time.sleep(min(self._poll_seconds, 1.0))
        for name in self._jobs:
            if name not in self._ended:
                self._failures.setdefault(name, f"its job did not end within {END_SECONDS:g} s")
        return dict(self._failures)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the remaining jobs."""
        self._stop.set()
        if self._watcher:
            self._watcher.join()
        problems = []
        for name, job in self._jobs.items():
            if name not in self._ended:
                try:
                    self._accounts[name].stop_job(job)
                except FederationError as failed:
                    problems.append(f"{job}: {failed.problem}")
        if problems:
            left = TrainingJobError(
                f"jobs may still run and cost money: {'; '.join(problems)}", "Stop them in the console."
            )
            raise left from error

    def _watch(self, on_exit: Callable[[str, str], None]) -> None:
        last: dict[str, str] = {}
        while len(self._ended) < len(self._jobs) and not self._stop.wait(self._poll_seconds):
            for name, job in self._jobs.items():
                if name in self._ended:
                    continue
                try:
                    status = self._accounts[name].job_status(job)
                except FederationError:
                    continue  # asked again soon; the round's deadline bounds the silence
                if (text := f"{status.status}, {status.secondary}") != last.get(name):
                    last[name] = text
                    self._on_status(name, text)
                if status.ended:
                    self._note_end(name, status, on_exit)

    def _note_end(self, name: str, status: JobStatus, on_exit: Callable[[str, str], None]) -> None:
        if status.status == "Completed":
            on_exit(name, "its training job ended before the run did")  # no effect once the run is over
        else:
            self._failures[name] = self._reason(name, status)
            on_exit(name, self._failures[name])
        self._ended[name] = status

    def _reason(self, name: str, status: JobStatus) -> str:
        """Return why a job did not complete, without a full stop: what the client said, or SageMaker."""
        reason = (self._last_error(name) or " ".join(status.failure.split())).rstrip(".")
        return f"its training job is {status.status}" + (f": {reason}" if reason else "")

    def _last_error(self, name: str) -> str:
        """Return the last error line in a job's log, or ""; a line may arrive late."""
        for attempt in range(LOG_TRIES):
            if attempt and self._stop.wait(self._poll_seconds):
                break
            try:
                lines = self._accounts[name].last_log_lines(self._jobs[name])
            except FederationError:
                continue
            for line in reversed(lines):
                if line.startswith("error: "):
                    return line.removeprefix("error: ")
        return ""

    def _where(self, name: str) -> str:
        return f"See the log of {self._jobs[name]} in the client's account (/aws/sagemaker/TrainingJobs)."
