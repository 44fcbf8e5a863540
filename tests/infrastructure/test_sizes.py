"""What grows with the number of clients stays within what AWS takes."""

import json
import re

import aws_cdk as cdk
import pytest
from aws_cdk.assertions import Template

from federation.config.schema import parse_config
from federation.errors import ConfigValueError
from stacks.server_network_stack import ServerNetworkStack
from tests.infrastructure.conftest import Tables

ENDPOINT_POLICY = 20_480
"""Characters; AWS PrivateLink quotas, "Characters in a VPC endpoint policy", which cannot be raised."""


def with_clients(tables: Tables, count: int) -> Tables:
    """Return a configuration of as many clients, whose names are as long as they may be."""
    one = tables["clients"][0]
    clients = [
        one
        | {
            "name": f"{'c' * 17}{number:03}",
            "stack": f"ClientStack-{number}",
            "account": f"{number + 200_000_000_000}",
            "cidr": f"10.1.{number}.0/24",
            "external_id": f"an-external-id-of-{number}",
        }
        for number in range(count)
    ]
    return tables | {"federation": tables["federation"] | {"name": "f" * 16}, "clients": clients}


def test_the_policy_of_every_endpoint_has_room_for_all_clients(tables: Tables) -> None:
    """A hundred with the longest names: the next one is refused, by the configuration."""
    app = cdk.App()
    template = Template.from_stack(ServerNetworkStack(app, config=parse_config(with_clients(tables, 100))))
    endpoints = template.find_resources("AWS::EC2::VPCEndpoint")
    sizes = {
        name: len(re.sub(r"\s", "", json.dumps(endpoint["Properties"]["PolicyDocument"])))
        for name, endpoint in endpoints.items()
    }
    assert max(sizes.values()) > ENDPOINT_POLICY / 2, sizes
    assert max(sizes.values()) <= ENDPOINT_POLICY, sizes
    with pytest.raises(ConfigValueError, match="clients"):
        parse_config(with_clients(tables, 101))
