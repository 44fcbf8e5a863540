"""Lifecycle configurations: scripts stored for notebooks, with AWS's limits."""

import base64
import binascii
import time
from typing import Any

from federation.rehearse.emulator import ministack_tables as ministack
from federation.rehearse.emulator.sagemaker import store
from federation.rehearse.emulator.sagemaker.access import check_tagging
from federation.rehearse.emulator.sagemaker.api_errors import InvalidRequestError
from federation.rehearse.emulator.sagemaker.tags import as_map

Request = dict[str, Any]
_NAME = "NotebookInstanceLifecycleConfigName"
_ARN = "NotebookInstanceLifecycleConfigArn"


def create(request: Request, caller: ministack.Principal) -> Request:
    """Keep the scripts under a name."""
    name = request[_NAME]
    arn, tags = store.arn("notebook-instance-lifecycle-config", name), as_map(request.get("Tags", []))
    if name in store.lifecycle_configs:
        raise InvalidRequestError(f"Unable to create a duplicate Notebook Instance Lifecycle Config ({arn})")
    check_tagging(caller, arn, tags, "CreateNotebookInstanceLifecycleConfig")
    _check_scripts(request)
    now = time.time()
    record = {member: value for member, value in request.items() if member != "Tags"}
    store.lifecycle_configs[name] = {**record, _ARN: arn, "CreationTime": now, "LastModifiedTime": now}
    store.set_tags(arn, tags)
    return {_ARN: arn}


def _check_scripts(request: Request) -> None:
    for hook in ("OnCreate", "OnStart"):
        for script in request.get(hook, []):
            try:
                base64.b64decode(script["Content"], validate=True)
            except binascii.Error as error:
                raise InvalidRequestError(f"{hook}: the content must be encoded with base64.") from error


def describe(request: Request) -> Request:
    """Return the scripts."""
    return dict(store.found(store.lifecycle_configs, request[_NAME]))


def update(request: Request) -> Request:
    """Replace the scripts."""
    _check_scripts(request)
    store.found(store.lifecycle_configs, request[_NAME]).update(request, LastModifiedTime=time.time())
    return {}


def list_configs(_request: Request) -> Request:
    """Return all lifecycle configurations."""
    shown = (_NAME, _ARN, "CreationTime", "LastModifiedTime")
    records = store.lifecycle_configs.values()
    return {"NotebookInstanceLifecycleConfigs": [{m: record[m] for m in shown} for record in records]}


def delete(request: Request) -> Request:
    """Delete a configuration that no notebook uses."""
    record = store.found(store.lifecycle_configs, request[_NAME])
    users = [n["NotebookInstanceName"] for n in store.notebooks.values() if n.get(_NAME) == request[_NAME]]
    if users:
        raise InvalidRequestError(
            f"Unable to delete Notebook Instance Lifecycle Config ({record[_ARN]}): "
            f"in use by {', '.join(users)}"
        )
    store.lifecycle_configs.pop(request[_NAME])
    store.drop_tags(record[_ARN])
    return {}
