"""``AWS::SageMaker::NotebookInstance`` and its lifecycle configuration in CloudFormation."""

import os
from collections.abc import Callable
from typing import Any

from federation.rehearse.emulator import ministack_tables as ministack
from federation.rehearse.emulator.sagemaker import store, tags
from federation.rehearse.emulator.sagemaker.api_errors import ApiError
from federation.rehearse.emulator.sagemaker.notebooks import lifecycle_configs, notebooks
from federation.rehearse.emulator.sagemaker.request_model import check_request
from federation.rehearse.emulator.stacks.resource_types import Created, Properties, ResourceType, register
from federation.rehearse.emulator.stacks.stack_identity import acting_principal

_NOTEBOOK = "NotebookInstanceName"
_CONFIG = "NotebookInstanceLifecycleConfigName"
_RANDOM_BYTES = 6
_LONGEST_NAME = 63


def _call(
    operation: str, handler: Callable[..., Properties], request: Properties, *caller: ministack.Principal
) -> Properties:
    """Call an operation of our own, and turn its error into one of CloudFormation's."""
    try:
        check_request(operation, request)
        return handler(request, *caller)
    except ApiError as error:
        raise ValueError(f"{error} (Service: SageMaker, Status Code: 400, {error.code})") from error


def _generated_name(logical_id: str) -> str:
    suffix = f"-{os.urandom(_RANDOM_BYTES).hex()}"
    return logical_id[: _LONGEST_NAME - len(suffix)] + suffix


def _create_notebook(logical_id: str, properties: Properties, _stack_name: str) -> Created:
    request = {_NOTEBOOK: _generated_name(logical_id), **properties}
    if "VolumeSizeInGB" in request:
        request["VolumeSizeInGB"] = int(request["VolumeSizeInGB"])
    answer = _call("CreateNotebookInstance", notebooks.create, request, acting_principal())
    return _notebook(answer["NotebookInstanceArn"], request[_NOTEBOOK])


def _notebook(arn: str, name: str) -> Created:
    return arn, {"Id": arn, _NOTEBOOK: name}


def _update_notebook(arn: str, old: Properties, new: Properties) -> Created:
    """Stop, change, start: as CloudFormation does."""
    name = _name_of(store.notebooks, "NotebookInstanceArn", arn, _NOTEBOOK)
    changed = {key: value for key, value in new.items() if old.get(key) != value and key != "Tags"}
    changed.pop(_NOTEBOOK, None)
    if "VolumeSizeInGB" in changed:
        changed["VolumeSizeInGB"] = int(changed["VolumeSizeInGB"])
    if changed:
        running = store.notebooks[name]["NotebookInstanceStatus"] == "InService"
        if running:
            notebooks.stop({_NOTEBOOK: name})
        try:
            _call("UpdateNotebookInstance", notebooks.update, {_NOTEBOOK: name, **changed})
        finally:
            if running:
                notebooks.start({_NOTEBOOK: name})
    store.set_tags(arn, tags.as_map(new.get("Tags", [])))
    return _notebook(arn, name)


def _delete_notebook(arn: str, _properties: Properties) -> None:
    name = _name_of(store.notebooks, "NotebookInstanceArn", arn, _NOTEBOOK)
    if name:
        if store.notebooks[name]["NotebookInstanceStatus"] == "InService":
            notebooks.stop({_NOTEBOOK: name})
        _call("DeleteNotebookInstance", notebooks.delete, {_NOTEBOOK: name})


def _create_config(logical_id: str, properties: Properties, _stack_name: str) -> Created:
    request = {_CONFIG: _generated_name(logical_id), **properties}
    answer = _call(
        "CreateNotebookInstanceLifecycleConfig", lifecycle_configs.create, request, acting_principal()
    )
    return _config(answer["NotebookInstanceLifecycleConfigArn"], request[_CONFIG])


def _config(arn: str, name: str) -> Created:
    return arn, {"Id": arn, _CONFIG: name}


def _update_config(arn: str, _old: Properties, new: Properties) -> Created:
    name = _name_of(store.lifecycle_configs, "NotebookInstanceLifecycleConfigArn", arn, _CONFIG)
    scripts = {hook: new.get(hook, []) for hook in ("OnCreate", "OnStart")}
    _call("UpdateNotebookInstanceLifecycleConfig", lifecycle_configs.update, {_CONFIG: name, **scripts})
    store.set_tags(arn, tags.as_map(new.get("Tags", [])))
    return _config(arn, name)


def _delete_config(arn: str, _properties: Properties) -> None:
    name = _name_of(store.lifecycle_configs, "NotebookInstanceLifecycleConfigArn", arn, _CONFIG)
    if name:
        _call("DeleteNotebookInstanceLifecycleConfig", lifecycle_configs.delete, {_CONFIG: name})


def _name_of(kept: Any, arn_member: str, arn: str, name_member: str) -> str:
    """Return the name of a resource from its lower-case ARN, or an empty name."""
    return next((str(record[name_member]) for record in kept.values() if record[arn_member] == arn), "")


def install() -> None:
    """Register both types."""
    register(
        ResourceType(
            name="AWS::SageMaker::NotebookInstance",
            create=_create_notebook,
            update=_update_notebook,
            delete=_delete_notebook,
            replaced_by=(
                _NOTEBOOK,
                "DirectInternetAccess",
                "KmsKeyId",
                "PlatformIdentifier",
                "SecurityGroupIds",
                "SubnetId",
            ),
            tagged=True,
        )
    )
    register(
        ResourceType(
            name="AWS::SageMaker::NotebookInstanceLifecycleConfig",
            create=_create_config,
            update=_update_config,
            delete=_delete_config,
            replaced_by=(_CONFIG,),
            tagged=True,
        )
    )
