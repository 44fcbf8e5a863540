"""Start an embedded AWS on loopback, and remove it completely at the end.

The emulator is ministack with our plug-in (`federation.rehearse.emulator`), in a process group of its own.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.error import HTTPError

import federation
from federation.rehearse.errors import EmbeddedAwsError
from federation.rehearse.machine.child_environment import client_environment, emulator_environment
from federation.rehearse.machine.processes import kill_group
from federation.rehearse.machine.settings import EmulatorSettings

SCIKIT_LEARN_IMAGE = "sagemaker-scikit-learn:1.9-0-cpu-py3"
_END_GRACE = 10.0


class EmbeddedAws:
    """Several AWS accounts on one loopback port, with IAM enforced, for the duration of the context.

    Parameters
    ----------
    job_python : pathlib.Path
        The interpreter training jobs run with; see `federation.rehearse.machine.image.job_environment`.
    log_file : pathlib.Path, optional
        The emulator's log. By default it is removed with everything else.
    start_deadline : float
        Seconds the emulator may take until it answers.
    stop_grace : float
        Seconds a stopped training job has between SIGTERM and SIGKILL.
    outer : mapping of str, optional
        The environment to derive the child's from. Default: ``os.environ``.

    Examples
    --------
    >>> with EmbeddedAws(job_python=job_python) as aws:          # doctest: +SKIP
    ...     subprocess.run(["cdk", "deploy"], env=aws.environment(account="111111111111", region="us-east-1"))
    """

    def __init__(
        self,
        *,
        job_python: Path,
        log_file: Path | None = None,
        start_deadline: float = 30.0,
        stop_grace: float = 2.0,
        outer: Mapping[str, str] | None = None,
    ) -> None:
        self._job_python = job_python
        self._log_file = log_file
        self._start_deadline = start_deadline
        self._stop_grace = stop_grace
        self._outer = dict(os.environ if outer is None else outer)
        self._process: subprocess.Popen[bytes] | None = None
        self._scratch: Path | None = None
        self._port = 0

    @property
    def endpoint_url(self) -> str:
        """URL of every AWS API."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """The emulator's process id, which is also its process group id."""
        if self._process is None:
            raise EmbeddedAwsError("The embedded AWS is not running.", "Use it inside its `with` block.")
        return self._process.pid

    @property
    def scratch(self) -> Path:
        """A folder that is removed when the emulator ends, for any reason."""
        if self._scratch is None:
            raise EmbeddedAwsError("The embedded AWS is not running.", "Use it inside its `with` block.")
        return self._scratch

    @staticmethod
    def root_credentials(account: str) -> dict[str, str]:
        """Return the environment variables that make a process the root of one account."""
        return {"AWS_ACCESS_KEY_ID": account, "AWS_SECRET_ACCESS_KEY": "test"}

    def environment(self, *, account: str, region: str) -> dict[str, str]:
        """Return the environment for a child process that acts as the root of one account."""
        return client_environment(
            self._outer,
            endpoint_url=self.endpoint_url,
            credentials=self.root_credentials(account),
            region=region,
        )

    def notebook_environment(self, *, account: str, region: str, name: str) -> dict[str, str]:
        """Return the environment of a process on a notebook instance, with the notebook's role.

        Parameters
        ----------
        account, region, name : str
            The notebook's account, region and name.

        Raises
        ------
        EmbeddedAwsError
            There is no such notebook in service.
        """
        address = f"{self.endpoint_url}/_federation/notebooks/{account}/{region}/{name}"
        try:
            with urllib.request.urlopen(address, timeout=10) as answer:
                credentials = json.load(answer)
        except HTTPError as error:
            error.close()
            raise EmbeddedAwsError(
                f'Account {account} has no notebook "{name}" in service in {region}.',
                "Deploy the stack that has it, or start it.",
            ) from error
        return client_environment(
            self._outer, endpoint_url=self.endpoint_url, credentials=credentials, region=region
        )

    def reset(self) -> None:
        """Empty every account, and kill the training jobs that still run."""
        request = urllib.request.Request(f"{self.endpoint_url}/_ministack/reset", method="POST")
        with urllib.request.urlopen(request, timeout=30):
            pass

    def __enter__(self) -> Self:
        """Start the emulator and wait until it answers."""
        self._scratch = Path(tempfile.mkdtemp(prefix="federation-rehearsal-"))
        try:
            self._start(self._scratch)
            self._await_health()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the emulator, its jobs and its files."""
        self._end()

    def _start(self, scratch: Path) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listening:
            listening.bind(("127.0.0.1", 0))
            self._port = listening.getsockname()[1]
            settings = EmulatorSettings(
                listening_fd=listening.fileno(),
                port=self._port,
                scratch=scratch,
                job_python=self._job_python,
                image_tags=(SCIKIT_LEARN_IMAGE,),
                stop_grace=self._stop_grace,
            )
            python_path = str(Path(federation.__file__).resolve().parents[1])
            with self._log_path(scratch).open("ab") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "federation.rehearse.emulator"],
                    env=emulator_environment(
                        self._outer, port=self._port, scratch=str(scratch), python_path=python_path
                    ),
                    cwd=scratch,
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=[listening.fileno()],
                    start_new_session=True,
                )
        if self._process.stdin is None:
            raise EmbeddedAwsError("The embedded AWS has no standard input.", "This is a mistake of ours.")
        with suppress(BrokenPipeError):  # it ended already; the wait for health tells
            self._process.stdin.write(settings.to_json().encode() + b"\n")
            self._process.stdin.flush()

    def _log_path(self, scratch: Path) -> Path:
        return self._log_file or scratch / "emulator.log"

    def _await_health(self) -> None:
        deadline = time.monotonic() + self._start_deadline
        while not self._answers():
            if self._process is not None and self._process.poll() is not None:
                raise self._start_failure(f"It ended with code {self._process.returncode}.")
            if time.monotonic() > deadline:
                raise self._start_failure(f"It did not answer within {self._start_deadline:g} s.")
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.endpoint_url}/_ministack/health", timeout=2) as answer:
                return bool(answer.status == HTTPStatus.OK)
        except OSError:
            return False

    def _start_failure(self, what: str) -> EmbeddedAwsError:
        log = self._log_path(self._scratch) if self._scratch else None
        tail = log.read_text(errors="replace").splitlines()[-5:] if log and log.exists() else []
        return EmbeddedAwsError(
            f"The embedded AWS did not start. {what}", "Its last words: " + (" | ".join(tail) or "none.")
        )

    def _end(self) -> None:
        """Close the emulator's standard input, so that it cleans up and ends; kill it if it does not."""
        if self._process is not None:
            if self._process.stdin is not None:
                self._process.stdin.close()
            try:
                self._process.wait(_END_GRACE)
            except subprocess.TimeoutExpired:
                kill_group(self._process.pid)
                self._process.wait()
            self._process = None
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None
