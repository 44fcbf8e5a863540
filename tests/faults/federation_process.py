"""``federation.local`` whose clients do what the environment variable FAULTS says.

A JSON object: ``server_port`` and ``wire`` (clients connect to the port ``wire``), ``faults`` (what a client
does wrong, by its name and the round or "evaluate"), ``absent`` (names not started), ``late`` (names, and the
event they wait for), ``unwatched`` (nobody tells the server that a process ended, as on AWS),
``hyperparameters`` (more of them), ``environments`` (more variables of a client's process, by its name).
"""

import functools
import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import typer

from federation import local
from federation.cli.command import run
from federation.runs.local.clients import ClientJob, LocalClients

PLAN: dict[str, Any] = json.loads(os.environ["FAULTS"])
FAULTY_CLIENT = Path(__file__).with_name("faulty_client.py")


@dataclass(frozen=True, kw_only=True)
class FaultyJob(ClientJob):
    """A client that errs, by round."""

    faults: dict[str, str]

    def command(self) -> list[str]:
        """Return the command line, with our own script."""
        python, _, *arguments = super().command()
        return [python, str(FAULTY_CLIENT), *arguments]

    def environment(self, *, token: str, threads: int) -> dict[str, str]:
        """Return the environment, with the fault."""
        return super().environment(token=token, threads=threads) | {"FAULT": json.dumps(self.faults)}


@dataclass(frozen=True, kw_only=True)
class JobElsewhere(ClientJob):
    """A client on a machine that is not as the server's."""

    more: dict[str, str]

    def environment(self, *, token: str, threads: int) -> dict[str, str]:
        """Return the environment, with what differs."""
        return super().environment(token=token, threads=threads) | self.more


class PlannedClients(LocalClients):
    """Clients as the plan wants them."""

    def start(self, jobs: Sequence[ClientJob], *, on_exit: Callable[[str, str], None]) -> None:
        """Start those that shall start now."""
        planned = [self._planned(job) for job in jobs if job.name not in PLAN.get("absent", ())]
        late = PLAN.get("late", {})
        watch = (lambda _name, _reason: None) if PLAN.get("unwatched") else on_exit
        super().start([job for job in planned if job.name not in late], on_exit=watch)
        for job in planned:
            if job.name in late:
                threading.Thread(target=self._start_late, args=(job, late[job.name]), daemon=True).start()

    def _planned(self, job: ClientJob) -> ClientJob:
        if "wire" in PLAN:
            address = f"127.0.0.1:{PLAN['wire']}"
            job = replace(job, hyperparameters={**job.hyperparameters, "server-address": address})
        if more := PLAN.get("hyperparameters"):
            job = replace(job, hyperparameters={**job.hyperparameters, **more})
        if faults := PLAN.get("faults", {}).get(job.name):
            return FaultyJob(**vars(job), faults=faults)
        if more := PLAN.get("environments", {}).get(job.name):
            return JobElsewhere(**vars(job), more=more)
        return job

    def _start_late(self, job: ClientJob, words: str) -> None:
        events = job.folder.parent.parent / "events.jsonl"
        while words not in (events.read_text() if events.exists() else ""):
            time.sleep(0.01)
        self.launch(job, threads=1)


@functools.wraps(local.main)
def planned(*, context: typer.Context, **_options: object) -> None:
    """Run the command with planned clients."""
    local.carry_out(context, clients=PlannedClients)


if __name__ == "__main__":
    run(planned)
