"""Decide how each column of a table is read, once all its cells are known."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from client_code.protocol.cells import Words, number
from client_code.protocol.contract import Kind
from federation.data.columns.column import Column
from federation.data.columns.mixed import of_notations, read_as
from federation.data.columns.reader import Reader, Told, reader_of
from federation.data.columns.scan import Scan
from federation.data.files.decimals import with_point


def settled(
    scanned: Scan, names: Collection[str], kinds: Mapping[str, Kind], told: Told, *, codes: bool
) -> Scan:
    """Return a table with gaps in the place of declared words, and texts where they decide what a column is.

    Parameters
    ----------
    scanned : Scan
        The table. A column that held nothing but numbers for a while is read again, as texts.
    names : collection of str
        The columns that are used.
    kinds : mapping of str to Kind
        What each holds, where that is known.
    told : Told
        What the user tells of cells.
    codes : bool
        Whether it is a user's own table.
    """
    told = _left_open(scanned, told)
    columns = {name: scanned.columns[name] for name in names if name in scanned.columns}
    late = [
        name
        for name, one in columns.items()
        if _needs_texts(name, one, kinds.get(name), told, codes=codes, commas="," in scanned.marks)
    ]
    # Words are as they are written, and so are numbers unless each file is read by its own decimal mark.
    unchanged = [name for name in late if not scanned.both_marks or kinds.get(name) == "categorical"]
    columns |= scanned.again(unchanged, as_written=True)
    columns |= scanned.again([name for name in late if name not in unchanged], as_written=False)
    if told.missing:
        points = map(with_point, told.missing if "," in scanned.marks else ())
        words, converted = Words(told.missing), Words([*told.missing, *points])
        columns = {
            name: column.emptied(words if column.as_written else converted)
            for name, column in columns.items()
        }
    return replace(scanned, columns={**scanned.columns, **columns})


def settled_readers(
    scanned: Scan, names: Sequence[str], kinds: Mapping[str, Kind], told: Told, *, codes: bool
) -> tuple[Scan, dict[str, Reader], list[str]]:
    """Return columns as `settled`, how to read them, and what to tell of them.

    A decimal comma that one column shows holds where others leave it open.
    """
    scanned = settled(scanned, names, kinds, told, codes=codes)
    readers, notes = _readers_of(scanned, names, kinds, told, codes=codes)
    if told.decimal is None and any(one.notation and one.notation.has_comma for one in readers.values()):
        told = replace(told, decimal=",")
        scanned = settled(scanned, names, kinds, told, codes=codes)
        readers, notes = _readers_of(scanned, names, kinds, told, codes=codes)
    words = [name for name, one in readers.items() if one.kind == "categorical"]
    if any(scanned.columns[name].marks and not scanned.columns[name].as_written for name in words):
        found: dict[str, Kind] = dict.fromkeys(words, "categorical")
        scanned = settled(scanned, names, {**kinds, **found}, told, codes=codes)
    return scanned, readers, notes


def _readers_of(
    scanned: Scan, names: Sequence[str], kinds: Mapping[str, Kind], told: Told, *, codes: bool
) -> tuple[dict[str, Reader], list[str]]:
    told, readers, notes = _left_open(scanned, told), dict[str, Reader](), list[str]()
    columns = {name: scanned.columns[name] for name in names}
    for name, column in columns.items():
        kind = kinds.get(name)
        if name in told.dates:
            readers[name] = Reader("numeric", dates=told.dates[name])
        elif codes and column.known:
            decimal = None if scanned.both_marks else _decimal_of(column, told)
            reader = reader_of(name, column.counts(), kind=kind, decimal=decimal)
            readers[name] = _consistent(scanned, name, column, reader)
        else:
            profile = column.profile()
            readers[name] = Reader(kind or ("categorical" if codes and profile.codes else profile.kind))
        if notation := readers[name].notation:
            notes.append(read_as(name, notation))
    if declared := [
        f'"{name}" in {column.declared:,}' for name, column in columns.items() if column.declared
    ]:
        notes.append(f"Missing, as declared: {', '.join(declared)} rows.")
    return readers, notes


def _consistent(scanned: Scan, name: str, column: Column, reader: Reader) -> Reader:
    """Return a reader, or one that refuses a notation beside numbers whose point is one before decimals."""
    if (notation := reader.notation) is None:
        return reader
    typed = True in column.fractions and notation.has_comma
    converted = scanned.both_marks and bool(column.marks)
    if typed or (converted and (notation.has_comma or any("," in text for text in column.known))):
        texts = column.profile()
        return Reader("numeric", refusal=of_notations(name, texts.texts, texts.texts + texts.numbers))
    return reader


def _decimal_of(column: Column, told: Told) -> str | None:
    """Return the decimal mark of a column, where it is known: one of a file with commas has marks."""
    if column.fractions == {True}:  # its numbers are no texts
        return "."
    return told.decimal or ("," if column.marks else None)


def _left_open(scanned: Scan, told: Told) -> Told:
    """Return what is told without the decimal mark, where each file was read by its own."""
    return replace(told, decimal=None) if scanned.both_marks else told


def _needs_texts(
    name: str, column: Column, kind: Kind | None, told: Told, *, codes: bool, commas: bool
) -> bool:
    if codes and kind in (None, "numeric") and column.known and column.marks and not column.as_written:
        return True
    if kind == "categorical" and commas and not column.as_written and any(map(_has_point, column.known)):
        return True
    if column.as_texts:
        return False
    if kind not in (None, "numeric") or name in told.dates:
        return True
    if not codes:
        return kind is None and column.profile().kind != "numeric"
    pointed = "." in column.marks or (told.decimal == "," and not column.marks and False in column.fractions)
    return bool(column.known) or pointed or (column.zeros > 0 and kind is None)


def _has_point(text: str) -> bool:
    """Return whether a text is a number with a point, which may have been a comma."""
    return "." in text and number(text.strip()) is not None
