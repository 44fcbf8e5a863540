"""Check the network path between a client's jobs and the server, from EC2's descriptions.

Each side's account shows its own half of the path: subnets, routes, rules, and the state of the peering.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network

from federation.config.schema import Client, FederationConfig, Party
from federation.errors import ClientNetworkError, PeeringError

ACTIVE = "active"


@dataclass(frozen=True, kw_only=True)
class Subnet:
    """A subnet: its id, network, zone and addresses."""

    id: str
    vpc: str
    zone: str
    cidr: IPv4Network


@dataclass(frozen=True, kw_only=True)
class Route:
    """A route of a subnet's table: destination, peering and state."""

    table: str
    to: str
    peering: str
    state: str


@dataclass(frozen=True, kw_only=True)
class Rule:
    """An address range that a security group allows in or out, with its protocol and ports."""

    inbound: bool
    protocol: str
    first: int
    last: int
    cidr: str

    def admits(self, port: int, cidr: IPv4Network) -> bool:
        """Return whether a port of TCP is open towards all of a network."""
        ports = self.protocol == "-1" or (self.protocol == "tcp" and self.first <= port <= self.last)
        return ports and cidr.subnet_of(IPv4Network(self.cidr))


@dataclass(frozen=True, kw_only=True)
class Peering:
    """A peering connection: its id, the two networks, and its state."""

    id: str
    requester: str
    accepter: str
    state: str


@dataclass(frozen=True, kw_only=True)
class Side:
    """One party's half of the path, from its account.

    Parameters
    ----------
    subnets : tuple of Subnet
        The subnets of the party's half of the path.
    tables : tuple of str
        Route tables of those subnets.
    routes : tuple of Route
        Their routes through a peering.
    rules : tuple of Rule
        The rules of the party's security group.
    peerings : tuple of Peering
        All connections the account knows.
    """

    subnets: tuple[Subnet, ...]
    tables: tuple[str, ...]
    routes: tuple[Route, ...]
    rules: tuple[Rule, ...]
    peerings: tuple[Peering, ...]

    @property
    def vpc(self) -> str:
        """The network that the subnets are in."""
        return self.subnets[0].vpc if self.subnets else ""


def check_subnets(client: Client, side: Side) -> str:
    """Return a description of the training subnets, if they are those of the configuration.

    Raises
    ------
    ClientNetworkError
        They are elsewhere.
    """
    for subnet in side.subnets:
        if not subnet.cidr.subnet_of(client.cidr) or subnet.zone not in client.availability_zones:
            raise ClientNetworkError(
                f"{client.label}: its training subnet {subnet.id} is {subnet.cidr} in {subnet.zone}, and the "
                f"configuration says {client.cidr} in {', '.join(client.availability_zones)}.",
                f"Use the configuration that {client.stack} was deployed with.",
            )
    if len({subnet.vpc for subnet in side.subnets}) > 1:
        raise ClientNetworkError(
            f"{client.label}: its training subnets are in several networks.", f"Deploy {client.stack} again."
        )
    return f"{len(side.subnets)} subnets in {client.cidr}, one security group, one key"


def check_peering(client: Client, server: Side, theirs: Side) -> str:
    """Return the peering between the two networks, if it is active on both sides.

    Raises
    ------
    PeeringError
        There is none, or it is not active.
    """
    for side, owner in ((server, "the server's account"), (theirs, f"the account of {client.label}")):
        between = [peering for peering in side.peerings if _joins(peering, server.vpc, theirs.vpc)]
        if not any(peering.state == ACTIVE for peering in between):
            states = f"it is {between[-1].state}" if between else "there is none"
            raise PeeringError(
                f"{client.label}: no active peering between {theirs.vpc} and {server.vpc}; {owner} says "
                f"{states}.",
                f"Deploy {client.stack} again, then ServerStack.",
            )
    return f"{_between(server, theirs)} is active"


def check_routes(config: FederationConfig, client: Client, server: Side, theirs: Side) -> str:
    """Return a description of the routes, if every subnet of each side has a route to the other.

    Raises
    ------
    PeeringError
        A route is missing or leads nowhere.
    """
    through = _between(server, theirs)
    _check_way(config.server, server, client.cidr, through, client, stack="ServerStack")
    _check_way(client, theirs, config.server.cidr, through, client, stack=client.stack)
    return f"{config.server.cidr} and {client.cidr} reach each other through {through}"


def check_rules(config: FederationConfig, client: Client, server: Side, theirs: Side) -> str:
    """Return which port is open, if both sides' security groups admit the client's jobs.

    Raises
    ------
    PeeringError
        One of them does not.
    """
    port = config.federation.port
    if not any(rule.inbound and rule.admits(port, client.cidr) for rule in server.rules):
        raise PeeringError(
            f"{client.label}: the security group of the server's notebook does not let {client.cidr} reach "
            f"port {port}.",
            "Deploy ServerStack with this configuration.",
        )
    if not any(not rule.inbound and rule.admits(port, config.server.cidr) for rule in theirs.rules):
        raise PeeringError(
            f"{client.label}: its training security group does not let jobs reach port {port} of "
            f"{config.server.cidr}.",
            f"Deploy {client.stack} with this configuration.",
        )
    return f"port {port} is open from {client.cidr} to {config.server.cidr}"


def _check_way(at: Party, side: Side, to: IPv4Network, through: str, client: Client, *, stack: str) -> None:
    for table in side.tables:
        ways = [route for route in side.routes if route.table == table and route.to == str(to)]
        if not any(route.peering == through and route.state == ACTIVE for route in ways):
            found = f"its route is {ways[0].state} through {ways[0].peering}" if ways else "it has no route"
            raise PeeringError(
                f"{client.label}: from {at.label}, route table {table} does not lead to {to} through "
                f"{through}: {found}.",
                f"Deploy {stack} again with this configuration.",
            )
    if not side.tables:
        raise PeeringError(
            f"{client.label}: the subnets of {at.label} have no route table of their own.",
            f"Deploy {stack} again.",
        )


def _between(server: Side, theirs: Side) -> str:
    return next(
        (
            peering.id
            for peering in server.peerings
            if peering.state == ACTIVE and _joins(peering, server.vpc, theirs.vpc)
        ),
        "no peering",
    )


def _joins(peering: Peering, one: str, other: str) -> bool:
    return {peering.requester, peering.accepter} == {one, other}


def state_between(peerings: Iterable[Peering], one: str, other: str) -> str:
    """Return the state of the newest peering between two networks, or ``none``."""
    states = [peering.state for peering in peerings if _joins(peering, one, other)]
    return ACTIVE if ACTIVE in states else (states[-1] if states else "none")
