"""What the networks open, rule by rule, whatever the other side opens."""

from typing import Any

from tests.infrastructure.deployed import Deployment, Resource, statements

ACCOUNTS = ["111111111111", "222222222222", "333333333333"]


def rules(deployment: Deployment, way: str, peer: str) -> set[tuple[str, str, int, int, str]]:
    """Return all rules of a direction: stack of the group, what it guards, ports, and whom they name."""
    groups = {it.id: it for it in deployment.of_type("AWS::EC2::SecurityGroup")}
    found = [
        (group, rule)
        for group in groups.values()
        for rule in group.properties.get(f"SecurityGroup{way}", [])
        if rule["CidrIp"] != "255.255.255.255/32"  # the CDK's way to write "nowhere"
    ]
    found += [
        (groups[it.properties["GroupId"]], it.properties)
        for it in deployment.of_type(f"AWS::EC2::SecurityGroup{way}")
    ]
    assert {rule["IpProtocol"] for _, rule in found} == {"tcp"}
    return {
        (
            group.stack,
            group.properties["GroupDescription"],
            rule["FromPort"],
            rule["ToPort"],
            _peer(groups, rule, peer),
        )
        for group, rule in found
    }


def _peer(groups: dict[str, Resource], rule: dict[str, Any], side: str) -> str:
    if group := rule.get(f"{side}SecurityGroupId"):
        return str(groups[group].properties["GroupDescription"])
    return str(rule.get("CidrIp") or rule[f"{side}PrefixListId"])


def test_the_server_opens_exactly_the_port_to_exactly_the_clients(deployment: Deployment) -> None:
    """Whatever the other side's own rules are."""
    server = "ServerNetworkStack"
    assert rules(deployment, "Ingress", "Source") == {
        (server, "Notebook of the server", 8080, 8080, "10.0.1.0/24"),
        (server, "Notebook of the server", 8080, 8080, "10.0.2.0/24"),
        (server, "Interface endpoints", 443, 443, "Notebook of the server"),
    }


def test_a_group_lets_out_only_what_its_hosts_need(deployment: Deployment) -> None:
    """S3 for all, the server's port for jobs, the endpoints for the server's notebook."""
    server, client, other = "ServerNetworkStack", "ClientStack", "ClientStack-hospital-b"
    assert rules(deployment, "Egress", "Destination") == {
        (server, "Notebook of the server", 443, 443, "pl-63a5400a"),
        (server, "Notebook of the server", 443, 443, "Interface endpoints"),
        (client, "Training jobs", 8080, 8080, "10.0.0.0/24"),
        (client, "Training jobs", 443, 443, "pl-63a5400a"),
        (client, "Notebook of the client", 443, 443, "pl-63a5400a"),
        (other, "Training jobs", 8080, 8080, "10.0.0.0/24"),
        (other, "Training jobs", 443, 443, "pl-6da54004"),
        (other, "Notebook of the client", 443, 443, "pl-6da54004"),
    }


def test_routes_lead_to_exactly_the_peer(deployment: Deployment) -> None:
    """Each route table has one route for each peer, to the peer's own addresses, through its connection."""
    connections = {it.id: it.stack for it in deployment.of_type("AWS::EC2::VPCPeeringConnection")}
    found = sorted(
        (
            it.stack,
            it.properties["DestinationCidrBlock"],
            connections[it.properties["VpcPeeringConnectionId"]],
        )
        for it in deployment.of_type("AWS::EC2::Route")
    )
    assert found == [
        ("ClientStack", "10.0.0.0/24", "ClientStack"),
        ("ClientStack-hospital-b", "10.0.0.0/24", "ClientStack-hospital-b"),
        ("ClientStack-hospital-b", "10.0.0.0/24", "ClientStack-hospital-b"),
        ("ServerStack", "10.0.1.0/24", "ClientStack"),
        ("ServerStack", "10.0.2.0/24", "ClientStack-hospital-b"),
    ]


def test_an_endpoint_admits_the_parties_only(deployment: Deployment) -> None:
    """A client's admits its own account, the server's all; Amazon Linux's packages are read unsigned."""
    for endpoint in deployment.of_type("AWS::EC2::VPCEndpoint"):
        interface = endpoint.properties["VpcEndpointType"] == "Interface"
        for statement in statements(endpoint.properties["PolicyDocument"]):
            if statement.get("Sid") == "AmazonLinuxPackages":
                assert statement["Action"] == ["s3:GetObject"]
                assert statement["Resource"] == [f"arn:aws:s3:::al2023-repos-{endpoint.region}-de612dc2/*"]
                continue
            admitted = statement["Condition"]["StringEquals"]["aws:PrincipalAccount"]
            assert admitted == (ACCOUNTS if interface else endpoint.account), endpoint
