"""Training instances: one child process each, none of which outlives the emulator."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from federation.rehearse.machine.processes import kill_group
from federation.rehearse.training_instance.order import JobOrder

_END_GRACE = 5.0
Event = dict[str, Any]


class Instance:
    """A running instance.

    Parameters
    ----------
    order : JobOrder
        The job.
    on_event : callable
        Called with each event of the instance, from one of our threads. The last one has ``status``.
    """

    def __init__(self, order: JobOrder, on_event: Callable[[Event], None]) -> None:
        self._on_event = on_event
        self._container_group: int | None = None
        self._process = subprocess.Popen(
            [sys.executable, "-m", "federation.rehearse.training_instance"],
            env=dict(os.environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._tell(order.to_json())
        self._reader = threading.Thread(target=self._read, name=f"instance-{order.name}", daemon=True)
        self._reader.start()

    def _tell(self, line: str) -> None:
        if self._process.stdin is not None:
            with suppress(OSError, ValueError):
                self._process.stdin.write(line + "\n")
                self._process.stdin.flush()

    def _read(self) -> None:
        ended = False
        for line in self._process.stdout or ():
            event = json.loads(line)
            self._container_group = event.pop("process_group", self._container_group)
            ended = ended or "status" in event
            self._on_event(event)
        self._process.wait()
        self._kill_container()
        if not ended:
            reason = f"InternalServerError: the instance ended with code {self._process.returncode}."
            self._on_event({"status": "Failed", "secondary_status": "Failed", "reason": reason})

    def _kill_container(self) -> None:
        if self._container_group is not None:
            kill_group(self._container_group)

    def stop(self) -> None:
        """Stop the job and keep its artifacts."""
        self._tell("stop")

    def let_go(self) -> None:
        """Close the instance's input, which makes it kill its container and itself."""
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()

    def end(self) -> None:
        """Wait for an instance that was let go, or kill it."""
        try:
            self._process.wait(_END_GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._kill_container()


class Instances:
    """All running instances, by the ARN of their job."""

    def __init__(self) -> None:
        self._running: dict[str, Instance] = {}
        self._lock = threading.Lock()
        self._closed = False

    def start(self, order: JobOrder, on_event: Callable[[Event], None]) -> None:
        """Start an instance for a job."""

        def forget_at_the_end(event: Event) -> None:
            on_event(event)
            if "status" in event:
                with self._lock:
                    self._running.pop(order.job_arn, None)

        with self._lock:
            if not self._closed:
                self._running[order.job_arn] = Instance(order, forget_at_the_end)

    def stop(self, job_arn: str) -> None:
        """Stop one job."""
        with self._lock:
            instance = self._running.get(job_arn)
        if instance is not None:
            instance.stop()

    def kill_all(self, *, for_ever: bool = False) -> None:
        """Kill every job without uploads; optionally refuse new jobs."""
        with self._lock:
            self._closed = self._closed or for_ever
            running, self._running = list(self._running.values()), {}
        for instance in running:
            instance.let_go()
        for instance in running:
            instance.end()
