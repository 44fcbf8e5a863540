"""``AWS::EC2::SecurityGroupIngress`` and ``…Egress``: rules as resources separate from their group."""

import os
from functools import partial

from federation.rehearse.emulator import ministack_tables as ministack
from federation.rehearse.emulator.stacks.resource_types import Created, Properties, ResourceType, register

# Everything but the description: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/
# aws-resource-ec2-securitygroupingress.html
_IDENTITY = ("GroupId", "IpProtocol", "FromPort", "ToPort", "CidrIp", "CidrIpv6")
_INGRESS = (*_IDENTITY, "SourceSecurityGroupId", "SourceSecurityGroupOwnerId", "SourcePrefixListId")
_EGRESS = (*_IDENTITY, "DestinationSecurityGroupId", "DestinationPrefixListId")


def _rules(direction: str, group_id: str) -> list[ministack.Record]:
    ministack.make_default_network()
    group = ministack.security_groups.get(group_id)
    if group is None:
        raise ValueError(f"The security group '{group_id}' does not exist")
    rules: list[ministack.Record] = group.setdefault(direction, [])
    return rules


def _create(direction: str, _logical_id: str, properties: Properties, _stack_name: str) -> Created:
    rules = _rules(direction, properties["GroupId"])
    new = ministack.security_group_permissions([properties])
    if any(rule in rules for rule in new):
        raise ValueError("the specified rule already exists (Service: Ec2, InvalidPermission.Duplicate)")
    rules.extend(new)
    rule_id = f"sgr-{os.urandom(8).hex()}"
    return rule_id, {"Id": rule_id}


def _delete(direction: str, _rule_id: str, properties: Properties) -> None:
    if properties["GroupId"] not in ministack.security_groups:
        return
    rules = _rules(direction, properties["GroupId"])
    gone = ministack.security_group_permissions([properties])
    rules[:] = [rule for rule in rules if rule not in gone]


def _update(direction: str, rule_id: str, old: Properties, new: Properties) -> Created:
    _delete(direction, rule_id, old)
    _rules(direction, new["GroupId"]).extend(ministack.security_group_permissions([new]))
    return rule_id, {"Id": rule_id}


def install() -> None:
    """Register both types."""
    for name, direction, replaced_by in (
        ("AWS::EC2::SecurityGroupIngress", "IpPermissions", _INGRESS),
        ("AWS::EC2::SecurityGroupEgress", "IpPermissionsEgress", _EGRESS),
    ):
        register(
            ResourceType(
                name=name,
                create=partial(_create, direction),
                update=partial(_update, direction),
                delete=partial(_delete, direction),
                replaced_by=replaced_by,
            )
        )
