"""What operators do around a run: look before it, look after it, and stop it."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from federation.errors import ActiveRunError, StillRunningError, UnpublishedError
from tests.rehearsal.federations import ClientBucket, Federation, Run

pytestmark = pytest.mark.timeout(600)
CLIENTS = ("site-1", "site-2")


def _preflight(federation: Federation, *options: str, config: Path | None = None) -> Run:
    test = str(federation.data / "server" / "test.csv")
    return federation.command(
        "preflight", "--test-data", test, "--host", "127.0.0.1", "--json", *options, config=config
    )


def _found(run: Run) -> dict[tuple[str, str], dict[str, str]]:
    assert "Traceback" not in run.said, run.said
    return {(each["party"], each["check"]): each for each in json.loads(run.printed)["checks"]}


def _wrong(run: Run) -> dict[tuple[str, str], str]:
    return {name: it["found"] for name, it in _found(run).items() if it["outcome"] == "wrong"}


def _client_preflight(federation: Federation, name: str, *options: str) -> Run:
    options = ("--client", name, "--label", federation.label, "--json", *options)
    return federation.command("preflight", *options, client=name)


def test_a_federation_that_is_ready_passes_every_check(federation: Federation) -> None:
    """Nothing is wrong, and only the clients' code and data and AWS's image are out of the server's sight."""
    run = _preflight(federation, "--label", federation.label)
    assert run.code == 0, run.said
    assert json.loads(run.printed)["ready"] is True
    assert {it["outcome"] for it in _found(run).values()} == {"ok", "unseen"}
    unseen = {check for (_, check), it in _found(run).items() if it["outcome"] == "unseen"}
    assert unseen == {"code and data", "image"}
    assert "python -m federation.server" in run.said


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_that_is_ready_passes_its_own_checks(federation: Federation, name: str) -> None:
    """Its notebook's role may look at its code, packages and data, and finds what the server will ask for.

    Quotas it may not read: the account's operator may.
    """
    run = _client_preflight(federation, name)
    assert run.code == 0, run.printed
    outcomes = {check: it["outcome"] for (_, check), it in _found(run).items()}
    assert outcomes.pop("quota") == "unseen"
    assert {*outcomes.values()} == {"ok"}


def test_a_wrong_external_id_is_found_before_a_run(federation: Federation, tmp_path: Path) -> None:
    """One client's refusal is one wrong check; its others are skipped, the other client's go on."""
    other = tmp_path / "other.toml"
    text = federation.stage.config_file.read_text(encoding="utf-8")
    other.write_text(text.replace("rehearsal-site-2-9b81e4", "rehearsal-site-2-000000"), encoding="utf-8")
    run = _preflight(federation, "--label", federation.label, config=other)
    assert run.code == 1
    assert list(_wrong(run)) == [('client "site-2"', "kickoff role")]
    found = _found(run)
    assert found['client "site-2"', "peering"]["outcome"] == "skipped"
    assert found['client "site-1"', "peering"]["outcome"] == "ok"
    assert "external_id" in found['client "site-2"', "kickoff role"]["remedy"]


def test_test_data_without_the_label_are_found(federation: Federation) -> None:
    """As are test data that are not there."""
    assert list(_wrong(_preflight(federation, "--label", "fraud"))) == [("the server", "test data")]
    run = _preflight(federation, "--test-data", "absent.csv")
    assert list(_wrong(run)) == [("the server", "test data")]


def test_credentials_of_another_account_are_found(federation: Federation) -> None:
    """Then nothing else is asked."""
    run = federation.operator_command("preflight", "--json", party="site-1")
    assert run.code == 1
    assert list(_wrong(run)) == [("the server", "credentials")]
    assert "222222222222" in _wrong(run)["the server", "credentials"]
    run = federation.operator_command("preflight", "--client", "site-2", "--json", party="site-1")
    assert list(_wrong(run)) == [('client "site-2"', "credentials")]


@contextmanager
def _without_route(federation: Federation, party: str | None, to: str) -> Iterator[None]:
    ec2: Any = federation.root("ec2", party)
    [(table, route)] = [
        (table["RouteTableId"], route)
        for table in ec2.describe_route_tables()["RouteTables"]
        for route in table["Routes"]
        if route.get("DestinationCidrBlock") == to and route.get("VpcPeeringConnectionId")
    ]
    ec2.delete_route(RouteTableId=table, DestinationCidrBlock=to)
    try:
        yield
    finally:
        peering = route["VpcPeeringConnectionId"]
        ec2.create_route(RouteTableId=table, DestinationCidrBlock=to, VpcPeeringConnectionId=peering)


@pytest.mark.parametrize(
    ("party", "to", "stack"),
    [(None, "10.0.2.0/24", "ServerStack"), ("site-2", "10.0.0.0/24", "ClientStack-site-2")],
    ids=["to the client", "back to the server"],
)
def test_a_missing_route_is_found_on_its_side(
    federation: Federation, party: str | None, to: str, stack: str
) -> None:
    """The remedy names the stack that makes the route."""
    with _without_route(federation, party, to):
        run = _preflight(federation, "--label", federation.label)
    assert run.code == 1
    assert list(_wrong(run)) == [('client "site-2"', "routes")]
    assert stack in _found(run)['client "site-2"', "routes"]["remedy"]


def test_code_changed_under_its_own_digest_is_found_by_the_client(
    federation: Federation, bucket: ClientBucket
) -> None:
    """S3 computed the sha256 of what is there, and the key's name says another."""
    [key] = bucket.keys("source/")
    bucket.replace(key, bucket.read(key).replace(b"import", b"Import", 1))
    run = _client_preflight(federation, "site-2")
    assert run.code == 1
    assert list(_wrong(run)) == [('client "site-2"', "code")]
    assert "changed after it was published" in _wrong(run)['client "site-2"', "code"]
    check = federation.command("publish", "--client", "site-2", "--check", client="site-2")
    assert check.code == UnpublishedError.exit_code


def test_other_code_than_the_server_asks_for_is_found_by_the_client(federation: Federation) -> None:
    """Two operators on different commits: the server's digest is what counts."""
    run = _client_preflight(federation, "site-2", "--code", "0" * 64)
    assert list(_wrong(run)) == [('client "site-2"', "code")]


def test_a_missing_package_is_found_by_the_client(federation: Federation, bucket: ClientBucket) -> None:
    """Before pip misses it in a job that is paid for."""
    [key] = [key for key in bucket.keys("wheels/") if "flwr" in key]
    bucket.delete(key)
    run = _client_preflight(federation, "site-2")
    assert list(_wrong(run)) == [('client "site-2"', "packages")]
    assert key in _wrong(run)['client "site-2"', "packages"]


def test_data_that_a_job_could_not_use_are_found_by_the_client(
    federation: Federation, rows: ClientBucket
) -> None:
    """A missing file, another label, files with different columns."""
    train, validation = "data/train.csv", "data/validation.csv"
    content = rows.read(validation)
    rows.replace(validation, content.replace(federation.label.encode(), b"is_fraud", 1))
    assert list(_wrong(_client_preflight(federation, "site-2"))) == [('client "site-2"', "columns")]
    rows.replace(train, rows.read(train).replace(federation.label.encode(), b"is_fraud", 1))
    run = _client_preflight(federation, "site-2")
    assert f'no label column "{federation.label}"' in _wrong(run)['client "site-2"', "columns"]
    rows.delete(validation)
    assert ('client "site-2"', "data") in _wrong(_client_preflight(federation, "site-2"))


def _await_training(federation: Federation, client: str) -> None:
    sagemaker = federation.root("sagemaker", client)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        jobs = sagemaker.list_training_jobs(StatusEquals="InProgress")["TrainingJobSummaries"]
        if any(job["SecondaryStatus"] == "Training" for job in jobs):
            return
        time.sleep(0.2)
    raise TimeoutError(client)


def test_a_killed_servers_jobs_are_refused_shown_and_stopped(federation: Federation, tmp_path: Path) -> None:
    """After `kill -9` the jobs go on; the next run names them, `status` shows them, `stop` ends them all."""
    command = [*federation.server_command(), "--out", str(tmp_path / "killed")]
    environment = federation.notebook_environment
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stderr is not None
        next(line for line in server.stderr if "site-2: Starting" in line)
        os.kill(server.pid, signal.SIGKILL)
    assert len(federation.running()) == 2
    refused = federation.serve(tmp_path)
    assert refused.code == ActiveRunError.exit_code
    assert "python -m federation.stop" in refused.said
    running = federation.running()
    assert len(running) == 2
    assert all(name in federation.command("status").printed for name in running)
    stopped = federation.command("stop", "--json")
    assert stopped.code == 0, stopped.said
    assert sorted(job["job"] for job in json.loads(stopped.printed)["stopped"]) == sorted(running)
    assert {federation.jobs(client)[name] for client in CLIENTS for name in running if client in name} == {
        "Stopped"
    }
    again = federation.command("stop")
    assert (again.code, again.printed) == (0, "No job of the federation is running.\n")


def _coefficients(run: Path) -> list[float]:
    model = json.loads((run / "model.json").read_text(encoding="utf-8"))
    return [model["intercept"], *(feature["coefficient"] for feature in model["features"])]


def test_a_killed_servers_run_goes_on_to_the_same_model(federation: Federation, tmp_path: Path) -> None:
    """After `kill -9` in mid-run, --resume stops the old jobs, and new ones lose no finished round."""
    rounds = ("--rounds", "60")
    whole = federation.serve(tmp_path, *rounds)
    assert whole.code == 0, whole.said
    killed = tmp_path / "killed"
    with subprocess.Popen(
        [*federation.server_command(*rounds), "--out", str(killed)],
        cwd=tmp_path,
        env=federation.notebook_environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stderr is not None
        said = []
        for line in server.stderr:
            said.append(line)
            if line.lstrip().startswith("5/60 "):
                break
        else:
            raise AssertionError("".join(said))
        os.kill(server.pid, signal.SIGKILL)
    finished = (killed / "rounds.jsonl").read_text(encoding="utf-8").splitlines()[:5]
    former = federation.running()
    resumed = federation.command(
        *("server", "--label", federation.label, "--test-data", str(federation.data / "server" / "test.csv")),
        *("--host", "127.0.0.1", "--poll-seconds", "0.2", "--join-timeout", "60", "--resume", str(killed)),
    )
    assert resumed.code == 0, resumed.said
    assert not any(line.lstrip().startswith("1/60 ") for line in resumed.said.splitlines())
    assert (killed / "rounds.jsonl").read_text(encoding="utf-8").splitlines()[:5] == finished
    assert _coefficients(killed) == _coefficients(tmp_path / "run")
    assert {federation.jobs(client)[name] for client in CLIENTS for name in former if client in name} == {
        "Stopped"
    }
    run_id = json.loads((killed / "checkpoint" / "settings.json").read_text(encoding="utf-8"))["run_id"]
    kept = federation.as_server("s3").list_objects_v2(
        Bucket=federation.stage.config.server_names.results_bucket, Prefix=f"runs/{run_id}/"
    )
    names = {item["Key"].rpartition("/")[2] for item in kept["Contents"]}
    assert names >= {"rounds.jsonl", "round.zip", "agreed.zip", "events.jsonl", "model.json", "report.html"}


def test_a_job_that_no_run_noted_is_stopped_too(federation: Federation, bucket: ClientBucket) -> None:
    """Its log stream begins with the federation's prefix; other jobs of the account are not looked at."""
    assert bucket
    own = federation.bucket("site-1", "code")
    own.replace_script("import time\nprint('here', flush=True)\ntime.sleep(600)\n")
    try:
        name = f"rehearsal-site-1-by-hand-{os.getpid()}"
        federation.as_server("sagemaker", client="site-1").create_training_job(
            **federation.request(TrainingJobName=name)
        )
        _await_training(federation, "site-1")
        deadline = time.monotonic() + 30
        while f"stopping {name}" not in federation.command("stop").said and time.monotonic() < deadline:
            time.sleep(0.5)
    finally:
        own.restore()
    assert federation.jobs("site-1")[name] == "Stopped"


def test_a_client_that_refuses_keeps_no_other_clients_jobs_running(
    federation: Federation, tmp_path: Path
) -> None:
    """What can be stopped is stopped; the error names the account that could not be asked."""
    other = tmp_path / "other.toml"
    text = federation.stage.config_file.read_text(encoding="utf-8")
    other.write_text(text.replace("rehearsal-site-2-9b81e4", "rehearsal-site-2-000000"), encoding="utf-8")
    name = f"rehearsal-site-1-refused-{os.getpid()}"
    federation.as_server("sagemaker", client="site-1").create_training_job(
        **federation.request(TrainingJobName=name)
    )
    _await_training(federation, "site-1")
    stopped = federation.command("stop", "--json", config=other)
    assert stopped.code == StillRunningError.exit_code
    assert [job["job"] for job in json.loads(stopped.printed)["stopped"]] == [name]
    assert 'client "site-2"' in stopped.said.splitlines()[-1]


def test_everybody_sees_how_their_own_part_stands(federation: Federation) -> None:
    """The notebook its clients, the operators their stacks; what they may not see is said to be so."""
    notebook = json.loads(federation.command("status", "--json").printed)["status"]
    seen = {(each["party"], each["check"]): each["outcome"] for each in notebook}
    assert seen["the server", "ServerStack"] == "unseen"
    for client in CLIENTS:
        assert seen[f'client "{client}"', "peering"] == seen[f'client "{client}"', "jobs"] == "ok"
    server = federation.operator_command("status").printed
    assert re.search(r"ok +ServerNetworkStack +CREATE_COMPLETE\n.* ServerStack +CREATE_COMPLETE", server)
    assert "Run this on the server's notebook" in server
    client = federation.operator_command("status", party="site-1").printed
    for what in ("ClientStack-site-1 +CREATE_COMPLETE", "notebook +InService", "peering +pcx-.* is active"):
        assert re.search(f"ok +{what}", client), client
    assert "site-2" not in client
