"""Watching training jobs: who ended, why, and that none is left running."""

import threading
import time
from collections.abc import Mapping
from typing import Any

import pytest

from federation.aws.jobs.run_jobs import TrainingJobs
from federation.aws.ports import JobStatus
from federation.errors import FederationError, RoundError, TrainingJobError

RUNNING = JobStatus(status="InProgress", secondary="Training")
COMPLETED = JobStatus(status="Completed", secondary="Completed")
FAILED = JobStatus(status="Failed", secondary="Failed", failure="AlgorithmError:\n  exit code 54")


class FakeAccount:
    """A client's account whose job stands as the test says."""

    def __init__(
        self, *, log: tuple[str, ...] = (), late: int = 0, refuses: FederationError | None = None
    ) -> None:
        self.status = RUNNING
        self.stopped: list[str] = []
        self.created: list[Mapping[str, Any]] = []
        self.asked_for_log = 0
        self._log, self._late = list(log), late
        self._refuses = refuses

    def create_job(self, request: Mapping[str, Any]) -> None:
        if self._refuses:
            raise self._refuses
        self.created.append(request)

    def job_status(self, name: str) -> JobStatus:
        assert name == self.created[0]["TrainingJobName"]
        return self.status

    def stop_job(self, name: str) -> None:
        self.stopped.append(name)
        self.status = JobStatus(status="Stopped", secondary="Stopped")

    def last_log_lines(self, name: str) -> list[str]:
        assert name
        self.asked_for_log += 1
        return self._log if self.asked_for_log > self._late else []


def jobs_of(**accounts: FakeAccount) -> TrainingJobs:
    """Return jobs that are watched closely."""
    return TrainingJobs(accounts, poll_seconds=0.01, on_status=lambda _name, _status: None)


def requests(*names: str) -> dict[str, dict[str, Any]]:
    """Return a request for each client."""
    return {name: {"TrainingJobName": f"job-{name}"} for name in names}


def test_a_failed_job_is_reported_with_the_clients_own_words() -> None:
    """The last error line in the log explains more than SageMaker's reason, and ends with one full stop."""
    account = FakeAccount(log=("Traceback", "error: train.csv has no label column."))
    heard = threading.Event()
    reasons: list[str] = []

    def on_exit(name: str, reason: str) -> None:
        reasons.append(f"{name}: {reason}")
        heard.set()

    with jobs_of(anna=account) as jobs:
        jobs.start(requests("anna"), on_exit=on_exit)
        account.status = FAILED
        assert heard.wait(5)
        explained = jobs.explanation_of(RoundError("round 1 failed.", ""))
    assert reasons == ["anna: its training job is Failed: train.csv has no label column"]
    assert explained.problem == 'client "anna": its training job is Failed: train.csv has no label column.'
    assert isinstance(explained, TrainingJobError)
    assert "job-anna" in explained.remedy


def test_a_log_that_comes_late_is_waited_for() -> None:
    """CloudWatch shows a line some seconds after the job has ended."""
    account = FakeAccount(log=("error: the disk is full",), late=2)
    with jobs_of(anna=account) as jobs:
        jobs.start(requests("anna"), on_exit=lambda _name, _reason: None)
        account.status = FAILED
        assert jobs.wait() == {"anna": "its training job is Failed: the disk is full"}


def test_without_a_log_sagemakers_reason_is_told() -> None:
    """A job that never began to print has FailureReason only."""
    account = FakeAccount()
    with jobs_of(anna=account) as jobs:
        jobs.start(requests("anna"), on_exit=lambda _name, _reason: None)
        account.status = FAILED
        assert jobs.wait() == {"anna": "its training job is Failed: AlgorithmError: exit code 54"}


def test_completed_jobs_are_no_failures() -> None:
    """When all jobs complete, there is nothing to report and nothing to stop."""
    anna, bert = FakeAccount(), FakeAccount()
    with jobs_of(anna=anna, bert=bert) as jobs:
        jobs.start(requests("anna", "bert"), on_exit=lambda _name, _reason: None)
        anna.status = bert.status = COMPLETED
        assert jobs.wait() == {}
    assert anna.stopped == bert.stopped == []


def test_no_job_is_left_running_when_another_is_refused() -> None:
    """The second client refuses: the first one's job is stopped."""
    anna = FakeAccount()
    bert = FakeAccount(refuses=TrainingJobError("refused.", ""))
    with pytest.raises(TrainingJobError, match="refused"), jobs_of(anna=anna, bert=bert) as jobs:
        jobs.start(requests("anna", "bert"), on_exit=lambda _name, _reason: None)
    assert anna.stopped == ["job-anna"]


def test_no_job_is_left_running_after_ctrl_c() -> None:
    """Whatever ends the run stops the jobs."""
    anna = FakeAccount()

    def interrupted_run() -> None:
        with jobs_of(anna=anna) as jobs:
            jobs.start(requests("anna"), on_exit=lambda _name, _reason: None)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted_run()
    assert anna.stopped == ["job-anna"]


def test_a_job_that_cannot_be_stopped_is_named() -> None:
    """Money may run out through it: the error says which job to stop by hand."""

    class Stubborn(FakeAccount):
        def stop_job(self, name: str) -> None:
            raise TrainingJobError(f"{name} does not stop.", "")

    with pytest.raises(TrainingJobError, match="job-anna"), jobs_of(anna=Stubborn()) as jobs:
        jobs.start(requests("anna"), on_exit=lambda _name, _reason: None)


def test_a_passing_fault_of_the_status_api_is_not_the_jobs_fault() -> None:
    """A status that cannot be asked for once is asked for again."""

    class Flaky(FakeAccount):
        calls = 0

        def job_status(self, name: str) -> JobStatus:
            self.calls += 1
            if self.calls < 3:
                raise TrainingJobError("throttled.", "")
            return super().job_status(name)

    anna = Flaky()
    with jobs_of(anna=anna) as jobs:
        jobs.start(requests("anna"), on_exit=lambda _name, _reason: None)
        time.sleep(0.1)
        anna.status = COMPLETED
        assert jobs.wait() == {}
