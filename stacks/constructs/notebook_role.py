"""The roles of the notebooks."""

from aws_cdk import aws_iam as iam
from constructs import Construct

from federation.config import names
from federation.config.names import ClientNames, ServerNames
from stacks.job_actions import DESCRIBE_NETWORK
from stacks.rights import (
    Right,
    describe_network,
    put_metrics,
    read_objects,
    replace_objects,
    role_with,
    use_key_for_s3,
    write_objects,
    write_own_notebook_log,
)


class ServerNotebookRole(Construct):
    """Assume the kickoff roles, store results, publish metrics, describe its own network.

    Parameters
    ----------
    own : ServerNames
        Names of the server's resources.
    kickoff_role_arns : list of str
        The roles it may assume, and no others.
    key_arn : str
        Encrypts the buckets.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        own: ServerNames,
        kickoff_role_arns: list[str],
        key_arn: str,
    ) -> None:
        super().__init__(scope, construct_id)
        self.role = role_with(
            self,
            name=own.notebook_role,
            description="What the server's notebook may do",
            trusts=_notebooks(),
            rights={
                names.ASSUME_POLICY: [Right(actions=["sts:AssumeRole"], resources=kickoff_role_arns)],
                "results-and-code": [
                    *read_objects(own.results_bucket, names.RUNS_PREFIX),
                    write_objects(own.results_bucket, names.RUNS_PREFIX),
                    *read_objects(own.code_bucket, names.NOTEBOOK_PREFIX),
                    use_key_for_s3(key_arn, own.region),
                ],
                "metrics-and-logs": [put_metrics(names.FEDERATION_METRICS), *write_own_notebook_log(own)],
                "look-around": [
                    Right(actions=["sagemaker:DescribeNotebookInstance"], resources=[own.notebook_arn]),
                    describe_network(DESCRIBE_NETWORK, own.region),
                ],
            },
        )


class ClientNotebookRole(Construct):
    """Publish code and data to the client's own buckets, and read the output of its jobs.

    Parameters
    ----------
    own : ClientNames
        Names of the client's resources.
    key_arn : str
        Encrypts the buckets.
    """

    def __init__(self, scope: Construct, construct_id: str, *, own: ClientNames, key_arn: str) -> None:
        super().__init__(scope, construct_id)
        published = (names.SOURCE_PREFIX, names.WHEELS_PREFIX)
        self.role = role_with(
            self,
            name=own.notebook_role,
            description="What the client's notebook may do",
            trusts=_notebooks(),
            rights={
                "data-and-code": [
                    *read_objects(own.data_bucket, names.DATA_PREFIX),
                    replace_objects(own.data_bucket, names.DATA_PREFIX),
                    *read_objects(own.code_bucket, *published, names.NOTEBOOK_PREFIX),
                    replace_objects(own.code_bucket, *published),
                    *read_objects(own.artifacts_bucket, names.RUNS_PREFIX),
                    use_key_for_s3(key_arn, own.region),
                ],
                "logs": write_own_notebook_log(own),
            },
        )


def _notebooks() -> iam.PrincipalBase:
    """Return SageMaker as principal; for notebooks it sends no source account for a condition.

    Services that send it: https://docs.aws.amazon.com/sagemaker/latest/dg/security-confused-deputy-prevention.html
    """
    return iam.ServicePrincipal("sagemaker.amazonaws.com")
