"""One object of anybody's bucket, brought here for the duration of a command, or stored from here.

The bucket may have any owner, if the caller's credentials allow it.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from federation.aws.edge.buckets.s3 import foreign_store
from federation.aws.edge.buckets.tables import OpenForeign
from federation.aws.publishing.object_sync import LARGEST
from federation.errors import (
    AccessDeniedError,
    MissingFileError,
    NotDeployedError,
    SettingError,
    StorageError,
)
from federation.files import sha256_of


@contextmanager
def fetched(address: str, open_store: OpenForeign = foreign_store) -> Iterator[Path]:
    """Download an object, and remove it at the end.

    Parameters
    ----------
    address : str
        ``s3://BUCKET/KEY``.
    open_store : callable
        Opens a bucket by its name.

    Yields
    ------
    Path
        A file, under the name that it has in the bucket.

    Raises
    ------
    SettingError
        The address has no bucket or no key.
    MissingFileError
        There is no such object.
    AwsError
        S3 refuses.
    StorageError
        There is no room for it.
    """
    bucket, key = _parts(address)
    with tempfile.TemporaryDirectory(prefix="federation-") as scratch:
        target = Path(scratch) / PurePosixPath(key).name
        try:
            open_store(bucket).download(key, target)
        except NotDeployedError as error:
            raise MissingFileError(f"{address}: no such object.", "Check the address.") from error
        except OSError as error:
            raise StorageError(
                f"cannot write {target}: {error.strerror or error}.", "Make room, or choose another TMPDIR."
            ) from error
        yield target


def stored(path: Path, address: str, open_store: OpenForeign = foreign_store) -> None:
    """Store a file as an object, which S3 has whole or not at all.

    Parameters
    ----------
    path : Path
        The file, a maximum of 5 GiB.
    address : str
        ``s3://BUCKET/KEY``; an object that is there is replaced.
    open_store : callable
        Opens a bucket by its name.

    Raises
    ------
    SettingError
        The address has no bucket or no key, or the file is too large.
    AwsError
        There is no such bucket, or S3 refuses.
    """
    bucket, key = _parts(address)
    if path.stat().st_size > LARGEST:
        raise SettingError(
            f"{address}: larger than the 5 GiB that one request may carry.",
            "Write a file here, and copy it with `aws s3 cp`.",
        )
    try:
        open_store(bucket).put(key, path, sha256=sha256_of(path))
    except AccessDeniedError as error:
        raise AccessDeniedError(
            error.problem,
            "Check with `aws sts get-caller-identity` whose credentials are in use, and that they may put "
            "this object and use the bucket's key.",
        ) from error


def _parts(address: str) -> tuple[str, str]:
    bucket, _, key = address.removeprefix("s3://").partition("/")
    if not bucket or not PurePosixPath(key).name or key.endswith("/"):
        raise SettingError(f'"{address}" names no object.', "Write s3://BUCKET/KEY.")
    return bucket, key
