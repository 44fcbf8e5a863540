"""A record of every connection in a VPC."""

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from stacks.rights import Right, role_with


class FlowLog(Construct):
    """VPC flow log to CloudWatch: evidence of accepted and refused connections.

    It uses the L1 resource with its own role, because the CDK's gives that role `iam:PassRole` on itself.

    Parameters
    ----------
    vpc : IVpc
        The network to record.
    retention_days : int
        Retention time of the record.
    removal_policy : RemovalPolicy
        Treatment of the record when the stack is destroyed.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        vpc: ec2.IVpc,
        retention_days: int,
        removal_policy: cdk.RemovalPolicy,
    ) -> None:
        super().__init__(scope, construct_id)
        group = logs.CfnLogGroup(self, "Records", retention_in_days=retention_days)
        group.apply_removal_policy(removal_policy)
        role = role_with(
            self,
            name=None,
            description="Writes the flow log of this VPC",
            trusts=iam.ServicePrincipal(
                "vpc-flow-logs.amazonaws.com",
                conditions={"StringEquals": {"aws:SourceAccount": cdk.Stack.of(self).account}},
            ),
            rights={
                "write-flow-log": [
                    Right(
                        actions=["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
                        resources=[group.attr_arn],
                    )
                ]
            },
        )
        ec2.CfnFlowLog(
            self,
            "FlowLog",
            resource_id=vpc.vpc_id,
            resource_type="VPC",
            traffic_type="ALL",
            log_group_name=group.ref,
            deliver_logs_permission_arn=role.role_arn,
        )
