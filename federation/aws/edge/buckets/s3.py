"""Objects of one bucket, each with the sha256 of its bytes, which S3 itself checks on arrival.

An object is uploaded in one request: S3 then keeps the checksum of the whole object (for a multipart upload,
it keeps only a checksum of the parts' checksums), and an interrupted upload leaves nothing behind.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

import base64
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import boto3
from boto3.exceptions import RetriesExceededError
from botocore.config import Config

from federation.aws.edge.boto import BotoClient
from federation.aws.edge.errors import DEPLOY, translated
from federation.aws.ports import OpenBucket, Stored
from federation.aws.publishing.object_sync import AT_ONCE
from federation.errors import UnreachableError


@dataclass(frozen=True, kw_only=True)
class Store:
    """One bucket, which must belong to its account: every request names the owner, and S3 checks it.

    Encryption is left to the bucket's default. Every method raises an `AwsError` if S3 refuses.

    Parameters
    ----------
    bucket : str
        The bucket.
    account : str or None
        The account that must own it; None for a bucket of data, which may be anybody's.
    client : BotoClient
        boto3's S3 client, in the bucket's region; may be used from several threads.
    """

    bucket: str
    account: str | None
    client: BotoClient

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return the size in bytes of every object whose key begins with the prefix, by key."""
        with self._translated(f'list "{prefix}"'):
            pages = self.client.get_paginator("list_objects_v2").paginate(**self._place, Prefix=prefix)
            return {each["Key"]: each["Size"] for page in pages for each in page.get("Contents", ())}

    def reach(self, prefix: str) -> None:
        """Request one key below a prefix, to verify that the bucket exists and accepts these credentials."""
        with self._translated(f'list "{prefix}"'):
            self.client.list_objects_v2(**self._place, Prefix=prefix, MaxKeys=1)

    def read_start(self, key: str, size: int) -> bytes:
        """Return an object's first bytes, a maximum of ``size``."""
        with self._translated(f'read "{key}"'):
            body: IO[bytes] = self.client.get_object(**self._place, Key=key, Range=f"bytes=0-{size - 1}")[
                "Body"
            ]
            return body.read()

    def read_end(self, key: str, size: int) -> bytes:
        """Return an object's last bytes, a maximum of ``size``."""
        with self._translated(f'read "{key}"'):
            body: IO[bytes] = self.client.get_object(**self._place, Key=key, Range=f"bytes=-{size}")["Body"]
            return body.read()

    def head(self, key: str) -> Stored:
        """Return an object's metadata from S3 without reading the object."""
        with self._translated(f'read "{key}"'):
            answer = self.client.head_object(**self._place, Key=key, ChecksumMode="ENABLED")
        return Stored(size=answer["ContentLength"], sha256=_hexadecimal(answer.get("ChecksumSHA256")))

    def read(self, key: str) -> bytes:
        """Return an object's bytes."""
        with self._translated(f'read "{key}"'):
            body: IO[bytes] = self.client.get_object(**self._place, Key=key)["Body"]
            return body.read()

    def download(self, key: str, target: Path) -> None:
        """Write an object of any size to a file."""
        owner = {"ExpectedBucketOwner": self.account} if self.account else {}
        with self._translated(f'read "{key}"'):
            try:
                self.client.download_file(Bucket=self.bucket, Key=key, Filename=str(target), ExtraArgs=owner)
            except RetriesExceededError as error:
                raise UnreachableError(
                    f'bucket "{self.bucket}": the download of "{key}" broke off again and again.',
                    "Check the network, then repeat the command.",
                ) from error

    def put(self, key: str, content: bytes | Path, *, sha256: str) -> None:
        """Store bytes, or the content of a file, under a key.

        Parameters
        ----------
        key : str
            The key of the object.
        content : bytes or Path
            The content, a maximum of 5 GiB, which is the limit of one request.
        sha256 : str
            The hexadecimal sha256 of the content; S3 stores nothing if the received bytes have another.
        """
        checksum = {"ChecksumAlgorithm": "SHA256", "ChecksumSHA256": _base64(sha256)}
        request = {**self._place, "Key": key, **checksum}
        with self._translated(f'write "{key}"'):
            if isinstance(content, bytes):
                self.client.put_object(**request, Body=content)
            else:
                with content.open("rb") as body:
                    self.client.put_object(**request, Body=body)

    def remove(self, key: str) -> None:
        """Delete an object; a versioned bucket keeps it as a noncurrent version."""
        with self._translated(f'delete "{key}"'):
            self.client.delete_object(**self._place, Key=key)

    @property
    def _place(self) -> dict[str, object]:
        owner = {"ExpectedBucketOwner": self.account} if self.account else {}
        return {"Bucket": self.bucket, **owner}

    def _translated(self, action: str) -> AbstractContextManager[None]:
        return translated(
            action,
            f'bucket "{self.bucket}"' + (f" of account {self.account}" if self.account else ""),
            denied=_DENIED if self.account else _DENIED_ANYBODYS,
            missing=DEPLOY if self.account else "Check the name of the bucket and of what is in it.",
        )


def _base64(hexadecimal: str) -> str:
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()


def _hexadecimal(checksum: str | None) -> str | None:
    # A checksum of checksums of parts ends in "-<number of parts>".
    return None if checksum is None or "-" in checksum else base64.b64decode(checksum).hex()


def stores(session: Callable[[], boto3.session.Session] = boto3.session.Session) -> OpenBucket[Store]:
    """Return a function that opens buckets with the credentials of a session.

    Parameters
    ----------
    session : callable
        Makes the session of each bucket that is opened; by default that of the environment. boto3 reads the
        endpoint from ``AWS_ENDPOINT_URL``.
    """

    def open_store(*, bucket: str, account: str, region: str) -> Store:
        with translated("connect", f'bucket "{bucket}"', denied=""):
            client = session().client("s3", region_name=region, config=_CONFIG)
        return Store(bucket=bucket, account=account, client=client)

    return open_store


def foreign_store(bucket: str, session: Callable[[], boto3.session.Session] = boto3.session.Session) -> Store:
    """Return a bucket of any owner and region: botocore finds the bucket's region.

    Parameters
    ----------
    bucket : str
        Its name.
    session : callable
        Makes the session, as for `stores`.
    """
    with translated("connect", f'bucket "{bucket}"', denied=""):
        client = session().client("s3", config=_CONFIG)
    return Store(bucket=bucket, account=None, client=client)


_DENIED = (
    "Check with `aws sts get-caller-identity` that the credentials are of that account and may do it, "
    "and that the bucket was not made in another account."
)
_DENIED_ANYBODYS = (
    "Check with `aws sts get-caller-identity` whose credentials are in use, and that they may list the "
    "bucket, read its objects and use its key."
)
_CONFIG = Config(
    retries={"mode": "standard", "max_attempts": 5},
    connect_timeout=10,
    read_timeout=60,
    max_pool_connections=AT_ONCE,
)
