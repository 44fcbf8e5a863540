"""Who can open which port to whom, derived from deployed routes, security groups, peerings and endpoints."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from itertools import product
from typing import Any

from tests.infrastructure.deployed import Deployment, Resource

Ports = tuple[str, int, int]
ANYTHING: Ports = ("-1", 0, 65535)
SOMEWHERE = IPv4Network("198.51.100.0/24")  # documentation addresses stand for the internet


@dataclass(frozen=True)
class Host:
    """What can open or accept connections.

    Parameters
    ----------
    name : str
        What the table calls it.
    subnet : str
        Id of its subnet; empty outside every VPC.
    groups : frozenset of str
        Its security groups.
    prefix_list : str
        The prefix list it is in, if it is an AWS service behind a gateway endpoint.
    """

    name: str
    subnet: str = ""
    groups: frozenset[str] = frozenset()
    prefix_list: str = ""


class Network:
    """All VPCs of a federation as one graph.

    Parameters
    ----------
    deployment : Deployment
        The stacks, deployed on paper.
    """

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._subnets = {it.id: it for it in deployment.of_type("AWS::EC2::Subnet")}
        self._peerings = {it.id: it for it in deployment.of_type("AWS::EC2::VPCPeeringConnection")}
        self._tables = {
            it.properties["SubnetId"]: it.properties["RouteTableId"]
            for it in deployment.of_type("AWS::EC2::SubnetRouteTableAssociation")
        }
        self._rules = {way: list(self._rules_of(way)) for way in ("Ingress", "Egress")}

    def hosts(self) -> list[Host]:
        """Everything that is or will be in a subnet, S3, and the internet."""
        prefix_lists = {str(rule.get("DestinationPrefixListId", "")) for _, rule in self._rules["Egress"]} - {
            ""
        }
        found = [Host("internet"), *(Host(f"S3 {it}", prefix_list=it) for it in sorted(prefix_lists))]
        for it in self._deployment.of_type("AWS::SageMaker::NotebookInstance"):
            groups = frozenset(it.properties["SecurityGroupIds"])
            found.append(Host(f"notebook {it.stack}", it.properties["SubnetId"], groups))
        for it in self._deployment.of_type("AWS::EC2::VPCEndpoint"):
            name, groups = (
                f"endpoint {it.properties['ServiceName']}",
                it.properties.get("SecurityGroupIds", []),
            )
            found += [Host(name, subnet, frozenset(groups)) for subnet in it.properties.get("SubnetIds", [])]
        return [*found, *self._jobs()]

    def table(self) -> dict[tuple[str, str], set[Ports]]:
        """Open ports by (from, to), without the pairs that cannot connect."""
        hosts = self.hosts()
        pairs = {
            (one.name, other.name): self.ports(one, other)
            for one, other in product(hosts, hosts)
            if one != other and (one.subnet or other.subnet)
        }
        return {pair: ports for pair, ports in pairs.items() if ports}

    def ports(self, source: Host, target: Host) -> set[Ports]:
        """Ports that a connection from one host to another can use."""
        if source.prefix_list or (source.subnet and not self._routed(source, target)):
            return set()
        if target.subnet and not self._routed(target, source):
            return set()
        out = self._open("Egress", source, target)
        into = {ANYTHING} if target.prefix_list else self._open("Ingress", target, source)
        return {both for one, other in product(out, into) if (both := _intersection(one, other))}

    def _open(self, way: str, host: Host, peer: Host) -> set[Ports]:
        """Ports that a host's groups open towards a peer; no group of ours guards the internet."""
        return {self._range(rule) for rule in self._matching(way, host, peer)} if host.subnet else {ANYTHING}

    def _jobs(self) -> Iterator[Host]:
        """Where training jobs may run: the subnets and groups tagged for them."""
        for group in self._deployment.of_type("AWS::EC2::SecurityGroup"):
            for subnet in self._subnets.values():
                both = {_tags(it).get("Purpose") for it in (group, subnet)}
                if both == {"training"} and subnet.stack == group.stack:
                    zone = subnet.properties["AvailabilityZone"]
                    yield Host(f"job {group.stack} {zone}", subnet.id, frozenset({group.id}))

    def _vpc(self, host: Host) -> str:
        return str(self._subnets[host.subnet].properties["VpcId"])

    def _addresses(self, host: Host) -> IPv4Network:
        return IPv4Network(self._subnets[host.subnet].properties["CidrBlock"]) if host.subnet else SOMEWHERE

    def _routed(self, source: Host, target: Host) -> bool:
        """Whether the source's route table leads to the target."""
        table = self._tables[source.subnet]
        if target.prefix_list:
            gateways = self._deployment.of_type("AWS::EC2::VPCEndpoint")
            return any(table in it.properties.get("RouteTableIds", []) for it in gateways)
        if target.subnet and self._vpc(source) == self._vpc(target):
            return True
        routes = [
            it for it in self._deployment.of_type("AWS::EC2::Route") if it.properties["RouteTableId"] == table
        ]
        return any(self._leads(route.properties, source, target) for route in routes)

    def _leads(self, route: Mapping[str, Any], source: Host, target: Host) -> bool:
        if not self._addresses(target).subnet_of(IPv4Network(route["DestinationCidrBlock"])):
            return False
        if "VpcPeeringConnectionId" not in route:
            return not target.subnet  # a gateway of any kind leads out
        peering = self._peerings[route["VpcPeeringConnectionId"]].properties
        ends = {peering["VpcId"], peering["PeerVpcId"]}
        return bool(target.subnet) and ends == {self._vpc(source), self._vpc(target)}

    def _rules_of(self, way: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for group in self._deployment.of_type("AWS::EC2::SecurityGroup"):
            for rule in group.properties.get(f"SecurityGroup{way}", []):
                yield group.id, rule
        for rule in self._deployment.of_type(f"AWS::EC2::SecurityGroup{way}"):
            yield rule.properties["GroupId"], rule.properties

    def _matching(self, way: str, host: Host, peer: Host) -> Iterator[Mapping[str, Any]]:
        side = "Source" if way == "Ingress" else "Destination"
        for group, rule in self._rules[way]:
            if group not in host.groups:
                continue
            by_group = rule.get(f"{side}SecurityGroupId") in peer.groups
            by_list = bool(peer.prefix_list) and rule.get(f"{side}PrefixListId") == peer.prefix_list
            if by_group or by_list or self._by_address(rule, peer):
                yield rule

    def _by_address(self, rule: Mapping[str, Any], peer: Host) -> bool:
        if "CidrIp" not in rule or peer.prefix_list:
            return False
        return self._addresses(peer).overlaps(IPv4Network(rule["CidrIp"]))

    @staticmethod
    def _range(rule: Mapping[str, Any]) -> Ports:
        _, low, high = ANYTHING
        return str(rule["IpProtocol"]), int(rule.get("FromPort", low)), int(rule.get("ToPort", high))


def _intersection(one: Ports, other: Ports) -> Ports | None:
    protocols = {one[0], other[0]} - {"-1"} or {"-1"}
    low, high = max(one[1], other[1]), min(one[2], other[2])
    return (protocols.pop(), low, high) if len(protocols) == 1 and low <= high else None


def _tags(resource: Resource) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in resource.properties.get("Tags", [])}
