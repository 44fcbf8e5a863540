"""What a template says about a bucket holds, and a bucket with content is not deleted."""

import pytest

from tests.rehearsal.conftest import CLIENT, SERVER, Connect
from tests.rehearsal.jobs import role_session
from tests.rehearsal.stacks import StackFailedError, Template, allow, delete, deploy

KEY = "arn:aws:kms:us-east-1:111111111111:key/1"


def bucket(**properties: object) -> Template:
    """Return a bucket named ``data``."""
    return {"Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "data", **properties}}}


def encrypted_with(algorithm: str, key: str | None = None) -> Template:
    """Return the ``BucketEncryption`` property."""
    default = {"SSEAlgorithm": algorithm, **({"KMSMasterKeyID": key} if key else {})}
    return {"ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": default}]}


def test_encryption_and_tags_are_applied_and_changed(connect: Connect) -> None:
    """An update changes them in place."""
    stack, s3 = connect("cloudformation"), connect("s3")
    for algorithm, key, tag in (("AES256", None, "one"), ("aws:kms", KEY, "two")):
        tags = [{"Key": "name", "Value": tag}]
        deploy(stack, "Data", bucket(BucketEncryption=encrypted_with(algorithm, key), Tags=tags))
        [rule] = s3.get_bucket_encryption(Bucket="data")["ServerSideEncryptionConfiguration"]["Rules"]
        assert rule["ApplyServerSideEncryptionByDefault"].get("KMSMasterKeyID") == key
        assert tags[0] in s3.get_bucket_tagging(Bucket="data")["TagSet"]


def test_a_bucket_with_objects_is_not_deleted_with_its_stack(connect: Connect) -> None:
    """Data is never lost silently: the delete fails, and succeeds once the bucket is empty."""
    stack, s3 = connect("cloudformation"), connect("s3")
    deploy(stack, "Data", bucket())
    s3.put_object(Bucket="data", Key="row", Body=b"1")
    with pytest.raises(StackFailedError, match="not empty"):
        delete(stack, "Data")
    s3.delete_object(Bucket="data", Key="row")
    delete(stack, "Data")


def test_old_versions_count_as_content(connect: Connect) -> None:
    """In a versioned bucket, deleting the objects is not emptying it."""
    stack, s3 = connect("cloudformation"), connect("s3")
    deploy(stack, "Data", bucket(VersioningConfiguration={"Status": "Enabled"}))
    s3.put_object(Bucket="data", Key="row", Body=b"1")
    s3.delete_object(Bucket="data", Key="row")
    with pytest.raises(StackFailedError, match="not empty"):
        delete(stack, "Data")


def test_a_property_nobody_implements_is_refused_by_name(connect: Connect) -> None:
    """The emulator says what it does not do."""
    with pytest.raises(StackFailedError, match="does not do AWS::S3::Bucket ReplicationConfiguration"):
        deploy(connect("cloudformation"), "Data", bucket(ReplicationConfiguration={}))


def test_a_policy_that_demands_tls_is_met_on_loopback(connect: Connect) -> None:
    """``aws:SecureTransport`` holds, and the rest of the same policy still denies."""
    statements = [
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": "arn:aws:s3:::data/*",
            "Condition": c,
        }
        for c in (
            {"Bool": {"aws:SecureTransport": "false"}},
            {"StringNotEquals": {"aws:PrincipalAccount": SERVER}},
        )
    ]
    policy = {
        "Type": "AWS::S3::BucketPolicy",
        "Properties": {"Bucket": {"Ref": "Bucket"}, "PolicyDocument": {"Statement": statements}},
    }
    deploy(connect("cloudformation"), "Data", {**bucket(), "Policy": policy})
    connect("s3").put_object(Bucket="data", Key="row", Body=b"1")
    foreign = connect("s3", CLIENT)
    with pytest.raises(foreign.exceptions.ClientError, match="AccessDenied"):
        foreign.get_object(Bucket="data", Key="row")


def encrypted_bucket(connect: Connect) -> str:
    """Deploy a bucket encrypted with a key of the account, and return the key's ARN."""
    policy = {"Statement": [{**allow("kms:*"), "Principal": {"AWS": f"arn:aws:iam::{SERVER}:root"}}]}
    key = {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": policy}}
    encryption = encrypted_with("aws:kms")
    rule = encryption["ServerSideEncryptionConfiguration"][0]["ServerSideEncryptionByDefault"]
    rule["KMSMasterKeyID"] = {"Fn::GetAtt": ["Key", "Arn"]}
    outputs = deploy(
        connect("cloudformation"),
        "Data",
        {"Key": key, **bucket(BucketEncryption=encryption)},
        outputs={"Arn": {"Fn::GetAtt": ["Key", "Arn"]}},
    )
    return outputs["Arn"]


def test_reading_and_writing_an_encrypted_object_needs_its_key(connect: Connect) -> None:
    """A role with all of S3 and without the key is refused; with the key, through S3, it is not."""
    key = encrypted_bucket(connect)
    connect("s3").put_object(Bucket="data", Key="row", Body=b"1")
    through_s3 = {"kms:ViaService": "s3.us-east-1.amazonaws.com"}
    for name, statements, allowed in (
        ("without", [allow("s3:*")], False),
        ("reader", [allow("s3:*"), allow("kms:Decrypt", key, StringEquals=through_s3)], True),
    ):
        s3 = role_session(connect, "s3", *statements, name=name)
        if allowed:
            assert s3.get_object(Bucket="data", Key="row")["Body"].read() == b"1"
        else:
            with pytest.raises(s3.exceptions.ClientError, match="kms:Decrypt"):
                s3.get_object(Bucket="data", Key="row")
        with pytest.raises(s3.exceptions.ClientError, match="kms:GenerateDataKey"):
            s3.put_object(Bucket="data", Key="row", Body=b"2")


def test_kms_without_a_key_is_the_accounts_own(connect: Connect) -> None:
    """As the CDK CLI uploads its assets."""
    s3 = connect("s3")
    deploy(connect("cloudformation"), "Data", bucket())
    s3.put_object(Bucket="data", Key="row", Body=b"1", ServerSideEncryption="aws:kms")
    assert s3.head_object(Bucket="data", Key="row")["SSEKMSKeyId"].endswith("alias/aws/s3")


def test_every_version_of_an_object_can_be_read(connect: Connect) -> None:
    """Content is kept on disk: the current version, older ones, and one a delete marker hid."""
    s3 = connect("s3")
    deploy(connect("cloudformation"), "Data", bucket(VersioningConfiguration={"Status": "Enabled"}))
    first = s3.put_object(Bucket="data", Key="row", Body=b"1")["VersionId"]
    s3.put_object(Bucket="data", Key="row", Body=b"2")
    marker = s3.delete_object(Bucket="data", Key="row")["VersionId"]

    def content(**version: str) -> bytes:
        return bytes(s3.get_object(Bucket="data", Key="row", **version)["Body"].read())

    assert content(VersionId=first) == b"1"
    s3.delete_object(Bucket="data", Key="row", VersionId=marker)
    assert content() == b"2"
