"""Notebook instances and lifecycle configurations, by the API and by CloudFormation."""

import base64
import subprocess
import sys
import urllib.request
from typing import Any
from urllib.error import HTTPError

import pytest

from federation.rehearse.errors import EmbeddedAwsError
from federation.rehearse.machine.embedded_aws import EmbeddedAws
from tests.rehearsal.conftest import REGION, SERVER, Connect
from tests.rehearsal.stacks import StackFailedError, Template, delete, deploy, role, trusting_service

SCRIPT = base64.b64encode(b"echo hello").decode()


def notebook_stack(instance_type: str = "ml.t3.medium", **changes: Any) -> Template:
    """Return a notebook in a subnet, with its role and lifecycle configuration."""
    return {
        "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}},
        "Subnet": {
            "Type": "AWS::EC2::Subnet",
            "Properties": {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.0.0.0/24"},
        },
        "Role": role(trusting_service("sagemaker")),
        "Lifecycle": {
            "Type": "AWS::SageMaker::NotebookInstanceLifecycleConfig",
            "Properties": {"OnStart": [{"Content": SCRIPT}]},
        },
        "Notebook": {
            "Type": "AWS::SageMaker::NotebookInstance",
            "Properties": {
                "InstanceType": instance_type,
                "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
                "SubnetId": {"Ref": "Subnet"},
                "DirectInternetAccess": "Disabled",
                "RootAccess": "Disabled",
                "LifecycleConfigName": {"Fn::GetAtt": ["Lifecycle", "NotebookInstanceLifecycleConfigName"]},
                "Tags": [{"Key": "Party", "Value": "server"}],
                **changes,
            },
        },
    }


def deploy_notebook(connect: Connect, resources: Template) -> str:
    """Deploy the stack and return the notebook's name."""
    outputs = deploy(
        connect("cloudformation"),
        "Notebook",
        resources,
        outputs={"Name": {"Fn::GetAtt": ["Notebook", "NotebookInstanceName"]}},
    )
    return outputs["Name"]


def test_a_notebook_lives_with_its_stack(connect: Connect) -> None:
    """Created in service with all its settings, changed in place, and deleted with its configuration."""
    sagemaker = connect("sagemaker")
    name = deploy_notebook(connect, notebook_stack())
    notebook = sagemaker.describe_notebook_instance(NotebookInstanceName=name)
    assert notebook["NotebookInstanceStatus"] == "InService"
    assert (notebook["DirectInternetAccess"], notebook["RootAccess"]) == ("Disabled", "Disabled")
    lifecycle = sagemaker.describe_notebook_instance_lifecycle_config(
        NotebookInstanceLifecycleConfigName=notebook["NotebookInstanceLifecycleConfigName"]
    )
    assert lifecycle["OnStart"] == [{"Content": SCRIPT}]
    tags = sagemaker.list_tags(ResourceArn=notebook["NotebookInstanceArn"])["Tags"]
    assert {"Key": "Party", "Value": "server"} in tags
    assert deploy_notebook(connect, notebook_stack("ml.t3.large")) == name
    changed = sagemaker.describe_notebook_instance(NotebookInstanceName=name)
    assert (changed["InstanceType"], changed["NotebookInstanceStatus"]) == ("ml.t3.large", "InService")
    delete(connect("cloudformation"), "Notebook")
    assert sagemaker.list_notebook_instances()["NotebookInstances"] == []
    configs = sagemaker.list_notebook_instance_lifecycle_configs()
    assert configs["NotebookInstanceLifecycleConfigs"] == []


def test_a_notebook_stops_and_starts(connect: Connect) -> None:
    """A stopped one cannot be stopped, a running one cannot be deleted."""
    sagemaker = connect("sagemaker")
    name = deploy_notebook(connect, notebook_stack())
    for operation, status in (("stop", "Stopped"), ("start", "InService")):
        getattr(sagemaker, f"{operation}_notebook_instance")(NotebookInstanceName=name)
        found = sagemaker.describe_notebook_instance(NotebookInstanceName=name)
        assert found["NotebookInstanceStatus"] == status
        with pytest.raises(sagemaker.exceptions.ClientError, match="Unable to transition"):
            getattr(sagemaker, f"{operation}_notebook_instance")(NotebookInstanceName=name)
    with pytest.raises(sagemaker.exceptions.ClientError, match="Unable to transition to \\(Deleting\\)"):
        sagemaker.delete_notebook_instance(NotebookInstanceName=name)


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        ({"Role": role(trusting_service("ec2"))}, "allows principal 'sagemaker.amazonaws.com'"),
        (notebook_stack(InstanceType="ml.imaginary"), "Member must satisfy enum value set"),
        (
            notebook_stack(DefaultCodeRepository="repository"),
            "does not do CreateNotebookInstance.DefaultCode",
        ),
        (
            {
                "Lifecycle": {
                    "Type": "AWS::SageMaker::NotebookInstanceLifecycleConfig",
                    "Properties": {"OnStart": [{"Content": "A" * 16385}]},
                }
            },
            "length less than or equal to 16384",
        ),
    ],
)
def test_a_notebook_that_aws_would_refuse_fails_its_stack(
    connect: Connect, resources: Template, words: str
) -> None:
    """The reason is in the stack's events."""
    with pytest.raises(StackFailedError, match=words):
        deploy_notebook(connect, {**notebook_stack(), **resources})


def test_tags_are_found_by_the_tagging_api_and_can_be_changed(connect: Connect) -> None:
    """So whoever cleans up can see what is left."""
    sagemaker, tagging = connect("sagemaker"), connect("resourcegroupstaggingapi")
    name = deploy_notebook(connect, notebook_stack())
    arn = sagemaker.describe_notebook_instance(NotebookInstanceName=name)["NotebookInstanceArn"]
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "Party", "Value": "client"}])
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["aws:cloudformation:stack-name"])
    party = {"Key": "Party", "Values": ["client"]}
    [found] = tagging.get_resources(TagFilters=[party])["ResourceTagMappingList"]
    assert found["ResourceARN"] == arn
    delete(connect("cloudformation"), "Notebook")
    assert tagging.get_resources(TagFilters=[party])["ResourceTagMappingList"] == []
    with pytest.raises(sagemaker.exceptions.ClientError, match="Could not find resource"):
        sagemaker.list_tags(ResourceArn=arn)


def test_a_notebook_that_is_not_there_is_not_found(connect: Connect) -> None:
    """In the words of AWS."""
    sagemaker = connect("sagemaker")
    with pytest.raises(sagemaker.exceptions.ClientError, match="RecordNotFound"):
        sagemaker.describe_notebook_instance(NotebookInstanceName="none")


def test_a_process_on_the_notebook_has_the_notebooks_role(aws: EmbeddedAws, connect: Connect) -> None:
    """The credentials come from the instance, fresh, while it is in service and no longer."""
    name = deploy_notebook(connect, notebook_stack())
    environment = aws.notebook_environment(account=SERVER, region=REGION, name=name)
    assert "AWS_ACCESS_KEY_ID" not in environment
    code = "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert ":assumed-role/Notebook-Role" in done.stdout
    connect("sagemaker").stop_notebook_instance(NotebookInstanceName=name)
    with pytest.raises(EmbeddedAwsError, match=f'no notebook "{name}" in service'):
        aws.notebook_environment(account=SERVER, region=REGION, name=name)


def test_credentials_are_not_for_everybody(aws: EmbeddedAws) -> None:
    """Without a token the endpoint knows nobody."""
    with pytest.raises(HTTPError, match="404") as refused:
        urllib.request.urlopen(f"{aws.endpoint_url}/_federation/credentials", timeout=5)
    refused.value.close()
