"""The emulated parts of a ``CreateTrainingJob`` request; all others are refused by name, never ignored."""

from typing import Any

from federation.rehearse.emulator.sagemaker.api_errors import NotEmulatedError

ANYTHING = frozenset[Any]()

_CHANNEL = {
    "ChannelName": ANYTHING,
    "CompressionType": {"None"},
    "ContentType": ANYTHING,
    "DataSource": {
        "S3DataSource": {
            "S3DataDistributionType": {"FullyReplicated"},
            "S3DataType": {"S3Prefix"},
            "S3Uri": ANYTHING,
        }
    },
    "InputMode": {"File"},
    "RecordWrapperType": {"None"},
}
# A member is emulated with any value, with one of a set, or with what a table or a list of such says.
TRAINING_JOB: dict[str, Any] = {
    "AlgorithmSpecification": {
        "EnableSageMakerMetricsTimeSeries": {False},
        "MetricDefinitions": ANYTHING,
        "TrainingImage": ANYTHING,
        "TrainingInputMode": {"File"},
    },
    "CheckpointConfig": {"LocalPath": ANYTHING, "S3Uri": ANYTHING},
    "EnableInterContainerTrafficEncryption": ANYTHING,  # there is one container
    "EnableManagedSpotTraining": ANYTHING,  # a spot instance that is never taken away
    "EnableNetworkIsolation": {False},
    "Environment": ANYTHING,
    "HyperParameters": ANYTHING,
    "InputDataConfig": [_CHANNEL],
    "OutputDataConfig": {"CompressionType": {"GZIP"}, "KmsKeyId": ANYTHING, "S3OutputPath": ANYTHING},
    "ProfilerConfig": {"DisableProfiler": {True}},
    "ResourceConfig": {
        "InstanceCount": {1},
        "InstanceType": ANYTHING,
        "KeepAlivePeriodInSeconds": ANYTHING,  # recorded; no instance is kept
        "VolumeKmsKeyId": ANYTHING,
        "VolumeSizeInGB": ANYTHING,
    },
    "RoleArn": ANYTHING,
    "StoppingCondition": {"MaxRuntimeInSeconds": ANYTHING, "MaxWaitTimeInSeconds": ANYTHING},
    "Tags": ANYTHING,
    "TrainingJobName": ANYTHING,
    "VpcConfig": ANYTHING,
}


def refuse_the_rest(request: dict[str, Any], emulated: dict[str, Any], where: str) -> None:
    """Raise for the first member, or value of one, that is not emulated.

    Parameters
    ----------
    request : dict
        The request, already valid for AWS.
    emulated : dict
        A table such as `TRAINING_JOB`.
    where : str
        The name the error gives the request.
    """
    for member, value in request.items():
        path = f"{where}.{member}"
        allowed = emulated.get(member)
        if allowed is None:
            raise NotEmulatedError(path)
        if isinstance(allowed, dict):
            refuse_the_rest(value, allowed, path)
        elif isinstance(allowed, list):
            for item in value:
                refuse_the_rest(item, allowed[0], path)
        elif allowed and value not in allowed:
            raise NotEmulatedError(f"{path} = {value}, only {', '.join(map(str, allowed))}")
