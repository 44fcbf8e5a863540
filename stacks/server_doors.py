"""The AWS services that the server calls, the purpose of each, and the requests that it may make."""

from federation.config import names
from federation.config.schema import FederationConfig
from stacks.constructs.endpoints import Door
from stacks.job_actions import DESCRIBE_NETWORK, JOB_ACTIONS


def server_doors(config: FederationConfig) -> list[Door]:
    """Return the interface endpoints of the server's network.

    ==============  ==================================================================================
    sts             assume the kickoff roles; let the clients prove who they are (GetCallerIdentity)
    sagemaker.api   start, watch and stop the training jobs; find the notebook's own description
    ec2             find a client's subnets and security group; check routes and peering before a run
    logs            show the last lines of a job that failed
    monitoring      publish metrics of a run
    ==============  ==================================================================================

    The clients' regions need their own sagemaker.api, ec2 and logs: these calls go to the region of the job.
    Where it is not the server's region, the endpoint crosses regions.

    Parameters
    ----------
    config : FederationConfig
        The whole federation.
    """
    here = config.server.region
    regions = sorted({client.region for client in config.clients} - {here})
    return [
        _sts(config),
        Door(service="monitoring", region=here, statements=((["cloudwatch:PutMetricData"], ["*"]),)),
        *(door for region in [here, *regions] for door in _job_doors(config, region)),
    ]


def _sts(config: FederationConfig) -> Door:
    kickoff_roles = [config.client_names(client).kickoff_role_arn for client in config.clients]
    return Door(
        service="sts",
        region=config.server.region,
        statements=((["sts:AssumeRole"], kickoff_roles), (["sts:GetCallerIdentity"], ["*"])),
    )


def _job_doors(config: FederationConfig, region: str) -> list[Door]:
    clients = [config.client_names(client) for client in config.clients if client.region == region]
    jobs = [client.job_arns for client in clients]
    groups = [client.log_group_arn(names.TRAINING_JOB_LOG_GROUP) for client in clients]
    sagemaker = [(JOB_ACTIONS, jobs)] if jobs else []
    logs = [(["logs:DescribeLogStreams", "logs:GetLogEvents"], _with_streams(groups))] if groups else []
    if region == config.server.region:
        own = config.server_names
        sagemaker.append((["sagemaker:DescribeNotebookInstance"], [own.notebook_arn]))
        own_group = own.log_group_arn(names.NOTEBOOK_LOG_GROUP)
        logs.append((["logs:CreateLogStream", "logs:PutLogEvents"], _with_streams([own_group])))
    return [
        Door(service="sagemaker.api", region=region, statements=tuple(sagemaker)),
        Door(service="ec2", region=region, statements=((DESCRIBE_NETWORK, ["*"]),)),
        Door(service="logs", region=region, statements=tuple(logs)),
    ]


def _with_streams(groups: list[str]) -> list[str]:
    """Return log-group names in the forms of requests for a group and of requests for a stream."""
    return [arn for group in groups for arn in (group, f"{group}:*")]
