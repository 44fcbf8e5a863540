"""All internals of ministack that this plug-in uses, under our own names.

ministack 1.5.33 has no plug-in interface, but it keeps its services, resource types and stores in tables. All
private names are used only here, so an incompatible new ministack breaks only this file, when it is imported.
"""

from collections.abc import Callable, MutableMapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from ministack import app as _app
from ministack.core import iam_actions as _iam_actions
from ministack.core import iam_evaluator as _evaluator
from ministack.core import responses as _responses
from ministack.core import router as _router
from ministack.services import cloudformation as _cloudformation
from ministack.services import cloudwatch_logs as _logs
from ministack.services import ec2 as _ec2
from ministack.services import iam as _iam
from ministack.services import kms as _kms
from ministack.services import s3 as _s3
from ministack.services import sts as _sts
from ministack.services import tagging as _tagging
from ministack.services.cloudformation import changesets as _changesets
from ministack.services.cloudformation import engine as _engine
from ministack.services.cloudformation import handlers as _handlers
from ministack.services.cloudformation import helpers as _cloudformation_helpers
from ministack.services.cloudformation import provisioners as _provisioners
from ministack.services.cloudformation import stacks as _stacks

Record = dict[str, Any]
Response = tuple[int, dict[str, str], bytes]


class Principal(Protocol):
    """The caller: an account's root (``policies`` is None) or a role's session."""

    arn: str
    type: str
    account: str
    policies: list[Any] | None
    keys: dict[str, Any]
    limits: list[Any]


class ScopedStore(Protocol):
    """A table keyed by name within the request's account and region, or within those given."""

    def get(self, key: str, default: Any = None) -> Any: ...
    def get_scoped(self, account: str, region: str | None, key: str, default: Any = None) -> Any: ...
    def pop(self, key: str, *default: Any) -> Any: ...
    def keys(self) -> list[str]: ...
    def values(self) -> list[Any]: ...
    def items(self) -> list[tuple[Any, Any]]: ...
    def clear(self) -> None: ...
    def __setitem__(self, key: str, value: Any) -> None: ...
    def __getitem__(self, key: str) -> Any: ...
    def __contains__(self, key: object) -> bool: ...


# Requests, accounts and regions
account_id: Callable[[], str] = _responses.get_account_id
region: Callable[[], str] = _responses.get_region
acting_as: Callable[[str, str], AbstractContextManager[None]] = _responses.request_scope
json_response: Callable[..., Response] = _responses.json_response
json_error: Callable[..., Response] = _responses.error_response_json
query_error: Callable[[str, str], Response] = _cloudformation_helpers._error
access_key_of: Callable[..., str] = _router.extract_access_key_id


def new_store() -> ScopedStore:
    """Return an empty table keyed within account and region."""
    store: ScopedStore = _responses.AccountRegionScopedDict()
    return store


def on_reset(empty: Callable[[], None]) -> None:
    """Call a function whenever all accounts are emptied."""
    reset_all = _app._reset_all_state

    def reset_ours_too() -> None:
        reset_all()
        empty()

    _app._reset_all_state = reset_ours_too


# Services
app = _app
SERVICE_HANDLERS: MutableMapping[str, Any] = _app.SERVICE_HANDLERS
SERVICE_REGISTRY: MutableMapping[str, Any] = _app.SERVICE_REGISTRY
SERVICE_PATTERNS: MutableMapping[str, Any] = _router.SERVICE_PATTERNS
IAM_NAMESPACES: MutableMapping[str, str] = _iam_actions.SERVICE_TO_IAM_NAMESPACE
iam_actions = _iam_actions
TAG_COLLECTORS: tuple[MutableMapping[str, Any], ...] = (
    _tagging._COLLECTORS,  # of the tagging API
    _tagging._RESOURCE_TAG_COLLECTORS,  # of aws:ResourceTag conditions
)

# CloudFormation
RESOURCE_HANDLERS: MutableMapping[str, Record] = _provisioners._RESOURCE_HANDLERS
STACK_TAG_PROPERTY: MutableMapping[str, tuple[str, str]] = _provisioners._STACK_TAG_PROPERTY
REPLACING_PROPERTIES: MutableMapping[str, tuple[str, ...]] = _provisioners._REPLACING_PROPERTIES
stacks: ScopedStore = _cloudformation._stacks
security_group_permissions: Callable[[list[Record]], list[Record]] = _provisioners._ec2_sg_permissions
RESOLVING_MODULES = (_engine, _stacks, _changesets, _handlers)
resolve_references: Callable[..., Any] = _engine._resolve_refs
RESOLVER_NAME = "_resolve_refs"

# EC2
make_default_network: Callable[[], None] = _ec2._ensure_defaults_initialized
security_groups: ScopedStore = _ec2._security_groups
vpcs: ScopedStore = _ec2._vpcs
subnets: ScopedStore = _ec2._subnets
route_tables: ScopedStore = _ec2._route_tables
flow_logs: ScopedStore = _ec2._flow_logs
ec2_tags: ScopedStore = _ec2._tags
peering_connections: ScopedStore = _ec2._vpc_peering
create_peering: Callable[[Record], Response] = _ec2._create_vpc_peering_connection
accept_peering: Callable[[Record], Response] = _ec2._accept_vpc_peering_connection
delete_peering: Callable[[Record], Response] = _ec2._delete_vpc_peering_connection
fail_peering: Callable[[Record, str, str], None] = _ec2._set_vpc_peering_status
create_flow_logs: Callable[[Record], Response] = _ec2._create_flow_logs

# S3
buckets: ScopedStore = _s3._buckets
bucket_tags: ScopedStore = _s3._bucket_tags
object_versions: ScopedStore = _s3._object_versions
put_bucket_encryption: Callable[[str, bytes], Response] = _s3._put_bucket_encryption
bucket_encryption: ScopedStore = _s3._bucket_encryption
stored_encryption: Callable[[Record], dict[str, str]] = _s3._stored_sse_headers
default_encryption: Callable[[str], dict[str, str]] = _s3._bucket_default_sse_headers
s3_error: Callable[[str, str, int], Response] = _s3._error
bucket_owner: Callable[[str], str | None] = _s3._bucket_owner_account


def versions_of(bucket: str, key: str) -> list[Record]:
    """Return the versions of an object of this account."""
    found: list[Record] = _s3._object_versions.get((bucket, key)) or []
    return found


# Logs
log_groups: ScopedStore = _logs._log_groups

# KMS
find_key: Callable[[str], Record | None] = _kms._resolve_key

# IAM
roles: ScopedStore = _iam._roles
sessions: MutableMapping[str, Record] = _sts._sessions
register_session: Callable[[str, Record], None] = _sts.register_session
new_session_key: Callable[[], str] = _iam._gen_session_access_key
new_secret: Callable[[], str] = _iam._gen_secret
new_session_token: Callable[[], str] = _iam._gen_session_token
evaluator = _evaluator
CONDITION_KEY_RESOLVER_NAME = "_resolve_condition_key"
resolve_condition_key: Callable[[str, Any], Any] = _evaluator._resolve_condition_key
PRINCIPAL_MATCHER_NAME = "_principal_matches"
principal_matches: Callable[[Any, str], bool] = _evaluator._principal_matches
EvalContext = _evaluator.EvalContext
new_principal: Callable[..., Principal] = _evaluator.PrincipalInfo
AuthError = _evaluator.AuthError
evaluate: Callable[..., Any] = _evaluator.evaluate
combine_resource_policy: Callable[..., Any] = _evaluator.combine_resource_policy
resource_policy: Callable[[str, str], tuple[Any, str] | None] = _evaluator._resource_policy
trust_allows: Callable[..., bool] = _evaluator.evaluate_trust_policy
service_named_by: Callable[[Any, str], bool] = _evaluator._service_principal_matches
enforce: Callable[..., Any] = _evaluator.enforce
principal_of_key: Callable[[str, str], Principal] = _evaluator.resolve_principal
role_policies: Callable[[str, str], list[Any]] = _evaluator._gather_role_policies
permissions_boundary: Callable[[Any, str, str], list[Any]] = _evaluator._permissions_boundary
denial_message: Callable[..., str] = _iam_actions.identity_denial_message
