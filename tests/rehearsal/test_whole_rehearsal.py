"""One whole rehearsal, as `make demo` runs it."""

import json
import re
from pathlib import Path

import pytest

from federation.config.schema import load_config
from tests.rehearsal.conftest import Demo
from tests.rehearsal.watching import Watched, is_loopback

pytestmark = pytest.mark.timeout(600)  # the first one builds the stand-in for the training image


@pytest.fixture(scope="session")
def rehearsal(demo: Demo) -> Watched:
    """Return how it went."""
    return demo.watched


@pytest.fixture(scope="session")
def out(demo: Demo) -> Path:
    """Return the rehearsal's folder."""
    return demo.out


def test_ends_well(rehearsal: Watched) -> None:
    """Exit code 0, and standard output ends with where the report is."""
    assert rehearsal.code == 0, rehearsal.err
    assert rehearsal.out.splitlines()[-1].startswith("Report: ")


def test_makes_a_report(out: Path) -> None:
    """The run folder holds the model, its figures and a page to read."""
    assert {"report.html", "metrics.json", "model.json", "model.joblib"} <= {
        p.name for p in (out / "run").iterdir()
    }


def test_trains(rehearsal: Watched, out: Path) -> None:
    """What comes out is a model that has learnt, not one that merely exists."""
    assert rehearsal.code == 0
    metrics = json.loads((out / "run" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["federated"]["roc_auc"] > 0.75


@pytest.mark.parametrize("client", ["site-1", "site-2"])
def test_each_client_has_the_servers_model(rehearsal: Watched, client: str) -> None:
    """Each client's own bucket held a model that scores as the server's does."""
    assert f"{client}: the same model, and a ledger of " in rehearsal.out


@pytest.mark.parametrize("client", ["site-1", "site-2"])
def test_each_client_knows_what_it_sent(rehearsal: Watched, out: Path, client: str) -> None:
    """The ledgers name every message, none of them as large as a client's rows."""
    assert rehearsal.code == 0
    lines = (out / "clients" / client / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
    entries = [json.loads(line) for line in lines]
    assert {"join", "query.statistics", "train", "evaluate"} <= {entry["kind"] for entry in entries}
    assert sum(entry["bytes"] for entry in entries) < 50_000


def test_the_clients_are_in_two_regions(rehearsal: Watched, out: Path) -> None:
    """Nothing rests on everybody being in one region."""
    assert rehearsal.code == 0
    assert len({client.region for client in load_config(out / "federation.toml").clients}) == 2


def test_leaves_nothing_in_any_account(rehearsal: Watched) -> None:
    """And says so, only after it has asked."""
    assert re.search(r"^Nothing left in 3 accounts", rehearsal.out, re.MULTILINE)


def test_says_what_it_deletes(rehearsal: Watched) -> None:
    """No bucket is emptied silently."""
    assert re.search(r"rehearsal-site-1-data-222222222222: 3 versions deleted", rehearsal.err)


def test_leaves_no_process(rehearsal: Watched) -> None:
    """The CDK CLI, the emulator, the jobs: all have ended."""
    assert len(rehearsal.processes) > 10
    assert rehearsal.alive == []


def test_listens_to_nobody_but_this_machine(rehearsal: Watched) -> None:
    """Neither the embedded AWS nor the server nor any job."""
    assert rehearsal.listening
    assert all(is_loopback(address) for address, _ in rehearsal.listening)


def test_leaves_no_temporary_folder(demo: Demo) -> None:
    """The volume, the buckets and the jobs' folders are gone."""
    assert demo.temporary == set()


def test_every_party_checked_before_the_run(out: Path) -> None:
    """The server what it may see, each client the rest: nothing was wrong, nothing skipped."""
    for party in ("server", "site-1", "site-2"):
        said = (out / "logs" / f"preflight-{party}.log").read_text(encoding="utf-8")
        assert "Ready, as far as" in said
        assert not re.search("^  (wrong|skipped|warning)", said, re.MULTILINE)
    assert "Keeping the run in" in (out / "logs" / "server.log").read_text(encoding="utf-8")


def test_shows_nothing_of_its_libraries_logs(rehearsal: Watched) -> None:
    """What scrolls by is worth reading: no line of Flower's or gRPC's log."""
    assert "Training: " in rehearsal.err
    assert "INFO" not in rehearsal.err


def test_shows_how_long_each_phase_took(rehearsal: Watched, out: Path) -> None:
    """On standard error as it goes, and in a file."""
    assert "ClientStack-site-2" in rehearsal.err
    seconds = json.loads((out / "seconds.json").read_text(encoding="utf-8"))
    assert {
        "bootstrap",
        "deploy",
        "publish",
        "notebook",
        "preflight",
        "federation",
        "destroy",
        "prove",
    } <= seconds.keys()
