"""Make the objects under a prefix of a bucket equal to the expected ones, and verify the result.

After a failure at any point, the previous objects remain usable. New objects are uploaded first, and the
objects that put them into effect last. Obsolete objects are removed only after all uploads are verified.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from federation.aws.ports import Bucket
from federation.errors import AccessDeniedError, PublishError

AT_ONCE = 8
"""Requests that run side by side."""
LARGEST = 5 * 1024**3
"""Bytes of the largest object that one request may carry."""

_KILOBYTES_BELOW = 100_000

_In = TypeVar("_In")
_Out = TypeVar("_Out")

Say = Callable[[str], None]
"""Told what is going on."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One expected object.

    Parameters
    ----------
    key, sha256 : str
        The key of the object, and the hexadecimal sha256 of its bytes.
    content : callable
        Gives its bytes or its file; asked only if it has to go up.
    last : bool
        Whether it makes the others take effect.
    """

    key: str
    sha256: str
    content: Callable[[], bytes | Path]
    last: bool = False


@dataclass(frozen=True, kw_only=True)
class Part:
    """All expected objects under one prefix.

    Parameters
    ----------
    name : str
        The part's name in messages.
    bucket : Bucket
        The bucket of the part.
    prefix : str
        The keys that this part owns.
    items : sequence of Item
        The expected objects.
    tolerated : frozenset of str
        Keys that may be there and are left alone.
    """

    name: str
    bucket: Bucket
    prefix: str
    items: Sequence[Item]
    tolerated: frozenset[str] = frozenset()

    @property
    def place(self) -> str:
        """Its location, as an ``s3://`` address."""
        return f"s3://{self.bucket.bucket}/{self.prefix}"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The differences between a part and its expected objects.

    Parameters
    ----------
    missing, changed : tuple of Item
        The objects that are missing, and those with other bytes.
    obsolete : tuple of str
        Keys that should not be there.
    sizes : mapping of str to int
        Bytes of each object that is there and should be.
    """

    missing: tuple[Item, ...] = ()
    changed: tuple[Item, ...] = ()
    obsolete: tuple[str, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)

    @property
    def wanting(self) -> tuple[Item, ...]:
        """The objects to upload."""
        return self.missing + self.changed

    def __bool__(self) -> bool:
        return bool(self.wanting or self.obsolete)

    def __str__(self) -> str:
        kinds = (
            ("not there", [item.key for item in self.missing]),
            ("different", [item.key for item in self.changed]),
            ("not wanted", self.obsolete),
        )
        return ", ".join(f"{len(keys)} {kind} ({_first(keys)})" for kind, keys in kinds if keys)


def compare(part: Part) -> Difference:
    """Return the differences from the expected objects; nothing is changed or downloaded."""
    there = part.bucket.sizes(part.prefix)
    wanted = {item.key: item for item in part.items}
    present = [item for item in part.items if item.key in there]
    same = dict(
        zip([it.key for it in present], _side_by_side(lambda it: _is_there(part, it), present), strict=True)
    )
    return Difference(
        missing=tuple(item for item in part.items if item.key not in there),
        changed=tuple(item for item in present if not same[item.key]),
        obsolete=tuple(sorted(there.keys() - wanted.keys() - part.tolerated)),
        sizes={key: there[key] for key in wanted.keys() & there.keys()},
    )


def upload(part: Part, difference: Difference, say: Say) -> Difference:
    """Upload what differs, verify it, and return what still differs: obsolete objects only.

    Raises
    ------
    PublishError
        Content cannot be created, is too large, or differs from what arrived.
    AwsError
        S3 refuses.
    """
    wanting = [(item, item.content()) for item in difference.wanting]
    if not wanting:
        return difference
    for item, content in wanting:
        _refuse_too_large(item, content)
    total = sum(_size(content) for _, content in wanting)
    say(f"{part.name}: uploading {len(wanting)} of {len(part.items)} objects ({megabytes(total)}) ...")
    for last in (False, True):
        group = [pair for pair in wanting if pair[0].last is last]
        _side_by_side(lambda pair: part.bucket.put(pair[0].key, pair[1], sha256=pair[0].sha256), group)
    after = compare(part)
    if after.wanting:
        raise PublishError(
            f"{part.place}: {after} after the upload.", "Somebody else may publish at this moment; repeat."
        )
    return after


def remove(part: Part, keys: Sequence[str], say: Say) -> tuple[str, ...]:
    """Remove obsolete objects, and return those that these credentials may not remove.

    A notebook's role may write but not delete. Remaining objects are harmless: no job or notebook uses them.
    """
    for at, key in enumerate(keys):
        try:
            part.bucket.remove(key)
        except AccessDeniedError:
            return tuple(keys[at:])
        say(f"{part.name}: removed {key}, which no longer belongs there")
    return ()


def megabytes(size: int) -> str:
    """Return a number of bytes as readable text."""
    return f"{size / 1e3:,.1f} kB" if size < _KILOBYTES_BELOW else f"{size / 1e6:,.1f} MB"


def _is_there(part: Part, item: Item) -> bool:
    return part.bucket.head(item.key).sha256 == item.sha256


def _refuse_too_large(item: Item, content: bytes | Path) -> None:
    if _size(content) > LARGEST:
        raise PublishError(
            f"{item.key}: {megabytes(_size(content))}, and S3 takes {megabytes(LARGEST)} in one request.",
            "A job would not have the memory to read it either: prepare fewer rows or columns.",
        )


def _size(content: bytes | Path) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def _first(keys: Sequence[str]) -> str:
    return keys[0] if len(keys) == 1 else f"{keys[0]}, ..."


def _side_by_side(act: Callable[[_In], _Out], each: Iterable[_In]) -> list[_Out]:
    """Apply an action to each item concurrently; raise its first error once the running calls have ended."""
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        try:
            return list(pool.map(act, each))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
