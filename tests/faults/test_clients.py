"""Clients that die, hang, come late or err."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.faults.runs import Run, Start, gone

Seen = Callable[[str], None]
LONG = ("--rounds", 400)


def _rejected(run: Run, name: str) -> list[int]:
    """Return the rounds in which a client's update did not count."""
    return [one["round"] for one in run.rounds() if name in one["rejected"]]


@pytest.mark.fault("kill -9 a client in train, no quorum given", "ends with exit code 33, named, within 2 s")
def test_killed_in_train(start: Start, seen: Seen) -> None:
    """Without a quorum every client is needed: the run names the dead one, and ends the others."""
    run = start(*LONG)
    run.until_round(1)
    run.freeze_in("train", "site-2").kill()
    killed = time.monotonic()
    run.until("failed", client="site-2")
    detected = time.monotonic() - killed
    code, said = run.finish()
    assert code == 33, said
    assert 'client "site-2": its process killed by SIGKILL' in said
    assert detected < 2
    assert gone(run.clients())
    seen(f"exit code {code}, detected in {detected:.1f} s")


@pytest.mark.parametrize("when", ["train", "between"])
@pytest.mark.fault(
    "kill -9 a client, {when}, quorum of 2", "the others finish the run; it is set aside by name"
)
def test_killed_with_a_quorum(when: str, start: Start, seen: Seen) -> None:
    """The rounds go on with two; after three failed rounds the dead one is asked no more."""
    run = start("--rounds", 60, "--quorum", 2)
    run.until_round(1)
    client = run.freeze_in(when, "site-2")
    client.kill()
    killed = time.monotonic()
    os.kill(run.process.pid, signal.SIGCONT)
    run.until("failed", client="site-2")
    detected = time.monotonic() - killed
    code, said = run.finish()
    assert code == 0, said
    assert detected < 2
    assert len(_rejected(run, "site-2")) == 3
    aside = run.until("set-aside", client="site-2")
    assert run.rounds()[-1]["round"] == 60
    seen(f"detected in {detected:.1f} s, set aside in round {aside['round']}, 60 rounds finished")


@pytest.mark.fault(
    "kill -9 a client that scores the final model, quorum of 2", "the others' scores are there, and the model"
)
def test_killed_when_the_run_is_nearly_over(start: Start, seen: Seen) -> None:
    """The rounds count as they were; what the dead client thinks of the model stays unknown."""
    run = start("--rounds", 4, "--quorum", 2, faults={"site-2": {"evaluate": "freeze"}})
    run.until_frozen("site-2").kill()
    code, said = run.finish()
    assert code == 0, said
    (decision,) = run.find("decision", client="site-2", phase="evaluate")
    assert "killed by SIGKILL" in decision["reason"]
    assert run.rounds()[-1]["rejected"] == {}
    metrics = json.loads((run.folder / "metrics.json").read_text())
    assert set(metrics["at_clients"]["federated"]) == {"site-1", "site-3"}
    seen(f"exit code {code}; scores of site-1 and site-3")


@pytest.mark.fault(
    "freeze a client past the round's deadline, then wake it", "missed by name, then takes part again"
)
def test_frozen_and_woken(start: Start, seen: Seen) -> None:
    """What it sends late is dropped, and its next update counts."""
    run = start("--rounds", 40, "--quorum", 2, "--round-timeout", 1)
    run.until_round(1)
    client = run.freeze_in("train", "site-2")
    missed = run.until("decision", client="site-2", accepted=False)["round"]
    client.send_signal(signal.SIGCONT)
    code, said = run.finish()
    assert code == 0, said
    assert 'client "site-2" does not count in this round: it did not answer within 1 s' in said
    late = run.find("received", client="site-2", used=False)
    counted = [one["round"] for one in run.find("decision", client="site-2", accepted=True, phase="train")]
    assert late
    assert counted[-1] == 40
    assert run.audit()[0] == 0, run.audit()
    seen(f"missed in round {missed}, {len(late)} late replies dropped, counts again; audit agrees")


@pytest.mark.fault("a client never joins", "ends with exit code 31 at the join deadline, named")
def test_never_joins(start: Start, seen: Seen) -> None:
    """Nobody waits longer than they said."""
    run = start("--join-timeout", 20, absent=["site-3"])
    code, said = run.finish()
    assert code == 31, said
    assert 'no join from "site-3" within 20 s' in said
    assert gone(run.clients())
    seen("exit code 31, site-3 named")


@pytest.mark.fault(
    "a client joins late, --min-clients 2",
    "the run starts without it, and it takes part from the next round on",
)
def test_joins_late(start: Start, seen: Seen) -> None:
    """A newcomer is asked for its statistics, which change nothing that was agreed."""
    run = start("--rounds", 400, "--min-clients", 2, "--join-timeout", 20, late={"site-3": '"round": 3,'})
    run.until("join", client="site-3")
    first = run.until("decision", client="site-3", accepted=True)["round"]
    assert run.find("start-without", clients=["site-3"])
    code, said = run.finish()
    assert code == 0, said
    assert first > 3
    assert (run.folder / "clients" / "site-3" / "model.tar.gz").exists()
    seen(f"began with 2 clients; site-3's updates count from round {first} on, and it has the final model")


ERRORS = {
    2: ("exception", "ZeroDivisionError (the details are in the client's own log)"),
    3: ("nan", "coef is not finite"),
    4: ("wrong shape", "coef has shape (1, 50) instead of (1, 49)"),
    5: ("absurd norm", "away from the model (maximum 1e+06)"),
    6: ("wrong count", "and it had told of"),
    7: ("stale round", "it did not answer within 2 s"),
}


@pytest.mark.fault(
    "a client raises; sends NaN, a wrong shape, an absurd norm, a wrong row count, a reply to an old round",
    "each rejected by name, with its reason; the model is the others', bit for bit",
)
def test_errs(start: Start, seen: Seen) -> None:
    """Whatever a client does wrong, what comes out is what comes out when it does nothing at all."""
    options = ("--rounds", 7, "--quorum", 2, "--set-aside-after", 9, "--round-timeout", 2)
    faults = {str(number): fault for number, (fault, _) in ERRORS.items()}
    run = start(*options, faults={"site-2": faults})
    other = start(*options, folder="other", faults={"site-2": dict.fromkeys(faults, "exception")})
    for each in (run, other):
        code, said = each.finish()
        assert code == 0, said
        assert _rejected(each, "site-2") == list(ERRORS)
    for number, (_, words) in ERRORS.items():
        assert words in run.rounds()[number]["rejected"]["site-2"]
    assert run.model() == other.model()
    seen("; ".join(f'"{run.rounds()[number]["rejected"]["site-2"]}"' for number in list(ERRORS)[1:]))


@pytest.mark.fault("a third of the clients gone for good, quorum of 4 of 6", "the others finish the run")
def test_a_third_is_gone(start: Start, seen: Seen, six: Path) -> None:
    """Two of six die at once: both are named, four go on."""
    run = start("--rounds", 60, "--quorum", 4, table=six)
    run.until_round(1)
    for name in ("client-2", "client-5"):
        run.client(name).kill()
    code, said = run.finish()
    assert code == 0, said
    assert {one["client"] for one in run.find("set-aside")} == {"client-2", "client-5"}
    seen("60 rounds finished with 4, the 2 others set aside by name")


@pytest.mark.fault(
    "a client comes back as a new process (a restarted Spot job)", "takes part from the next round on"
)
def test_comes_back_as_another_process(start: Start, seen: Seen) -> None:
    """The server hears of the death from the stream alone, as on AWS, and lets the new process in."""
    run = start("--rounds", 100_000, "--quorum", 2, unwatched=True)
    run.until_round(1)
    old = run.client("site-2")
    command, environment, where = old.cmdline(), old.environ(), old.cwd()
    old.kill()
    killed = time.monotonic()
    run.until("leave", client="site-2")
    detected = time.monotonic() - killed
    new = psutil.Popen(command, env=environment, cwd=where)
    run._until(lambda: len(run.find("join", client="site-2")) == 2, "second join")
    rejoined = run.find("join", client="site-2")[1]
    before = len(run.find("decision", client="site-2", accepted=True))
    run._until(lambda: len(run.find("decision", client="site-2", accepted=True)) > before, "new update")
    run.process.send_signal(signal.SIGINT)
    assert run.finish()[0] == 130
    new.wait(20)
    assert detected < 2
    assert rejoined["instance"] != run.find("join", client="site-2")[0]["instance"]
    seen(f"stream's end seen in {detected:.1f} s; the new process' updates count")


@pytest.mark.fault(
    "kill -9 two clients at once, quorum of 1", "the third finishes the run; the two are set aside by name"
)
def test_two_killed_at_once(start: Start, seen: Seen) -> None:
    """Neither hides the other."""
    run = start("--rounds", 40, "--quorum", 1)
    run.until_round(3)
    for client in [run.client(name) for name in ("site-1", "site-2")]:
        client.kill()
    code, said = run.finish()
    assert code == 0, said
    aside = {name for one in run.rounds() for name in one["set_aside"]}
    assert aside == {"site-1", "site-2"}
    assert "SIGKILL" in (run.folder / "report.html").read_text()
    assert len(run.rounds()) == 41
    seen("40 rounds finished; site-1 and site-2 set aside")
