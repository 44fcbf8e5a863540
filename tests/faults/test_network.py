"""A network that drops, delays, resets, throttles, or dies without a word, between clients and server."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.runs import Run, Start
from tests.faults.wire import Wire

Seen = Callable[[str], None]
OPTIONS = ("--rounds", "12", "--seed", "3")
LONGER = ("--rounds", "100", "--seed", "3")  # a round takes 20 ms: faults over a second still meet a run


def _over(wire: Wire, start: Start, options: tuple[str, ...] = OPTIONS, **plan: Any) -> Run:
    run = start(*options, "--port", wire.target, wire=wire.port, **plan)
    run.until_round(2)
    return run


def _finished(run: Run, model: str) -> None:
    code, said = run.finish()
    assert code == 0, said
    assert run.model() == model
    assert all(not one["rejected"] for one in run.rounds())
    assert run.audit()[0] == 0, run.audit()


@pytest.mark.fault("the network drops everything for 4 s", "the run waits, and finishes with the same model")
def test_dropped(wire: Wire, start: Start, seen: Seen, undisturbed: Callable[..., str]) -> None:
    """Shorter than keepalive: the streams survive."""
    run = _over(wire, start)
    wire.drop(4)
    _finished(run, undisturbed(*OPTIONS))
    seen(f"{len(run.find('leave'))} streams lost, the same model; audit agrees")


@pytest.mark.fault(
    "the network drops everything for 30 s", "clients come back, and the run finishes with the same model"
)
def test_dropped_for_long(wire: Wire, start: Start, seen: Seen, undisturbed: Callable[..., str]) -> None:
    """Longer than keepalive: every stream is found dead and opened again, and replies are sent again."""
    run = _over(wire, start, hyperparameters={"patience": "90"})  # as on AWS, and more
    began = time.monotonic()
    wire.drop(30)
    run.until("leave")
    noticed = time.monotonic() - began
    run._until(lambda: len({one["client"] for one in run.find("leave")}) == 3, "three leaves")
    assert noticed < 15
    _finished(run, undisturbed(*OPTIONS))
    seen(f"silence noticed after {noticed:.0f} s, all three came back, the same model; audit agrees")


@pytest.mark.fault(
    "every connection is reset (RST), three times", "clients come back at once; the same model"
)
def test_reset(wire: Wire, start: Start, seen: Seen, undisturbed: Callable[..., str]) -> None:
    """A broken stream costs a reconnect, not the round."""
    run = _over(wire, start, LONGER)
    for _ in range(3):
        wire.reset()
        time.sleep(0.3)
    _finished(run, undisturbed(*LONGER))
    joins = len(run.find("join"))
    assert joins > 3
    seen(f"{joins} joins, no update lost, the same model; audit agrees")


@pytest.mark.fault("the network delays everything by 0.2 s, at 50 kB/s", "slower, with the same model")
def test_slow(wire: Wire, start: Start, seen: Seen, undisturbed: Callable[..., str]) -> None:
    """Slow is not dead."""
    run = _over(wire, start)
    wire.delay(0.2)
    wire.throttle(50_000)
    _finished(run, undisturbed(*OPTIONS))
    slow = run.rounds()[-1]["seconds"]
    seen(f"{slow:.1f} s a round, {len(run.find('leave'))} streams lost, the same model; audit agrees")


@pytest.mark.fault(
    "half-open connections: both ends hear nothing more, and no FIN", "found dead within 15 s; the same model"
)
def test_half_open(wire: Wire, start: Start, seen: Seen, undisturbed: Callable[..., str]) -> None:
    """Keepalive finds what TCP never would."""
    run = _over(wire, start)
    began = time.monotonic()
    wire.fall_silent()
    run.until("leave")
    detected = time.monotonic() - began
    assert detected < 15
    _finished(run, undisturbed(*OPTIONS))
    seen(f"found dead after {detected:.0f} s, clients came back, the same model; audit agrees")
