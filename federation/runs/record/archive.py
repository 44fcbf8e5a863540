"""Write arrays and plain values as one file that is whole or not there, and that nothing unpickles.

A zip file of ``state.json`` and NumPy's ``.npy`` files.
"""

import io
import json
import os
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from federation.files import replacing

Arrays = dict[str, NDArray[Any]]
State: TypeAlias = Any
"""Dicts, lists, arrays and plain values, nested as one likes."""
DAMAGED = (
    *(OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, EOFError),
    *(RuntimeError, zipfile.BadZipFile, zlib.error, struct.error),
)
"""What reading an archive raises if it is not there, damaged, or something else."""


def write_archive(path: Path, state: State, *, former: Path | None = None) -> int:
    """Replace an archive; after a loss of power the old one or the new one is there, whole. Return its bytes.

    Parameters
    ----------
    path : Path
        The file.
    state : dict, list, array, or a plain value
        Nested as one likes; keys of dicts are texts or whole numbers.
    former : Path, optional
        Keeps the archive that is replaced.
    """
    arrays: Arrays = {}
    text = json.dumps(_pack(state, "state", arrays))
    with replacing(path) as partial:
        with zipfile.ZipFile(partial, "w") as archive:
            archive.writestr("state.json", text)
            for name, array in arrays.items():
                content = io.BytesIO()
                np.lib.format.write_array(content, array, allow_pickle=False)
                archive.writestr(name, content.getvalue())
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        if former and path.exists():
            path.replace(former)
        return partial.stat().st_size


def read_archive(path: Path) -> State:
    """Return what `write_archive` was given; the zip format's checksums are verified.

    Raises
    ------
    DAMAGED
        The file is not there, damaged, or something else.
    """
    with zipfile.ZipFile(path) as archive:
        return _unpack(json.loads(archive.read("state.json")), archive)


def _pack(value: State, name: str, arrays: Arrays) -> State:
    """Return JSON for a value: what JSON cannot hold as it is becomes a list that begins with its kind."""
    if isinstance(value, np.ndarray):
        arrays[f"{name}.npy"] = value
        return ["array", f"{name}.npy"]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return ["dict", [[key, _pack(part, f"{name}/{key}", arrays)] for key, part in value.items()]]
    if isinstance(value, list | tuple):
        return ["list", [_pack(part, f"{name}/{at}", arrays) for at, part in enumerate(value)]]
    return value


def _unpack(packed: State, archive: zipfile.ZipFile) -> State:
    if not isinstance(packed, list):
        return packed
    kind, content = packed
    if kind == "array":
        return np.lib.format.read_array(io.BytesIO(archive.read(content)), allow_pickle=False)
    if kind == "dict":
        return {key: _unpack(part, archive) for key, part in content}
    return [_unpack(part, archive) for part in content]
