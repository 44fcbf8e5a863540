"""Training jobs run the real toolkit with the training role, and end as AWS says they end."""

import json
import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from federation.aws.jobs.request import ClientNetwork, JobSettings, RunIdentity, build_job_request
from federation.config.schema import load_config
from federation.rehearse.machine.embedded_aws import EmbeddedAws
from tests.conftest import ROOT
from tests.rehearsal.conftest import CLIENT, Connect, connector
from tests.rehearsal.federations import embedded_aws
from tests.rehearsal.jobs import FAIL, TRAIN, WAIT, Account, permissions


def processes_of_jobs(aws: EmbeddedAws) -> list[psutil.Process]:
    """Return every process below the emulator."""
    return list(psutil.Process(aws.pid).children(recursive=True))


def gone(processes: list[psutil.Process]) -> bool:
    """Wait a moment for processes to end."""
    _, alive = psutil.wait_procs(processes, timeout=10)
    return not alive


@pytest.fixture
def account(connect: Connect) -> Account:
    """Return a client account with data, and a role that may train."""
    return Account(connect)


def test_a_job_trains_and_leaves_model_output_logs_and_metrics(account: Account) -> None:
    """Script mode end to end: arguments, channels, artifacts, log stream, metrics, statuses."""
    account.publish(TRAIN)
    request = account.request()
    metrics = [{"Name": "loss", "Regex": "loss=(.*?);"}]
    job = account.run(
        AlgorithmSpecification={**request["AlgorithmSpecification"], "MetricDefinitions": metrics}
    )
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    steps = [step["Status"] for step in job["SecondaryStatusTransitions"]]
    assert steps == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    model = "runs/fl-job-1/output/model.tar.gz"
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://artifacts/{model}"
    assert account.artifact(model) == {"model.json": b'{"rows": 3, "rounds": 7}'}
    assert account.artifact("runs/fl-job-1/output/output.tar.gz") == {"egress.jsonl": b"{}"}
    assert "rounds=7 loss=0.5;" in account.log("fl-job-1")
    assert [(m["MetricName"], m["Value"]) for m in job["FinalMetricDataList"]] == [("loss", 0.5)]


def test_hyperparameters_arrive_as_they_were_sent(account: Account) -> None:
    """The toolkit itself decodes them: neither a label nor a client's name becomes a number or a truth."""
    config = load_config(ROOT / "config" / "rehearsal.toml")
    client = config.clients[0].model_copy(update={"name": "true"})
    network = ClientNetwork(subnets=("subnet-1",), security_group="sg-1", key_arn="arn:aws:kms:::key/k")
    run = RunIdentity(run_id="1e3", server_address="10.0.0.5:8080", certificate="1234")
    settings = JobSettings(label="250.00", source_key="code/source.tar.gz")
    sent = build_job_request(config, client, network, run, settings)["HyperParameters"]
    account.publish("import sys, json\nprint(json.dumps(sys.argv[1:]), flush=True)")
    own = account.request()["HyperParameters"]
    toolkit = {name: value for name, value in own.items() if name.startswith("sagemaker_")}
    job = account.run(HyperParameters={**sent, **toolkit})
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    [words] = [json.loads(line) for line in account.log("fl-job-1") if line.startswith('["--')]
    arrived = dict(zip(words[::2], words[1::2], strict=True))
    assert (arrived["--label"], arrived["--client-name"], arrived["--run-id"]) == ("250.00", "true", "1e3")
    assert (arrived["--server-certificate"], arrived["--max-iter"]) == ("1234", "10")


def test_requirements_are_installed_for_the_job_alone(account: Account, tmp_path: Path) -> None:
    """``pip install`` of one job does not change the environment of the next."""
    package = tmp_path / "tiny_dependency"
    package.mkdir()
    (package / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (package / "backend.py").write_text(BACKEND)
    script = (
        "import os, pathlib, tiny_dependency\npathlib.Path(os.environ['SM_MODEL_DIR'], 'm').write_text('')"
    )
    account.publish(script, requirements=f"--no-index\n{package}\n")
    job = account.run()
    assert job["TrainingJobStatus"] == "Completed", account.log("fl-job-1")
    account.publish(script)
    assert account.run(name="fl-job-2")["TrainingJobStatus"] == "Failed"
    assert "No module named 'tiny_dependency'" in "\n".join(account.log("fl-job-2"))


BACKEND = """
import pathlib, zipfile
def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "tiny_dependency-1-py3-none-any.whl"
    info = "tiny_dependency-1.dist-info/"
    with zipfile.ZipFile(pathlib.Path(folder, name), "w") as wheel:
        wheel.writestr("tiny_dependency.py", "")
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: tiny_dependency\\nVersion: 1\\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "RECORD", "")
    return name
"""


@pytest.mark.parametrize(("destination", "no_index"), [("10.9.0.0/16", "1"), ("0.0.0.0/0", "None")])
def test_pip_has_no_index_where_the_network_has_no_way_out(
    account: Account, destination: str, no_index: str
) -> None:
    """A wheel somebody forgot to publish is missed here, not on AWS."""
    ec2 = account.connect("ec2", CLIENT)
    subnet = ec2.describe_subnets(SubnetIds=[account.ids["Subnet"]])["Subnets"][0]
    table = ec2.create_route_table(VpcId=subnet["VpcId"])["RouteTable"]["RouteTableId"]
    ec2.associate_route_table(RouteTableId=table, SubnetId=account.ids["Subnet"])
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.create_route(RouteTableId=table, GatewayId=gateway, DestinationCidrBlock=destination)
    account.publish("import os; print('no index:', os.environ.get('PIP_NO_INDEX'))")
    assert account.run()["TrainingJobStatus"] == "Completed"
    assert f"no index: {no_index}" in account.log("fl-job-1")


def test_a_script_that_fails_gives_its_reason(account: Account) -> None:
    """The toolkit's words and exit code are the ``FailureReason``; the ledger is saved, no model is."""
    account.publish(FAIL)
    job = account.run()
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Failed"
    assert job["FailureReason"].startswith("AlgorithmError: ExecuteUserScriptError:\nExitCode 1")
    assert job["FailureReason"].endswith("exit code: 1")
    assert "no label column" in account.log("fl-job-1")
    assert account.artifacts() == ["runs/fl-job-1/output/output.tar.gz"]


def test_a_stopped_job_ends_with_all_its_processes_and_keeps_its_artifacts(
    account: Account, aws: EmbeddedAws
) -> None:
    """Stop kills the script and what it started; what the model folder holds is uploaded."""
    account.publish(WAIT)
    account.sagemaker.create_training_job(**account.request())
    account.await_status("fl-job-1", "Training")
    _wait_for_line(account, "waiting")
    running = processes_of_jobs(aws)
    account.sagemaker.stop_training_job(TrainingJobName="fl-job-1")
    job = account.await_status("fl-job-1", "Stopped")
    assert job["SecondaryStatus"] == "Stopped"
    assert gone(running)
    assert account.artifact("runs/fl-job-1/output/model.tar.gz") == {"so-far": b"1"}
    with pytest.raises(account.sagemaker.exceptions.ClientError, match="is in status Stopped"):
        account.sagemaker.stop_training_job(TrainingJobName="fl-job-1")


def _wait_for_line(account: Account, beginning: str) -> None:
    deadline = time.monotonic() + 20
    while not any(line.startswith(beginning) for line in account.log("fl-job-1")):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_job_that_exceeds_its_time_is_stopped(account: Account) -> None:
    """``MaxRuntimeExceeded`` is how AWS calls it."""
    account.publish(WAIT)
    job = account.run(StoppingCondition={"MaxRuntimeInSeconds": 2})
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


def test_checkpoints_are_restored_and_kept(account: Account) -> None:
    """What the prefix holds is there when the script starts; what the script writes is there when it ends."""
    account.s3.put_object(Bucket="data", Key="checkpoints/round-1", Body=b"1")
    policy = permissions()
    policy[1]["Resource"] = ["arn:aws:s3:::artifacts/*", "arn:aws:s3:::data/checkpoints/*"]
    iam = account.connect("iam", CLIENT)
    iam.put_role_policy(
        RoleName="training", PolicyName="policy", PolicyDocument=json.dumps({"Statement": policy})
    )
    account.publish(
        "import os, pathlib\nfolder = pathlib.Path(os.environ['CHECKPOINTS'])\n"
        "(folder / 'round-2').write_text((folder / 'round-1').read_text() + '2')"
    )
    job = account.run(
        CheckpointConfig={"S3Uri": "s3://data/checkpoints"},
        Environment={"CHECKPOINTS": "/opt/ml/checkpoints"},
    )
    assert job["TrainingJobStatus"] == "Completed", account.log("fl-job-1")
    saved = account.s3.get_object(Bucket="data", Key="checkpoints/round-2")["Body"].read()
    assert saved == b"12"


def test_the_script_is_the_training_role_and_nobody_else(account: Account) -> None:
    """What the role may not do, the script may not do."""
    account.publish(
        "import os, boto3\n"
        "print(boto3.client('sts', region_name=os.environ['AWS_REGION']).get_caller_identity()['Arn'])\n"
        "boto3.client('s3', region_name='us-east-1').put_object(Bucket='data', Key='k', Body=b'')\n"
    )
    job = account.run()
    lines = account.log("fl-job-1")
    assert "arn:aws:sts::222222222222:assumed-role/training/SageMaker" in lines
    assert any("AccessDenied" in line and "PutObject" in line for line in lines)
    assert job["TrainingJobStatus"] == "Failed"


def test_artifacts_that_may_not_be_written_fail_the_job(connect: Connect) -> None:
    """The upload is the role's too."""
    account = Account(connect, [s for s in permissions() if s["Action"] != "s3:PutObject"])
    account.publish(TRAIN)
    job = account.run()
    assert job["FailureReason"].startswith("ClientError: Artifact upload failed")


def test_a_killed_emulator_leaves_no_job() -> None:
    """SIGKILL of the emulator ends the container too."""
    with embedded_aws() as aws:
        account = Account(connector(aws))
        account.publish(WAIT)
        account.sagemaker.create_training_job(**account.request())
        account.await_status("fl-job-1", "Training")
        _wait_for_line(account, "waiting")
        running = processes_of_jobs(aws)
        assert len(running) >= 3
        os.kill(aws.pid, signal.SIGKILL)
        assert gone(running)
