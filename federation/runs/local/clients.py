"""Run clients as processes of this machine, in the environment that script mode of SageMaker gives them."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from federation.checkout import CLIENT_CODE
from federation.errors import ClientFailedError, FederationError, RoundError
from federation.runs.local.forked import INHERITED, ForkedClient, ForkServer, how_it_ended

WATCH_SECONDS = 0.05
END_SECONDS = 10.0
GRACE_SECONDS = 1.5
PATIENCE_SECONDS = 15  # a client whose server was killed gives up after this


@dataclass(frozen=True, kw_only=True)
class ClientJob:
    """One client to start.

    Parameters
    ----------
    name : str
        Its name in the federation.
    data : Path
        Folder with its prepared files, the ``train`` channel.
    folder : Path
        Where its log, ledger and model go.
    hyperparameters : mapping of str to str
        The arguments of ``client.py``.
    """

    name: str
    data: Path
    folder: Path
    hyperparameters: Mapping[str, str]

    @property
    def log(self) -> Path:
        """The file that holds what the client printed."""
        return self.folder / "client.log"

    @property
    def model_dir(self) -> Path:
        """The folder that becomes ``model.tar.gz``."""
        return self.folder / "model"

    def command(self) -> list[str]:
        """Return the command line, as script mode builds it from the hyperparameters."""
        arguments = [part for key, value in self.hyperparameters.items() for part in (f"--{key}", value)]
        return [sys.executable, "client.py", *arguments]

    def environment(self, *, token: str, threads: int) -> dict[str, str]:
        """Return the process's whole environment.

        The variables are those of the SageMaker training toolkit (its ENVIRONMENT_VARIABLES.md).
        """
        inherited = {key: os.environ[key] for key in INHERITED if key in os.environ}
        return inherited | {
            "SM_CHANNEL_TRAIN": str(self.data),
            "SM_CHANNELS": '["train"]',
            "SM_MODEL_DIR": str(self.model_dir),
            "SM_OUTPUT_DATA_DIR": str(self.folder),
            "SM_HPS": json.dumps(dict(self.hyperparameters)),
            "SM_CURRENT_HOST": "algo-1",
            "SM_HOSTS": '["algo-1"]',
            "SM_NUM_CPUS": str(threads),
            "SM_NUM_GPUS": "0",
            "OMP_NUM_THREADS": str(threads),
            "FEDERATION_JOIN_TOKEN": token,
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }


class LocalClients:
    """The client processes of one run, ended with it whatever happens.

    Parameters
    ----------
    token : str
        Admits them to the run.
    forks : ForkServer, optional
        Forks them; without it, each is a Python of its own that loads its libraries itself.
    """

    def __init__(self, token: str, forks: ForkServer | None = None) -> None:
        self._token, self._forks = token, forks
        self._jobs: dict[str, ClientJob] = {}
        self._processes: dict[str, subprocess.Popen[bytes] | ForkedClient] = {}
        self._failures: dict[str, str] = {}
        self._said_before: dict[str, int] = {}
        self._finishing = threading.Event()

    def start(self, jobs: Sequence[ClientJob], *, on_exit: Callable[[str, str], None]) -> None:
        """Start the processes, each in a session of its own so that Ctrl-C reaches this process only.

        Parameters
        ----------
        jobs : sequence of ClientJob
            What to start.
        on_exit : callable
            Told the name of a client whose process ended before :meth:`expect_end`, and why.
        """
        threads = max(1, (os.cpu_count() or 1) // max(1, len(jobs)))
        for job in jobs:
            self.launch(job, threads=threads)
        threading.Thread(target=self._watch, args=(on_exit,), name="clients", daemon=True).start()

    def launch(self, job: ClientJob, *, threads: int) -> None:
        """Start one process, with so many threads to compute with."""
        self._jobs[job.name] = job
        job.model_dir.mkdir(parents=True, exist_ok=True)
        environment = job.environment(token=self._token, threads=threads)
        with job.log.open("ab") as log:
            self._said_before[job.name] = log.tell()  # by the client of a run that is resumed
            if self._forks:
                self._processes[job.name] = self._forks.fork(
                    job.command(), environment=environment, log=job.log, threads=threads
                )
                return
            self._processes[job.name] = subprocess.Popen(  # noqa: S603 - our own code
                job.command(),
                cwd=CLIENT_CODE,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.expect_end()
        self._end()

    def expect_end(self) -> None:
        """Take it for normal from now on that processes end."""
        self._finishing.set()

    def wait(self, *, but: Collection[str] = ()) -> None:
        """Wait for every other process to end by itself after the server said that the run is over.

        Parameters
        ----------
        but : collection of str
            Clients that the run went on without.

        Raises
        ------
        ClientFailedError
            A process ended badly, or did not end.
        """
        allowed = END_SECONDS + len(self._processes)  # many share this machine's cores
        deadline = time.monotonic() + allowed
        for name, process in self._processes.items():
            if name in self._failures or name in but:
                continue
            try:
                code = process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                raise ClientFailedError(
                    f'client "{name}" did not end within {allowed:g} s.', self._see_log(name)
                ) from None
            if code:
                raise self._death_of_all() or ClientFailedError(
                    f'client "{name}" failed at the end: {self._reason(name)}.', self._see_log(name)
                )

    def pack_models(self) -> None:
        """Turn each client's model folder into ``model.tar.gz``, as SageMaker does."""
        for job in self._jobs.values():
            if not any(job.model_dir.iterdir()):
                job.model_dir.rmdir()
                continue
            with tarfile.open(job.folder / "model.tar.gz", "w:gz") as archive:
                for path in sorted(job.model_dir.iterdir()):
                    archive.add(path, arcname=path.name)
                    path.unlink()
            job.model_dir.rmdir()

    def explanation_of(self, error: FederationError) -> FederationError:
        """Return the error that a client's end explains, or ``error`` if all are alive.

        Only a round's: an error of a client that did not join tells of its end already. Whatever failed, no
        client is to blame if the process that they are forked from ended, for then they all end.
        """
        if all_of_them := self._death_of_all():
            return all_of_them
        if not isinstance(error, RoundError):
            return error
        for name, reason in self._failures.items():
            return ClientFailedError(f'client "{name}": {reason}.', self._see_log(name))
        return error

    def _death_of_all(self) -> ClientFailedError | None:
        """Return the error that says that the process ended which clients are forked from, if it did."""
        if not self._forks or not self._forks.death:
            return None
        return ClientFailedError(
            f"the process that all clients are forked from {self._forks.death}, and they ended with it.",
            "Continue the run with --resume, or start a new one.",
        )

    def _see_log(self, name: str) -> str:
        return f"See {self._jobs[name].log}."

    def _watch(self, on_exit: Callable[[str, str], None]) -> None:
        """Report each process that ends before it should."""
        running = dict(self._processes)
        while running and not self._finishing.wait(WATCH_SECONDS):
            for name in [name for name, process in running.items() if process.poll() is not None]:
                del running[name]
                self._failures[name] = self._reason(name)
                on_exit(name, self._failures[name])

    def _reason(self, name: str) -> str:
        """Say how a process ended, with the error line that it left in its log, without a full stop."""
        code = self._processes[name].wait()
        log = b""
        with suppress(OSError):  # the run folder may be gone
            log = self._jobs[name].log.read_bytes()[self._said_before[name] :]
        lines = log.decode(errors="replace").splitlines()
        said = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        said = said or (lines if code > 0 else [])  # of a traceback, the last line tells most
        return f"its process {how_it_ended(code)}" + (f": {said[-1].rstrip('.')}" if said else "")

    def _end(self) -> None:
        """End what still runs: leave a moment to end by itself, ask, insist."""
        for stop in (None, signal.SIGTERM, signal.SIGKILL):
            deadline = time.monotonic() + GRACE_SECONDS
            for process in self._processes.values():
                if stop and process.poll() is None:
                    process.send_signal(stop)
            while time.monotonic() < deadline and any(p.poll() is None for p in self._processes.values()):
                time.sleep(0.01)
