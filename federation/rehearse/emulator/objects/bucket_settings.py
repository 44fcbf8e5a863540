"""Bucket properties that plain ministack ignores, and the refusal to delete a bucket that is not empty."""

from http import HTTPStatus
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from federation.rehearse.emulator import ministack_tables as ministack
from federation.rehearse.emulator.stacks.resource_types import (
    Created,
    Properties,
    before_delete,
    extend,
    tag_map,
)

_BUCKET = "AWS::S3::Bucket"
_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

# Applied, by ministack or here.
APPLIED = frozenset(
    {
        "BucketEncryption",
        "BucketName",
        "CorsConfiguration",
        "PublicAccessBlockConfiguration",
        "Tags",
        "VersioningConfiguration",
    }
)
# Accepted without effect: nothing in a rehearsal lasts long enough, or is public, or is delivered.
WITHOUT_EFFECT = frozenset({"LifecycleConfiguration", "LoggingConfiguration", "OwnershipControls"})


def encryption_xml(configuration: dict[str, Any]) -> bytes:
    """Return the S3 API's form of a template's ``BucketEncryption``.

    Parameters
    ----------
    configuration : dict
        With ``ServerSideEncryptionConfiguration``, a list of rules.
    """
    root = Element("ServerSideEncryptionConfiguration", xmlns=_NAMESPACE)
    for rule in configuration["ServerSideEncryptionConfiguration"]:
        default = rule["ServerSideEncryptionByDefault"]
        element = SubElement(root, "Rule")
        applied = SubElement(element, "ApplyServerSideEncryptionByDefault")
        SubElement(applied, "SSEAlgorithm").text = default["SSEAlgorithm"]
        if "KMSMasterKeyID" in default:
            SubElement(applied, "KMSMasterKeyID").text = default["KMSMasterKeyID"]
        SubElement(element, "BucketKeyEnabled").text = str(rule.get("BucketKeyEnabled", False)).lower()
    return tostring(root)


def _apply(created: Created, properties: Properties) -> Created:
    name = created[0]
    unknown = set(properties) - APPLIED - WITHOUT_EFFECT
    if properties.get("AccessControl") == "Private":  # the default
        unknown.discard("AccessControl")
    if unknown:
        raise ValueError(f"The rehearsal's emulator does not do {_BUCKET} {', '.join(sorted(unknown))}.")
    ministack.bucket_tags[name] = tag_map(properties)
    if "BucketEncryption" in properties:
        status, _, body = ministack.put_bucket_encryption(
            name, encryption_xml(properties["BucketEncryption"])
        )
        if status >= HTTPStatus.BAD_REQUEST:
            raise ValueError(body.decode())
    else:
        ministack.bucket_encryption.pop(name, None)
    return created


def _refuse_if_not_empty(name: str) -> None:
    bucket = ministack.buckets.get(name)
    versions = any(key[0] == name and kept for key, kept in ministack.object_versions.items())
    if bucket is not None and (bucket["objects"] or versions):
        raise ValueError(
            "The bucket you tried to delete is not empty. You must delete all versions in the bucket. "
            "(Service: S3, Status Code: 409, BucketNotEmpty)"
        )


def install() -> None:
    """Extend ``AWS::S3::Bucket``."""
    extend(_BUCKET, after=_apply)
    before_delete(_BUCKET, _refuse_if_not_empty)
    ministack.STACK_TAG_PROPERTY[_BUCKET] = ("Tags", "list")
