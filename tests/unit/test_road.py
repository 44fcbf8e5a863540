"""The road between two networks: each thing that can be missing is found, and named on its side."""

from dataclasses import replace
from ipaddress import IPv4Network

import pytest

from federation.aws.checks.network_path import (
    Peering,
    Route,
    Rule,
    Side,
    Subnet,
    check_peering,
    check_routes,
    check_rules,
    check_subnets,
)
from federation.config.schema import Client, FederationConfig, parse_config
from federation.errors import ClientNetworkError, PeeringError

PARTY = {"region": "us-east-1", "availability_zones": ["us-east-1a"]}
CONFIG = parse_config(
    {
        "federation": {"name": "claims"},
        "server": PARTY | {"account": "111111111111", "cidr": "10.0.0.0/24"},
        "clients": [
            PARTY
            | {
                "name": "a",
                "account": "222222222222",
                "cidr": "10.0.1.0/24",
                "external_id": "0123456789abcdef",
            }
        ],
    }
)
CLIENT = CONFIG.clients[0]
PEERING = Peering(id="pcx-1", requester="vpc-a", accepter="vpc-s", state="active")


def side(vpc: str, own: str, to: str, *, inbound: bool) -> Side:
    """Return one side of a road that is open."""
    return Side(
        subnets=(Subnet(id="subnet-1", vpc=vpc, zone="us-east-1a", cidr=IPv4Network(own)),),
        tables=("rtb-1",),
        routes=(Route(table="rtb-1", to=to, peering="pcx-1", state="active"),),
        rules=(Rule(inbound=inbound, protocol="tcp", first=8080, last=8080, cidr=to),),
        peerings=(PEERING,),
    )


SERVER = side("vpc-s", "10.0.0.0/24", "10.0.1.0/24", inbound=True)
THEIRS = side("vpc-a", "10.0.1.0/24", "10.0.0.0/24", inbound=False)


def walk(server: Side = SERVER, theirs: Side = THEIRS, config: FederationConfig = CONFIG) -> str:
    """Look at the whole road, as a preflight does."""
    client: Client = config.clients[0]
    return "; ".join(
        [
            check_subnets(client, theirs),
            check_peering(client, server, theirs),
            check_routes(config, client, server, theirs),
            check_rules(config, client, server, theirs),
        ]
    )


def test_an_open_road_is_described() -> None:
    """Which peering, which networks, which port."""
    said = walk()
    assert "pcx-1 is active" in said
    assert "port 8080 is open from 10.0.1.0/24 to 10.0.0.0/24" in said


OTHER = replace(PEERING, requester="vpc-z")
PENDING = replace(PEERING, state="pending-acceptance")
ROUTE = Route(table="rtb-1", to="10.0.0.0/24", peering="pcx-1", state="active")


@pytest.mark.parametrize(
    ("server", "theirs", "said"),
    [
        (replace(SERVER, peerings=()), THEIRS, "the server's account says there is none"),
        (replace(SERVER, peerings=(OTHER,)), THEIRS, "the server's account says there is none"),
        (SERVER, replace(THEIRS, peerings=(PENDING,)), 'client "a" says it is pending-acceptance'),
        (replace(SERVER, routes=()), THEIRS, "from the server, route table rtb-1 .* it has no route"),
        (SERVER, replace(THEIRS, routes=()), 'from client "a", route table rtb-1 .* it has no route'),
        (SERVER, replace(THEIRS, routes=(replace(ROUTE, state="blackhole"),)), "blackhole through pcx-1"),
        (SERVER, replace(THEIRS, routes=(replace(ROUTE, peering="pcx-2"),)), "active through pcx-2"),
        (SERVER, replace(THEIRS, tables=("rtb-1", "rtb-2")), "route table rtb-2"),
        (SERVER, replace(THEIRS, tables=()), "no route table of their own"),
        (replace(SERVER, rules=()), THEIRS, "notebook does not let 10.0.1.0/24 reach port 8080"),
        (SERVER, replace(THEIRS, rules=()), "does not let jobs reach port 8080"),
    ],
)
def test_what_is_missing_is_named_on_its_side(server: Side, theirs: Side, said: str) -> None:
    """Each of these alone keeps a job from joining."""
    with pytest.raises(PeeringError, match=said):
        walk(server, theirs)


@pytest.mark.parametrize(
    "change",
    [
        {"cidr": IPv4Network("10.9.0.0/24")},
        {"zone": "us-east-1f"},
    ],
)
def test_a_network_of_another_configuration_is_found(change: dict[str, object]) -> None:
    """The stack was deployed with other addresses or zones than the server's file says."""
    subnet = replace(THEIRS.subnets[0], **change)  # type: ignore[arg-type]
    with pytest.raises(ClientNetworkError, match="subnet-1"):
        check_subnets(CLIENT, replace(THEIRS, subnets=(subnet,)))


@pytest.mark.parametrize(
    ("rule", "admits"),
    [
        (Rule(inbound=True, protocol="-1", first=0, last=0, cidr="10.0.0.0/8"), True),
        (Rule(inbound=True, protocol="tcp", first=8000, last=9000, cidr="10.0.1.0/24"), True),
        (Rule(inbound=True, protocol="udp", first=8080, last=8080, cidr="10.0.1.0/24"), False),
        (Rule(inbound=True, protocol="tcp", first=443, last=443, cidr="10.0.1.0/24"), False),
        (Rule(inbound=True, protocol="tcp", first=8080, last=8080, cidr="10.0.1.0/25"), False),
    ],
)
def test_a_rule_admits_what_ec2_would(rule: Rule, admits: bool) -> None:  # noqa: FBT001 - a table's column
    """Protocol, ports and the whole of the other side's addresses."""
    assert rule.admits(8080, IPv4Network("10.0.1.0/24")) is admits
