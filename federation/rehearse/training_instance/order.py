"""Messages between the emulator and an instance about its job."""

import json
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

LOG_GROUP = "/aws/sagemaker/TrainingJobs"


@dataclass(frozen=True, kw_only=True)
class JobOrder:
    """All that an instance needs to run its job.

    Parameters
    ----------
    request : dict
        The ``CreateTrainingJob`` request.
    job_arn : str
        The job's ARN.
    region : str
        The job's region.
    endpoint_url : str
        URL of the AWS APIs.
    credentials : dict
        The environment variables that make a process the training role.
    folder : pathlib.Path
        A folder of this job alone, which the instance may fill.
    python : pathlib.Path
        The interpreter of the environment that mirrors the image.
    internet : bool
        Whether the job's network has a way to the internet.
    stop_grace : float
        Seconds between SIGTERM and SIGKILL when the job is stopped.
    """

    request: dict[str, Any]
    job_arn: str
    region: str
    endpoint_url: str
    credentials: dict[str, str]
    folder: Path
    python: Path
    internet: bool
    stop_grace: float

    @property
    def name(self) -> str:
        """The job's name."""
        return str(self.request["TrainingJobName"])

    @property
    def ml(self) -> Path:
        """The folder that replaces ``/opt/ml`` of the container."""
        return self.folder / "opt" / "ml"

    def localised(self, value: str) -> str:
        """Return a value with the container's ``/opt/ml`` replaced by this job's folder."""
        if value == "/opt/ml" or value.startswith("/opt/ml/"):
            return str(self.ml) + value.removeprefix("/opt/ml")
        return value

    def to_json(self) -> str:
        """Write the order as one line."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read the output of `to_json`."""
        fields = json.loads(text)
        return cls(**{**fields, "folder": Path(fields["folder"]), "python": Path(fields["python"])})


class Reporter:
    """Report events to the emulator, one JSON object per line on standard output."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __call__(self, **event: Any) -> None:
        """Report one event."""
        with self._lock:
            sys.stdout.write(json.dumps(event) + "\n")
            sys.stdout.flush()
