"""A VPC without internet access."""

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct

from federation.config.schema import Client, Server
from stacks.constructs.flow_log import FlowLog
from stacks.review import accept_template

S3_ACTIONS = [
    "s3:AbortMultipartUpload",
    "s3:DeleteObject",
    "s3:GetBucketLocation",
    "s3:GetObject",
    "s3:ListBucket",
    "s3:ListMultipartUploadParts",
    "s3:PutObject",
]


class PrivateNetwork(Construct):
    """Isolated subnets that reach only S3, through a gateway endpoint, unless a stack adds more.

    The gateway endpoint is free and necessary: SageMaker loads a job's code and data, and saves its results,
    through the job's own subnets. Its policy lets the party's own principals use the party's own buckets, so
    that data cannot leave through S3 to another owner's bucket.

    Parameters
    ----------
    party : Server or Client
        The party that owns the network, with its addresses, zones and account.
    buckets : list of str
        Names of the party's own buckets.
    has_notebook : bool
        Whether a notebook here may install Python: Amazon Linux 2023 keeps its packages in S3.
    log_retention_days : int
        Retention time of the record of all connections.
    removal_policy : RemovalPolicy
        Treatment of that record when the stack is destroyed.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        party: Server | Client,
        buckets: list[str],
        has_notebook: bool,
        log_retention_days: int,
        removal_policy: cdk.RemovalPolicy,
    ) -> None:
        super().__init__(scope, construct_id)
        zones = len(party.availability_zones)
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            ip_addresses=ec2.IpAddresses.cidr(str(party.cidr)),
            max_azs=zones,
            nat_gateways=0,
            create_internet_gateway=False,
            restrict_default_security_group=False,  # it takes a Lambda function; nothing here uses that group
            subnet_configuration=[
                ec2.SubnetConfiguration(
                    name="Isolated",
                    subnet_type=ec2.SubnetType.PRIVATE_ISOLATED,
                    cidr_mask=party.cidr.prefixlen + (zones - 1).bit_length(),
                )
            ],
        )
        for subnet in self.vpc.isolated_subnets:
            accept_template(
                subnet,
                "W3010",
                "The configuration names the zones, so that a synthesis needs no credentials.",
            )
        self.s3_prefix_list = ec2.Peer.prefix_list(party.s3_prefix_list)
        FlowLog(
            self, "FlowLog", vpc=self.vpc, retention_days=log_retention_days, removal_policy=removal_policy
        )
        self._add_s3_endpoint(party, buckets, has_notebook=has_notebook)

    @property
    def subnet_ids(self) -> list[str]:
        """Ids of the isolated subnets, one per zone."""
        return [subnet.subnet_id for subnet in self.vpc.isolated_subnets]

    @property
    def route_table_ids(self) -> list[str]:
        """Ids of the subnets' route tables."""
        return [subnet.route_table.route_table_id for subnet in self.vpc.isolated_subnets]

    def add_security_group(self, construct_id: str, description: str) -> ec2.SecurityGroup:
        """Create a group that reaches only S3 and accepts no connection."""
        group = ec2.SecurityGroup(
            self, construct_id, vpc=self.vpc, description=description, allow_all_outbound=False
        )
        group.add_egress_rule(self.s3_prefix_list, ec2.Port.tcp(443), "S3 through the gateway endpoint")
        return group

    def _add_s3_endpoint(self, party: Server | Client, buckets: list[str], *, has_notebook: bool) -> None:
        endpoint = self.vpc.add_gateway_endpoint("S3", service=ec2.GatewayVpcEndpointAwsService.S3)
        endpoint.add_to_policy(
            iam.PolicyStatement(
                sid="OwnBuckets",
                principals=[iam.StarPrincipal()],
                actions=S3_ACTIONS,
                resources=[f"arn:aws:s3:::{name}{part}" for name in buckets for part in ("", "/*")],
                conditions={"StringEquals": {"aws:PrincipalAccount": party.account}},
            )
        )
        if has_notebook:
            endpoint.add_to_policy(
                iam.PolicyStatement(
                    sid="AmazonLinuxPackages",
                    principals=[iam.StarPrincipal()],
                    actions=["s3:GetObject"],
                    resources=[f"arn:aws:s3:::al2023-repos-{party.region}-de612dc2/*"],
                )
            )
