"""Build the archive that a client's training jobs run; one commit gives the same bytes on any machine.

The archive contains nothing of the machine: no time, owner, mode or path. It is not compressed, because the
result of compression depends on the installed zlib. The sha256 of the bytes therefore names the code, and is
part of the archive's key: a job that requests a digest runs exactly that code or none. The digest covers the
packages too, because the archive's ``requirements.txt`` and ``requirements-arrow.txt`` contain the sha256 of
every wheel.
"""

import hashlib
import io
import struct
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from federation.checkout import CLIENT_CODE
from federation.config.names import SOURCE_PREFIX
from federation.errors import PublishError

REQUIREMENTS = "requirements.txt"
ARROW_REQUIREMENTS = "requirements-arrow.txt"
"""What a job installs only if its data need it."""
PROTOCOL = "protocol"
"""The package that both ends import; the only folder of a client's code."""
_BLOCK = 0xFFFF


@dataclass(frozen=True, kw_only=True)
class SourceArchive:
    """A ``.tar.gz`` in the form that SageMaker's script mode expects.

    Parameters
    ----------
    content : bytes
        The archive.
    files : int
        Number of files in it.
    """

    content: bytes
    files: int

    @property
    def digest(self) -> str:
        """The sha256 of the archive, hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def key(self) -> str:
        """Its key in the client's code bucket."""
        return archive_key(self.digest)


def archive_key(digest: str) -> str:
    """Return the key of the archive with this digest in a client's code bucket."""
    return f"{SOURCE_PREFIX}{digest}/source.tar.gz"


def source_archive(folder: Path = CLIENT_CODE) -> SourceArchive:
    """Return the archive of a folder of code.

    Parameters
    ----------
    folder : Path
        Its Python files, those of its package ``protocol``, and its two locks go in; other files do not.

    Raises
    ------
    PublishError
        There is no ``client.py``, no package ``protocol``, or a lock is missing.
    """
    files = read_code(folder)
    return SourceArchive(content=pack(files), files=len(files))


def read_code(folder: Path = CLIENT_CODE) -> dict[str, bytes]:
    """Return the bytes of a folder's code by path, as `source_archive` packs them."""
    code = [path for pattern in ("*.py", f"{PROTOCOL}/*.py") for path in folder.glob(pattern)]
    names = sorted([*(it.relative_to(folder).as_posix() for it in code), REQUIREMENTS, ARROW_REQUIREMENTS])
    try:
        files = {name: (folder / name).read_bytes() for name in names}
    except OSError as error:
        raise PublishError(
            f"{error.filename}: cannot be read ({error.strerror}).",
            "Restore client_code/ from the repository.",
        ) from error
    for needed in ("client.py", f"{PROTOCOL}/__init__.py"):
        if needed not in files:
            raise PublishError(
                f"{folder}: there is no {needed}.", "Restore client_code/ from the repository."
            )
    return files


def pack(files: Mapping[str, bytes]) -> bytes:
    """Return a ``.tar.gz`` of some files that depends only on their names and bytes."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(files):
            member = tarfile.TarInfo(name)  # its time, owner and group are 0
            member.size, member.mode = len(files[name]), 0o644
            tar.addfile(member, io.BytesIO(files[name]))
    return _gzip(packed.getvalue())


def _gzip(content: bytes) -> bytes:
    """Wrap bytes as gzip without compressing them (RFC 1952; stored blocks of RFC 1951).

    The standard library's result depends on the zlib it was built with, and on Python's version.
    """
    header = b"\x1f\x8b\x08\0" + bytes(4) + b"\0\xff"  # deflate, no name, no time, no flags, unknown system
    blocks = [content[at : at + _BLOCK] for at in range(0, len(content), _BLOCK)]
    stored = [
        struct.pack("<BHH", at == len(blocks) - 1, len(block), len(block) ^ _BLOCK) + block
        for at, block in enumerate(blocks)
    ]
    return b"".join([header, *stored, struct.pack("<II", zlib.crc32(content), len(content))])
