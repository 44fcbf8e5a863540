"""The identity that CloudFormation uses: the stack's execution role, or the caller.

ministack's CloudFormation has no identity. The calls that cross an account border need one, since the other
account's trust policies decide about it.
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-iam-servicerole.html
"""

from contextvars import ContextVar
from urllib.parse import parse_qs

from federation.rehearse.emulator import ministack_tables as ministack
from federation.rehearse.emulator.access.role_evaluation import (
    NotAuthorizedError,
    RoleArn,
    may,
    principal_of_role,
    service_may_assume,
)

_SERVICE = "cloudformation.amazonaws.com"
_SESSION = "AWSCloudFormation"
_execution_roles = ministack.new_store()
# Set for the request, and copied into the task that carries the operation out.
_principal: ContextVar[ministack.Principal] = ContextVar("stack_principal")


def acting_principal() -> ministack.Principal:
    """Return the principal of the current stack operation."""
    return _principal.get()


def _role_of(parameters: dict[str, list[str]]) -> str | None:
    """Return the execution role of a request, which the stack keeps for its later operations."""
    stack = parameters.get("StackName", [""])[0].rsplit(":stack/", 1)[-1].split("/")[0]
    given = parameters.get("RoleARN", [""])[0]
    if parameters.get("Action") == ["CreateStack"] or parameters.get("ChangeSetType") == ["CREATE"]:
        _execution_roles.pop(stack, None)
    if given:
        _execution_roles[stack] = given
    kept: str | None = _execution_roles.get(stack)
    return given or kept


def _checked_role(role_arn: str, caller: ministack.Principal, *, passed: bool) -> ministack.Principal:
    keys = {"iam:PassedToService": _SERVICE}
    if passed and not may(caller, "iam:PassRole", role_arn, keys):
        raise NotAuthorizedError(
            ministack.denial_message("iam:PassRole", caller.arn, role_arn, explicit_deny=False)
        )
    if not service_may_assume(_SERVICE, role_arn, {"aws:SourceAccount": ministack.account_id()}):
        raise NotAuthorizedError(f"Role {role_arn} is invalid or cannot be assumed")
    return principal_of_role(RoleArn.parse(role_arn), _SESSION)


def install() -> None:
    """Wrap the CloudFormation service."""
    handle = ministack.SERVICE_HANDLERS["cloudformation"]

    async def handle_with_identity(
        method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]
    ) -> ministack.Response:
        parameters = {**query, **parse_qs(body.decode("utf-8", "replace"))}
        caller = ministack.principal_of_key(ministack.access_key_of(headers, query), ministack.account_id())
        role_arn = _role_of(parameters)
        try:
            principal = (
                _checked_role(role_arn, caller, passed="RoleARN" in parameters) if role_arn else caller
            )
        except NotAuthorizedError as error:
            return ministack.query_error("ValidationError", str(error))
        token = _principal.set(principal)
        try:
            response: ministack.Response = await handle(method, path, headers, body, query)
        finally:
            _principal.reset(token)
        return response

    ministack.SERVICE_HANDLERS["cloudformation"] = handle_with_identity
    ministack.on_reset(_execution_roles.clear)
