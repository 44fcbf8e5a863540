"""Build the whole ``CreateTrainingJob`` request of a client's training job, as a value."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from federation.config.names import (
    CHECKPOINTS_PREFIX,
    DATA_PREFIX,
    FEDERATION_TAG,
    MANAGED_BY_TAG,
    PARTY_TAG,
    RUNS_PREFIX,
    WHEELS_PREFIX,
)
from federation.config.schema import Client, FederationConfig

PROGRAM = "client.py"
WHEELHOUSE = "/opt/ml/input/data/wheels"
CHECKPOINTS = "/opt/ml/checkpoints"
VOLUME_GB = 10
DAY = 86_400

METRICS = (
    ("federation:train:loss", r"round \d+: loss ([0-9.eE+-]+)"),
    ("federation:validation:roc_auc", r"evaluate round \d+: roc_auc ([0-9.eE+-]+)"),
)
"""What CloudWatch reads off a client's log: names and patterns, which fit every strategy's lines."""


@dataclass(frozen=True, kw_only=True)
class ClientNetwork:
    """The network of a client's jobs, found in its account; see `federation.aws.edge.client_account`.

    Parameters
    ----------
    subnets : tuple of str
        Ids of its training subnets.
    security_group : str
        Id of its training security group.
    key_arn : str
        The key that a job's volume and output must use.
    """

    subnets: tuple[str, ...]
    security_group: str
    key_arn: str


@dataclass(frozen=True, kw_only=True)
class JobSettings:
    """Options of the server's operator.

    Parameters
    ----------
    label : str
        Name of the label column.
    source_key : str
        Which archive of the client's code bucket to run: its name holds the digest of the code, see
        `federation.aws.publishing.source_archive`.
    max_iter : int
        Of each local fit.
    patience : float
        Seconds for which a client keeps trying to reach a server that does not answer.
    spot : bool
        Use managed Spot capacity: cheaper, and may be interrupted; the client then joins again.
    keep_alive : int
        Seconds the instance is kept for the next job; 0 lets it go at once.
    """

    label: str
    source_key: str
    max_iter: int = 10
    patience: float = 600.0
    spot: bool = False
    keep_alive: int = 0


@dataclass(frozen=True, kw_only=True)
class RunIdentity:
    """Values that all jobs of one run share.

    Parameters
    ----------
    run_id : str
        Ends every job's name; letters, digits and hyphens.
    server_address : str
        ``host:port`` of the server.
    certificate : str
        The run's certificate, base64 of its DER form.
    """

    run_id: str
    server_address: str
    certificate: str


def job_name(config: FederationConfig, client: Client, run_id: str) -> str:
    """Return the name of a client's job in a run; its prefix is the one that the kickoff role requires."""
    return f"{config.client_names(client).job_name_prefix}{run_id}"


def build_job_request(
    config: FederationConfig, client: Client, network: ClientNetwork, run: RunIdentity, settings: JobSettings
) -> dict[str, Any]:
    """Return the request of the client's training job.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html
    """
    names = config.client_names(client)
    limit = config.federation.max_job_seconds
    request: dict[str, Any] = {
        "TrainingJobName": job_name(config, client, run.run_id),
        "RoleArn": names.training_role_arn,
        "AlgorithmSpecification": {
            "TrainingImage": config.image_uri(client),
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": name, "Regex": pattern} for name, pattern in METRICS],
        },
        "HyperParameters": _hyperparameters(config, client, run, settings),
        "Environment": {
            "WHEELHOUSE": WHEELHOUSE,
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_COMPILE": "0",  # a minute for all packages, of which one process imports a few
        },
        "InputDataConfig": [
            _channel("train", names.data_bucket, DATA_PREFIX),
            _channel("wheels", names.code_bucket, WHEELS_PREFIX),
        ],
        "OutputDataConfig": {
            "S3OutputPath": f"s3://{names.artifacts_bucket}/{RUNS_PREFIX}{run.run_id}",
            "KmsKeyId": network.key_arn,
        },
        "ResourceConfig": {
            "InstanceType": client.training_instance_types[0],
            "InstanceCount": 1,
            "VolumeSizeInGB": VOLUME_GB,
            "VolumeKmsKeyId": network.key_arn,
        },
        "VpcConfig": {"Subnets": list(network.subnets), "SecurityGroupIds": [network.security_group]},
        "StoppingCondition": {"MaxRuntimeInSeconds": limit},
        # The stream to the server needs the network; subnets, security group and endpoint policy confine it.
        "EnableNetworkIsolation": False,
        "Tags": [
            {"Key": key, "Value": value}
            for key, value in (
                (FEDERATION_TAG, config.federation.name),
                (PARTY_TAG, client.name),
                (MANAGED_BY_TAG, "federation.server"),
            )
        ],
    }
    if settings.keep_alive:
        request["ResourceConfig"]["KeepAlivePeriodInSeconds"] = settings.keep_alive
    if settings.spot:
        request["EnableManagedSpotTraining"] = True
        request["StoppingCondition"]["MaxWaitTimeInSeconds"] = limit
        request["CheckpointConfig"] = {
            "S3Uri": f"s3://{names.artifacts_bucket}/{CHECKPOINTS_PREFIX}{run.run_id}",
            "LocalPath": CHECKPOINTS,
        }
    return request


def _hyperparameters(
    config: FederationConfig, client: Client, run: RunIdentity, settings: JobSettings
) -> Mapping[str, str]:
    """Return the hyperparameters, from which script mode builds the command line of ``client.py``.

    Each is JSON text, as SageMaker's own SDK sends it: the toolkit decodes every value that is JSON, so that
    a label ``250.00`` would become ``250.0`` otherwise. No secret is among it: the client proves who it is
    with its role, to the STS that the server reaches.
    """
    code_bucket = config.client_names(client).code_bucket
    given = {
        "sagemaker_program": PROGRAM,
        "sagemaker_submit_directory": f"s3://{code_bucket}/{settings.source_key}",
        "max-iter": str(settings.max_iter),
        "server-address": run.server_address,
        "server-certificate": run.certificate,
        "client-name": client.name,
        "run-id": run.run_id,
        "sts-region": config.server.region,
        "label": settings.label,
        "patience": f"{settings.patience:g}",
        "train-file": "train.csv",
        "test-file": "validation.csv",
    }
    return {name: json.dumps(value) for name, value in given.items()}


def _channel(name: str, bucket: str, prefix: str) -> dict[str, Any]:
    return {
        "ChannelName": name,
        "InputMode": "File",
        "DataSource": {
            "S3DataSource": {
                "S3DataType": "S3Prefix",
                "S3Uri": f"s3://{bucket}/{prefix}",
                "S3DataDistributionType": "FullyReplicated",
            }
        },
    }
