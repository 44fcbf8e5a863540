"""What goes wrong on a federation that runs: a clear error, its own exit code, and no job left running."""

import io
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from federation.errors import (
    JoinDeadlineError,
    KickoffRefusedError,
    LabelError,
    PortTakenError,
    TrainingJobError,
)
from federation.rehearse.federated_run import Participants
from federation.rehearse.prepared_data import prepare_data
from tests.rehearsal.federations import Federation, embedded_aws, stage
from tests.rehearsal.jobs import channel

pytestmark = pytest.mark.timeout(600)
CLIENTS = ("site-1", "site-2")


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """Deploy and publish once."""
    folder = tmp_path_factory.mktemp("federation")
    data = prepare_data(None, folder / "data", CLIENTS, label=None)
    with embedded_aws() as aws:
        deployed = Federation(stage(aws, folder), data=folder / "data", label=data.label)
        deployed.deployment.deploy()
        participants = Participants(deployed.stage)
        for client in deployed.stage.config.clients:
            participants.publish(client, data.clients[client.name])
        yield deployed


@pytest.fixture
def bucket(federation: Federation) -> Iterator[Any]:
    """Return a client's code bucket, whose objects are as before in the end."""
    client = federation.stage.config.client("site-2")
    kept = CodeBucket(
        federation.root("s3", "site-2"), federation.stage.config.client_names(client).code_bucket
    )
    yield kept
    kept.restore()


class CodeBucket:
    """A bucket whose objects can be spoilt for a while.

    Parameters
    ----------
    s3 : boto3 client
        As the root of the account.
    name : str
        The bucket.
    """

    def __init__(self, s3: Any, name: str) -> None:
        self._s3, self.name = s3, name
        self._kept: dict[str, bytes] = {}

    def keys(self, prefix: str) -> list[str]:
        """Return the keys below a prefix."""
        listed = self._s3.list_objects_v2(Bucket=self.name, Prefix=prefix)
        return [entry["Key"] for entry in listed["Contents"]]

    def delete(self, key: str) -> None:
        """Delete an object."""
        self._keep(key)
        self._s3.delete_object(Bucket=self.name, Key=key)

    def replace(self, key: str, content: bytes) -> None:
        """Put other bytes in an object's place."""
        self._keep(key)
        self._s3.put_object(Bucket=self.name, Key=key, Body=content)

    def replace_script(self, script: str) -> None:
        """Put another client.py in the place of the published one."""
        [key] = self.keys("source/")
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            entry = tarfile.TarInfo("client.py")
            entry.size = len(script.encode())
            archive.addfile(entry, io.BytesIO(script.encode()))
        self.replace(key, packed.getvalue())

    def restore(self) -> None:
        """Put everything back."""
        for key, content in self._kept.items():
            self._s3.put_object(Bucket=self.name, Key=key, Body=content)

    def _keep(self, key: str) -> None:
        self._kept[key] = self._s3.get_object(Bucket=self.name, Key=key)["Body"].read()


def _nothing_runs(federation: Federation) -> bool:
    deadline = time.monotonic() + 15
    while federation.running() and time.monotonic() < deadline:
        time.sleep(0.2)
    return not federation.running()


def _number_of_jobs(federation: Federation) -> int:
    return sum(len(federation.jobs(client)) for client in CLIENTS)


def _refusal(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def _request(federation: Federation, **changes: Any) -> dict[str, Any]:
    """Return a request that the kickoff role of site-1 may make, but for the changes."""
    from federation.aws.client_account import ClientAccount  # noqa: PLC0415 (boto3 has been imported by now)
    from federation.job_request import JobSettings, RunIdentity, build_job_request  # noqa: PLC0415

    config = federation.stage.config
    client = config.client("site-1")
    account = object.__new__(ClientAccount)
    account._ec2 = federation.as_server("ec2", client="site-1")
    account._names, account._client = config.client_names(client), client
    run = RunIdentity(run_id="test", server_address="127.0.0.1:1", certificate="")
    settings = JobSettings(label=federation.label, source_key="source/none/source.tar.gz")
    return build_job_request(config, client, account.network(), run, settings) | changes


def test_a_wrong_external_id_is_refused(federation: Federation, tmp_path: Path) -> None:
    """The server says which client refused it, and starts no job anywhere."""
    other = tmp_path / "other.toml"
    text = federation.stage.config_file.read_text(encoding="utf-8")
    other.write_text(text.replace("rehearsal-site-2-9b81e4", "rehearsal-site-2-000000"), encoding="utf-8")
    before = _number_of_jobs(federation)
    run = federation.serve(tmp_path, config=other)
    assert run.code == KickoffRefusedError.exit_code
    assert 'error: client "site-2": the kickoff role' in run.said
    assert _number_of_jobs(federation) == before


def test_a_missing_kickoff_role_is_named(federation: Federation, tmp_path: Path) -> None:
    """A client whose stack is not deployed stops the run before any job starts."""
    other = tmp_path / "other.toml"
    text = federation.stage.config_file.read_text(encoding="utf-8")
    other.write_text(text.replace("333333333333", "444444444444"), encoding="utf-8")
    before = _number_of_jobs(federation)
    run = federation.serve(tmp_path, config=other)
    assert run.code == KickoffRefusedError.exit_code
    assert "arn:aws:iam::444444444444:role/FL-kickoff-client-job refused the server" in run.said
    assert _number_of_jobs(federation) == before


def test_a_job_name_outside_the_prefix_is_refused(federation: Federation) -> None:
    """The server may start this federation's jobs only."""
    sagemaker = federation.as_server("sagemaker", client="site-1")
    request = _request(federation, TrainingJobName="other-job")
    with pytest.raises(ClientError) as error:
        sagemaker.create_training_job(**request)
    assert _refusal(error) == "AccessDeniedException"


def test_passing_another_role_is_refused(federation: Federation) -> None:
    """A job cannot be given more rights than the client planned."""
    own = federation.stage.config.client_names(federation.stage.config.client("site-1"))
    request = _request(federation, RoleArn=own.notebook_role_arn)
    with pytest.raises(ClientError) as error:
        federation.as_server("sagemaker", client="site-1").create_training_job(**request)
    assert _refusal(error) == "AccessDeniedException"


def test_another_image_is_refused(federation: Federation) -> None:
    """A region's image of another registry is unknown there."""
    request = _request(federation)
    image = request["AlgorithmSpecification"]["TrainingImage"].replace("us-east-1", "eu-west-1")
    request["AlgorithmSpecification"]["TrainingImage"] = image
    with pytest.raises(ClientError):
        federation.as_server("sagemaker", client="site-1").create_training_job(**request)


def test_data_of_another_bucket_are_out_of_reach_of_a_job(federation: Federation) -> None:
    """A job reads its own account's buckets, whatever the server asks for."""
    request = _request(federation, TrainingJobName="rehearsal-site-1-elsewhere")
    request["InputDataConfig"] = [channel("train", "s3://rehearsal-site-2-data-333333333333/data/")]
    with pytest.raises(ClientError, match="Error message from S3: Access Denied"):
        federation.as_server("sagemaker", client="site-1").create_training_job(**request)


@pytest.mark.parametrize("through", [None, "site-1"], ids=["as the notebook", "as the kickoff role"])
def test_the_server_cannot_read_a_clients_data(federation: Federation, through: str | None) -> None:
    """Neither with its own role nor with the one it assumes."""
    with pytest.raises(ClientError) as error:
        federation.as_server("s3", client=through).get_object(
            Bucket="rehearsal-site-1-data-222222222222", Key="data/train.csv"
        )
    assert _refusal(error) == "AccessDenied"


def test_unpublished_code_stops_the_run(federation: Federation, bucket: CodeBucket, tmp_path: Path) -> None:
    """A job that cannot find the code is a failure of that client, and the other one's job is stopped."""
    [key] = bucket.keys("source/")
    bucket.delete(key)
    run = federation.serve(tmp_path)
    assert run.code == TrainingJobError.exit_code
    assert 'error: client "site-2": its training job is Failed' in run.said
    assert _nothing_runs(federation)


def test_a_missing_package_stops_the_run(federation: Federation, bucket: CodeBucket, tmp_path: Path) -> None:
    """A job that fails while it starts is noticed, with the name of what pip misses."""
    [key] = [key for key in bucket.keys("wheels/") if "flwr" in key]
    bucket.delete(key)
    run = federation.serve(tmp_path)
    assert run.code == TrainingJobError.exit_code
    assert 'error: client "site-2": its training job is Failed' in run.said
    assert _nothing_runs(federation)


def test_a_changed_package_stops_the_run(federation: Federation, bucket: CodeBucket, tmp_path: Path) -> None:
    """Pip compares every wheel with the digest in the published code."""
    [key] = [key for key in bucket.keys("wheels/") if "iterators" in key]
    bucket.replace(key, b"something else")
    run = federation.serve(tmp_path)
    assert run.code == TrainingJobError.exit_code
    assert 'error: client "site-2": its training job is Failed' in run.said
    assert _nothing_runs(federation)


def test_a_wrong_label_is_said_before_any_job_starts(federation: Federation, tmp_path: Path) -> None:
    """The server's own rows have the columns that the clients' have."""
    before = _number_of_jobs(federation)
    run = federation.serve(tmp_path, label="no_such_column")
    assert run.code == LabelError.exit_code
    assert 'no label column "no_such_column"' in run.said
    assert _number_of_jobs(federation) == before


def test_a_job_that_fails_in_the_middle_stops_the_run(
    federation: Federation, bucket: CodeBucket, tmp_path: Path
) -> None:
    """Its own last error line is what the server shows."""
    bucket.replace_script("import sys, time\ntime.sleep(1)\nsys.exit('error: the disk is full')\n")
    run = federation.serve(tmp_path)
    assert run.code == TrainingJobError.exit_code
    assert "the disk is full" in run.said
    assert _nothing_runs(federation)


def test_a_job_that_never_joins_is_given_up(
    federation: Federation, bucket: CodeBucket, tmp_path: Path
) -> None:
    """The deadline names who is missing, and both jobs are stopped."""
    bucket.replace_script("import time\ntime.sleep(600)\n")
    run = federation.serve(tmp_path, "--join-timeout", "25")
    assert run.code == JoinDeadlineError.exit_code
    assert "site-2" in run.said.splitlines()[-1]
    assert _nothing_runs(federation)


def test_a_second_run_is_refused_while_one_is_active(
    federation: Federation, bucket: CodeBucket, tmp_path: Path
) -> None:
    """It starts no job and leaves the first one's alone."""
    bucket.replace_script("import time\ntime.sleep(600)\n")
    first = subprocess.Popen(
        [*federation.server_command(), "--out", str(tmp_path / "first")],
        cwd=tmp_path,
        env=federation.notebook_environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert first.stderr is not None
        next(line for line in first.stderr if "site-2: Starting" in line)
        before = _number_of_jobs(federation)
        run = federation.serve(tmp_path)
        assert run.code == PortTakenError.exit_code
        assert _number_of_jobs(federation) == before
        assert len(federation.running()) == 2
    finally:
        first.terminate()
        first.communicate()
    assert _nothing_runs(federation)
