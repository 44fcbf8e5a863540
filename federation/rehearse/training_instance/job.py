"""A training job from the download of its channels to the upload of its artifacts."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from federation.rehearse.training_instance.artifacts import CheckpointSync, upload_artifact
from federation.rehearse.training_instance.container import Container
from federation.rehearse.training_instance.layout import make_layout
from federation.rehearse.training_instance.log_stream import LogStream, Metrics
from federation.rehearse.training_instance.order import JobOrder
from federation.rehearse.training_instance.storage import Storage, connect

_POLL = 0.1
_LONGEST_REASON = 1024


class JobFailedError(Exception):
    """The job failed; the message is its ``FailureReason``."""


class TrainingJob:
    """One job on one instance.

    Parameters
    ----------
    order : JobOrder
        The job.
    report : callable
        Takes events as keyword arguments: ``secondary_status`` with ``message``, ``metrics``, ``model``, and
        at last ``status`` with ``reason``.
    """

    def __init__(self, order: JobOrder, report: Callable[..., None]) -> None:
        self._order = order
        self._report = report
        self._stop = threading.Event()
        self._starting = threading.Lock()
        self._container: Container | None = None
        self._metrics = Metrics(order.request["AlgorithmSpecification"].get("MetricDefinitions", []))

    @cached_property
    def _storage(self) -> Storage:
        key = self._order.request["OutputDataConfig"].get("KmsKeyId")
        encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key} if key else {}
        return Storage(connect(self._order, "s3"), encryption)

    @cached_property
    def _log(self) -> LogStream:
        stream = f"{self._order.name}/algo-1-{int(time.time())}"
        return LogStream(connect(self._order, "logs"), stream)

    def stop(self) -> None:
        """Stop the job as soon as possible, and keep its artifacts."""
        self._stop.set()

    def abandon(self) -> None:
        """Kill the container and discard everything: the emulator has ended."""
        self._starting.acquire()  # never released: no container starts from here on
        if self._container is not None:
            self._container.end()
        shutil.rmtree(self._order.folder, ignore_errors=True)

    def run(self) -> None:
        """Run the job and report its result."""
        log = self._log
        try:
            status, secondary = self._train()
            reason = ""
        except JobFailedError as failure:
            status = secondary = "Failed"
            reason = str(failure)[:_LONGEST_REASON]
            log.write(reason)
        finally:
            log.close()
        self._report(status=status, secondary_status=secondary, reason=reason)
        shutil.rmtree(self._order.folder, ignore_errors=True)

    def _train(self) -> tuple[str, str]:
        self._report(secondary_status="Downloading", message="Downloading the training data")
        make_layout(self._order)
        with _as_failure("Data download failed"):
            for channel in self._order.request.get("InputDataConfig", []):
                uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
                self._storage.download(uri, self._order.ml / "input" / "data" / channel["ChannelName"])
        with self._checkpoints():
            exit_code, outcome = self._run_container()
        self._report(secondary_status="Uploading", message="Uploading generated training model")
        self._upload(with_model=exit_code == 0 or outcome != "Completed")
        if outcome == "Completed" and exit_code != 0:
            raise JobFailedError(self._algorithm_error(exit_code))
        return ("Completed" if outcome == "Completed" else "Stopped"), outcome

    @contextmanager
    def _checkpoints(self) -> Iterator[None]:
        if "CheckpointConfig" not in self._order.request:
            yield
            return
        with _as_failure("Checkpoint download failed"):
            sync = CheckpointSync(self._order, self._storage)
        try:
            yield
        finally:
            with _as_failure("Checkpoint upload failed"):
                sync.close()

    def _run_container(self) -> tuple[int, str]:
        """Return the toolkit's exit code and the job's final secondary status."""
        limit = self._order.request["StoppingCondition"]["MaxRuntimeInSeconds"]
        with self._starting:
            self._container = container = Container(self._order, self._on_line)
        self._report(
            secondary_status="Training",
            message="Training image download completed. Training in progress.",
            process_group=container.process_group,
        )
        outcome, deadline = "Completed", time.monotonic() + limit
        while (exit_code := container.wait(_POLL)) is None:
            if self._stop.is_set() or time.monotonic() > deadline:
                outcome = "Stopped" if self._stop.is_set() else "MaxRuntimeExceeded"
                container.stop()
                break
        container.end()
        self._report(training_ended=True, metrics=self._metrics.last)
        return (1 if exit_code is None else exit_code), outcome

    def _on_line(self, line: str) -> None:
        self._log.write(line)
        self._metrics.read(line)

    def _upload(self, *, with_model: bool) -> None:
        """Upload the artifacts, including a failed job's output, but not its unfinished model."""
        with _as_failure("Artifact upload failed"):
            upload_artifact(self._order, self._storage, "output/data", "output.tar.gz")
            if with_model:
                model = upload_artifact(self._order, self._storage, "model", "model.tar.gz")
                self._report(model=model)

    def _algorithm_error(self, exit_code: int) -> str:
        said = self._order.ml / "output" / "failure"
        words = said.read_text(errors="replace").strip() if said.is_file() else ""
        return f"AlgorithmError: {words}, exit code: {exit_code}"


@contextmanager
def _as_failure(what: str) -> Iterator[None]:
    try:
        yield
    except (ClientError, BotoCoreError, Boto3Error, ValueError, OSError) as error:
        raise JobFailedError(f"ClientError: {what}: {error}") from error


def describe(error: BaseException) -> dict[str, Any]:
    """Return the last event of a broken instance, which on AWS is a fault of the service."""
    return {
        "status": "Failed",
        "secondary_status": "Failed",
        "reason": f"InternalServerError: We encountered an internal error. Please try again. ({error!r})",
    }
