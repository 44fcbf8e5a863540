"""Stopping jobs: all that can be stopped are, and what cannot is said."""

from dataclasses import dataclass, field

from federation.aws.jobs.found_jobs import FoundJob
from federation.aws.ports import JobStatus
from federation.errors import KickoffRefusedError, TrainingJobError
from federation.stop import find_running, stop_all

RUNNING = JobStatus(status="InProgress", secondary="Training")
STOPPING = JobStatus(status="Stopping", secondary="Stopping")
STOPPED = JobStatus(status="Stopped", secondary="Stopped")


@dataclass
class FakeAccount:
    """A client's account whose job stands as listed, one entry for each question."""

    answers: list[JobStatus | TrainingJobError] = field(default_factory=list)
    refuses: bool = False
    stopped: list[str] = field(default_factory=list)

    def stop_job(self, name: str) -> None:
        if self.refuses:
            raise TrainingJobError(f"{name} cannot be stopped.", "")
        self.stopped.append(name)

    def job_status(self, name: str) -> JobStatus:
        assert name
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, TrainingJobError):
            raise answer
        return answer


def job(client: str, status: JobStatus = RUNNING) -> FoundJob:
    """Return a job of a client."""
    return FoundJob(client=client, name=f"job-{client}", status=status)


def test_every_job_is_stopped_and_awaited() -> None:
    """A question that fails once is asked again."""
    lost = TrainingJobError("throttled.", "")
    accounts = {"a": FakeAccount([STOPPING, lost, STOPPED]), "b": FakeAccount([STOPPED])}
    waited = list[float]()
    stopped, problems = stop_all(
        [job("a"), job("b")], accounts, wait=60, say=lambda _: None, sleep=waited.append
    )
    assert [(it.client, it.job, it.status) for it in stopped] == [
        ("a", "job-a", "Stopped"),
        ("b", "job-b", "Stopped"),
    ]
    assert problems == []
    assert len(waited) == 2


def test_one_that_cannot_be_stopped_is_named_and_the_others_are_stopped() -> None:
    """And one that does not end in time."""
    accounts = {"a": FakeAccount(refuses=True), "b": FakeAccount([STOPPED]), "c": FakeAccount([STOPPING])}
    stopped, problems = stop_all(
        [job("a"), job("b"), job("c")], accounts, wait=0, say=lambda _: None, sleep=lambda _: None
    )
    assert [it.job for it in stopped] == ["job-b"]
    assert problems == ["job-a cannot be stopped.", "c: job-c is still Stopping after 0 s"]


def test_an_account_that_refuses_hides_no_other() -> None:
    """Jobs that have ended are none to stop."""

    def jobs_of(client: str) -> list[FoundJob]:
        if client == "a":
            raise KickoffRefusedError("a refuses.", "")
        return [job(client), job(client, STOPPED), job(client, STOPPING)]

    running, problems = find_running(jobs_of, ["a", "b"])
    assert [it.status.status for it in running] == ["InProgress", "Stopping"]
    assert problems == ["a refuses."]
