"""A role with which another party reads one stack's outputs."""

import aws_cdk as cdk
from constructs import Construct

from stacks.rights import Right, role_with
from stacks.trust import only


class OutputReader(Construct):
    """A role that may describe its own stack, for CloudFormation when it deploys one other stack.

    ``Fn::GetStackOutput`` assumes it:
    https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-getstackoutput.html

    Parameters
    ----------
    role_name : str
        The name that the reading stack expects.
    reader_account, reader_deploy_role_arn : str
        The account and the role that may read: the role that deploys the reading stack.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        role_name: str,
        reader_account: str,
        reader_deploy_role_arn: str,
    ) -> None:
        super().__init__(scope, construct_id)
        stack = cdk.Stack.of(self)
        # By name, because a call by name is authorised against the name with "*" for the id.
        this_stack = f"arn:aws:cloudformation:{stack.region}:{stack.account}:stack/{stack.stack_name}/*"
        self.role = role_with(
            self,
            name=role_name,
            description="Reads the outputs of this stack",
            trusts=only(reader_account, reader_deploy_role_arn),
            rights={
                "read-outputs": [
                    Right(
                        actions=["cloudformation:DescribeStacks"],
                        resources=[this_stack],
                        because="The last part is the id that CloudFormation gives this stack.",
                    )
                ]
            },
        )
