"""Checks of a client before a run that only its own operator can make."""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pyarrow as pa
from pyarrow.parquet import read_schema

from client_code.protocol.contract import Contract
from client_code.protocol.frames import schema_hash
from federation.aws.checks.checks import Check, Finding
from federation.aws.checks.identity import identity_checks
from federation.aws.ports import Bucket, Caller, OpenBucket, ReadableBucket
from federation.aws.publishing.object_sync import Part, compare, megabytes
from federation.aws.publishing.publisher import Publisher
from federation.aws.publishing.source_archive import archive_key
from federation.checkout import CLIENT_CODE
from federation.config.names import DATA_PREFIX
from federation.config.schema import Client, FederationConfig
from federation.data.files.records import near
from federation.data.preparation.prepared import CLIENT_FILES, given_name
from federation.errors import (
    AwsError,
    DataError,
    LabelError,
    MissingFileError,
    SchemaMismatchError,
    TrainingJobError,
    UnpublishedError,
)
from federation.words import some

HEADER_BYTES = 1 << 20
"""Read of a table to see its header: no more of the rows than that travels."""
FOOTER_BYTES = 16 << 20
"""As above, of a Parquet file, whose end tells its columns, and more the more groups of rows it has."""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What the server and the other parties expect of a client's buckets.

    Parameters
    ----------
    digest : str
        The sha256 of the code that the server will ask for.
    label : str, optional
        The column that the server will ask for.
    columns : str, optional
        The `schema_hash` of the server's test rows; without it, the columns are not compared with theirs.
    contract : Contract, optional
        The configuration's contract.
    publish : str
        The command with which the client's operator publishes.
    """

    digest: str
    label: str | None = None
    columns: str | None = None
    contract: Contract | None = None
    publish: str


def client_checks(
    config: FederationConfig,
    client: Client,
    *,
    caller: Callable[[], Caller],
    open_store: OpenBucket[ReadableBucket],
    quotas: Callable[[], Mapping[str, float]],
    expected: Expected,
    code: Path = CLIENT_CODE,
) -> list[Check]:
    """Return the checks of a client's own account.

    Parameters
    ----------
    config, client : FederationConfig, Client
        The federation, and the client whose account is checked.
    caller : callable
        Returns the identity of the current credentials.
    open_store : OpenBucket[ReadableBucket]
        Opens a bucket with them.
    quotas : callable
        Returns SageMaker's quotas of the account by name.
    expected : Expected
        What they should hold.
    code : Path
        The code of the training jobs, with its locks.
    """
    own = config.client_names(client)
    where = {"account": own.account, "region": own.region}
    data = cache(lambda: open_store(bucket=own.data_bucket, **where))
    code_bucket = cache(lambda: open_store(bucket=own.code_bucket, **where))
    tables = cache(lambda: data().sizes(DATA_PREFIX))
    headers = cache(lambda: {_name(key): _header(data(), key) for key in _keys(tables())})
    publisher = Publisher(open_store=open_store, code=code)
    looks: list[tuple[str, Callable[[], str | Finding]]] = [
        ("code", lambda: _code(client, code_bucket(), expected)),
        ("packages", lambda: _packages(client, publisher.wheels_of(code_bucket(), tables()), expected)),
        ("data", lambda: _data(client, f"s3://{own.data_bucket}/{DATA_PREFIX}", tables(), expected)),
        ("columns", lambda: _columns(client, headers(), expected)),
        ("quota", lambda: _quota(client, quotas)),
    ]
    return [
        *identity_checks(client, caller, expected_role=None),
        *(Check(party=client.label, name=name, look=look) for name, look in looks),
    ]


def _quota(client: Client, quotas: Callable[[], Mapping[str, float]]) -> str | Finding:
    """Return how many instances the server can run at once: no right of ours bounds their number."""
    name = f"{client.training_instance_types[0]} for training job usage"
    try:
        found = quotas().get(name)
    except AwsError as error:
        return Finding(outcome="unseen", text=error.problem, remedy=f'Look for "{name}" in Service Quotas.')
    if found is None:
        return Finding(outcome="unseen", text=f'AWS lists no quota "{name}"')
    if found < 1:
        raise TrainingJobError(
            f'{client.label}: the quota "{name}" of account {client.account} is {found:g}: no job can start.',
            "Ask AWS for 1 in Service Quotas.",
        )
    return f'"{name}": {found:g}, the maximum that the server can run at once'


def _code(client: Client, bucket: Bucket, expected: Expected) -> str:
    """Compare the sha256 that S3 computed when the archive arrived with the digest in the archive's name."""
    digest = expected.digest
    key = archive_key(digest)
    place = f"s3://{bucket.bucket}/{key}"
    if key not in bucket.sizes(key):
        raise UnpublishedError(
            f"{client.label}: {place} is not there: other code is published, or none.",
            f"Publish from the commit that the server runs: {expected.publish}",
        )
    if (found := bucket.head(key).sha256) != digest:
        raise UnpublishedError(
            f"{client.label}: {place} holds something else than its name says (sha256 {found}): it was "
            "changed after it was published.",
            "Find out by whom (CloudTrail, the bucket's access log), then publish again.",
        )
    return f"sha256 {digest}, as S3 computed it"


def _packages(client: Client, part: Part, expected: Expected) -> str:
    difference = compare(part)
    if difference.wanting:
        raise UnpublishedError(
            f"{client.label}: {part.place}: {difference}.", f"Publish them: {expected.publish}"
        )
    return f"{len(part.items)} wheels, {megabytes(sum(difference.sizes.values()))}, as the code pins them"


def _keys(tables: Mapping[str, int]) -> list[str]:
    return [given_name(f"{DATA_PREFIX}{name}", tables) for name in CLIENT_FILES]


def _name(key: str) -> str:
    return key.removeprefix(DATA_PREFIX)


def _data(client: Client, place: str, tables: Mapping[str, int], expected: Expected) -> str:
    names = [_name(key) for key in _keys(tables)]
    if absent := [_name(key) for key in _keys(tables) if not tables.get(key)]:
        raise MissingFileError(
            f"{client.label}: {place} has no {' and no '.join(absent)}.",
            f"Publish them: {expected.publish} --data DIR",
        )
    return f"{place} has {' and '.join(names)}, {megabytes(sum(tables.values()))}"


def _header(bucket: ReadableBucket, key: str) -> tuple[str, ...]:
    if key.endswith(".parquet"):
        return _parquet_header(bucket, key)
    text = bucket.read_start(key, HEADER_BYTES).decode("utf-8-sig", errors="replace")
    return tuple(column.strip() for column in next(csv.reader(text.splitlines()), []))


def _parquet_header(bucket: ReadableBucket, key: str) -> tuple[str, ...]:
    try:
        return tuple(read_schema(pa.BufferReader(bucket.read_end(key, FOOTER_BYTES))).names)
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"s3://{bucket.bucket}/{key}: not a Parquet file, or one of very many groups of rows.",
            "Write the file again, then publish it.",
        ) from error


def _columns(client: Client, headers: Mapping[str, tuple[str, ...]], expected: Expected) -> str | Finding:
    first, *others = headers
    columns, label, contract = headers[first], expected.label, expected.contract
    needed = {*contract.kinds, contract.label} if contract else set[str]()
    for name, found in headers.items():
        if lacking := sorted(needed - set(found)):
            raise SchemaMismatchError(
                f"{client.label}: {name} lacks {some(lacking)}, which the contract has.",
                "Prepare the data with the contract (--contract), and publish them.",
            )
    for name in others:
        if odd := set(headers[name]) ^ set(columns):
            raise SchemaMismatchError(
                f"{client.label}: {name} and {first} have different columns: {some(sorted(odd))}.",
                "Prepare and publish the data again.",
            )
    if label is None:
        return Finding(
            outcome="unseen", text=f"{len(columns)} columns", remedy="Name the label column with --label."
        )
    if label not in columns:
        raise LabelError(f'{client.label}: its data have no label column "{label}".', near(label, columns))
    features = [name for name in columns if name != label]
    said = f'{len(features)} features and the label "{label}"'
    if expected.columns is None:
        return said
    if expected.columns != schema_hash(label, features):
        raise SchemaMismatchError(
            f"{client.label}: {said}, but other columns than the server's test rows have: {some(features)}.",
            "Compare them with the header of the server's test.csv, and publish those that all agreed on.",
        )
    return f"{said}, as in the server's test rows"
