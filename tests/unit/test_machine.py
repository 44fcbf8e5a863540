"""What this machine holds is known before a client is started on it."""

import datetime as dt
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from federation.cli.progress import Progress
from federation.data.preparation.settings import PreparationSettings
from federation.data.synthetic import LABEL
from federation.errors import SettingError
from federation.learning.settings import TrainingSettings
from federation.runs.local.clients import LocalClients
from federation.runs.local.machine import Machine, free_bytes
from federation.runs.local.training import LocalRun, train_locally

LAPTOP = Machine(cores=2, free=8_000_000_000, files=1024)


class NoClients(LocalClients):
    """Clients that must not be started."""

    def start(self, *_: object, **__: object) -> None:
        pytest.fail("a client was started")


def local_run(out: Path, preparation: PreparationSettings, source: Path | None = None) -> LocalRun:
    """Return a run on a laptop that starts no client."""
    return LocalRun(
        source=source,
        preparation=preparation,
        training=TrainingSettings(),
        out=out,
        started=dt.datetime(2026, 11, 28, tzinfo=dt.UTC),
        clients=NoClients,
        forks=nullcontext,
        machine=LAPTOP,
    )


def test_too_many_clients_are_refused_before_anything_is_prepared(tmp_path: Path) -> None:
    """The line says what one takes, what is free, and how many would do."""
    run = local_run(tmp_path / "out", PreparationSettings(label=LABEL, clients=200, partition="iid"))
    with pytest.raises(SettingError) as refused:
        train_locally(run, Progress(quiet=True))
    assert refused.value.problem == (
        "200 clients do not fit on this machine: each is a process of about 160 MB, "
        "and 8.0 GB of memory are free."
    )
    assert "--clients 50," in refused.value.remedy
    assert not run.out.exists()
    LAPTOP.check_clients(50)


def test_the_values_of_a_column_may_be_too_many(tmp_path: Path) -> None:
    """They are known after preparation only, and nothing is left behind either."""
    table = tmp_path / "states.csv"
    rows = "".join(f"{i % 60},{i / 7},{i % 2}\n" for i in range(60 * 40))
    table.write_text(f"state,age,died\n{rows}", encoding="utf-8")
    run = local_run(tmp_path / "out", PreparationSettings(label="died", partition="column:state"), table)
    with pytest.raises(SettingError, match="60 clients do not fit"):
        train_locally(run, Progress(quiet=True))
    assert not run.out.exists()


def test_forked_clients_share_most_of_their_memory() -> None:
    """More of them fit, and they have joined sooner."""
    forking = replace(LAPTOP, forks=True)
    forking.check_clients(200)
    with pytest.raises(SettingError, match="they share 300 MB, and each is a process of about 30 MB"):
        forking.check_clients(300)
    assert forking.seconds_to_start(50) < LAPTOP.seconds_to_start(50) / 5
    replace(forking, free=100_000_000).check_clients(1)  # one is always tried


def test_open_files_are_counted() -> None:
    """The remedy is a command that allows as many."""
    with pytest.raises(SettingError, match="ulimit -n 464"):
        replace(LAPTOP, free=10**12, files=256).check_clients(200)


def test_many_clients_have_more_time_to_join() -> None:
    """51 states on 2 cores; a few clients have what they had."""
    assert LAPTOP.seconds_to_join(3) == 120
    assert LAPTOP.seconds_to_join(51) > 3 * LAPTOP.seconds_to_start(51) > 120
    assert replace(LAPTOP, cores=64).seconds_to_join(51) == 120


def test_a_containers_limit_counts(tmp_path: Path) -> None:
    """As the machine's memory does."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    4000 kB\n", encoding="ascii")
    assert free_bytes(tmp_path) == 4_096_000
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    for name, text in (("memory.max", "3000000"), ("memory.current", "1000000")):
        (tmp_path / "sys/fs/cgroup" / name).write_text(text, encoding="ascii")
    (tmp_path / "sys/fs/cgroup/memory.stat").write_text("anon 1\nactive_file 5\ninactive_file 20\n")
    assert free_bytes(tmp_path) == 2_000_025, "the kernel gives its cache back"
    assert Machine.here().free > 0
