"""What must hold at a client before a run, which only its own operator may see."""

import csv
from collections.abc import Callable
from functools import cache
from typing import Protocol

from federation.checks import Check, Finding
from federation.config import Client, FederationConfig
from federation.errors import LabelError, MissingFileError, SchemaMismatchError, UnpublishedError
from federation.identity_checks import Caller, identity_checks
from federation.names import DATA_PREFIX
from federation.object_sync import Bucket, compare, megabytes
from federation.prepared import CLIENT_FILES
from federation.publishing import Publisher
from federation.records import near
from federation.source_archive import archive_key

HEADER_BYTES = 1 << 20
"""Read of a table to see its header: no more of the rows than that travels."""


class DataBucket(Bucket, Protocol):
    """A bucket of tables, see `federation.aws.s3.Store`."""

    def read_start(self, key: str, size: int) -> bytes: ...  # noqa: D102


class OpenDataBucket(Protocol):
    """Opens a party's bucket: see `federation.aws.s3.stores`."""

    def __call__(self, *, bucket: str, account: str, region: str) -> DataBucket: ...  # noqa: D102


def client_checks(
    config: FederationConfig,
    client: Client,
    *,
    caller: Callable[[], Caller],
    open_store: OpenDataBucket,
    digest: str,
    label: str | None,
) -> list[Check]:
    """Return what must hold in a client's own account.

    Parameters
    ----------
    config, client : FederationConfig, Client
        The federation, and whose account it is.
    caller : callable
        Tells whose credentials are in use.
    open_store : OpenDataBucket
        Opens a bucket with them.
    digest : str
        The sha256 of the code that the server will ask for.
    label : str, optional
        The column that the server will ask for.
    """
    own = config.client_names(client)
    where = {"account": own.account, "region": own.region}
    data = cache(lambda: open_store(bucket=own.data_bucket, **where))
    code = cache(lambda: open_store(bucket=own.code_bucket, **where))
    headers = cache(lambda: {name: _header(data(), name) for name in CLIENT_FILES})
    publisher = Publisher(open_store=open_store)
    looks: list[tuple[str, Callable[[], str | Finding]]] = [
        ("code", lambda: _code(client, code(), digest)),
        ("packages", lambda: _packages(client, code(), publisher)),
        ("data", lambda: _data(client, data())),
        ("columns", lambda: _columns(client, headers(), label)),
    ]
    return [
        *identity_checks(client, caller, expected_role=None),
        *(Check(party=client.label, name=name, look=look) for name, look in looks),
    ]


def _code(client: Client, bucket: Bucket, digest: str) -> str:
    """Compare the archive's bytes, whose sha256 S3 computed when they arrived, with the name it goes by."""
    key = archive_key(digest)
    place = f"s3://{bucket.bucket}/{key}"
    if key not in bucket.sizes(key):
        raise UnpublishedError(
            f"{client.label}: {place} is not there: other code is published, or none.",
            "Publish from the commit that the server runs: python -m federation.publish.",
        )
    if (found := bucket.head(key).sha256) != digest:
        raise UnpublishedError(
            f"{client.label}: {place} holds something else than its name says (sha256 {found}): it was "
            "changed after it was published.",
            "Find out by whom (CloudTrail, the bucket's access log), then publish again.",
        )
    return f"sha256 {digest}, as S3 computed it"


def _packages(client: Client, bucket: Bucket, publisher: Publisher) -> str:
    part = publisher.wheels_of(bucket)
    difference = compare(part)
    if difference.wanting:
        raise UnpublishedError(
            f"{client.label}: {part.place}: {difference}.", "Publish them: python -m federation.publish."
        )
    return f"{len(part.items)} wheels, {megabytes(sum(difference.sizes.values()))}, as the code pins them"


def _data(client: Client, bucket: Bucket) -> str:
    there = bucket.sizes(DATA_PREFIX)
    place = f"s3://{bucket.bucket}/{DATA_PREFIX}"
    if absent := [name for name in CLIENT_FILES if not there.get(f"{DATA_PREFIX}{name}")]:
        raise MissingFileError(
            f"{client.label}: {place} has no {' and no '.join(absent)}.",
            "Publish them: python -m federation.publish ... --data DIR.",
        )
    return f"{place} has {' and '.join(CLIENT_FILES)}, {megabytes(sum(there.values()))}"


def _header(bucket: DataBucket, name: str) -> tuple[str, ...]:
    text = bucket.read_start(f"{DATA_PREFIX}{name}", HEADER_BYTES).decode("utf-8-sig", errors="replace")
    return tuple(column.strip() for column in next(csv.reader(text.splitlines()), []))


def _columns(client: Client, headers: dict[str, tuple[str, ...]], label: str | None) -> str | Finding:
    first, *others = headers
    for name in others:
        if odd := set(headers[name]) ^ set(headers[first]):
            raise SchemaMismatchError(
                f"{client.label}: {name} and {first} have different columns: {', '.join(sorted(odd)[:5])}.",
                "Prepare and publish the data again.",
            )
    columns = headers[first]
    if label is None:
        return Finding(
            outcome="unseen", text=f"{len(columns)} columns", remedy="Name the label column with --label."
        )
    if label not in columns:
        raise LabelError(f'{client.label}: its data have no label column "{label}".', near(label, columns))
    return f'{len(columns) - 1} features and the label "{label}"'
