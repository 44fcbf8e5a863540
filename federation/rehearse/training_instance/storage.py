"""S3 and CloudWatch Logs as the training role; only this module of the instance calls AWS."""

import shutil
from pathlib import Path

import boto3
from botocore.config import Config

from federation.aws.edge.boto import BotoClient
from federation.rehearse.training_instance.order import JobOrder

_CHUNK = 1 << 20


def connect(order: JobOrder, service: str) -> BotoClient:
    """Return a boto3 client with the training role's session, from the process's environment."""
    return boto3.client(
        service,
        endpoint_url=order.endpoint_url,
        region_name=order.region,
        config=Config(retries={"total_max_attempts": 2}, proxies={}),
    )


def split_uri(uri: str) -> tuple[str, str]:
    """Return bucket and key of ``s3://bucket/key``."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def local_name(key: str, prefix: str) -> str:
    """Return the path of an object below its channel's folder.

    The part of the key after the prefix, where the prefix names a folder; after the prefix's last slash,
    where it is the beginning of a name or the whole of one.
    """
    folder = prefix if prefix.endswith("/") or not prefix else f"{prefix}/"
    return key.removeprefix(folder) if key.startswith(folder) else key[prefix.rfind("/") + 1 :]


class Storage:
    """Copy folders from and to S3.

    Parameters
    ----------
    s3 : boto3 client
        With the training role's session.
    encryption : dict
        Arguments of each upload that choose the key, if the job names one.
    """

    def __init__(self, s3: BotoClient, encryption: dict[str, str]) -> None:
        self._s3 = s3
        self._encryption = encryption

    def download(self, uri: str, folder: Path) -> int:
        """Download every object under a prefix, and return their number."""
        bucket, prefix = split_uri(uri)
        folder.mkdir(parents=True, exist_ok=True)
        count = 0
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for found in page.get("Contents", []):
                name = local_name(found["Key"], prefix)
                if name.endswith("/"):
                    continue
                target = (folder / name).resolve()
                if not target.is_relative_to(folder.resolve()):
                    raise ValueError(f"The key {found['Key']!r} leads out of its channel.")
                target.parent.mkdir(parents=True, exist_ok=True)
                # One request: download_file asks for the size first and starts threads, for 50 small wheels.
                body = self._s3.get_object(Bucket=bucket, Key=found["Key"])["Body"]
                with target.open("wb") as file:
                    shutil.copyfileobj(body, file, _CHUNK)
                count += 1
        return count

    def upload(self, file: Path, uri: str) -> None:
        """Store one file."""
        bucket, key = split_uri(uri)
        self._s3.upload_file(str(file), bucket, key, ExtraArgs=self._encryption)
