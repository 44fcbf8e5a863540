"""The edge to S3: what is asked of it, and what its answers become."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import (
    BotoCoreError,
    EndpointConnectionError,
    NoCredentialsError,
    ProfileNotFound,
    ReadTimeoutError,
    TokenRetrievalError,
)
from botocore.stub import ANY, Stubber
from moto import mock_aws
from moto.core import set_initial_no_auth_action_count

from federation.aws.edge.buckets.s3 import Store, stores
from federation.aws.edge.errors import translated
from federation.errors import (
    AccessDeniedError,
    AwsError,
    CredentialsError,
    NotDeployedError,
    UnreachableError,
)

ACCOUNT = "123456789012"  # moto's
CONTENT = b"rows"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def store() -> Iterator[Store]:
    """Return a bucket of moto's."""
    with mock_aws():
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="code")
        yield stores()(bucket="code", account=ACCOUNT, region="us-east-1")


def _store(client: Any) -> Store:
    return Store(bucket="code", account=ACCOUNT, client=client)


@pytest.fixture
def refusing() -> Iterator[tuple[Store, Stubber]]:
    """Return a bucket whose answers the test chooses."""
    client = boto3.client(
        "s3", region_name="us-east-1", aws_access_key_id="made-up", aws_secret_access_key="made-up"
    )
    with Stubber(client) as stubber:
        yield _store(client), stubber


def test_what_is_put_comes_back(store: Store, tmp_path: Path) -> None:
    """Bytes and files alike, each with size and sha256, listed by prefix."""
    (tmp_path / "train.csv").write_bytes(CONTENT)
    store.put("source/a", CONTENT, sha256=SHA256)
    store.put("source/b", tmp_path / "train.csv", sha256=SHA256)
    store.put("other", CONTENT, sha256=SHA256)
    assert store.sizes("source/") == {"source/a": 4, "source/b": 4}
    assert store.read("source/b") == CONTENT
    head = store.head("source/b")
    assert (head.size, head.sha256) == (4, SHA256)


def test_a_long_list_is_read_whole(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 answers with 1,000 keys at a time, and here with ten."""
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "10")
    for number in range(21):
        store.client.put_object(Bucket="code", Key=f"wheels/{number}", Body=b"")
    assert store.client.list_objects_v2(Bucket="code")["IsTruncated"]
    assert len(store.sizes("wheels/")) == 21


def test_an_object_of_another_origin_has_no_sha256(store: Store) -> None:
    """It cannot be verified, and counts as different."""
    store.client.put_object(Bucket="code", Key="a", Body=CONTENT)
    assert store.head("a").sha256 is None


def test_what_is_removed_is_gone(store: Store) -> None:
    """And removing it again is no error, as in S3."""
    store.put("a", CONTENT, sha256=SHA256)
    store.remove("a")
    store.remove("a")
    assert store.sizes("") == {}


def test_every_request_names_the_account_that_must_own_the_bucket(
    refusing: tuple[Store, Stubber],
) -> None:
    """Bucket names are global: S3 refuses if somebody else took the name."""
    store, stubber = refusing
    place = {"Bucket": "code", "ExpectedBucketOwner": ACCOUNT}
    stubber.add_response("list_objects_v2", {}, {**place, "Prefix": "p"})
    stubber.add_response(
        "head_object", {"ContentLength": 1}, {**place, "Key": "k", "ChecksumMode": "ENABLED"}
    )
    checksum = {"ChecksumAlgorithm": "SHA256", "ChecksumSHA256": ANY}
    stubber.add_response("put_object", {}, {**place, "Key": "k", "Body": CONTENT, **checksum})
    stubber.add_response("delete_object", {}, {**place, "Key": "k"})
    stubber.add_client_error("get_object", "AccessDenied", expected_params={**place, "Key": "k"})
    store.sizes("p")
    store.head("k")
    store.put("k", CONTENT, sha256=SHA256)
    store.remove("k")
    with pytest.raises(AccessDeniedError):
        store.read("k")
    stubber.assert_no_pending_responses()


def test_another_accounts_bucket_is_refused_by_name(refusing: tuple[Store, Stubber]) -> None:
    """S3 says AccessDenied; the message says whose the bucket must be and how to look."""
    store, stubber = refusing
    stubber.add_client_error("put_object", "AccessDenied", http_status_code=403)
    with pytest.raises(AccessDeniedError) as refused:
        store.put("source/a", CONTENT, sha256=SHA256)
    assert str(refused.value) == (
        f'bucket "code" of account {ACCOUNT}: AWS refused to write "source/a" (AccessDenied). Check with '
        "`aws sts get-caller-identity` that the credentials are of that account and may do it, and that the "
        "bucket was not made in another account."
    )


def test_a_missing_bucket_says_deploy_first(store: Store) -> None:
    """The most likely first mistake."""
    missing = Store(bucket="absent", account=ACCOUNT, client=store.client)
    with pytest.raises(NotDeployedError, match=r'bucket "absent" .* not there .*Deploy the stack first'):
        missing.sizes("")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("403", AccessDeniedError),
        ("404", NotDeployedError),
        ("ExpiredToken", CredentialsError),
        ("InvalidAccessKeyId", CredentialsError),
        ("SlowDown", AwsError),
    ],
)
def test_an_answer_becomes_its_error(
    refusing: tuple[Store, Stubber], code: str, expected: type[AwsError]
) -> None:
    """AWS's code is kept in the message."""
    store, stubber = refusing
    stubber.add_client_error("head_object", code, "why")
    with pytest.raises(AwsError, match=code) as refused:
        store.head("k")
    assert type(refused.value) is expected


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (NoCredentialsError(), CredentialsError),
        (ProfileNotFound(profile="p"), CredentialsError),
        (TokenRetrievalError(provider="sso", error_msg="expired"), CredentialsError),
        (EndpointConnectionError(endpoint_url="e"), UnreachableError),
        (ReadTimeoutError(endpoint_url="e"), UnreachableError),
        (BotoCoreError(), AwsError),
    ],
)
def test_no_answer_becomes_its_error(raised: Exception, expected: type[AwsError]) -> None:
    """Nothing of botocore's reaches the operator."""
    with pytest.raises(AwsError) as refused, translated("read", "it", denied=""):
        raise raised
    assert type(refused.value) is expected


def test_an_unknown_profile_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before any request: boto3 reads its configuration when a bucket is opened."""
    monkeypatch.setenv("AWS_PROFILE", "absent")
    with pytest.raises(CredentialsError, match="absent"):
        stores()(bucket="code", account=ACCOUNT, region="us-east-1")


@set_initial_no_auth_action_count(4)  # the four requests that set the stage
def _ask_as_a_visitor_without_rights() -> None:
    iam = boto3.client("iam", region_name="us-east-1")
    iam.create_user(UserName="visitor")
    key = iam.create_access_key(UserName="visitor")["AccessKey"]
    statement = {"Effect": "Deny", "Action": "s3:*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": statement})
    iam.put_user_policy(UserName="visitor", PolicyName="p", PolicyDocument=policy)
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="code")
    visitor = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"])
    stores(lambda: visitor)(bucket="code", account=ACCOUNT, region="us-east-1").sizes("")


def test_a_policy_that_denies_is_an_access_error() -> None:
    """As S3 answers to a role without rights."""
    with mock_aws(), pytest.raises(AccessDeniedError, match='refused to list ""'):
        _ask_as_a_visitor_without_rights()
