"""Signals, from the first second of a command on."""

import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.faults.runs import Start, gone
from tests.local.processes import ROOT, environment

Seen = Callable[[str], None]


@pytest.mark.parametrize(
    ("name", "code", "word"),
    [
        ("SIGINT", 130, "interrupted"),
        ("SIGTERM", 143, "terminated"),
        ("SIGHUP", 129, "terminated"),
    ],
)
@pytest.mark.fault("{name} in mid-run", "ends with exit code {code}, in one line; no process left")
def test_a_signal_in_mid_run(name: str, code: int, word: str, start: Start, seen: Seen) -> None:
    """A closed terminal, `kill` and Ctrl-C end alike; the last finished round can be resumed from."""
    run = start("--rounds", 100_000)
    run.until_round(2)
    clients = run.clients()
    run.process.send_signal(signal.Signals[name])
    ended, said = run.finish(timeout=60)
    assert ended == code, said
    assert said.splitlines()[-1] == word
    assert "Traceback" not in said
    assert gone(clients)
    [end] = run.find("end")
    assert not end["ok"]
    seen(f"exit code {code}, {word!r}, {len(run.find('checkpoint'))} rounds kept; events.jsonl says so")


COMMANDS = (
    ("-m", "federation.local"),
    ("-m", "federation", "local"),
    ("-m", "federation.server"),
    ("-m", "federation.data_prep"),
    ("-m", "federation.predict"),
    ("-m", "federation.audit"),
)


def _interrupted_at(command: tuple[str, ...], module: str) -> tuple[int, list[str]]:
    """Send SIGINT to a command when it has loaded a module; return its exit code and what it said."""
    with subprocess.Popen(
        [sys.executable, "-X", "importtime", *command],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr
        for line in process.stderr:
            if line.rpartition("|")[2].strip() == module:
                process.send_signal(signal.SIGINT)
                break
        said = [line for line in process.stderr.read().splitlines() if not line.startswith("import time:")]
        return process.wait(), said


@pytest.mark.fault(
    "SIGINT in the first two seconds, while the modules of six commands load",
    'ends with exit code 130 and the one line "interrupted"',
)
def test_a_signal_while_a_command_loads(seen: Seen) -> None:
    """From the first module of ours on."""
    moments = [(command, module) for command in COMMANDS for module in ("federation", "click.core")]
    moments += [(COMMANDS[0], module) for module in ("federation.errors", "numpy", "grpc")]
    for command, module in moments:
        assert _interrupted_at(command, module) == (130, ["interrupted"]), (command, module)
    seen(f"so at each of {len(moments)} moments")
