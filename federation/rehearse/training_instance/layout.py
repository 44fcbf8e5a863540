"""The folder ``/opt/ml`` of a script-mode container, and its environment.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html
"""

import json
from pathlib import Path
from typing import Any

from federation.rehearse.training_instance.order import JobOrder

_HOST = "algo-1"
_GROUP = "homogeneousCluster"


def make_layout(order: JobOrder) -> None:
    """Create the folders and the files in ``input/config``."""
    for folder in ("input/config", "input/data", "model", "output/data", "code"):
        (order.ml / folder).mkdir(parents=True, exist_ok=True)
    config = order.ml / "input" / "config"
    instance_type = order.request["ResourceConfig"]["InstanceType"]
    hyperparameters = order.request.get("HyperParameters", {})
    _write(
        config / "hyperparameters.json",
        {name: order.localised(value) for name, value in hyperparameters.items()},
    )
    _write(
        config / "inputdataconfig.json",
        {
            channel["ChannelName"]: {
                "TrainingInputMode": "File",
                "S3DistributionType": "FullyReplicated",
                "RecordWrapperType": "None",
                **({"ContentType": channel["ContentType"]} if "ContentType" in channel else {}),
            }
            for channel in order.request.get("InputDataConfig", [])
        },
    )
    _write(
        config / "resourceconfig.json",
        {
            "current_host": _HOST,
            "current_instance_type": instance_type,
            "current_group_name": _GROUP,
            "hosts": [_HOST],
            "instance_groups": [
                {"instance_group_name": _GROUP, "instance_type": instance_type, "hosts": [_HOST]}
            ],
            "network_interface_name": "eth0",
        },
    )


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def container_environment(order: JobOrder, bin_folder: Path) -> dict[str, str]:
    """Return the environment of the container's first process.

    ``SM_STUDIO_LOCAL_MODE`` only spares the toolkit the look-up of ``algo-1`` in a DNS that is not there.
    """
    given = {name: order.localised(value) for name, value in order.request.get("Environment", {}).items()}
    return {
        "PATH": f"{bin_folder}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(order.folder),
        "TMPDIR": str(order.folder),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "PIP_CONFIG_FILE": "/dev/null",  # the container has none of this machine's indexes
        **({} if order.internet else {"PIP_NO_INDEX": "1"}),
        **given,
        **order.credentials,
        "AWS_ENDPOINT_URL": order.endpoint_url,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_REGION": order.region,
        "S3_ENDPOINT_URL": order.endpoint_url,
        "SAGEMAKER_BASE_DIR": str(order.ml),
        "SM_STUDIO_LOCAL_MODE": "True",
        "TRAINING_JOB_ARN": order.job_arn,
        "TRAINING_JOB_NAME": order.name,
    }
