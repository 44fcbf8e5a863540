"""Send small templates to CloudFormation and wait for the outcome."""

import json
import time
from typing import Any

Template = dict[str, Any]


class StackFailedError(Exception):
    """The stack did not reach the wanted state; the message holds the failed resources' reasons."""


def deploy(
    client: Any, name: str, resources: Template, *, outputs: Template | None = None, **options: Any
) -> dict[str, str]:
    """Create or update a stack and return its outputs."""
    template = {"Resources": resources, "Outputs": {k: {"Value": v} for k, v in (outputs or {}).items()}}
    request = {
        "StackName": name,
        "TemplateBody": json.dumps(template),
        "Capabilities": ["CAPABILITY_NAMED_IAM"],
        **options,
    }
    exists = any(stack["StackName"] == name for stack in client.describe_stacks()["Stacks"])
    (client.update_stack if exists else client.create_stack)(**request)
    stack = await_end(client, name)
    if stack["StackStatus"] not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        raise StackFailedError(" | ".join(failures(client, name)))
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def await_end(client: Any, name: str) -> dict[str, Any]:
    """Return the stack once nothing is in progress."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        stack: dict[str, Any] = client.describe_stacks(StackName=name)["Stacks"][0]
        if not stack["StackStatus"].endswith("_IN_PROGRESS"):
            return stack
        time.sleep(0.02)
    raise TimeoutError(name)


def failures(client: Any, name: str) -> list[str]:
    """Return the reasons of the failed resources."""
    events = client.describe_stack_events(StackName=name)["StackEvents"]
    return [e.get("ResourceStatusReason", "") for e in events if e["ResourceStatus"].endswith("_FAILED")]


def delete(client: Any, name: str) -> None:
    """Delete a stack, or raise with the reasons why it could not be."""
    stack_id = client.describe_stacks(StackName=name)["Stacks"][0]["StackId"]
    client.delete_stack(StackName=name)
    if await_end(client, stack_id)["StackStatus"] != "DELETE_COMPLETE":
        raise StackFailedError(" | ".join(failures(client, stack_id)))


def role(trust: Template, *statements: Template, name: str | None = None) -> Template:
    """Return an IAM role with one inline policy."""
    policy = {
        "PolicyName": "policy",
        "PolicyDocument": {"Version": "2012-10-17", "Statement": list(statements)},
    }
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
            "Policies": [policy] if statements else [],
            **({"RoleName": name} if name else {}),
        },
    }


def allow(action: str | list[str], resource: str | list[str] = "*", **condition: Any) -> Template:
    """Return an allowing statement; keyword arguments are condition operators."""
    statement: Template = {"Effect": "Allow", "Action": action, "Resource": resource}
    return {**statement, "Condition": condition} if condition else statement


def trusting(account: str, *, only: str | None = None, external_id: str | None = None) -> Template:
    """Return a trust statement for one account, or for one principal of it, or with an external id."""
    condition: Template = {}
    if only:
        condition["ArnEquals"] = {"aws:PrincipalArn": only}
    if external_id:
        condition["StringEquals"] = {"sts:ExternalId": external_id}
    return {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
        **({"Condition": condition} if condition else {}),
    }


def trusting_service(service: str) -> Template:
    """Return a trust statement for an AWS service."""
    return {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"Service": f"{service}.amazonaws.com"},
    }
