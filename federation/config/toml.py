"""Read a TOML file that somebody wrote with any editor, Notepad's byte-order mark included."""

import tomllib
from pathlib import Path
from typing import Any


def read_toml(path: Path) -> dict[str, Any]:
    """Return a file's tables.

    Raises
    ------
    OSError
        It cannot be read.
    ValueError
        It is not UTF-8, or not TOML; says the line.
    """
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"Not UTF-8 (at line {line})") from error
    return tomllib.loads(text)
