"""List everything that still exists in an account, to prove that nothing is left."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from federation.aws.edge.boto import BotoClient
from federation.config.names import FEDERATION_TAG
from federation.rehearse.stage.accounts import Account, Connect

_GONE_STACK = "DELETE_COMPLETE"
_GONE_PEERING = {"deleted", "rejected", "failed", "expired"}
_GONE_KEY = {"PendingDeletion", "PendingReplicaDeletion"}


@dataclass(frozen=True, kw_only=True)
class Remains:
    """The remaining resources of an account.

    Parameters
    ----------
    left : tuple of str
        The resources that would have to be deleted.
    keys_pending : int
        Encryption keys that KMS deletes at the end of their waiting period; they count as gone.
    job_records : int
        Descriptions of past training jobs, which SageMaker keeps and which cannot be deleted.
    """

    left: tuple[str, ...]
    keys_pending: int
    job_records: int


def remains(connect: Connect, account: Account, federation: str) -> Remains:
    """Return the remaining resources of an account, independent of their creator.

    Parameters
    ----------
    connect : callable
        Makes boto3 clients.
    account : Account
        The account to list.
    federation : str
        Name of the federation, the value of its tag.
    """
    keys = _keys(connect("kms", account))
    pending = {arn for arn, state in keys.items() if state in _GONE_KEY}
    sagemaker = connect("sagemaker", account)
    found = {
        *_tagged(connect("resourcegroupstaggingapi", account), federation),
        *(arn for arn in keys if arn not in pending),
        *_named(connect, account),
        *_network(connect("ec2", account)),
        *_notebooks(sagemaker),
    }
    jobs = [
        summary
        for page in _pages(sagemaker, "list_training_jobs")
        for summary in page["TrainingJobSummaries"]
    ]
    running = {
        job["TrainingJobArn"] for job in jobs if job["TrainingJobStatus"] in {"InProgress", "Stopping"}
    }
    ended = {job["TrainingJobArn"] for job in jobs} - running
    return Remains(
        left=tuple(sorted((found | running) - pending - ended)),
        keys_pending=len(pending),
        job_records=len(ended),
    )


def _pages(client: BotoClient, operation: str, **options: Any) -> Iterator[dict[str, Any]]:
    yield from client.get_paginator(operation).paginate(**options)


def _tagged(tagging: BotoClient, federation: str) -> Iterator[str]:
    for page in _pages(
        tagging, "get_resources", TagFilters=[{"Key": FEDERATION_TAG, "Values": [federation]}]
    ):
        yield from (resource["ResourceARN"] for resource in page["ResourceTagMappingList"])


def _keys(kms: BotoClient) -> dict[str, str]:
    """Return the state of each key that belongs to the account itself, by ARN."""
    described = [
        kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]
        for page in _pages(kms, "list_keys")
        for key in page["Keys"]
    ]
    return {key["Arn"]: key["KeyState"] for key in described if key["KeyManager"] == "CUSTOMER"}


def _named(connect: Connect, account: Account) -> Iterator[str]:
    """Find stacks, roles, policies, buckets, log groups, parameters and image repositories."""
    for page in _pages(connect("cloudformation", account), "describe_stacks"):
        yield from (s["StackId"] for s in page["Stacks"] if s["StackStatus"] != _GONE_STACK)
    iam = connect("iam", account)
    for page in _pages(iam, "list_roles"):
        yield from (r["Arn"] for r in page["Roles"] if not r["Path"].startswith("/aws-service-role/"))
    for page in _pages(iam, "list_policies", Scope="Local"):
        yield from (policy["Arn"] for policy in page["Policies"])
    for page in _pages(iam, "list_instance_profiles"):
        yield from (profile["Arn"] for profile in page["InstanceProfiles"])
    yield from (f"arn:aws:s3:::{b['Name']}" for b in connect("s3", account).list_buckets()["Buckets"])
    for page in _pages(connect("logs", account), "describe_log_groups"):
        yield from (group["arn"].removesuffix(":*") for group in page["logGroups"])
    for page in _pages(connect("ssm", account), "describe_parameters"):
        yield from (f"parameter {parameter['Name']}" for parameter in page["Parameters"])
    for page in _pages(connect("ecr", account), "describe_repositories"):
        yield from (repository["repositoryArn"] for repository in page["repositories"])


def _network(ec2: BotoClient) -> Iterator[str]:
    """Find networks and their content, except the default VPC that every account has."""
    vpcs = ec2.describe_vpcs()["Vpcs"]
    default = {vpc["VpcId"] for vpc in vpcs if vpc["IsDefault"]}
    yield from (vpc["VpcId"] for vpc in vpcs if vpc["VpcId"] not in default)
    for operation, member, identity in (
        ("describe_subnets", "Subnets", "SubnetId"),
        ("describe_route_tables", "RouteTables", "RouteTableId"),
        ("describe_security_groups", "SecurityGroups", "GroupId"),
        ("describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId"),
        ("describe_network_interfaces", "NetworkInterfaces", "NetworkInterfaceId"),
    ):
        entries = getattr(ec2, operation)()[member]
        yield from (entry[identity] for entry in entries if entry.get("VpcId") not in default)
    yield from (log["FlowLogId"] for log in ec2.describe_flow_logs()["FlowLogs"])
    for peering in ec2.describe_vpc_peering_connections()["VpcPeeringConnections"]:
        if peering["Status"]["Code"] not in _GONE_PEERING:
            yield peering["VpcPeeringConnectionId"]


def _notebooks(sagemaker: BotoClient) -> Iterator[str]:
    for page in _pages(sagemaker, "list_notebook_instances"):
        yield from (notebook["NotebookInstanceArn"] for notebook in page["NotebookInstances"])
    for page in _pages(sagemaker, "list_notebook_instance_lifecycle_configs"):
        for config in page["NotebookInstanceLifecycleConfigs"]:
            yield config["NotebookInstanceLifecycleConfigArn"]
