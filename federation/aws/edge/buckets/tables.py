"""Tables of a bucket, downloaded for the duration of a command.

The bucket may have any owner, if the caller's credentials may read it.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from federation.aws.edge.buckets.s3 import Store, foreign_store
from federation.aws.publishing.object_sync import Say, megabytes
from federation.data.files.kinds import kind_of_name
from federation.errors import MissingFileError, SettingError, StorageError

OpenForeign = Callable[[str], Store]


@contextmanager
def downloaded(address: str, say: Say, open_store: OpenForeign = foreign_store) -> Iterator[Path]:
    """Download a table, or the tables of a folder, and remove them at the end.

    Parameters
    ----------
    address : str
        ``s3://BUCKET/KEY`` of one object, or of a folder: the tables right in it, as with a folder here.
    say : callable
        Receives a line for each table that is read.
    open_store : callable
        Opens a bucket by its name.

    Yields
    ------
    Path
        The file or folder, under the name that it has in the bucket.

    Raises
    ------
    AwsError
        There is no such bucket, or S3 refuses.
    MissingFileError
        No table is there.
    StorageError
        There is no room for them.
    """
    bucket, _, key = address.removeprefix("s3://").partition("/")
    if not bucket:
        raise SettingError(f'"{address}" names no bucket.', "Write s3://BUCKET/FOLDER or s3://BUCKET/FILE.")
    store = open_store(bucket)
    key = key.rstrip("/")
    sizes = store.sizes(key)
    tables = tables_at(key, sizes)
    if not tables:
        found = f"{len(sizes)} objects, but no" if sizes else "no object, and so no"
        raise MissingFileError(
            f"{address}: {found} table right in that folder.",
            "Name the folder that holds the tables itself, or one of them.",
        )
    with tempfile.TemporaryDirectory(prefix="federation-") as scratch:
        home = Path(scratch) / (PurePosixPath(key).name or bucket)
        if key not in tables:
            home.mkdir()
        total = megabytes(sum(tables.values()))
        say(f"Reading {address}: {len(tables)} {'table' if len(tables) == 1 else 'tables'}, {total}")
        for name, size in sorted(tables.items()):
            target = home if name == key else home / PurePosixPath(name).name
            say(f"  {target.name} ({megabytes(size)})")
            _download(store, name, target)
        yield home


def tables_at(key: str, sizes: Mapping[str, int]) -> dict[str, int]:
    """Return the sizes of the tables at an address, by key.

    Parameters
    ----------
    key : str
        Of an object or, without a slash at its end, of a folder; "" is the whole bucket.
    sizes : mapping of str to int
        The size of every object whose key begins with ``key``, by its own key.
    """
    if key in sizes and kind_of_name(key):
        return {key: sizes[key]}
    folder = f"{key}/" if key else ""
    return {
        name: size
        for name, size in sizes.items()
        if name.startswith(folder) and kind_of_name(name) and "/" not in name[len(folder) :]
    }


def _download(store: Store, key: str, target: Path) -> None:
    try:
        store.download(key, target)
    except OSError as error:
        raise StorageError(
            f"cannot write {target}: {error.strerror or error}.", "Make room, or choose another TMPDIR."
        ) from error
