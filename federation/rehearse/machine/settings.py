"""The settings that the embedded AWS receives at its start."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, kw_only=True)
class EmulatorSettings:
    """All settings of the child process.

    Parameters
    ----------
    listening_fd : int
        The inherited file descriptor of a socket already bound to loopback.
    port : int
        The port of that socket.
    scratch : pathlib.Path
        A folder of this emulator alone: job folders and temporary files. It is removed at the end.
    job_python : pathlib.Path
        The interpreter of the environment that stands in for the training image.
    image_tags : tuple of str
        The ``repository:tag`` of the AWS training images that environment mirrors.
    stop_grace : float
        Seconds a stopped training job has between SIGTERM and SIGKILL (120 on AWS).
    """

    listening_fd: int
    port: int
    scratch: Path
    job_python: Path
    image_tags: tuple[str, ...]
    stop_grace: float

    @property
    def endpoint_url(self) -> str:
        """URL of every AWS API."""
        return f"http://127.0.0.1:{self.port}"

    def to_json(self) -> str:
        """Write the settings as one line."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read the output of `to_json`."""
        fields = json.loads(text)
        return cls(
            **{
                **fields,
                "scratch": Path(fields["scratch"]),
                "job_python": Path(fields["job_python"]),
                "image_tags": tuple(fields["image_tags"]),
            }
        )
