"""What goes wrong on a federation that runs: a clear error, its own exit code, and no job left running."""

import re
import subprocess
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from federation.errors import (
    JoinDeadlineError,
    KickoffRefusedError,
    LabelError,
    PortTakenError,
    TrainingJobError,
)
from tests.rehearsal.federations import ClientBucket, Federation
from tests.rehearsal.jobs import channel

pytestmark = pytest.mark.timeout(600)
CLIENTS = ("site-1", "site-2")


def _number_of_jobs(federation: Federation) -> int:
    return sum(len(federation.jobs(client)) for client in CLIENTS)


def _refusal(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


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
    request = federation.request(TrainingJobName="other-job")
    with pytest.raises(ClientError) as error:
        sagemaker.create_training_job(**request)
    assert _refusal(error) == "AccessDeniedException"


def test_passing_another_role_is_refused(federation: Federation) -> None:
    """A job cannot be given more rights than the client planned."""
    own = federation.stage.config.client_names(federation.stage.config.client("site-1"))
    request = federation.request(RoleArn=own.notebook_role_arn)
    with pytest.raises(ClientError) as error:
        federation.as_server("sagemaker", client="site-1").create_training_job(**request)
    assert _refusal(error) == "AccessDeniedException"


def test_another_image_is_refused(federation: Federation) -> None:
    """A region's image of another registry is unknown there."""
    request = federation.request()
    image = request["AlgorithmSpecification"]["TrainingImage"].replace("us-east-1", "eu-west-1")
    request["AlgorithmSpecification"]["TrainingImage"] = image
    with pytest.raises(ClientError):
        federation.as_server("sagemaker", client="site-1").create_training_job(**request)


def test_data_of_another_bucket_are_out_of_reach_of_a_job(federation: Federation) -> None:
    """A job reads its own account's buckets, whatever the server asks for."""
    request = federation.request(TrainingJobName="rehearsal-site-1-elsewhere")
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


def test_unpublished_code_stops_the_run(federation: Federation, bucket: ClientBucket, tmp_path: Path) -> None:
    """A job that cannot find the code is a failure of that client, and the other one's job is stopped."""
    [key] = bucket.keys("source/")
    bucket.delete(key)
    run = federation.serve(tmp_path)
    assert run.code == TrainingJobError.exit_code
    assert 'error: client "site-2": its training job is Failed' in run.said
    assert federation.nothing_runs()


def test_a_missing_package_stops_the_run(
    federation: Federation, bucket: ClientBucket, tmp_path: Path
) -> None:
    """A job that fails while it starts is noticed, with the name of what pip misses."""
    [key] = [key for key in bucket.keys("wheels/") if "flwr" in key]
    bucket.delete(key)
    run = federation.serve(tmp_path)
    assert run.code == TrainingJobError.exit_code
    assert 'error: client "site-2": its training job is Failed' in run.said
    assert federation.nothing_runs()


def test_a_changed_package_stops_the_run(
    federation: Federation, bucket: ClientBucket, tmp_path: Path
) -> None:
    """Pip compares every wheel with the digest in the published code."""
    [key] = [key for key in bucket.keys("wheels/") if "iterators" in key]
    bucket.replace(key, b"something else")
    run = federation.serve(tmp_path)
    assert run.code == TrainingJobError.exit_code
    assert 'error: client "site-2": its training job is Failed' in run.said
    assert federation.nothing_runs()


def test_a_wrong_label_is_said_before_any_job_starts(federation: Federation, tmp_path: Path) -> None:
    """The server's own rows have the columns that the clients' have."""
    before = _number_of_jobs(federation)
    run = federation.serve(tmp_path, label="no_such_column")
    assert run.code == LabelError.exit_code
    assert 'no label column "no_such_column"' in run.said
    assert _number_of_jobs(federation) == before


def test_a_job_that_fails_in_the_middle_stops_the_run(
    federation: Federation, bucket: ClientBucket, tmp_path: Path
) -> None:
    """Its own last error line is what the server shows."""
    bucket.replace_script("import sys, time\ntime.sleep(1)\nsys.exit('error: the disk is full')\n")
    run = federation.serve(tmp_path)
    assert run.code == TrainingJobError.exit_code
    assert "the disk is full" in run.said
    assert federation.nothing_runs()


def test_a_job_that_fails_at_the_very_end_loses_nothing(
    federation: Federation, bucket: ClientBucket, tmp_path: Path
) -> None:
    """The model has been handed over: it is saved here and in the bucket; the run ends with an error."""
    bucket.fail_after_the_script()
    run = federation.serve(tmp_path)
    assert run.code == TrainingJobError.exit_code
    last = run.said.splitlines()[-1]
    assert "the model is in" in last
    assert 'lient "site-2": its training job is Failed: the disk is full' in last
    assert (tmp_path / "run" / "model.json").exists()
    status = federation.command("status")
    assert re.search(r"last run +\S+, with a model", status.printed)
    assert federation.nothing_runs()


def test_a_client_with_another_label_column_stops_the_run(
    federation: Federation, rows: ClientBucket, tmp_path: Path
) -> None:
    """The client says which column it lacks, and names none of its own."""
    for key in (key for key in rows.keys("data/") if key.endswith(".csv")):
        header, rest = rows.read(key).split(b"\n", 1)
        rows.replace(key, header.replace(federation.label.encode(), b"is_fraud") + b"\n" + rest)
    run = federation.serve(tmp_path)
    assert run.code == TrainingJobError.exit_code
    assert 'error: client "site-2": its training job is Failed' in run.said
    assert federation.label in run.said.splitlines()[-1]
    assert federation.nothing_runs()


def test_a_job_that_never_joins_is_given_up(
    federation: Federation, bucket: ClientBucket, tmp_path: Path
) -> None:
    """The deadline names who is missing, and both jobs are stopped."""
    bucket.replace_script("import time\ntime.sleep(600)\n")
    run = federation.serve(tmp_path, "--join-timeout", "25")
    assert run.code == JoinDeadlineError.exit_code
    assert "site-2" in run.said.splitlines()[-1]
    assert federation.nothing_runs()


def test_a_second_run_is_refused_while_one_is_active(
    federation: Federation, bucket: ClientBucket, tmp_path: Path
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
    assert federation.nothing_runs()
