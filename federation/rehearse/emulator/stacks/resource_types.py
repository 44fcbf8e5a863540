"""Add CloudFormation resource types to ministack's table, or wrap the ones it has."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from federation.rehearse.emulator import ministack_tables as ministack

Properties = dict[str, Any]
Created = tuple[str, dict[str, Any]]
"""The physical id and the attributes ``Fn::GetAtt`` can read."""

OURS: set[str] = set()
"""The types registered or changed here."""


@dataclass(frozen=True, kw_only=True)
class ResourceType:
    """One CloudFormation resource type.

    Parameters
    ----------
    name : str
        Such as ``AWS::EC2::FlowLog``.
    create : callable
        Takes the logical id, the properties and the stack's name.
    update : callable
        Takes the physical id, the old and the new properties. Only called when none of ``replaced_by``
        changed.
    delete : callable
        Takes the physical id and the properties. A resource that is gone already is no error.
    replaced_by : tuple of str
        The create-only properties: a change of one replaces the resource.
    tagged : bool
        Whether the type has ``Tags``, to which the stack's own tags are added.
    """

    name: str
    create: Callable[[str, Properties, str], Created]
    update: Callable[[str, Properties, Properties], Created]
    delete: Callable[[str, Properties], None]
    replaced_by: tuple[str, ...] = ()
    tagged: bool = False


def register(resource: ResourceType) -> None:
    """Register a type with CloudFormation."""

    def update(physical_id: str, old: Properties, new: Properties, _stack_name: str) -> Created:
        return resource.update(physical_id, old, new)

    OURS.add(resource.name)
    ministack.RESOURCE_HANDLERS[resource.name] = {
        "create": resource.create,
        "update": update,
        "delete": resource.delete,
    }
    ministack.REPLACING_PROPERTIES[resource.name] = resource.replaced_by
    if resource.tagged:
        ministack.STACK_TAG_PROPERTY[resource.name] = ("Tags", "list")


def extend(name: str, *, after: Callable[[Created, Properties], Created]) -> None:
    """Run a function on the result of ministack's own handler of a type, at create and at update."""
    OURS.add(name)
    handler = ministack.RESOURCE_HANDLERS[name]
    create, update = handler["create"], handler["update"]

    def extended_create(logical_id: str, properties: Properties, stack_name: str) -> Created:
        return after(create(logical_id, properties, stack_name), properties)

    def extended_update(physical_id: str, old: Properties, new: Properties, *rest: Any) -> Created:
        return after(update(physical_id, old, new, *rest), new)

    handler.update(create=extended_create, update=extended_update)


def before_create(name: str, check: Callable[[Properties], None]) -> None:
    """Run a check, which may raise, before ministack's own handler of a type creates."""
    handler = ministack.RESOURCE_HANDLERS[name]
    create = handler["create"]

    def checked_create(logical_id: str, properties: Properties, stack_name: str) -> Created:
        check(properties)
        created: Created = create(logical_id, properties, stack_name)
        return created

    handler["create"] = checked_create


def before_delete(name: str, check: Callable[[str], None]) -> None:
    """Run a check, which may raise, before ministack's own handler of a type deletes."""
    handler = ministack.RESOURCE_HANDLERS[name]
    delete = handler["delete"]

    def checked_delete(physical_id: str, properties: Properties) -> None:
        check(physical_id)
        delete(physical_id, properties)

    handler["delete"] = checked_delete


def tag_map(properties: Properties) -> dict[str, str]:
    """Return the ``Tags`` of a template as a dictionary."""
    return {tag["Key"]: str(tag["Value"]) for tag in properties.get("Tags", [])}
