"""A client account with everything a training job needs, and scripts to train with."""

import io
import json
import tarfile
import time
from typing import Any

from tests.rehearsal.conftest import CLIENT, REGION, SERVER, Connect
from tests.rehearsal.stacks import Template, allow, deploy, role, trusting_service

Request = dict[str, Any]

IMAGE = f"683313688378.dkr.ecr.{REGION}.amazonaws.com/sagemaker-scikit-learn:1.9-0-cpu-py3"
TRAIN = """
import argparse, json, os, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("--rounds", type=int)
rounds = parser.parse_args().rounds
rows = len(pathlib.Path(os.environ["SM_CHANNEL_TRAIN"], "rows.csv").read_text().split())
print(f"rounds={rounds} loss=0.5;", flush=True)
model = {"rows": rows, "rounds": rounds}
pathlib.Path(os.environ["SM_MODEL_DIR"], "model.json").write_text(json.dumps(model))
pathlib.Path(os.environ["SM_OUTPUT_DATA_DIR"], "egress.jsonl").write_text("{}")
"""
FAIL = """
import os, pathlib, sys
pathlib.Path(os.environ["SM_OUTPUT_DATA_DIR"], "egress.jsonl").write_text("{}")
sys.exit("no label column")
"""
WAIT = """
import os, pathlib, subprocess, sys, time
pathlib.Path(os.environ["SM_MODEL_DIR"], "so-far").write_text("1")
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print("waiting", child.pid, flush=True)
time.sleep(60)
"""


def permissions() -> list[Template]:
    """Return what a training role in a VPC needs."""
    return [
        allow(["s3:GetObject", "s3:ListBucket"], ["arn:aws:s3:::data", "arn:aws:s3:::data/*"]),
        allow("s3:PutObject", "arn:aws:s3:::artifacts/*"),
        allow("ecr:GetAuthorizationToken"),
        allow(
            ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            f"arn:aws:ecr:{REGION}:683313688378:repository/sagemaker-scikit-learn",
        ),
        allow(["ec2:Describe*", "ec2:CreateNetworkInterface*", "ec2:DeleteNetworkInterface*"]),
        allow(["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]),
    ]


def network_and_buckets() -> Template:
    """Return a VPC with a subnet and a security group, and two buckets."""
    of_vpc = {"VpcId": {"Ref": "Vpc"}}
    return {
        "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.2.0.0/16"}},
        "Subnet": {"Type": "AWS::EC2::Subnet", "Properties": {**of_vpc, "CidrBlock": "10.2.0.0/24"}},
        "Other": {"Type": "AWS::EC2::Subnet", "Properties": {**of_vpc, "CidrBlock": "10.2.1.0/24"}},
        "Group": {
            "Type": "AWS::EC2::SecurityGroup",
            "Properties": {**of_vpc, "GroupDescription": "jobs"},
        },
        **{
            name: {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": name.lower()}}
            for name in ("Data", "Artifacts")
        },
    }


class Account:
    """The client's account, ready for jobs.

    Parameters
    ----------
    connect : callable
        The fixture.
    statements : list of dict, optional
        What the training role may do.
    """

    def __init__(self, connect: Connect, statements: list[Template] | None = None) -> None:
        self.connect = connect
        resources = {
            **network_and_buckets(),
            "Training": role(trusting_service("sagemaker"), *(statements or permissions()), name="training"),
        }
        names = ("Subnet", "Other", "Group")
        self.ids = deploy(
            connect("cloudformation", CLIENT),
            "Client",
            resources,
            outputs={
                **{n: {"Fn::GetAtt": [n, "GroupId"]} if n == "Group" else {"Ref": n} for n in names},
                "Role": {"Fn::GetAtt": ["Training", "Arn"]},
            },
        )
        self.s3 = connect("s3", CLIENT)
        self.s3.put_object(Bucket="data", Key="train/rows.csv", Body=b"1\n2\n3\n")
        self.sagemaker = connect("sagemaker", CLIENT)

    def publish(self, script: str, requirements: str = "") -> None:
        """Put a script into the account as the source archive of script mode."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            for name, text in (("train.py", script), ("requirements.txt", requirements)):
                if text:
                    entry = tarfile.TarInfo(name)
                    entry.size = len(text.encode())
                    archive.addfile(entry, io.BytesIO(text.encode()))
        self.s3.put_object(Bucket="data", Key="code/source.tar.gz", Body=packed.getvalue())

    def request(self, name: str = "fl-job-1", **changes: Any) -> Request:
        """Return a ``CreateTrainingJob`` request."""
        return {
            "TrainingJobName": name,
            "RoleArn": self.ids["Role"],
            "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
            "HyperParameters": {
                "sagemaker_program": '"train.py"',
                "sagemaker_submit_directory": '"s3://data/code/source.tar.gz"',
                "rounds": "7",
            },
            "InputDataConfig": [channel("train", "s3://data/train/")],
            "OutputDataConfig": {"S3OutputPath": "s3://artifacts/runs"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 5},
            "VpcConfig": {"Subnets": [self.ids["Subnet"]], "SecurityGroupIds": [self.ids["Group"]]},
            "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
            **changes,
        }

    def await_status(self, name: str, *wanted: str, seconds: float = 40) -> dict[str, Any]:
        """Return the job once its status or secondary status is one of those."""
        deadline = time.monotonic() + seconds
        while True:
            job: dict[str, Any] = self.sagemaker.describe_training_job(TrainingJobName=name)
            if {job["TrainingJobStatus"], job["SecondaryStatus"]} & set(wanted):
                return job
            assert time.monotonic() < deadline, job
            assert not wanted or job["TrainingJobStatus"] != "Failed" or "Failed" in wanted, job
            time.sleep(0.1)

    def run(self, **changes: Any) -> dict[str, Any]:
        """Run a job to its end and return its description."""
        request = self.request(**changes)
        self.sagemaker.create_training_job(**request)
        return self.await_status(request["TrainingJobName"], "Completed", "Failed", "Stopped")

    def log(self, name: str) -> list[str]:
        """Return a job's log lines."""
        logs = self.connect("logs", CLIENT)
        group = "/aws/sagemaker/TrainingJobs"
        [stream] = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/algo-1-")[
            "logStreams"
        ]
        events = logs.get_log_events(
            logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
        )["events"]
        return [event["message"] for event in events]

    def artifact(self, key: str) -> dict[str, bytes]:
        """Return the files in an archive among the artifacts."""
        body = self.s3.get_object(Bucket="artifacts", Key=key)["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(body)) as archive:
            files = {name: archive.extractfile(name) for name in archive.getnames()}
            return {name: file.read() for name, file in files.items() if file is not None}

    def artifacts(self) -> list[str]:
        """Return the keys of all artifacts."""
        found = self.s3.list_objects_v2(Bucket="artifacts").get("Contents", [])
        return [entry["Key"] for entry in found]


def channel(name: str, uri: str) -> Template:
    """Return an input channel."""
    source = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}


def session(connect: Connect, *statements: Template) -> Any:
    """Return SageMaker as a role of the client's account with only these permissions."""
    return role_session(connect, "sagemaker", *statements, account=CLIENT)


def role_session(
    connect: Connect, service: str, *statements: Template, account: str = SERVER, name: str = "kickoff"
) -> Any:
    """Return a service's client as a new role with only these permissions."""
    iam = connect("iam", account)
    trust = {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": account}}]}
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_role_policy(RoleName=name, PolicyName="policy", PolicyDocument=policy)
    arn = f"arn:aws:iam::{account}:role/{name}"
    credentials = connect("sts", account).assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    return connect(service, account, credentials=credentials)
