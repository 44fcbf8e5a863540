"""Make the curated table from the raw files: read, aggregate, join, write; all of it or nothing."""

import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import duckdb

from federation.data.cms import reading
from federation.data.cms.columns import CLAIMS, DMEPOS, GENDER, LABEL, LEIE, PART_B, Kind
from federation.data.cms.database import Say, connect, create, one_row
from federation.data.cms.manifest import CmsManifest
from federation.data.cms.raw_file import RawFile, inspect, readable
from federation.errors import (
    CmsFormatError,
    CmsOverlapError,
    CmsPositivesError,
    OutputExistsError,
    SettingError,
)
from federation.files import replacing, sha256_of

FORMATS = (".csv", ".parquet")

Files = Mapping[Kind, Sequence[RawFile]]


class _Counts(NamedTuple):
    """What came of a file: rows, of these dropped by reason, providers, and withheld values."""

    rows: int
    dropped: Mapping[str, int]
    providers: int
    withheld: int = 0


class _Joined(NamedTuple):
    """What came of the join: pairs in all files, of these incomplete; then rows of the result."""

    pairs: int
    incomplete: int
    rows: int
    positives: int
    gender_unknown: int


def prepare_cms(paths: Mapping[Kind, Sequence[Path]], out: Path, say: Say) -> CmsManifest:
    """Prepare the curated table: one row for each provider and type that is in all three files.

    Parameters
    ----------
    paths : mapping of Kind to sequence of Path
        The raw files; several years are several files of a kind.
    out : Path
        The table to write, CSV or Parquet by its name; its manifest goes beside it.
    say : callable
        Told how it goes.

    Returns
    -------
    CmsManifest
        What was written beside the table.

    Raises
    ------
    SettingError
        If `out` is neither CSV nor Parquet, or a file was given twice.
    OutputExistsError
        If the table or its manifest exists.
    MissingFileError, CmsFormatError, CmsColumnError
        If a file cannot be used.
    CmsOverlapError, CmsPositivesError
        If no row, or no positive row, would be left.
    """
    manifest_path = out.with_suffix(".manifest.json")
    _refuse(out, manifest_path)
    files = _inspect(paths, say)
    try:
        return _prepare(files, out, manifest_path, say)
    except OSError as error:
        raise SettingError(
            f"{out}: cannot be written ({error.strerror}).", "Choose another folder."
        ) from error


def _prepare(files: Files, out: Path, manifest_path: Path, say: Say) -> CmsManifest:
    out.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-spill-") as spill,
        connect(spill) as database,
        replacing(out) as table,
        replacing(manifest_path) as beside,
    ):
        files = {kind: [readable(file, Path(spill)) for file in several] for kind, several in files.items()}
        counts = {kind: _aggregate(database, kind, files[kind], say) for kind in CLAIMS}
        counts[LEIE] = _read_exclusions(database, files[LEIE], say)
        facts = _join(database, files, say)
        _write(database, table)
        manifest = _describe(files, counts, facts, table)
        beside.write_text(manifest.to_json(), encoding="utf-8")
    return manifest


def _refuse(out: Path, manifest: Path) -> None:
    if out.suffix.lower() not in FORMATS:
        raise SettingError(f"{out}: neither CSV nor Parquet.", f"Let its name end in {' or '.join(FORMATS)}.")
    for path in (out, manifest):
        if path.exists():
            raise OutputExistsError(
                f"{path} exists already.", "Choose another name with --out, or remove it."
            )


def _inspect(paths: Mapping[Kind, Sequence[Path]], say: Say) -> Files:
    """Look at every file, several at once."""
    jobs = [(kind, path) for kind, several in paths.items() for path in several]
    total = sum(path.stat().st_size for _, path in jobs if path.is_file())
    say(f"Looking through {len(jobs)} files, {total / 1e6:,.1f} MB")
    with ThreadPoolExecutor(2) as pool:
        looked = list(pool.map(lambda job: inspect(job[1], job[0]), jobs))
    seen: dict[str, Path] = {}
    for file in looked:
        if file.sha256 in seen:
            raise SettingError(
                f"{file.path}: the same bytes as {seen[file.sha256]}.",
                "Name each file once: its rows would count twice.",
            )
        seen[file.sha256] = file.path
    return {
        kind: [file for (of, _), file in zip(jobs, looked, strict=True) if of == kind]
        for kind in (*CLAIMS, LEIE, GENDER)
    }


def _aggregate(
    database: duckdb.DuckDBPyConnection, kind: Kind, files: Sequence[RawFile], say: Say
) -> _Counts:
    """Aggregate the files of a kind into a table of its name."""
    names = ", ".join(file.path.name for file in files)
    say(f"Reading --{kind.option}: {names}")
    started = time.perf_counter()
    create(database, kind.table, reading.statistics(kind, files), files, say)
    rows, providers, keyless, withheld = one_row(
        database,
        "SELECT coalesce(sum(rows_), 0)::BIGINT, count(npi), "
        "coalesce(sum(rows_) FILTER (npi IS NULL), 0)::BIGINT, "
        f"coalesce(sum(withheld) FILTER (npi IS NOT NULL), 0)::BIGINT FROM {kind.table}",
    )
    seconds = time.perf_counter() - started
    say(f"  {rows:,} rows of {providers:,} providers in {seconds:.1f} s, {rows / seconds:,.0f} rows/s")
    if not providers:
        raise CmsFormatError(
            f"{names}: no row has a valid NPI and a provider type.", f"Download {kind.title} again."
        )
    _refuse_infinite(database, kind, names)
    return _Counts(rows, {"no valid NPI or no provider type": keyless}, providers, withheld)


def _refuse_infinite(database: duckdb.DuckDBPyConnection, kind: Kind, names: str) -> None:
    """Refuse "inf" and "nan", which are numbers to a parser."""
    finite = ", ".join(
        f"bool_and(isfinite({measure.name}_sum) AND isfinite({measure.name}_standard_deviation))"
        for measure in kind.measures
    )
    for measure, good in zip(
        kind.measures, one_row(database, f"SELECT {finite} FROM {kind.table}"), strict=True
    ):
        if good is False:
            raise CmsFormatError(
                f'{names}: column "{measure.spellings[0]}" holds a number that is infinite or none.',
                "Download the file again.",
            )


def _read_exclusions(database: duckdb.DuckDBPyConnection, files: Sequence[RawFile], say: Say) -> _Counts:
    """Make a table of the NPIs that count as positive, each once."""
    create(database, "leie", reading.exclusions(LEIE, files), files, say)
    rows, unknown, other = one_row(
        database,
        "SELECT count(*), count(*) FILTER (npi IS NULL), count(*) FILTER (npi IS NOT NULL AND NOT counts) "
        "FROM leie",
    )
    database.execute(
        "CREATE TABLE excluded AS SELECT DISTINCT npi FROM leie WHERE counts AND npi IS NOT NULL"
    )
    (listed,) = one_row(database, "SELECT count(*) FROM excluded")
    dropped = {
        "NPI unknown (0000000000)": unknown,
        "another reason for exclusion": other,
        "listed again": rows - unknown - other - listed,
    }
    return _Counts(rows, dropped, listed)


def _join(database: duckdb.DuckDBPyConnection, files: Files, say: Say) -> _Joined:
    """Join the tables into one named ``joined``, and count."""
    tables = [PART_B.table, DMEPOS.table]
    if files[GENDER]:
        create(database, "gender", reading.genders(GENDER, files[GENDER]), files[GENDER], say)
        tables.append("gender")
    database.execute(f"CREATE TABLE genders AS {reading.known_genders(tables)}")
    database.execute(f"CREATE TABLE joined AS {reading.joined()}")
    found = _Joined(
        *one_row(
            database,
            "SELECT count(*), count(*) FILTER (NOT complete), count(*) FILTER (complete), "
            f"count(*) FILTER (complete AND {LABEL} = 1), count(*) FILTER (complete AND NOT gender_known) "
            "FROM joined",
        )
    )
    if not found.rows:
        raise CmsOverlapError(
            f"no provider is, with the same type, in all of {_options(CLAIMS)} "
            f"({found.pairs:,} are, {found.incomplete:,} of them with a measure withheld throughout).",
            "Check that the files cover the same years and whole states.",
        )
    if not found.positives:
        raise CmsPositivesError(
            f"none of the {found.rows:,} providers is in --{LEIE.option} for one of the reasons that count.",
            "Check that it is the full LEIE file, not a monthly supplement, and that the years overlap.",
        )
    return found


def _write(database: duckdb.DuckDBPyConnection, path: Path) -> None:
    how = "FORMAT parquet" if path.suffix.lower() == ".parquet" else "FORMAT csv, HEADER"
    database.execute("SET preserve_insertion_order = true")
    database.execute(f"COPY ({reading.result()}) TO {reading.literal(str(path))} ({how})")


def _describe(files: Files, counts: Mapping[Kind, _Counts], found: _Joined, out: Path) -> CmsManifest:
    notes = []
    if not any("gender" in file.columns for several in files.values() for file in several):
        notes.append(
            "No file has a gender column: female is 0 throughout. --gender takes an older release, or NPPES."
        )
    elif found.gender_unknown:
        notes.append(f"No file says the gender of {found.gender_unknown:,} providers: their female is 0.")
    latin = [file.path.name for several in files.values() for file in several if not file.utf8]
    if latin:
        notes.append(f"Not UTF-8, which costs nothing but letters of names: {', '.join(latin)}.")
    return CmsManifest(
        synthetic=any("synthetic" in file.path.name for several in files.values() for file in several),
        inputs={
            kind.option: [
                {"name": file.path.name, "sha256": file.sha256, "bytes": file.bytes} for file in several
            ]
            for kind, several in files.items()
        },
        rows_read={kind.option: count.rows for kind, count in counts.items()},
        rows_dropped={kind.option: count.dropped for kind, count in counts.items()},
        providers={kind.option: count.providers for kind, count in counts.items()} | {"in all": found.pairs},
        providers_dropped={
            **{
                f"only in some files, of --{kind.option}": counts[kind].providers - found.pairs
                for kind in CLAIMS
            },
            "a measure withheld throughout": found.incomplete,
        },
        values_withheld={kind.option: counts[kind].withheld for kind in CLAIMS},
        gender_unknown=found.gender_unknown,
        rows=found.rows,
        positives=found.positives,
        notes=tuple(notes),
        output={"name": out.name, "sha256": sha256_of(out)},
    )


def _options(kinds: Sequence[Kind]) -> str:
    return ", ".join(f"--{kind.option}" for kind in kinds)
