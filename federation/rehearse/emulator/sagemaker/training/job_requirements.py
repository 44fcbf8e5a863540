"""Requirements of a job before its start: image, network, data, keys, and the role's permissions."""

from pathlib import PurePosixPath
from typing import Any

from federation.rehearse.emulator import ministack_tables as ministack
from federation.rehearse.emulator.access.role_evaluation import may
from federation.rehearse.emulator.sagemaker.access import SERVICE
from federation.rehearse.emulator.sagemaker.api_errors import InvalidRequestError, NotEmulatedError
from federation.rehearse.emulator.sagemaker.training.images import find_image

Request = dict[str, Any]
_PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
# What SageMaker does with the role to put an instance into a VPC:
# https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html#sagemaker-roles-createtrainingjob-perms
_LOOK_UP = (
    "ec2:DescribeDhcpOptions",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
)
_CREATE_INTERFACE = "ec2:CreateNetworkInterface"
_HANDLE_INTERFACE = (
    "ec2:CreateNetworkInterfacePermission",
    "ec2:DeleteNetworkInterface",
    "ec2:DeleteNetworkInterfacePermission",
)


def check_requirements(request: Request, role: ministack.Principal, mirrored: tuple[str, ...]) -> None:
    """Raise the first reason why the job cannot start, in AWS's wording where it is known.

    Parameters
    ----------
    request : dict
        The ``CreateTrainingJob`` request.
    role : Principal
        A session of the training role.
    mirrored : tuple of str
        The images this machine has an environment for.
    """
    _check_stopping(request)
    _check_checkpoints(request)
    _check_image(request, role, mirrored)
    _check_network(request.get("VpcConfig"), role)
    for channel in request.get("InputDataConfig", []):
        _check_channel(channel["DataSource"]["S3DataSource"]["S3Uri"], role)
    grant_keys = {"kms:GrantIsForAWSResource": "true"}
    _check_key(request["ResourceConfig"].get("VolumeKmsKeyId"), "kms:CreateGrant", role, grant_keys)
    upload_keys = {"kms:ViaService": f"s3.{ministack.region()}.amazonaws.com"}
    _check_key(request["OutputDataConfig"].get("KmsKeyId"), "kms:GenerateDataKey", role, upload_keys)


def _check_stopping(request: Request) -> None:
    stopping, spot = request["StoppingCondition"], request.get("EnableManagedSpotTraining", False)
    longest = stopping.get("MaxWaitTimeInSeconds", 0)
    if spot and longest < stopping["MaxRuntimeInSeconds"]:
        raise InvalidRequestError(
            "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to "
            "MaxRuntimeInSeconds"
        )
    if longest and not spot:
        raise InvalidRequestError(
            "MaxWaitTimeInSeconds above 0 is not supported when EnableManagedSpotTraining is false."
        )


def _check_checkpoints(request: Request) -> None:
    """Refuse a checkpoint folder outside ``/opt/ml``: it would be a folder of this machine."""
    folder = request.get("CheckpointConfig", {}).get("LocalPath", "/opt/ml/checkpoints")
    if not PurePosixPath(folder).is_relative_to("/opt/ml") or ".." in folder:
        raise NotEmulatedError(f"checkpoints outside /opt/ml ({folder})")


def _need(role: ministack.Principal, action: str, resource: str, keys: dict[str, Any] | None = None) -> None:
    if not may(role, action, resource, keys):
        raise InvalidRequestError(
            "The role does not have the permissions SageMaker needs. "
            + ministack.denial_message(action, role.arn, resource, explicit_deny=False)
        )


def _check_image(request: Request, role: ministack.Principal, mirrored: tuple[str, ...]) -> None:
    image = find_image(request["AlgorithmSpecification"]["TrainingImage"], ministack.region(), mirrored)
    _need(role, "ecr:GetAuthorizationToken", "*")
    for action in _PULL:
        _need(role, action, image.repository_arn)


def _check_network(vpc: Request | None, role: ministack.Principal) -> None:
    if vpc is None:
        return
    networks = set()
    for subnet_id in vpc["Subnets"]:
        subnet = ministack.subnets.get(subnet_id)
        if subnet is None:
            raise InvalidRequestError(f"The subnet ID '{subnet_id}' does not exist")
        networks.add(subnet["VpcId"])
    for group_id in vpc["SecurityGroupIds"]:
        group = ministack.security_groups.get(group_id)
        if group is None:
            raise InvalidRequestError(f"The security group '{group_id}' does not exist")
        networks.add(group["VpcId"])
    if len(networks) != 1:
        raise InvalidRequestError("Subnets and security groups must all be in one VPC.")
    _check_interface_permissions(vpc, networks.pop(), role)


def _check_interface_permissions(vpc: Request, vpc_id: str, role: ministack.Principal) -> None:
    prefix = f"arn:aws:ec2:{ministack.region()}:{ministack.account_id()}"
    of_vpc = {"ec2:Vpc": f"{prefix}:vpc/{vpc_id}"}
    for action in _LOOK_UP:
        _need(role, action, "*")
    for name in vpc["Subnets"]:
        subnet = f"{prefix}:subnet/{name}"
        _need(role, _CREATE_INTERFACE, subnet, {**of_vpc, "ec2:SubnetID": name})
        for action in _HANDLE_INTERFACE:
            keys = {**of_vpc, "ec2:AuthorizedService": SERVICE, "ec2:Subnet": subnet}
            _need(role, action, f"{prefix}:network-interface/*", keys)
    for name in vpc["SecurityGroupIds"]:
        keys = {**of_vpc, "ec2:SecurityGroupID": name}
        _need(role, _CREATE_INTERFACE, f"{prefix}:security-group/{name}", keys)
    _need(role, _CREATE_INTERFACE, f"{prefix}:network-interface/*")


def _check_channel(uri: str, role: ministack.Principal) -> None:
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    owner = ministack.bucket_owner(bucket)
    objects = ministack.buckets.get_scoped(owner, None, bucket)["objects"] if owner else {}
    listed = may(role, "s3:ListBucket", f"arn:aws:s3:::{bucket}", {"s3:prefix": prefix})
    if not listed or not any(key.startswith(prefix) for key in objects):
        raise InvalidRequestError(
            f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the '
            f"bucket exists in the selected region ({ministack.region()}), that objects exist under that S3 "
            f'prefix, and that the role "{role.arn}" has "s3:ListBucket" permissions on bucket "{bucket}".'
            + ("" if listed else " Error message from S3: Access Denied")
        )


def _check_key(
    key_id: str | None, action: str, role: ministack.Principal, condition_keys: dict[str, Any]
) -> None:
    if key_id is None:
        return
    key = ministack.find_key(key_id)
    if key is None or key.get("KeyState") != "Enabled":
        raise InvalidRequestError(f"The KMS key {key_id} does not exist or is not enabled.")
    _need(role, action, key["Arn"], condition_keys)
