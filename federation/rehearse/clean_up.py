"""Take down what the CDK does not: the content of buckets, and the CDK's own stack in each account."""

import time
from typing import Any

from botocore.exceptions import ClientError

from federation.errors import DestroyError
from federation.rehearse.accounts import Account, Connect

TOOLKIT = "CDKToolkit"
_DEADLINE = 60.0
_POLL = 0.1


def empty_bucket(s3: Any, bucket: str) -> int:  # noqa: ANN401 (boto3 has no types)
    """Delete every version of every object in a bucket, and return how many there were.

    A bucket that does not exist is empty.
    """
    try:
        pages = list(s3.get_paginator("list_object_versions").paginate(Bucket=bucket))
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchBucket":
            return 0
        raise
    deleted = 0
    for page in pages:
        versions = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        if versions:
            objects = [{"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in versions]
            s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
            deleted += len(objects)
    return deleted


def remove_toolkit(connect: Connect, account: Account) -> None:
    """Delete the CDK's own stack, and the bucket of templates that it leaves behind by design.

    Raises
    ------
    DestroyError
        The stack is still there after a minute, or failed.
    """
    cloudformation, s3 = connect("cloudformation", account), connect("s3", account)
    [stack] = cloudformation.describe_stacks(StackName=TOOLKIT)["Stacks"]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    cloudformation.delete_stack(StackName=TOOLKIT)
    deadline = time.monotonic() + _DEADLINE
    while True:
        [stack] = cloudformation.describe_stacks(StackName=stack["StackId"])["Stacks"]
        if stack["StackStatus"] == "DELETE_COMPLETE":
            break
        if stack["StackStatus"] == "DELETE_FAILED" or time.monotonic() > deadline:
            raise DestroyError(
                f"{account}: the stack {TOOLKIT} is {stack['StackStatus']}: "
                f"{stack.get('StackStatusReason', 'no reason given')}.",
                "Delete it by hand.",
            )
        time.sleep(_POLL)
    empty_bucket(s3, outputs["BucketName"])
    s3.delete_bucket(Bucket=outputs["BucketName"])
