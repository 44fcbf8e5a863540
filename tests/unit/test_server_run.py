"""A run as on AWS, with accounts whose jobs are threads of this process."""

import base64
import datetime as dt
import json
import re
import socket
import threading
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import botocore.session
import joblib
import numpy as np
import pandas as pd
import pytest
from cryptography import x509

import client
import proof
from client_code.protocol.contract import Contract, Rule
from errors import ClientError
from federation.aws.checks.server import own_address
from federation.aws.jobs.request import ClientNetwork, JobSettings
from federation.aws.ports import JobStatus
from federation.cli.progress import Progress
from federation.config.schema import FederationConfig, parse_config
from federation.data.preparation.prepare import prepare
from federation.data.preparation.settings import PreparationSettings
from federation.data.synthetic import LABEL
from federation.data.table import Table, read_table
from federation.errors import (
    IdentityRefusedError,
    PortTakenError,
    ServerAddressError,
    SettingError,
    TrainingJobError,
)
from federation.learning.preprocessing.prepared import Prepared
from federation.learning.rounds.figures import Round
from federation.learning.settings import TrainingSettings
from federation.runs.folder import read_egress
from federation.runs.on_aws import ServerRun, keep_in_bucket, run_on_aws
from federation.stream.admission.role_proof import SignedRequest
from tests.script_mode import arguments

# The client silences this warning, but not for other threads of the process, and here clients are threads.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


class ThreadAccount:
    """A client's account whose training job is a thread that runs the client's real code."""

    def __init__(self, data: Path, output: Path, *, label: str = LABEL, principal: str = "") -> None:
        self._data, self._output, self._label = data, output, label
        self._session = botocore.session.Session()
        self._session.set_credentials(f"ASIA{(principal or data.name).replace('-', '_')}", "secret", "token")
        self._thread = threading.Thread()
        self._error: Exception | None = None
        self.stopped = False

    def network(self) -> ClientNetwork:
        return ClientNetwork(subnets=("subnet-1",), security_group="sg-1", key_arn="arn:aws:kms:::key/k")

    def create_job(self, request: Mapping[str, Any]) -> None:
        given = arguments(request)
        self.certificate = given["server-certificate"]
        given |= {
            "train": str(self._data),
            "label": self._label,
            "model-dir": str(self._output),
            "output-data-dir": str(self._output),
            "patience": "5",
        }
        options = client.parse_arguments([part for k, v in given.items() for part in (f"--{k}", v)])
        self._thread = threading.Thread(target=self._run, args=(options,), daemon=True)
        self._thread.start()

    def _run(self, options: Namespace) -> None:
        prove = client.proof_of(options, token="")
        assert isinstance(prove, proof.ByRole)
        try:
            client.take_part(options, prove=replace(prove, session=self._session))
        except ClientError as error:
            self._error = error

    def job_status(self, name: str) -> JobStatus:
        assert name
        if self._thread.is_alive():
            return JobStatus(status="InProgress", secondary="Training")
        if self._error:
            return JobStatus(status="Failed", secondary="Failed", failure=str(self._error))
        return JobStatus(status="Completed", secondary="Completed")

    def stop_job(self, name: str) -> None:
        assert name
        self.stopped = True

    def last_log_lines(self, name: str) -> list[str]:
        assert name
        return [f"error: {self._error}"] if self._error else []


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def config() -> FederationConfig:
    """Return a federation of two clients on a free port."""
    party = {"region": "us-east-1", "availability_zones": ["us-east-1a"]}
    clients = [
        party | {"name": name, "account": account, "cidr": cidr, "external_id": f"external-id-of-{name}"}
        for name, account, cidr in (
            ("client-1", "222222222222", "10.0.1.0/24"),
            ("client-2", "333333333333", "10.0.2.0/24"),
        )
    ]
    return parse_config(
        {
            "federation": {"name": "claims", "port": free_port()},
            "server": party | {"account": "111111111111", "cidr": "10.0.0.0/24"},
            "clients": clients,
        }
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepare synthetic data for the two clients, which a run only reads."""
    folder = tmp_path_factory.mktemp("prepared") / "data"
    settings = PreparationSettings(label=LABEL, clients=2, partition="quantile:total_claim_count_sum")
    prepare(None, folder, settings)
    return folder


def run(
    config: FederationConfig,
    data: Path,
    accounts: Mapping[str, ThreadAccount],
    out: Path,
    *,
    progress: Progress | None = None,
    attempt: int = 1,
    contract: Contract | None = None,
) -> None:
    """Run a federation with these accounts."""
    settings = ServerRun(
        config=config,
        training=TrainingSettings(),
        jobs=JobSettings(label=LABEL, source_key="source/abc/source.tar.gz"),
        host="127.0.0.1",
        join_timeout=30,
        poll_seconds=0.05,
        out=out,
        run_id="r1",
        started=dt.datetime.now(dt.UTC),
        attempt=attempt,
        note="a remark",
        prepared=Prepared(
            notes=["2 rows are identical."], left_out={"id": "an identifier"}, contract=contract
        ),
    )
    run_on_aws(settings, held_back(data), accounts, progress or Progress(), ask_sts=caller)


def test_instances_are_not_kept_for_longer_than_the_clients_allow(
    config: FederationConfig, tmp_path: Path
) -> None:
    """The kickoff roles would refuse it, one after the other, once the run has begun."""
    limits = config.federation.model_copy(update={"max_keep_alive_seconds": 60})
    allowing = config.model_copy(update={"federation": limits})

    def keeping(seconds: int) -> ServerRun:
        return ServerRun(
            config=allowing,
            training=TrainingSettings(),
            jobs=JobSettings(label=LABEL, source_key="s", keep_alive=seconds),
            host=None,
            join_timeout=1,
            poll_seconds=1,
            out=tmp_path,
            run_id="r1",
            started=dt.datetime.now(dt.UTC),
        )

    keeping(60)
    with pytest.raises(SettingError, match="--keep-alive 61 is longer than the 60 s"):
        keeping(61)


def caller(request: SignedRequest) -> str:
    """Tell who signed, as AWS does; the rehearsal's tests check that signatures count."""
    found = re.search(r"Credential=ASIA(\w+)/", request.headers["authorization"])
    assert found is not None
    principals = {
        "client_1": "222222222222:assumed-role/FL-claims-training-job",
        "client_2": "333333333333:assumed-role/FL-claims-training-job",
        "other_account": "444444444444:assumed-role/FL-claims-training-job",
    }
    return f"arn:aws:sts::{principals[found[1]]}/SageMaker"


def held_back(data: Path) -> Table:
    """Return the server's rows."""
    return read_table(data / "server" / "test.csv", label=LABEL)


def accounts_of(data: Path, out: Path, **labels: str) -> dict[str, ThreadAccount]:
    """Return both clients' accounts; ``labels`` gives a client a wrong one."""
    return {
        name: ThreadAccount(data / name, out / name, label=labels.get(name.replace("-", "_"), LABEL))
        for name in ("client-1", "client-2")
    }


def test_the_model_is_saved_on_both_sides(config: FederationConfig, data: Path, tmp_path: Path) -> None:
    """The run folder and every client's job hold a model that scores alike."""
    accounts = accounts_of(data, tmp_path / "jobs")
    run(config, data, accounts, tmp_path / "run")
    names = {path.name for path in (tmp_path / "run").iterdir()}
    results = {"model.joblib", "model.json", "metrics.json", "rounds.jsonl", "run.json", "report.html"}
    assert names == results | {"events.jsonl", "checkpoint"}
    rows = pd.read_csv(data / "server" / "test.csv")
    expected = joblib.load(tmp_path / "run" / "model.joblib").predict_proba(rows)
    for name in accounts:
        theirs = joblib.load(tmp_path / "jobs" / name / "model.joblib").predict_proba(rows)
        np.testing.assert_allclose(theirs, expected, rtol=0, atol=1e-12)
    assert not any(account.stopped for account in accounts.values())


def test_the_certificate_lasts_as_long_as_a_job_may(
    config: FederationConfig, data: Path, tmp_path: Path
) -> None:
    """A job of five days, the longest, can join again on its last one: after a Spot interruption, say."""
    longest = config.federation.model_copy(update={"max_job_seconds": 432_000})
    accounts = accounts_of(data, tmp_path / "jobs")
    run(config.model_copy(update={"federation": longest}), data, accounts, tmp_path / "run")
    certificate = x509.load_der_x509_certificate(base64.b64decode(accounts["client-1"].certificate))
    assert certificate.not_valid_after_utc > dt.datetime.now(dt.UTC) + dt.timedelta(days=5)


def test_a_remark_is_kept_in_the_record(config: FederationConfig, data: Path, tmp_path: Path) -> None:
    """By it a rehearsal says what differed from the training image."""
    run(config, data, accounts_of(data, tmp_path / "jobs"), tmp_path / "run")
    assert json.loads((tmp_path / "run" / "run.json").read_text())["note"] == "a remark"
    assert "<dd>a remark</dd>" in (tmp_path / "run" / "report.html").read_text()


def test_columns_that_the_servers_preparation_left_out_are_told(
    config: FederationConfig, data: Path, tmp_path: Path
) -> None:
    """How many identical rows the clients have is unknown."""
    run(config, data, accounts_of(data, tmp_path / "jobs"), tmp_path / "run")
    metrics, model = (
        json.loads((tmp_path / "run" / name).read_text()) for name in ("metrics.json", "model.json")
    )
    assert metrics["left_out"] == model["left_out"] == {"id": "an identifier"}
    assert metrics["duplicates"] is None
    notes = json.loads((tmp_path / "run" / "run.json").read_text())["warnings"]
    assert "2 rows are identical." in notes
    assert "id: an identifier" in (tmp_path / "run" / "report.html").read_text()


def test_the_model_remembers_what_the_contract_says_of_cells(
    config: FederationConfig, data: Path, tmp_path: Path
) -> None:
    """Which is all that a server on AWS knows of the clients' tables."""
    columns = {name: Rule(type="numeric") for name in held_back(data).features}
    day = {next(iter(columns)): Rule(type="date", reference="2020-01-01", format="%d/%m/%Y")}
    agreed = Contract(label=LABEL, columns=columns | day, missing_values=("Too Few", "-9"), inferred=True)
    run(config, data, accounts_of(data, tmp_path / "jobs"), tmp_path / "run", contract=agreed)
    dates = {name: {"format": "%d/%m/%Y", "reference": "2020-01-01"} for name in day}
    model = json.loads((tmp_path / "run" / "model.json").read_text())
    assert model["written"] == {"missing": ["Too Few", "-9"], "dates": dates}


@pytest.mark.parametrize("told", [True, False])
def test_the_report_says_of_resampling_what_clients_told(
    config: FederationConfig, tmp_path: Path, *, told: bool
) -> None:
    """And "unknown" where they told nothing: the server sees no rows."""
    data = tmp_path / "data"
    how = {"clients": 2, "partition": "quantile:total_claim_count_sum", "resample": "smote"}
    manifest = prepare(None, data, PreparationSettings(label=LABEL, **how))  # type: ignore[arg-type]
    if not told:
        for path in data.glob("*/preparation.json"):
            path.unlink()
    run(config, data, accounts_of(data, tmp_path / "jobs"), tmp_path / "run")
    found, metrics, model = (
        json.loads((tmp_path / "run" / name).read_text())
        for name in ("run.json", "metrics.json", "model.json")
    )
    word = "smote" if told else "unknown"
    assert found["resample"] == metrics["resample"] == model["sampling"]["resample"] == word
    assert found["synthetic"] == metrics["synthetic"] == told
    assert any(("resampled (smote)" if told else "is unknown at") in line for line in found["warnings"])
    rows, one = manifest.clients["client-1"], found["clients"]["client-1"]
    assert one["resample"] == word
    assert (one["train_rows"], one["train_positives"]) == (rows.train.rows, rows.train.positives)
    before = (rows.train_before.rows, rows.train_before.positives) if told else (None, None)
    assert (one["observed_rows"], one["observed_positives"]) == before
    page = (tmp_path / "run" / "report.html").read_text()
    assert ("SYNTHETIC DATA" in page) is told
    assert f"<dt>Resampling</dt><dd>{word}</dd>" in page


def test_what_the_server_received_is_what_the_ledgers_say(
    config: FederationConfig, data: Path, tmp_path: Path
) -> None:
    """The report counts, kind by kind, the bytes that the clients wrote down."""
    run(config, data, accounts_of(data, tmp_path / "jobs"), tmp_path / "run")
    report = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    for name in ("client-1", "client-2"):
        egress = read_egress(tmp_path / "jobs" / name / "ledger.jsonl")
        assert f"{egress.messages:,}" in report
        assert egress.total > 0


def test_a_client_that_fails_is_named_and_the_others_jobs_are_stopped(
    config: FederationConfig, data: Path, tmp_path: Path
) -> None:
    """A wrong label column at one client: its own words reach the server, and nothing is saved."""
    accounts = accounts_of(data, tmp_path / "jobs", client_2="no_such_label")
    with pytest.raises(TrainingJobError, match=r'client "client-2".*no label column "no_such_label"'):
        run(config, data, accounts, tmp_path / "run")
    assert not (tmp_path / "run" / "model.json").exists()


def test_a_client_of_another_account_is_refused(config: FederationConfig, data: Path, tmp_path: Path) -> None:
    """The run ends with who came instead of the client, and the exit code of a refused identity."""
    accounts = accounts_of(data, tmp_path / "jobs")
    accounts["client-2"] = ThreadAccount(
        data / "client-2", tmp_path / "jobs" / "x", principal="other_account"
    )
    with pytest.raises(IdentityRefusedError, match=r'client "client-2".*444444444444') as refused:
        run(config, data, accounts, tmp_path / "run")
    assert refused.value.exit_code == 86
    assert not (tmp_path / "run" / "model.json").exists()


class CutShort(Progress):
    """Ends the run after a round, as a crash does."""

    def round_ended(self, record: Round, of: int) -> None:
        super().round_ended(record, of)
        if record.round == 1:
            raise KeyboardInterrupt


def test_a_run_that_was_cut_short_goes_on(config: FederationConfig, data: Path, tmp_path: Path) -> None:
    """New jobs, with names of the attempt, take up the next round; the model is the uninterrupted one's."""
    run(config, data, accounts_of(data, tmp_path / "whole jobs"), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(config, data, accounts_of(data, tmp_path / "jobs"), tmp_path / "cut", progress=CutShort())
    run(config, data, accounts_of(data, tmp_path / "new jobs"), tmp_path / "cut", attempt=2)
    whole, cut = (json.loads((tmp_path / name / "model.json").read_text()) for name in ("whole", "cut"))
    assert cut["features"] == whole["features"]
    assert cut["intercept"] == whole["intercept"]
    rounds = [json.loads(line) for line in (tmp_path / "cut" / "events.jsonl").read_text().splitlines()]
    assert [one["round"] for one in rounds if one["event"] == "round"] == [0, 1, 2, 3]


def test_a_second_run_while_one_is_active_is_refused(
    config: FederationConfig, data: Path, tmp_path: Path
) -> None:
    """The port is taken: no job is started."""
    accounts = accounts_of(data, tmp_path / "jobs")
    with socket.create_server(("127.0.0.1", config.federation.port)), pytest.raises(PortTakenError):
        run(config, data, accounts, tmp_path / "run")
    assert not (tmp_path / "jobs").exists()


def test_the_run_goes_to_the_results_bucket(tmp_path: Path) -> None:
    """Every file of the run folder is kept under the run's id."""

    class FakeStore:
        bucket = "results"

        def __init__(self) -> None:
            self.kept: dict[str, str] = {}

        def put(self, key: str, content: bytes | Path, *, sha256: str) -> None:
            assert isinstance(content, Path)
            assert content.is_file()
            self.kept[key] = sha256

    (tmp_path / "sub").mkdir()
    (tmp_path / "a").write_text("a")
    (tmp_path / "sub" / "b").write_text("b")
    (tmp_path / ".lock").write_text("process 1 on this machine")
    store = FakeStore()
    assert keep_in_bucket(store, tmp_path, "r1") == "s3://results/runs/r1/"
    assert set(store.kept) == {"runs/r1/a", "runs/r1/sub/b"}


def test_the_own_address_is_that_of_the_route() -> None:
    """Towards loopback the route starts at loopback."""
    assert own_address("127.0.0.2") == "127.0.0.1"


def test_an_address_without_a_route_is_an_error() -> None:
    """A machine that cannot reach the clients says so, and how to go on."""
    with pytest.raises(ServerAddressError, match="no route"):
        own_address("255.255.255.255")
