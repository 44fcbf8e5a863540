"""Whether a job's network has a path to the internet.

The emulated network filters no packet. But a job whose subnets have no path to the internet must not
download a forgotten wheel from the public index here, and then fail on AWS.
"""

from typing import Any

from federation.rehearse.emulator import ministack_tables as ministack

_EVERYWHERE = ("0.0.0.0/0", "::/0")
_DESTINATIONS = ("DestinationCidrBlock", "DestinationIpv6CidrBlock")


def reaches_internet(vpc: dict[str, Any] | None) -> bool:
    """Return whether a ``VpcConfig`` has a path to the internet; without one, SageMaker's own network has."""
    if vpc is None:
        return True
    return any(
        route.get(member) in _EVERYWHERE
        for subnet_id in vpc["Subnets"]
        for route in _routes(subnet_id)
        for member in _DESTINATIONS
    )


def _routes(subnet_id: str) -> list[dict[str, Any]]:
    """Return the routes of the subnet's own table, or of its VPC's main one."""
    vpc_id = ministack.subnets[subnet_id]["VpcId"]
    tables = [table for table in ministack.route_tables.values() if table["VpcId"] == vpc_id]
    own = [table for table in tables if any(a.get("SubnetId") == subnet_id for a in table["Associations"])]
    main = [table for table in tables if any(a.get("Main") for a in table["Associations"])]
    return [route for table in (own or main) for route in table["Routes"]]
