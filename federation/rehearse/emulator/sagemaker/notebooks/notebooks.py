"""Notebook instances, which start and stop at once and run no process.

The rehearsal runs the lifecycle script's steps itself; a notebook here is its record, status and role.
"""

import time
from typing import Any

from federation.rehearse.emulator import ministack_tables as ministack
from federation.rehearse.emulator.sagemaker import store
from federation.rehearse.emulator.sagemaker.access import check_passed_role, check_tagging
from federation.rehearse.emulator.sagemaker.api_errors import InvalidRequestError, NotEmulatedError
from federation.rehearse.emulator.sagemaker.tags import as_map

Request = dict[str, Any]
_EMULATED = frozenset(
    {
        "DirectInternetAccess",
        "InstanceMetadataServiceConfiguration",
        "InstanceType",
        "KmsKeyId",
        "LifecycleConfigName",
        "NotebookInstanceName",
        "PlatformIdentifier",
        "RoleArn",
        "RootAccess",
        "SecurityGroupIds",
        "SubnetId",
        "Tags",
        "VolumeSizeInGB",
    }
)
_UPDATABLE = frozenset(
    {
        "InstanceMetadataServiceConfiguration",
        "InstanceType",
        "LifecycleConfigName",
        "RoleArn",
        "RootAccess",
        "VolumeSizeInGB",
    }
)
# Create and update call them otherwise than describe does.
_DESCRIBED_AS = {
    "LifecycleConfigName": "NotebookInstanceLifecycleConfigName",
    "SecurityGroupIds": "SecurityGroups",
}
_SUMMARY = (
    "CreationTime",
    "InstanceType",
    "LastModifiedTime",
    "NotebookInstanceArn",
    "NotebookInstanceLifecycleConfigName",
    "NotebookInstanceName",
    "NotebookInstanceStatus",
    "Url",
)


def create(request: Request, caller: ministack.Principal) -> Request:
    """Make a notebook instance, which is in service at once."""
    name = request["NotebookInstanceName"]
    arn, tags = store.arn("notebook-instance", name), as_map(request.get("Tags", []))
    for member in request.keys() - _EMULATED:
        raise NotEmulatedError(f"CreateNotebookInstance.{member}")
    if name in store.notebooks:
        raise InvalidRequestError(f"Cannot create a duplicate NotebookInstance ({arn})")
    check_tagging(caller, arn, tags, "CreateNotebookInstance")
    check_passed_role(caller, request["RoleArn"], arn)
    _check_surroundings(request)
    now = time.time()
    store.notebooks[name] = {
        "DirectInternetAccess": "Enabled",
        "RootAccess": "Enabled",
        "VolumeSizeInGB": 5,
        **_described({member: value for member, value in request.items() if member != "Tags"}),
        "NotebookInstanceArn": arn,
        "NotebookInstanceStatus": "InService",
        "CreationTime": now,
        "LastModifiedTime": now,
        "Url": f"{name}.notebook.{ministack.region()}.sagemaker.aws",
    }
    store.set_tags(arn, tags)
    return {"NotebookInstanceArn": arn}


def _described(request: Request) -> Request:
    return {_DESCRIBED_AS.get(member, member): value for member, value in request.items()}


def _check_surroundings(request: Request) -> None:
    subnet = request.get("SubnetId")
    if subnet is not None and subnet not in ministack.subnets:
        raise InvalidRequestError(f"The subnet ID '{subnet}' does not exist")
    if subnet is None and request.get("DirectInternetAccess") == "Disabled":
        raise InvalidRequestError("DirectInternetAccess cannot be Disabled without a SubnetId.")
    for group in request.get("SecurityGroupIds", []):
        if group not in ministack.security_groups:
            raise InvalidRequestError(f"The security group '{group}' does not exist")
    lifecycle = request.get("LifecycleConfigName")
    if lifecycle is not None and lifecycle not in store.lifecycle_configs:
        raise InvalidRequestError(f"NotebookInstanceLifecycleConfig {lifecycle} does not exist")
    key = request.get("KmsKeyId")
    if key is not None and ministack.find_key(key) is None:
        raise InvalidRequestError(f"The KMS key {key} does not exist.")


def describe(request: Request) -> Request:
    """Return everything about a notebook instance."""
    return dict(store.found(store.notebooks, request["NotebookInstanceName"]))


def list_notebooks(request: Request) -> Request:
    """Return all notebook instances."""
    for member in request.keys() - {"NameContains", "MaxResults"}:
        raise NotEmulatedError(f"ListNotebookInstances.{member}")
    return {
        "NotebookInstances": [
            {member: record[member] for member in _SUMMARY if member in record}
            for record in store.notebooks.values()
            if request.get("NameContains", "") in record["NotebookInstanceName"]
        ]
    }


def start(request: Request) -> Request:
    """Put a stopped notebook instance into service."""
    _move(request, {"Stopped", "Failed"}, "InService")
    return {}


def stop(request: Request) -> Request:
    """Stop a notebook instance."""
    _move(request, {"InService"}, "Stopped")
    return {}


def update(request: Request) -> Request:
    """Change a stopped notebook instance."""
    changes = {member: value for member, value in request.items() if member != "NotebookInstanceName"}
    for member in changes.keys() - _UPDATABLE:
        raise NotEmulatedError(f"UpdateNotebookInstance.{member}")
    _check_surroundings(changes)
    _move(request, {"Stopped", "Failed"}, "Stopped").update(_described(changes))
    return {}


def delete(request: Request) -> Request:
    """Delete a stopped notebook instance."""
    record = _move(request, {"Stopped", "Failed"}, "Deleting")
    store.notebooks.pop(request["NotebookInstanceName"])
    store.drop_tags(record["NotebookInstanceArn"])
    return {}


def _move(request: Request, allowed: set[str], target: str) -> Request:
    record = store.found(store.notebooks, request["NotebookInstanceName"])
    if record["NotebookInstanceStatus"] not in allowed:
        raise InvalidRequestError(
            f"Status ({record['NotebookInstanceStatus']}) not in ([{', '.join(sorted(allowed))}]). "
            f"Unable to transition to ({target}) for Notebook Instance ({record['NotebookInstanceArn']})"
        )
    record["NotebookInstanceStatus"] = target
    record["LastModifiedTime"] = time.time()
    return record
