"""IAM's view of a SageMaker request: its resource, its condition keys, the role it passes.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsagemaker.html
"""

import json
from typing import Any

from federation.rehearse.emulator import ministack_tables as ministack
from federation.rehearse.emulator.access.role_evaluation import NotAuthorizedError, may, service_may_assume
from federation.rehearse.emulator.sagemaker import store
from federation.rehearse.emulator.sagemaker.api_errors import AccessDeniedError, InvalidRequestError

SERVICE = "sagemaker.amazonaws.com"
_NAMED = {
    "TrainingJobName": "training-job",
    "NotebookInstanceName": "notebook-instance",
    "NotebookInstanceLifecycleConfigName": "notebook-instance-lifecycle-config",
}
_BODY = 3  # among (method, path, headers, body, …)
# Condition key → where the request holds its value.
_KEYS: dict[str, tuple[str, ...]] = {
    "sagemaker:DirectInternetAccess": ("DirectInternetAccess",),
    "sagemaker:EnableRemoteDebug": ("RemoteDebugConfig", "EnableRemoteDebug"),
    "sagemaker:InterContainerTrafficEncryption": ("EnableInterContainerTrafficEncryption",),
    "sagemaker:KeepAlivePeriod": ("ResourceConfig", "KeepAlivePeriodInSeconds"),
    "sagemaker:MaxRuntimeInSeconds": ("StoppingCondition", "MaxRuntimeInSeconds"),
    "sagemaker:NetworkIsolation": ("EnableNetworkIsolation",),
    "sagemaker:OutputKmsKeyArn": ("OutputDataConfig", "KmsKeyId"),
    "sagemaker:RootAccess": ("RootAccess",),
    "sagemaker:VpcSecurityGroupIds": ("VpcConfig", "SecurityGroupIds"),
    "sagemaker:VpcSubnets": ("VpcConfig", "Subnets"),
}


def resource_arn(request: dict[str, Any]) -> str:
    """Return the ARN of a request's resource, or ``*``."""
    if "ResourceArn" in request:
        return str(request["ResourceArn"])
    for member, kind in _NAMED.items():
        if isinstance(request.get(member), str):
            return store.arn(kind, request[member])
    return "*"


def condition_keys(request: dict[str, Any]) -> dict[str, Any]:
    """Return the ``sagemaker:…`` condition keys of a request. A key without a value is absent."""
    keys = {name: _at(request, path) for name, path in _KEYS.items()}
    resources = request.get("ResourceConfig", {})
    keys["sagemaker:VolumeKmsKeyArn"] = resources.get("VolumeKmsKeyId") or request.get("KmsKeyId")
    types = [resources.get("InstanceType"), request.get("InstanceType")]
    keys["sagemaker:InstanceTypes"] = [found for found in types if found]
    sources = [
        c.get("DataSource", {}).get("FileSystemDataSource") for c in request.get("InputDataConfig", [])
    ]
    for member in ("FileSystemId", "FileSystemAccessMode", "FileSystemType"):
        keys[f"sagemaker:{member}"] = [source[member] for source in sources if source and member in source]
    if "LifecycleConfigName" in request:
        lifecycle = store.arn("notebook-instance-lifecycle-config", request["LifecycleConfigName"])
        keys["sagemaker:NotebookInstanceLifecycleConfigArns"] = [lifecycle]
    if "SubnetId" in request:
        keys["sagemaker:VpcSubnets"] = [request["SubnetId"]]
        keys["sagemaker:VpcSecurityGroupIds"] = request.get("SecurityGroupIds", [])
    metadata = request.get("InstanceMetadataServiceConfiguration", {})
    keys["sagemaker:MinimumInstanceMetadataServiceVersion"] = metadata.get(
        "MinimumInstanceMetadataServiceVersion"
    )
    return {name: _plain(value) for name, value in keys.items() if value not in (None, [])}


def _at(request: dict[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = request
    for member in path:
        value = value.get(member) if isinstance(value, dict) else None
    return value


def _plain(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def check_passed_role(caller: ministack.Principal, role_arn: str, associated_arn: str) -> None:
    """Raise unless the caller may pass the role to SageMaker, and SageMaker may assume it."""
    keys = {"iam:PassedToService": SERVICE, "iam:AssociatedResourceArn": associated_arn}
    if role_arn.split(":")[4] != ministack.account_id():
        raise InvalidRequestError("Cross-account pass role is not allowed.")
    if not may(caller, "iam:PassRole", role_arn, keys):
        raise AccessDeniedError(
            ministack.denial_message("iam:PassRole", caller.arn, role_arn, explicit_deny=False)
        )
    try:
        source = {"aws:SourceAccount": ministack.account_id(), "aws:SourceArn": associated_arn}
        trusted = service_may_assume(SERVICE, role_arn, source)
    except NotAuthorizedError as error:
        raise InvalidRequestError(str(error)) from error
    if not trusted:
        raise InvalidRequestError(
            f"Could not assume role {role_arn}. Please ensure that the role exists and allows principal "
            f"'{SERVICE}' to assume the role."
        )


def check_tagging(caller: ministack.Principal, arn: str, tags: dict[str, str], action: str) -> None:
    """Raise unless the caller may also add the tags of a new resource.

    Parameters
    ----------
    caller : Principal
        The principal that creates the resource.
    arn : str
        The created resource.
    tags : dict of str
        Its tags; without any there is nothing to check.
    action : str
        The creating operation, such as ``CreateTrainingJob``.
    """
    keys = {f"aws:RequestTag/{name}": value for name, value in tags.items()}
    keys["sagemaker:TaggingAction"] = action
    if tags and not may(caller, "sagemaker:AddTags", arn, {**keys, "aws:TagKeys": list(tags)}):
        raise AccessDeniedError(
            ministack.denial_message("sagemaker:AddTags", caller.arn, arn, explicit_deny=False)
        )


def install() -> None:
    """Give ministack's enforcement the resource and the keys of our requests."""
    arn_of, tag_keys_of = (
        ministack.iam_actions.extract_resource_arn,
        ministack.iam_actions.request_tag_context,
    )

    def extract_resource_arn(service: str, *request: Any) -> str:
        if service == "sagemaker":
            return resource_arn(_parsed(request[_BODY]))
        return str(arn_of(service, *request))

    def request_tag_context(service: str, action: str, body: bytes, *rest: Any) -> dict[str, Any]:
        tags: dict[str, Any] = tag_keys_of(service, action, body, *rest)
        return {**tags, **condition_keys(_parsed(body))} if service == "sagemaker" else tags

    ministack.iam_actions.extract_resource_arn = extract_resource_arn
    ministack.iam_actions.request_tag_context = request_tag_context
    ministack.IAM_NAMESPACES["sagemaker"] = "sagemaker"


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        request = json.loads(body or b"{}")
    except ValueError:
        return {}
    return request if isinstance(request, dict) else {}
