"""SageMaker's resources and tags, each within its account and region."""

from typing import Any

from federation.rehearse.emulator import ministack_tables as ministack
from federation.rehearse.emulator.sagemaker.api_errors import InvalidRequestError

notebooks = ministack.new_store()
lifecycle_configs = ministack.new_store()
training_jobs = ministack.new_store()
_tags = ministack.new_store()


def empty() -> None:
    """Forget everything."""
    for store in (notebooks, lifecycle_configs, training_jobs, _tags):
        store.clear()


def arn(kind: str, name: str) -> str:
    """Return the ARN of a resource, which SageMaker writes in lower case."""
    return f"arn:aws:sagemaker:{ministack.region()}:{ministack.account_id()}:{kind}/{name.lower()}"


def found(store: ministack.ScopedStore, name: str) -> dict[str, Any]:
    """Return a record, or raise as AWS does for a missing one."""
    record: dict[str, Any] | None = store.get(name)
    if record is None:
        raise InvalidRequestError(
            "RecordNotFound" if store is not training_jobs else "Requested resource not found."
        )
    return record


_KINDS = (
    (notebooks, "NotebookInstanceArn"),
    (lifecycle_configs, "NotebookInstanceLifecycleConfigArn"),
    (training_jobs, "TrainingJobArn"),
)


def check_exists(resource_arn: str) -> None:
    """Raise unless a resource of this account and region has that ARN."""
    if not any(record[member] == resource_arn for kept, member in _KINDS for record in kept.values()):
        raise InvalidRequestError(f"Could not find resource with ARN {resource_arn}.")


def tags_of(resource_arn: str) -> dict[str, str]:
    """Return a resource's tags."""
    kept: dict[str, str] = _tags.get(resource_arn, {})
    return kept


def set_tags(resource_arn: str, tags: dict[str, str]) -> None:
    """Replace a resource's tags."""
    _tags[resource_arn] = tags


def drop_tags(resource_arn: str) -> None:
    """Delete the tags of a deleted resource."""
    _tags.pop(resource_arn, None)


def tagged_resources() -> list[tuple[str, list[dict[str, str]]]]:
    """Return all resources of this account and region with tags, as the tagging API lists them."""
    return [
        (resource_arn, [{"Key": key, "Value": value} for key, value in tags.items()])
        for resource_arn, tags in _tags.items()
    ]
