"""``Fn::GetStackOutput`` with ``RoleArn`` and ``Region``: an output of another account's stack.

Plain ministack reads only the caller's own account and region. AWS lets CloudFormation assume the reader role
and call DescribeStacks with it; so the role's trust policy, its policies and the caller's own policies decide
here too.
"""

from typing import Any

from federation.rehearse.emulator import ministack_tables as ministack
from federation.rehearse.emulator.access.role_evaluation import NotAuthorizedError, assume, may
from federation.rehearse.emulator.stacks.stack_identity import acting_principal

_FUNCTION = "Fn::GetStackOutput"


def _resolve(value: Any, *surroundings: Any) -> Any:
    if not (isinstance(value, dict) and _FUNCTION in value):
        return ministack.resolve_references(value, *surroundings)
    arguments = ministack.resolve_references(value[_FUNCTION], *surroundings)
    return read_output(
        stack_name=arguments["StackName"],
        output_name=arguments["OutputName"],
        region=arguments.get("Region") or ministack.region(),
        role_arn=arguments.get("RoleArn"),
    )


def read_output(*, stack_name: str, output_name: str, region: str, role_arn: str | None) -> str:
    """Return one output's value as the reader role sees it.

    Raises
    ------
    NotAuthorizedError
        The reader role cannot be assumed, or may not describe that stack.
    ValueError
        There is no such stack or output.
    """
    reader = acting_principal()
    if role_arn:
        reader = assume(reader, role_arn, "AWSCloudFormation")
    stack = ministack.stacks.get_scoped(reader.account, region, stack_name)
    arn = (
        stack["StackId"]
        if stack
        else f"arn:aws:cloudformation:{region}:{reader.account}:stack/{stack_name}/*"
    )
    if not may(reader, "cloudformation:DescribeStacks", arn):
        raise NotAuthorizedError(
            ministack.denial_message("cloudformation:DescribeStacks", reader.arn, arn, explicit_deny=False)
        )
    if stack is None or stack["StackStatus"] == "DELETE_COMPLETE":
        raise ValueError(
            f"Stack with id {stack_name} does not exist in account {reader.account}, region {region}"
        )
    for output in stack.get("Outputs", []):
        if output["OutputKey"] == output_name:
            return str(output["OutputValue"])
    raise ValueError(f"Output {output_name} does not exist in stack {stack_name} of account {reader.account}")


def install() -> None:
    """Replace ministack's resolver with ours, wherever it was imported."""
    for module in ministack.RESOLVING_MODULES:
        setattr(module, ministack.RESOLVER_NAME, _resolve)
