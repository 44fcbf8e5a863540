"""The server's actions in a client's account, defined once for the role and for the endpoints."""

JOB_ACTIONS = [
    "sagemaker:AddTags",
    "sagemaker:CreateTrainingJob",
    "sagemaker:DescribeTrainingJob",
    "sagemaker:StopTrainingJob",
    "sagemaker:UpdateTrainingJob",
]

DESCRIBE_NETWORK = [
    "ec2:DescribeRouteTables",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcPeeringConnections",
    "ec2:DescribeVpcs",
]
"""None of these takes a resource: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html"""
