"""Choose and upload the content of a party's buckets; `federation.publish` runs this code.

The server's operator and each client's operator run it with credentials of their own account. No party can
publish for another.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from client_code.protocol.contract import NAME as CONTRACT
from client_code.protocol.contract import Contract
from federation.aws.ports import Bucket, OpenBucket
from federation.aws.publishing.client_wheels import client_locks
from federation.aws.publishing.notebook_bundle import (
    REQUIREMENTS,
    TEST_DATA,
    WHEELS,
    NotebookPackages,
    bundle,
    locked_packages,
    package_wheel,
    read_package,
)
from federation.aws.publishing.object_sync import (
    Difference,
    Item,
    Part,
    Say,
    compare,
    megabytes,
    remove,
    upload,
)
from federation.aws.publishing.source_archive import source_archive
from federation.aws.publishing.wheel_lock import LockedWheel
from federation.aws.publishing.wheelhouse import fetch
from federation.checkout import CLIENT_CODE
from federation.config.contract import contract_beside, governing
from federation.config.names import DATA_PREFIX, NOTEBOOK_PREFIX, SOURCE_PREFIX, WHEELS_PREFIX, PartyNames
from federation.config.schema import Client, FederationConfig, contract_of
from federation.data.preparation.beside import NAMES as BESIDE
from federation.data.preparation.prepared import (
    CLIENT_FILES,
    SERVER_FILES,
    PreparedFile,
    given_name,
    prepared_files,
    refuse_other_rows,
)
from federation.errors import ConfigFileError, UnpublishedError

Fetch = Callable[[Sequence[LockedWheel]], Path]
"""Returns a folder that holds the wheels."""


@dataclass(frozen=True, kw_only=True)
class PublishedPart:
    """The present content under one prefix.

    Parameters
    ----------
    name, place : str
        The part's name, and its ``s3://`` address.
    objects, bytes : int
        The number of objects, and their size.
    uploaded, removed : int
        The number of objects that were uploaded and removed now.
    left : tuple of str
        Keys that no longer belong there, and that these credentials may not remove.
    """

    name: str
    place: str
    objects: int
    bytes: int
    uploaded: int
    removed: int
    left: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Published:
    """The content of a party's buckets, verified object by object.

    Parameters
    ----------
    party : str
        As messages call it.
    runs : str
        The code that will run.
    digest : str
        The sha256 of the code that will run.
    parts : tuple of PublishedPart
        The published parts.
    notes : tuple of str
        Notes for the operator.
    """

    party: str
    runs: str
    digest: str
    parts: tuple[PublishedPart, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Publisher:
    """Fills the buckets of one party, or only compares them.

    Every method raises `UnpublishedError` if it only compares and something differs; `DataError` or
    `SettingError` if the data cannot be used, before anything is uploaded; `PublishError` or `AwsError` if a
    wheel cannot be had or S3 refuses, in which case what was published before stays usable.

    Parameters
    ----------
    open_store : OpenBucket of Bucket
        Opens a bucket, with the credentials of the party's operator.
    check : bool
        Only compare.
    say : callable
        Receives progress messages.
    fetch_wheels : callable
        Gets the wheels, if any is not published yet.
    code : Path
        The code of the training jobs.
    """

    open_store: OpenBucket[Bucket]
    check: bool = False
    say: Say = lambda _: None
    fetch_wheels: Fetch = fetch
    code: Path = CLIENT_CODE

    def client(
        self,
        config: FederationConfig,
        client: Client,
        *,
        data: Path | None = None,
        label: str | None = None,
        contract: Contract | None = None,
    ) -> Published:
        """Publish the code, packages and data of a client's training jobs.

        Parameters
        ----------
        config, client : FederationConfig, Client
            The federation, and the client whose buckets are filled.
        data : Path, optional
            See `federation.data.preparation.prepared.prepared_files`; without it the data published before
            are left alone.
        label : str, optional
            Name of the label column, if no manifest contains it.
        contract : Contract, optional
            The configuration's contract, stored beside data without one; data with another contract are
            refused.
        """
        own = config.client_names(client)
        files = prepared_files(data, client.name, CLIENT_FILES, label=label, parquet=True) if data else ()
        archive = source_archive(self.code)
        code, rows = self._open(own, own.code_bucket), self._open(own, own.data_bucket)
        tables = {file.path.name: file.path.stat().st_size for file in files} or rows.sizes(DATA_PREFIX)
        parts = [
            self.wheels_of(code, tables),
            *_data(rows, files, contract),
            Part(
                name="source",
                bucket=code,
                prefix=SOURCE_PREFIX,
                items=[_item(archive.key, archive.content)],
            ),
        ]
        published = self._bring(parts, client.label)
        notes = () if data else _notes_on_data(rows, client.label, check=self.check)
        return Published(
            party=client.label,
            runs=f"training jobs run client.py and {archive.files - 1} more files",
            digest=archive.digest,
            parts=published,
            notes=(*notes, *_notes_on_leftovers(published)),
        )

    def wheels_of(self, code_bucket: Bucket, tables: Mapping[str, int]) -> Part:
        """Return the packages that a client's jobs install for its tables, given as bytes by name."""
        locks, spare = client_locks(self.code, tables)
        return Part(
            name="wheels",
            bucket=code_bucket,
            prefix=WHEELS_PREFIX,
            items=[item for lock in locks for item in self._wheels(lock, WHEELS_PREFIX)],
            # A wheel left from other data does no harm: publishing removes it, a check lets it be.
            tolerated=frozenset(f"{WHEELS_PREFIX}{wheel.file}" for wheel in spare if self.check),
        )

    def server(
        self,
        config: FederationConfig,
        config_file: Path,
        *,
        data: Path | None = None,
        label: str | None = None,
        packages: NotebookPackages | None = None,
    ) -> Published:
        """Publish the server's notebook bundle: this package, the configuration, test data, packages.

        Parameters
        ----------
        config, config_file : FederationConfig, Path
            The federation, and the file that describes it.
        data : Path, optional
            The folder with ``server/test.csv``; without it, the published test data are unchanged.
        label : str, optional
            Name of the label column, if no manifest contains it.
        packages : NotebookPackages, optional
            The packages to install beside this one, by default the locked packages.
        """
        files = prepared_files(data, config.server.name, SERVER_FILES, label=label) if data else ()
        if files:
            governing(contract_of(config, config_file), contract_beside(files[0].path), str(files[0].path))
        return self._bundle(config, config.server_names, config.server.label, config_file, files, packages)

    def notebook(
        self,
        config: FederationConfig,
        client: Client,
        config_file: Path,
        *,
        packages: NotebookPackages | None = None,
    ) -> Published:
        """Publish a client's notebook bundle; parameters as for `server`."""
        return self._bundle(config, config.client_names(client), client.label, config_file, (), packages)

    def _bundle(
        self,
        config: FederationConfig,
        own: PartyNames,
        label: str,
        config_file: Path,
        files: Sequence[PreparedFile],
        packages: NotebookPackages | None,
    ) -> Published:
        package, packages = package_wheel(read_package()), packages or locked_packages()
        contract = config.federation.contract
        beside = {contract: _bytes_of(config_file.parent / contract)} if contract else {}
        made = bundle(package, packages, configuration=_bytes_of(config_file), beside=beside)
        part = Part(
            name="notebook",
            bucket=self._open(own, own.code_bucket),
            prefix=NOTEBOOK_PREFIX,
            items=[
                *(_item(key, content, last=key.endswith(REQUIREMENTS)) for key, content in made.items()),
                *self._wheels(packages.wheels, f"{NOTEBOOK_PREFIX}{WHEELS}"),
                *(_file_item(NOTEBOOK_PREFIX, file) for file in files),
            ],
            # Test data published before stay, with what is beside them, unless others are published now.
            tolerated=frozenset(f"{NOTEBOOK_PREFIX}{name}" for name in (TEST_DATA, *BESIDE) if not files),
        )
        published = self._bring([part], label)
        return Published(
            party=label,
            runs=f"the notebook runs federation {package.version} on Python {packages.python}",
            digest=package.locked.sha256,
            parts=published,
            notes=_notes_on_leftovers(published),
        )

    def _open(self, own: PartyNames, bucket: str) -> Bucket:
        return self.open_store(bucket=bucket, account=own.account, region=own.region)

    def _wheels(self, wheels: Sequence[LockedWheel], prefix: str) -> list[Item]:
        """Return items that download the wheels once, and only if one of them must be uploaded."""

        @cache
        def wheelhouse() -> Path:
            self.say(f"Fetching {len(wheels)} wheels, unless they are here already ...")
            return self.fetch_wheels(wheels)

        return [
            Item(
                key=f"{prefix}{wheel.file}",
                sha256=wheel.sha256,
                content=partial(lambda it: wheelhouse() / it.file, wheel),
            )
            for wheel in wheels
        ]

    def _bring(self, parts: Sequence[Part], party: str) -> tuple[PublishedPart, ...]:
        """Compare all, upload all, then remove obsolete objects: after a failure, the old ones are usable."""
        before = {part.name: compare(part) for part in parts}
        if self.check:
            _refuse_differences(parts, before, party)
        after = {part.name: upload(part, before[part.name], self.say) for part in parts}
        left = {part.name: remove(part, after[part.name].obsolete, self.say) for part in parts}
        return tuple(
            PublishedPart(
                name=part.name,
                place=part.place,
                objects=len(after[part.name].sizes),
                bytes=sum(after[part.name].sizes.values()),
                uploaded=len(before[part.name].wanting),
                removed=len(after[part.name].obsolete) - len(left[part.name]),
                left=left[part.name],
            )
            for part in parts
        )


def _data(bucket: Bucket, files: Sequence[PreparedFile], contract: Contract | None) -> list[Part]:
    if files and contract:
        carried = contract_beside(files[0].path)
        governing(contract, carried, str(files[0].path.parent))
        if carried is None or carried.inferred:
            refuse_other_rows(contract, [file.path for file in files if file.path.name not in BESIDE])
        items = [_file_item(DATA_PREFIX, file) for file in files if file.path.name != CONTRACT]
        items.append(_item(f"{DATA_PREFIX}{CONTRACT}", contract.to_json().encode()))
    else:
        items = [_file_item(DATA_PREFIX, file) for file in files]
    return [Part(name="data", bucket=bucket, prefix=DATA_PREFIX, items=items)] if items else []


def _item(key: str, content: bytes, *, last: bool = False) -> Item:
    return Item(key=key, sha256=hashlib.sha256(content).hexdigest(), content=lambda: content, last=last)


def _file_item(prefix: str, file: PreparedFile) -> Item:
    return Item(key=f"{prefix}{file.path.name}", sha256=file.sha256, content=lambda: file.path)


def _refuse_differences(parts: Iterable[Part], differences: dict[str, Difference], party: str) -> None:
    found = [f"{part.place}: {differences[part.name]}" for part in parts if differences[part.name]]
    if found:
        raise UnpublishedError(
            f"{party}: what is published differs from this checkout: {'; '.join(found)}.",
            "Publish it: the same command without --check.",
        )


def _notes_on_data(bucket: Bucket, party: str, *, check: bool) -> tuple[str, ...]:
    """Describe the data that are already published; for a check, missing data are a difference."""
    there = bucket.sizes(DATA_PREFIX)
    place = f"s3://{bucket.bucket}/{DATA_PREFIX}"
    absent = [name for name in CLIENT_FILES if given_name(f"{DATA_PREFIX}{name}", there) not in there]
    if not absent:
        size = megabytes(sum(there.values()))
        return (f"the data published before stay: {place}, {len(there)} objects, {size}",)
    if check:
        raise UnpublishedError(
            f"{party}: {place} has no {' and no '.join(absent)}.", "Publish them: --data DIR."
        )
    return (f"{place} has no {' and no '.join(absent)}: a job would fail. Publish them: --data DIR",)


def _notes_on_leftovers(parts: Iterable[PublishedPart]) -> tuple[str, ...]:
    return tuple(
        f"{part.place}: these credentials may not remove {len(part.left)} obsolete objects: "
        f"{', '.join(part.left[:3])}{', ...' if part.left[3:] else ''}"
        for part in parts
        if part.left
    )


def _bytes_of(config_file: Path) -> bytes:
    try:
        return config_file.read_bytes()
    except OSError as error:
        raise ConfigFileError(
            f'the configuration "{config_file}" cannot be read: {error.strerror}.', "Name it with --config."
        ) from error
