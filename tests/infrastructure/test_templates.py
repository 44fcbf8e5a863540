"""What must hold in every template, whatever is added to them later."""

import json
from typing import Any

import pytest

from federation.config import names
from federation.config.schema import FederationConfig
from tests.infrastructure.deployed import Deployment, Resource, Template, policies, statements

PARTIES = {"111111111111": "server", "222222222222": "hospital-a", "333333333333": "hospital-b"}
INTERNET = (
    "AWS::EC2::InternetGateway",
    "AWS::EC2::NatGateway",
    "AWS::EC2::EgressOnlyInternetGateway",
    "AWS::EC2::EIP",
)

# Actions that AWS authorises on no resource: https://docs.aws.amazon.com/service-authorization/latest/reference/
WITHOUT_RESOURCE = {
    "cloudwatch:PutMetricData",
    "ec2:DescribeDhcpOptions",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeRouteTables",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcPeeringConnections",
    "ec2:DescribeVpcs",
    "ecr:GetAuthorizationToken",
    "sts:GetCallerIdentity",
}
ROLES = {
    "ServerNetworkStack": {
        "FL-claims-peering-accepter-hospital-a",
        "FL-claims-peering-accepter-hospital-b",
        "FL-claims-output-reader-hospital-a",
        "FL-claims-output-reader-hospital-b",
        "flow log",
    },
    "ServerStack": {"FL-claims-server-notebook"},
    "ClientStack": {
        "FL-kickoff-client-job",
        "FL-claims-training-job",
        "FL-claims-hospital-a-notebook",
        "FL-claims-output-reader-server",
        "flow log",
    },
    "ClientStack-hospital-b": {
        "FL-kickoff-client-job",
        "FL-claims-training-job",
        "FL-claims-hospital-b-notebook",
        "FL-claims-output-reader-server",
        "flow log",
    },
}


def allowed(deployment: Deployment) -> list[tuple[Resource, str, dict[str, Any]]]:
    """Return every statement that allows something: its resource, the policy's place, the statement."""
    return [
        (resource, place, statement)
        for resource in deployment.resources
        for place, document in policies(resource)
        for statement in statements(document)
        if statement["Effect"] == "Allow"
    ]


def functions(value: Any, name: str) -> list[Any]:
    """Return the arguments of every call of an intrinsic function."""
    if isinstance(value, list):
        return [found for item in value for found in functions(item, name)]
    if isinstance(value, dict):
        here = [value[name]] if name in value else []
        return here + [found for item in value.values() for found in functions(item, name)]
    return []


def test_no_template_says_anywhere(two_templates: dict[str, Template]) -> None:
    """No route, rule or policy names all addresses of the internet."""
    for stack, template in two_templates.items():
        for anywhere in ("0.0.0.0/0", "::/0"):
            assert anywhere not in json.dumps(template), stack


def test_nothing_leads_to_the_internet(deployment: Deployment) -> None:
    """No gateway, no public address, no notebook with internet of its own."""
    assert [it for it in deployment.resources if it.type in INTERNET] == []
    for subnet in deployment.of_type("AWS::EC2::Subnet"):
        assert subnet.properties["MapPublicIpOnLaunch"] is False
    for notebook in deployment.of_type("AWS::SageMaker::NotebookInstance"):
        assert notebook.properties["DirectInternetAccess"] == "Disabled"


def test_a_notebook_is_locked_down(deployment: Deployment) -> None:
    """Root is off, metadata needs a token, the volume is encrypted with the party's key."""
    notebooks = deployment.of_type("AWS::SageMaker::NotebookInstance")
    assert len(notebooks) == 3
    for notebook in notebooks:
        key = deployment.one(notebook.stack, "AWS::KMS::Key")
        metadata = notebook.properties["InstanceMetadataServiceConfiguration"]
        assert notebook.properties["RootAccess"] == "Disabled"
        assert metadata["MinimumInstanceMetadataServiceVersion"] == "2"
        assert notebook.properties["KmsKeyId"] == key.arn


def test_a_bucket_is_private_encrypted_versioned_logged_and_cleaned_up(deployment: Deployment) -> None:
    """Every bucket, and in every bucket whatever a mistake would make public."""
    buckets = deployment.of_type("AWS::S3::Bucket")
    assert len(buckets) == 3 + 4 + 4
    logs = {it.id for it in buckets if it.logical_id.startswith("AccessLogs")}
    for bucket in buckets:
        found = bucket.properties
        assert set(found["PublicAccessBlockConfiguration"].values()) == {True}, bucket
        assert found["VersioningConfiguration"]["Status"] == "Enabled", bucket
        assert found["LifecycleConfiguration"]["Rules"], bucket
        (rule,) = found["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == (
            "AES256" if bucket.id in logs else "aws:kms"
        )
        assert bucket.id in logs or found["LoggingConfiguration"]["DestinationBucketName"] in logs, bucket
        _refuses(deployment, bucket, {"Bool": {"aws:SecureTransport": "false"}})
        if bucket.id not in logs:
            _refuses(deployment, bucket, {"StringNotEquals": {"aws:PrincipalAccount": bucket.account}})


def _refuses(deployment: Deployment, bucket: Resource, condition: dict[str, Any]) -> None:
    (policy,) = [
        it for it in deployment.of_type("AWS::S3::BucketPolicy") if it.properties["Bucket"] == bucket.id
    ]
    denied = [
        it
        for it in statements(policy.properties["PolicyDocument"])
        if it["Effect"] == "Deny"
        and it["Action"] == ["s3:*"]
        and condition.items() <= it["Condition"].items()
    ]
    assert [sorted(it["Resource"]) for it in denied] == [[bucket.arn, f"{bucket.arn}/*"]], (bucket, condition)


def test_no_policy_allows_a_wildcard_action(deployment: Deployment) -> None:
    """Every allowed action is spelled out."""
    found = allowed(deployment)
    assert len(found) > 60
    assert [(it, place) for it, place, statement in found if "*" in "".join(statement["Action"])] == []


def test_a_wildcard_resource_stands_only_where_aws_offers_nothing_narrower(deployment: Deployment) -> None:
    """Elsewhere each resource is named, at least by its prefix; a key policy's ``*`` is that key."""
    for resource, place, statement in allowed(deployment):
        if "*" in statement["Resource"] and place != "KeyPolicy":
            assert set(statement["Action"]) <= WITHOUT_RESOURCE, (resource, place)


def test_no_policy_is_written_as_an_exception(deployment: Deployment) -> None:
    """``NotAction``, ``NotResource`` and ``NotPrincipal`` allow whatever AWS invents tomorrow."""
    for resource in deployment.resources:
        assert not any(
            f'"Not{it}"' in json.dumps(resource.properties) for it in ("Action", "Resource", "Principal")
        )


def test_a_policy_for_everybody_only_refuses_or_guards_an_endpoint(deployment: Deployment) -> None:
    """``Principal: *`` allows nothing, but in endpoint policies, which only narrow what others allow."""
    for resource, _, statement in allowed(deployment):
        if statement.get("Principal") in ("*", {"AWS": "*"}):
            assert resource.type == "AWS::EC2::VPCEndpoint", resource


def test_only_one_statement_passes_a_role(deployment: Deployment, two: FederationConfig) -> None:
    """In the whole federation, each kickoff role passes its account's training role, and nobody else any."""
    passing = [
        (it, statement) for it, _, statement in allowed(deployment) if "iam:PassRole" in statement["Action"]
    ]
    assert {it.arn: statement["Resource"] for it, statement in passing} == {
        two.client_names(client).kickoff_role_arn: [two.client_names(client).training_role_arn]
        for client in two.clients
    }


def test_no_role_is_there_that_nobody_declared(deployment: Deployment) -> None:
    """The CDK adds roles for cross-account references and custom resources; there are none."""
    found: dict[str, set[str]] = {stack: set() for stack in ROLES}
    for role in deployment.of_type("AWS::IAM::Role"):
        found[role.stack].add("flow log" if "FlowLog" in role.logical_id else role.properties["RoleName"])
    assert found == ROLES


def test_templates_are_pure_cloudformation(deployment: Deployment) -> None:
    """No function runs during a deployment, and no policy hides in a resource of its own."""
    forbidden = (
        "AWS::Lambda::",
        "AWS::CloudFormation::CustomResource",
        "Custom::",
        "AWS::IAM::Policy",
        "AWS::IAM::ManagedPolicy",
    )
    assert [it for it in deployment.resources if it.type.startswith(forbidden)] == []


def test_two_values_cross_accounts_and_no_others(
    two_templates: dict[str, Template], two: FederationConfig
) -> None:
    """The server's VPC id and each client's peering connection, each read with its own role."""
    server = two.server_names
    expected = {
        (client.stack, "ServerNetworkStack", "VpcId", server.reader_role_arn(client.name))
        for client in two.clients
    } | {
        (
            "ServerStack",
            client.stack,
            "PeeringConnectionId",
            two.client_names(client).reader_role_arn("server"),
        )
        for client in two.clients
    }
    found = {
        (stack, it["StackName"], it["OutputName"], it.get("RoleArn"))
        for stack, template in two_templates.items()
        for it in functions(template, "Fn::GetStackOutput")
    }
    assert found == expected
    imports = {stack: functions(template, "Fn::ImportValue") for stack, template in two_templates.items()}
    assert {stack for stack, found in imports.items() if found} == {"ServerStack"}


def test_another_account_is_named_only_where_it_is_trusted_or_reached(
    two_templates: dict[str, Template], two: FederationConfig
) -> None:
    """A client's template names the server and no other client."""
    for client in two.clients:
        text = json.dumps(two_templates[client.stack])
        others = {it.account for it in two.clients if it != client}
        assert not [account for account in others if account in text]


def test_each_outside_trust_is_pinned_to_one_role(deployment: Deployment) -> None:
    """Wherever another account is trusted, a condition names the only role that may come."""
    for resource, place, statement in allowed(deployment):
        principal = json.dumps(statement.get("Principal", ""))
        foreign = [account for account in PARTIES if account in principal and account != resource.account]
        if place == "AssumeRolePolicyDocument" and foreign:
            (role,) = [statement["Condition"]["ArnEquals"]["aws:PrincipalArn"]]
            assert role.startswith(f"arn:aws:iam::{foreign[0]}:role/"), resource
            assert "*" not in role


def test_everything_is_tagged(deployment: Deployment) -> None:
    """Costs can be told apart and remains be found; what takes no tags is listed."""
    untagged = {
        "AWS::EC2::Route",
        "AWS::EC2::SecurityGroupEgress",
        "AWS::EC2::SecurityGroupIngress",
        "AWS::EC2::SubnetRouteTableAssociation",
        "AWS::S3::BucketPolicy",
    }
    for resource in deployment.resources:
        if resource.type in untagged:
            continue
        tags = {tag["Key"]: tag["Value"] for tag in resource.properties["Tags"]}
        assert tags["Federation"] == "claims", resource
        assert tags["Party"] == PARTIES[resource.account], resource
        assert tags["ManagedBy"] == "cdk", resource


def test_every_output_has_a_description(two_templates: dict[str, Template]) -> None:
    """An operator reads what each value is for."""
    for stack, template in two_templates.items():
        assert template["Outputs"], stack
        for name, output in template["Outputs"].items():
            assert output.get("Description"), (stack, name)


def test_every_log_group_forgets(deployment: Deployment) -> None:
    """Each has the configured retention; SageMaker's own would keep everything for ever."""
    groups = deployment.of_type("AWS::Logs::LogGroup")
    assert {it.properties["RetentionInDays"] for it in groups} == {30}
    named = {(it.stack, it.properties["LogGroupName"]) for it in groups if "LogGroupName" in it.properties}
    assert ("ServerStack", names.NOTEBOOK_LOG_GROUP) in named
    assert ("ClientStack", names.TRAINING_JOB_LOG_GROUP) in named


def test_the_server_finds_what_a_job_needs_by_tags(deployment: Deployment, two: FederationConfig) -> None:
    """The tags that names.py lists lead to the subnets, the security group and the key of a job."""
    for client in two.clients:
        wanted = two.client_names(client).training_tags.items()
        tagged = [
            (it, {tag["Key"]: tag["Value"] for tag in it.properties["Tags"]})
            for it in deployment.resources
            if it.stack == client.stack and it.type in ("AWS::EC2::Subnet", "AWS::EC2::SecurityGroup")
        ]
        found = [(it, tags) for it, tags in tagged if wanted <= tags.items()]
        types = [it.type for it, _ in found]
        assert types.count("AWS::EC2::Subnet") == len(client.availability_zones)
        assert types.count("AWS::EC2::SecurityGroup") == 1
        (key,) = [tags[names.TRAINING_KEY_TAG] for _, tags in found if names.TRAINING_KEY_TAG in tags]
        assert key == deployment.one(client.stack, "AWS::KMS::Key").arn


@pytest.mark.parametrize("policy", ["destroy", "retain"])
def test_the_removal_policy_decides_what_is_kept(
    synthesise: Any, tables: dict[str, Any], policy: str
) -> None:
    """Buckets, keys and log groups are kept or removed as configured, and nothing is kept by accident."""
    tables["federation"]["removal_policy"] = policy
    stateful = {"AWS::S3::Bucket", "AWS::KMS::Key", "AWS::Logs::LogGroup"}
    for template in synthesise(tables).values():
        for body in template["Resources"].values():
            expected = (
                policy.capitalize().replace("Destroy", "Delete") if body["Type"] in stateful else "Delete"
            )
            assert body.get("DeletionPolicy", "Delete") == expected, body["Type"]


def test_existing_log_groups_keys_and_a_missing_notebook_are_left_alone(
    synthesise: Any, tables: dict[str, Any]
) -> None:
    """What the configuration says is there already, or not wanted, is not made."""
    key = "arn:aws:kms:us-east-1:222222222222:key/12345678-1234-1234-1234-123456789012"
    tables["clients"][0].update(log_groups="existing", kms_key_arn=key, notebook=False)
    client = synthesise(tables)["ClientStack"]
    types = [body["Type"] for body in client["Resources"].values()]
    assert "AWS::KMS::Key" not in types
    assert "AWS::SageMaker::NotebookInstance" not in types
    assert types.count("AWS::Logs::LogGroup") == 1  # the flow log's own
    assert key in json.dumps(client)
    assert "al2023-repos" not in json.dumps(client)
