"""Fail a stack whose resource name already exists, as AWS does; ministack would adopt the other resource."""

from collections.abc import Callable

from federation.rehearse.emulator import ministack_tables as ministack
from federation.rehearse.emulator.stacks.resource_types import Properties, before_create

_NAMED = {
    "AWS::IAM::Role": ("RoleName", ministack.roles),
    "AWS::Logs::LogGroup": ("LogGroupName", ministack.log_groups),
}


def install() -> None:
    """Check the types whose names the stacks choose and which an account may already contain."""
    for kind, (key, existing) in _NAMED.items():
        before_create(kind, _refusing(kind, key, existing))


def _refusing(kind: str, key: str, existing: ministack.ScopedStore) -> Callable[[Properties], None]:
    def check(properties: Properties) -> None:
        name = properties.get(key)
        if name in existing:
            raise ValueError(f"Resource of type '{kind}' with identifier '{name}' already exists.")

    return check
