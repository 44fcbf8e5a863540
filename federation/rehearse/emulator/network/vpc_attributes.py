"""``Fn::GetAtt`` of a VPC's ``CidrBlock``."""

from federation.rehearse.emulator import ministack_tables as ministack
from federation.rehearse.emulator.stacks.resource_types import Created, Properties, extend


def _add_cidr_block(created: Created, _properties: Properties) -> Created:
    vpc_id, attributes = created
    return vpc_id, {**attributes, "CidrBlock": ministack.vpcs[vpc_id]["CidrBlock"]}


def install() -> None:
    """Extend ``AWS::EC2::VPC``."""
    extend("AWS::EC2::VPC", after=_add_cidr_block)
