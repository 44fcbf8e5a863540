"""Write a data set of SAS (`.sas7bdat`), which no library writes: 32 bits, little-endian, not compressed.

The layout is that of M. Shotwell's description "SAS7BDAT Database Binary Format". The file has three parts:
a header, a page of subheaders that say what the columns are, and a page of rows. A subheader begins with four
bytes that tell its kind. Names and formats lie in a text of their own, and are referred to by where they
stand in it.
"""

import datetime as dt
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

Value = float | str | dt.date | None

_MAGIC = bytes(12) + bytes.fromhex("c2ea8160b31411cfbd92080009c7318c181f1011")
_SIZE, _PAGE_HEADER = 4096, 24
_META, _DATA = 0, 256
_UTF8 = 20
_NUMBER, _TEXT = 1, 2
_MISSING = b"\x00\x00\x00\x00\x00\xfe\xff\xff"  # SAS's dot: a NaN, and in it the complement of "."
_EPOCH = dt.date(1960, 1, 1)


def write_sas(path: Path, columns: Mapping[str, Sequence[Value]]) -> Path:
    """Write columns of numbers, of dates or of texts, None where a value is missing."""
    kinds = [_TEXT if any(isinstance(v, str) for v in values) else _NUMBER for values in columns.values()]
    dates = [any(isinstance(v, dt.date) for v in values) for values in columns.values()]
    cells = [[_cell(v, kind) for v in values] for kind, values in zip(kinds, columns.values(), strict=True)]
    widths = [max(map(len, column)) for column in cells]
    rows = [
        b"".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in zip(*cells, strict=True)
    ]
    assert sum(map(len, rows)) <= _SIZE - _PAGE_HEADER, "more than a page of rows"
    what = _subheaders(list(columns), kinds, dates, widths, len(rows))
    path.write_bytes(_header(pages=2) + _meta_page(what) + _page(_DATA, len(rows), 0, b"".join(rows)))
    return path


def _cell(value: Value, kind: int) -> bytes:
    if kind == _TEXT:
        return str(value or "").encode()
    number = (value - _EPOCH).days if isinstance(value, dt.date) else value
    return _MISSING if number is None else struct.pack("<d", number)


def _header(*, pages: int) -> bytes:
    header = bytearray(_SIZE)
    for at, content in {
        0: _MAGIC,
        32: b"\x22",  # 32 bits
        35: b"\x22",  # nothing is shifted by 4 bytes
        37: b"\x01",  # little-endian
        39: b"1",  # of Unix
        70: bytes([_UTF8]),
        84: b"SAS FILE",
        92: b"ROWS".ljust(64),
        156: b"DATA    ",
        164: struct.pack("<dd", 0, 0),  # made and changed, in seconds since 1960
        196: struct.pack("<III", _SIZE, _SIZE, pages),
        216: b"9.0401M6",
    }.items():
        header[at : at + len(content)] = content
    return bytes(header)


def _page(kind: int, blocks: int, subheaders: int, content: bytes) -> bytes:
    page = bytes(16) + struct.pack("<HHHH", kind, blocks, subheaders, 0) + content
    return page.ljust(_SIZE, b"\0")


def _meta_page(subheaders: Sequence[bytes]) -> bytes:
    """Return a page with pointers at its beginning, and what they point to at its end."""
    pointers, content = b"", b""
    for subheader in subheaders:
        content = subheader + content
        pointers += struct.pack("<IIBBH", _SIZE - len(content), len(subheader), 0, 0, 0)
    free = bytes(_SIZE - _PAGE_HEADER - len(pointers) - len(content))
    return _page(_META, len(subheaders), len(subheaders), pointers + free + content)


def _subheaders(
    names: Sequence[str], kinds: Sequence[int], dates: Sequence[bool], widths: Sequence[int], rows: int
) -> list[bytes]:
    size = bytearray(480)
    for place, value in {0: 0xF7F7F7F7, 20: sum(widths), 24: rows, 36: len(names), 52: _SIZE}.items():
        struct.pack_into("<I", size, place, value)
    text, named, formats, attributes, begins = b"", b"", list[bytes](), b"", 0

    def reference(words: str) -> bytes:
        """Add to the text, and return where it stands: in which text, after how many bytes, how long."""
        nonlocal text
        where = struct.pack("<HHH", 0, 8 + len(text), len(words))
        text += words.encode().ljust(len(words) + -len(words) % 4)
        return where

    for name, kind, date, width in zip(names, kinds, dates, widths, strict=True):
        named += reference(name) + bytes(2)
        written = reference("DATE") if date else bytes(6)
        formats.append(struct.pack("<I", 0xFFFFFBFE) + bytes(30) + written + bytes(12))
        attributes += struct.pack("<IIHBB", begins, width, 4, kind, 0)
        begins += width
    return [
        bytes(size),
        struct.pack("<III", 0xF6F6F6F6, len(names), 0),
        *map(_counted, (0xFFFFFFFD, 0xFFFFFFFF, 0xFFFFFFFC), (text, named, attributes)),
        *formats,
    ]


def _counted(kind: int, content: bytes) -> bytes:
    """Return a subheader that tells its own size."""
    return struct.pack("<IHHI", kind, len(content) + 8, 0, 0) + content + bytes(8)
