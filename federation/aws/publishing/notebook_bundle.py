"""Build the bundle that a notebook installs at its start: this package, its configuration, locked wheels.

The counterpart is ``stacks/lifecycle/on_start.sh``. The same commit, configuration and lock give the same
bytes: this package is delivered as a wheel without times or compression, whose version and name contain the
digest of its content. ``requirements.txt`` puts a bundle into effect: it is uploaded last, and replaces one
whole bundle by another.
"""

import base64
import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from federation import __version__
from federation.aws.publishing.source_archive import read_code
from federation.aws.publishing.wheel_lock import PYTHON, LockedWheel, format_lock, lock_python, read_lock
from federation.checkout import CLIENT_CODE, NOTEBOOK_LOCK
from federation.config.names import NOTEBOOK_PREFIX
from federation.errors import PublishError

CONFIG = "federation.toml"
PYTHON_VERSION = "python-version"
REQUIREMENTS = "requirements.txt"
TEST_DATA = "test.csv"
WHEELS = "wheels/"

SHIPPED = frozenset({".py", ".j2"})
NOT_SHIPPED = "rehearse"
"""Folder of the package that no notebook needs: the emulator of AWS has no business on AWS."""
_DIGITS = 12
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that zip knows


@dataclass(frozen=True, kw_only=True)
class NotebookPackages:
    """The packages that a notebook installs in addition to this one.

    Parameters
    ----------
    wheels : tuple of LockedWheel
        Every package, resolved for the notebook.
    python : str
        The Python version of the wheels, such as ``3.12``; the start script looks for it.
    """

    wheels: tuple[LockedWheel, ...]
    python: str = PYTHON


@dataclass(frozen=True, kw_only=True)
class PackageWheel:
    """A wheel of the package ``federation`` and of the clients' code.

    Parameters
    ----------
    version : str
        The product's version and the digest of the content.
    content : bytes
        The wheel.
    """

    version: str
    content: bytes

    @property
    def locked(self) -> LockedWheel:
        """Its line in a requirements file."""
        return LockedWheel(
            pin=f"federation=={self.version}",
            file=f"federation-{self.version}-py3-none-any.whl",
            sha256=hashlib.sha256(self.content).hexdigest(),
        )


def locked_packages() -> NotebookPackages:
    """Return the packages of ``requirements-notebook.txt``.

    Raises
    ------
    PublishError
        This is not a checkout of the repository, or the file is damaged.
    """
    return NotebookPackages(wheels=read_lock(NOTEBOOK_LOCK), python=lock_python(NOTEBOOK_LOCK))


def read_package(root: Path = CLIENT_CODE.parent) -> dict[str, bytes]:
    """Return the bytes of this package and of the clients' code, by path.

    Raises
    ------
    PublishError
        A file cannot be read.
    """
    folder = root / "federation"
    paths = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix in SHIPPED and path.relative_to(folder).parts[0] != NOT_SHIPPED
    )
    try:
        ours = {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}
    except OSError as error:
        raise PublishError(
            f"{error.filename}: cannot be read ({error.strerror}).", "Restore it from the repository."
        ) from error
    code = {f"client_code/{name}": content for name, content in read_code(root / "client_code").items()}
    return ours | code


def package_wheel(files: Mapping[str, bytes]) -> PackageWheel:
    """Return a wheel of some files that depends only on their paths and bytes.

    Its requirements are not in it, but in the bundle's ``requirements.txt``.
    https://packaging.python.org/en/latest/specifications/binary-distribution-format/
    """
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{path}\0{hashlib.sha256(files[path]).hexdigest()}\n".encode())
    version = f"{__version__}+{digest.hexdigest()[:_DIGITS]}"
    info = f"federation-{version}.dist-info"
    tag = b"Wheel-Version: 1.0\nGenerator: federation\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    members = {
        **{path: files[path] for path in sorted(files)},
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: federation\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": tag,
    }
    record = "".join(f"{path},{_record(content)}\n" for path, content in members.items())
    members[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    return PackageWheel(version=version, content=_zip(members))


def bundle(
    package: PackageWheel,
    packages: NotebookPackages,
    *,
    configuration: bytes,
    beside: Mapping[str, bytes] = MappingProxyType({}),
) -> dict[str, bytes]:
    """Return the files of a notebook's bundle by key; the other wheels are stored beside its own.

    Parameters
    ----------
    package : PackageWheel
        This package.
    packages : NotebookPackages
        All others.
    configuration : bytes
        The configuration file, as it is.
    beside : mapping of str to bytes
        Files that the configuration names, by their names.
    """
    head = "# What the notebook installs; made by federation.publish."
    files = {
        CONFIG: configuration,
        **beside,
        PYTHON_VERSION: f"{packages.python}\n".encode(),
        f"{WHEELS}{package.locked.file}": package.content,
        REQUIREMENTS: format_lock([package.locked, *packages.wheels], head=head).encode(),
    }
    return {f"{NOTEBOOK_PREFIX}{name}": content for name, content in files.items()}


def _record(content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
    return f"sha256={digest},{len(content)}"


def _zip(members: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for path, content in members.items():
            member = zipfile.ZipInfo(path, _EPOCH)
            member.create_system, member.external_attr = 3, 0o644 << 16  # Unix, whatever runs here
            archive.writestr(member, content)
    return packed.getvalue()
