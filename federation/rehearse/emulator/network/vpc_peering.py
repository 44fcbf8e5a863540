"""``AWS::EC2::VPCPeeringConnection`` between accounts, which only the peer's role can accept.

CloudFormation creates the connection as the stack's principal, assumes ``PeerRoleArn`` and accepts with it:
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/peer-with-vpc-in-another-account.html
"""

import ipaddress
import re

from federation.rehearse.emulator import ministack_tables as ministack
from federation.rehearse.emulator.access.role_evaluation import NotAuthorizedError, assume, may
from federation.rehearse.emulator.stacks.resource_types import (
    Created,
    Properties,
    ResourceType,
    register,
    tag_map,
)
from federation.rehearse.emulator.stacks.stack_identity import acting_principal

_ACCEPT = "ec2:AcceptVpcPeeringConnection"


def _create(_logical_id: str, properties: Properties, _stack_name: str) -> Created:
    owner = str(properties.get("PeerOwnerId") or ministack.account_id())
    region = str(properties.get("PeerRegion") or ministack.region())
    own = ministack.vpcs.get(properties["VpcId"])
    if own is None:
        raise ValueError(
            f"The vpc ID '{properties['VpcId']}' does not exist (Service: Ec2, InvalidVpcID.NotFound)"
        )
    peer = ministack.vpcs.get_scoped(owner, region, properties["PeerVpcId"])
    connection_id = _request(properties, owner, region)
    try:
        _check_peer(own, peer)
        _accept(connection_id, properties, owner, region)
    except ValueError as error:
        ministack.fail_peering(ministack.peering_connections[connection_id], "failed", str(error))
        raise
    _set_tags(connection_id, properties)
    return connection_id, {"Id": connection_id}


def _request(properties: Properties, owner: str, region: str) -> str:
    _, _, body = ministack.create_peering(
        {
            "VpcId": [properties["VpcId"]],
            "PeerVpcId": [properties["PeerVpcId"]],
            "PeerOwnerId": [owner],
            "PeerRegion": [region],
        }
    )
    found = re.search(r"pcx-[0-9a-f]+", body.decode())
    if found is None:
        raise ValueError(body.decode())
    return found[0]


def _check_peer(own: ministack.Record, peer: ministack.Record | None) -> None:
    if peer is None or ipaddress.ip_network(own["CidrBlock"]).overlaps(
        ipaddress.ip_network(peer["CidrBlock"])
    ):
        raise ValueError("Failed due to incorrect VPC-ID, Account ID, or overlapping CIDR range")


def _accept(connection_id: str, properties: Properties, owner: str, region: str) -> None:
    if owner != ministack.account_id():
        role_arn = properties.get("PeerRoleArn")
        if not role_arn:
            raise ValueError(
                f"VpcPeeringConnection {connection_id} failed to stabilize: Pending Acceptance by {owner}. "
                "A PeerRoleArn is needed to accept it in another account."
            )
        _check_accepter(connection_id, properties, owner, region, role_arn)
    with ministack.acting_as(owner, region):
        ministack.accept_peering({"VpcPeeringConnectionId": [connection_id]})


def _check_accepter(
    connection_id: str, properties: Properties, owner: str, region: str, role_arn: str
) -> None:
    """Evaluate the accepter role on both resources of the action: the connection and the accepter's VPC.

    https://docs.aws.amazon.com/vpc/latest/peering/security-iam.html
    """
    accepter = assume(acting_principal(), role_arn, "AWSCloudFormation")
    own_vpc = f"arn:aws:ec2:{ministack.region()}:{ministack.account_id()}:vpc/{properties['VpcId']}"
    peer_vpc = f"arn:aws:ec2:{region}:{owner}:vpc/{properties['PeerVpcId']}"
    connection = f"arn:aws:ec2:{region}:{owner}:vpc-peering-connection/{connection_id}"
    connection_keys = {
        "ec2:AccepterVpc": peer_vpc,
        "ec2:RequesterVpc": own_vpc,
        "ec2:VpcPeeringConnectionID": connection_id,
    }
    vpc_keys = {"ec2:Tenancy": "default", "ec2:VpcID": properties["PeerVpcId"]}
    with ministack.acting_as(owner, region):
        for resource, keys in ((connection, connection_keys), (peer_vpc, vpc_keys)):
            if not may(accepter, _ACCEPT, resource, keys):
                raise NotAuthorizedError(
                    "You are not authorized to perform this operation. "
                    + ministack.denial_message(_ACCEPT, accepter.arn, resource, explicit_deny=False)
                )


def _set_tags(connection_id: str, properties: Properties) -> None:
    ministack.ec2_tags[connection_id] = [
        {"Key": key, "Value": value} for key, value in tag_map(properties).items()
    ]


def _update(connection_id: str, _old: Properties, new: Properties) -> Created:
    _set_tags(connection_id, new)
    return connection_id, {"Id": connection_id}


def _delete(connection_id: str, _properties: Properties) -> None:
    if connection_id in ministack.peering_connections:
        ministack.delete_peering({"VpcPeeringConnectionId": [connection_id]})
        ministack.ec2_tags.pop(connection_id, None)


def install() -> None:
    """Register the type."""
    register(
        ResourceType(
            name="AWS::EC2::VPCPeeringConnection",
            create=_create,
            update=_update,
            delete=_delete,
            replaced_by=("VpcId", "PeerVpcId", "PeerOwnerId", "PeerRegion", "PeerRoleArn"),
            tagged=True,
        )
    )
