"""Delete everything in a bucket, all versions of it."""

from contextlib import AbstractContextManager
from functools import partial

import boto3

from federation.aws.edge.boto import BotoClient
from federation.aws.edge.errors import translated
from federation.errors import AwsError, NotDeployedError

MANY = 1000
"""Objects that one request may delete."""


def bucket_client(region: str) -> BotoClient:
    """Return boto3's S3 client with the credentials of the environment."""
    return boto3.session.Session().client("s3", region_name=region)


def count_versions(client: BotoClient, bucket: str, account: str) -> int:
    """Return the number of object versions in a bucket; 0 if the bucket does not exist.

    Raises
    ------
    AwsError
        S3 refuses.
    """
    return sum(len(page) for page in _versions(client, bucket, account))


def empty_bucket(client: BotoClient, bucket: str, account: str) -> int:
    """Delete every version of every object; return their number.

    Parameters
    ----------
    client
        boto3's S3 client, in the bucket's region.
    bucket, account : str
        The bucket, and the account that must own it.

    Raises
    ------
    AwsError
        S3 refuses, or keeps some of them.
    """
    deleted = 0
    delete = partial(client.delete_objects, Bucket=bucket, ExpectedBucketOwner=account)
    for objects in _versions(client, bucket, account):
        with _translated(bucket, account, "delete objects"):
            answer = delete(Delete={"Objects": objects, "Quiet": True})
        if errors := answer.get("Errors"):
            raise AwsError(
                f'bucket "{bucket}": {len(errors)} objects stay ({errors[0]["Code"]}).',
                "Check that the credentials may delete them and that nothing locks them, then repeat.",
            )
        deleted += len(objects)
    return deleted


def _versions(client: BotoClient, bucket: str, account: str) -> list[list[dict[str, str]]]:
    """Return key and version of everything in a bucket, in batches that one request may delete."""
    pages = client.get_paginator("list_object_versions").paginate(
        Bucket=bucket, ExpectedBucketOwner=account, PaginationConfig={"PageSize": MANY}
    )
    try:
        with _translated(bucket, account, "list its objects"):
            found = [[*page.get("Versions", []), *page.get("DeleteMarkers", [])] for page in pages]
    except NotDeployedError:
        return []
    return [
        [{"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in entries]
        for entries in found
        if entries
    ]


def _translated(bucket: str, account: str, action: str) -> AbstractContextManager[None]:
    return translated(
        action,
        f'bucket "{bucket}" of account {account}',
        denied=f"Use credentials of an administrator of account {account}.",
    )
