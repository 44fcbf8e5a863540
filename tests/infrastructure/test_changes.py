"""What a change of the configuration changes, and what it must not."""

import copy
from typing import Any

import pytest

from tests.infrastructure.conftest import Synthesise, Tables
from tests.infrastructure.deployed import Template

STATEFUL = (
    "AWS::S3::Bucket",
    "AWS::KMS::Key",
    "AWS::Logs::LogGroup",
    "AWS::SageMaker::NotebookInstance",
    "AWS::EC2::VPC",
)

# CloudFormation replaces a resource whose logical id changes: data, keys and logs would be lost. Never edit
# an id here to make the test pass; make the code keep it.
FROZEN = {
    "ServerNetworkStack": {"NetworkVpc7FB7348F", "NetworkFlowLogRecords518A3AA7"},
    "ServerStack": {
        "AccessLogsBucketCD784A59",
        "CodeBucket34C7356F",
        "EncryptionKey3A692D6E",
        "NotebookInstance0476B99B",
        "NotebookLogs",
        "ResultsBucket46167C27",
    },
    "ClientStack": {
        "AccessLogsBucketCD784A59",
        "ArtifactsBucket88671897",
        "CodeBucket34C7356F",
        "DataBucketE6B0FAA8",
        "EncryptionKey3A692D6E",
        "NetworkFlowLogRecords518A3AA7",
        "NetworkVpc7FB7348F",
        "NotebookInstance0476B99B",
        "NotebookLogs",
        "TrainingJobLogs",
    },
}


@pytest.fixture(scope="module")
def three_templates(synthesise: Synthesise, two_tables: Tables) -> dict[str, Template]:
    """Return a federation of three clients, the third with a name that looks like the second's."""
    third = {
        **two_tables["clients"][1],
        "name": "hospitalb",
        "account": "444444444444",
        "cidr": "10.0.3.0/24",
        "external_id": "replace-me-77b1c2d4-90ff",
    }
    return synthesise({**two_tables, "clients": [*two_tables["clients"], third]})


def test_stateful_resources_keep_their_logical_ids(templates: dict[str, Template]) -> None:
    """An update never replaces what holds data, keys, logs or addresses."""
    found = {
        stack: {key for key, body in template["Resources"].items() if body["Type"] in STATEFUL}
        for stack, template in templates.items()
    }
    assert found == FROZEN


def test_the_same_configuration_gives_the_same_templates(
    synthesise: Synthesise, example_tables: Tables, templates: dict[str, Template]
) -> None:
    """Twice, byte for byte but for the order that JSON does not have."""
    assert synthesise(copy.deepcopy(example_tables)) == templates


def test_a_data_contract_changes_no_template(
    synthesise: Synthesise, example_tables: Tables, templates: dict[str, Template]
) -> None:
    """It is the publishers' and the server's business: naming one redeploys nothing."""
    tables = copy.deepcopy(example_tables)
    tables["federation"]["contract"] = "contract.toml"
    assert synthesise(tables) == templates


def test_a_third_client_changes_no_other_clients_template(
    two_templates: dict[str, Template], three_templates: dict[str, Template]
) -> None:
    """Clients need not redeploy, nor even know, when another one joins."""
    assert set(three_templates) - set(two_templates) == {"ClientStack-hospitalb"}
    for stack in ("ClientStack", "ClientStack-hospital-b"):
        assert three_templates[stack] == two_templates[stack], stack


def test_a_client_that_leaves_takes_only_its_own_parts(
    two_templates: dict[str, Template], three_templates: dict[str, Template]
) -> None:
    """In the server's stacks, what is gone is the client's route, rule and roles."""
    gone = {
        stack: set(three_templates[stack]["Resources"]) - set(two_templates[stack]["Resources"])
        for stack in ("ServerNetworkStack", "ServerStack")
    }
    assert all("hospitalb" in key for keys in gone.values() for key in keys)
    assert _types(three_templates["ServerNetworkStack"], gone["ServerNetworkStack"]) == ["AWS::IAM::Role"] * 2
    assert _types(three_templates["ServerStack"], gone["ServerStack"]) == [
        "AWS::EC2::Route",
        "AWS::EC2::SecurityGroupIngress",
    ]


def test_what_a_leaving_client_changes_at_the_server_is_who_may_pass(
    two_templates: dict[str, Template], three_templates: dict[str, Template]
) -> None:
    """Of what stays, only the endpoint policies and the list of kickoff roles are updated, all in place."""
    changed = {
        (body["Type"], key)
        for stack in ("ServerNetworkStack", "ServerStack")
        for key, body in two_templates[stack]["Resources"].items()
        if body != three_templates[stack]["Resources"][key]
    }
    assert {type_ for type_, _ in changed} == {"AWS::EC2::VPCEndpoint", "AWS::IAM::Role"}
    for type_, key in changed:
        for stack in ("ServerNetworkStack", "ServerStack"):
            before: Any = two_templates[stack]["Resources"].get(key)
            after: Any = three_templates[stack]["Resources"].get(key)
            if before != after:
                mutable = {"AWS::EC2::VPCEndpoint": "PolicyDocument", "AWS::IAM::Role": "Policies"}[type_]
                assert _without(before, mutable) == _without(after, mutable)


def _types(template: Template, keys: set[str]) -> list[str]:
    return sorted(template["Resources"][key]["Type"] for key in keys)


def _without(body: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in body["Properties"].items() if name != key}
