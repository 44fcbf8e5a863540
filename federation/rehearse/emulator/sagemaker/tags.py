"""AddTags, ListTags and DeleteTags."""

from typing import Any

from federation.rehearse.emulator.sagemaker import store

Request = dict[str, Any]


def add_tags(request: Request) -> Request:
    """Add tags to a resource, or change them."""
    store.check_exists(request["ResourceArn"])
    tags = {**store.tags_of(request["ResourceArn"]), **as_map(request["Tags"])}
    store.set_tags(request["ResourceArn"], tags)
    return {"Tags": as_list(tags)}


def list_tags(request: Request) -> Request:
    """Return a resource's tags."""
    store.check_exists(request["ResourceArn"])
    return {"Tags": as_list(store.tags_of(request["ResourceArn"]))}


def delete_tags(request: Request) -> Request:
    """Remove tags from a resource."""
    store.check_exists(request["ResourceArn"])
    tags = store.tags_of(request["ResourceArn"])
    store.set_tags(request["ResourceArn"], {k: v for k, v in tags.items() if k not in request["TagKeys"]})
    return {}


def as_map(tags: list[dict[str, str]]) -> dict[str, str]:
    """Return the API's list of tags as a dictionary."""
    return {tag["Key"]: tag["Value"] for tag in tags}


def as_list(tags: dict[str, str]) -> list[dict[str, str]]:
    """Return a dictionary as the API's list of tags."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
