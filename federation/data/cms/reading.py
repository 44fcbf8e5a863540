"""Say in SQL how the raw files become one row for each provider; nothing here runs it.

DuckDB runs it: it reads CSV in pieces on all cores, keeps to a memory limit, spills what exceeds it to disk,
and says at which line a file is broken (ADR 0070).
"""

from collections.abc import Sequence

from federation.data.cms.columns import (
    CLAIMS,
    EXCLUSIONS,
    FEATURES,
    FEMALE,
    LABEL,
    LEAST_SUPPRESSED,
    Column,
    Kind,
)
from federation.data.cms.raw_file import RawFile

DECIMALS = 6
"""Where results are rounded, so that the order in which cores add up does not show."""

_WITHHELD = ("", " ", "*", "#")

# Ten digits, the first 1 or 2; so 0000000000, which stands for "unknown", is none, nor is the 0000000001 of
# the copyright notice in old files. Spreadsheets make ="1234567890" and 1234567890.0 of it.
_NPI = r"""^\s*(?:=\s*"\s*)?0*([12]\d{9})(?:\.0+)?(?:\s*")?\s*$"""

_FEMALE = "CASE upper(gender) WHEN 'F' THEN 1 WHEN 'M' THEN 0 END"

_STATISTICS = {
    "mean": "sum({0}) / count({0})",
    "sum": "sum({0})",
    "standard_deviation": "coalesce(stddev_samp({0}), 0)",
}


def scan(file: RawFile, kind: Kind) -> str:
    """Select the columns of `kind` from a file, by our names; what is withheld or absent is NULL."""
    measures = {file.columns[column.name] for column in kind.measures}
    types = ", ".join(
        f"'c{at}': '{'DOUBLE' if at in measures else 'VARCHAR'}'" for at in range(len(file.header))
    )
    columns = ", ".join(f"{_expression(file, column)} AS {column.name}" for column in kind.columns)
    return (
        f"SELECT {columns} FROM read_csv({literal(str(file.readable))}, auto_detect = false, header = true, "
        f"delim = {literal(file.delimiter)}, quote = '\"', escape = '\"',"
        f"nullstr = [{', '.join(map(literal, _WITHHELD))}], columns = {{{types}}})"
    )


def _expression(file: RawFile, column: Column) -> str:
    at = file.columns.get(column.name)
    if at is None:
        return "NULL::VARCHAR"
    text = f"c{at}"
    if column.measure:
        return text
    if column.name != "npi":
        return f"trim({text})"
    usual = f"length({text}) = 10 AND substr({text}, 1, 1) IN ('1', '2')"
    odd = f"nullif(regexp_extract({text}, {literal(_NPI)}, 1), '')"
    return f"CASE WHEN {usual} THEN try_cast({text} AS BIGINT) ELSE try_cast({odd} AS BIGINT) END"


def statistics(kind: Kind, files: Sequence[RawFile]) -> str:
    """Select, for each provider and type over all files, the statistics of every measure.

    Rows without a provider or type gather in one row with NULL for both. ``rows_`` counts rows, ``withheld``
    the values that CMS withheld.
    """
    has_key = "npi IS NOT NULL AND nullif(type, '') IS NOT NULL"
    withheld = " + ".join(f"({column.name} IS NULL)::INT" for column in kind.measures)
    has_gender = any(column.name == "gender" for column in kind.columns)
    values = [
        f"coalesce({column.name}, {LEAST_SUPPRESSED}) AS {column.name}" if column.suppressed else column.name
        for column in kind.measures
    ]
    aggregates = [
        f"{_STATISTICS[statistic].format(column.name)} AS {column.name}_{statistic}"
        for column in kind.measures
        for statistic in kind.statistics
    ]
    return f"""
        SELECT npi, type, count(*) AS rows_, sum(withheld) AS withheld, max({FEMALE}) AS {FEMALE},
            {", ".join(aggregates)}
        FROM (
            SELECT CASE WHEN {has_key} THEN npi END AS npi, CASE WHEN {has_key} THEN type END AS type,
                {_FEMALE if has_gender else "NULL::INT"} AS {FEMALE},
                {withheld} AS withheld, {", ".join(values)}
            FROM ({_all(kind, files)})
        )
        GROUP BY npi, type"""


def exclusions(kind: Kind, files: Sequence[RawFile]) -> str:
    """Select every row of the exclusions file: its provider, and whether it is excluded for fraud."""
    codes = ", ".join(map(literal, EXCLUSIONS))
    return f"SELECT npi, coalesce(lower(exclusion) IN ({codes}), false) AS counts FROM ({_all(kind, files)})"


def genders(kind: Kind, files: Sequence[RawFile]) -> str:
    """Select each provider's gender from files that have nothing else of interest."""
    rows = _all(kind, files)
    return f"SELECT npi, max({_FEMALE}) AS {FEMALE} FROM ({rows}) WHERE npi IS NOT NULL GROUP BY npi"


def known_genders(tables: Sequence[str]) -> str:
    """Select each provider's gender, if any of the tables has it; who was ever F is female."""
    rows = " UNION ALL ".join(f"SELECT npi, {FEMALE} FROM {table}" for table in tables)
    return f"SELECT npi, max({FEMALE}) AS {FEMALE} FROM ({rows}) WHERE npi IS NOT NULL GROUP BY npi"


def joined() -> str:
    """Select the features and the label of each provider and type that is in all three files.

    ``gender_known`` and ``complete`` say whether the gender is known, and whether no statistic is NULL.
    """
    first, *others = (kind.table for kind in CLAIMS)
    features = [(f"{kind.table}.{name}", name) for kind in CLAIMS for name in kind.features]
    return f"""
        SELECT (excluded.npi IS NOT NULL)::INT AS {LABEL}, coalesce(genders.{FEMALE}, 0) AS {FEMALE},
            {", ".join(f"round({value}, {DECIMALS}) AS {name}" for value, name in features)},
            genders.{FEMALE} IS NOT NULL AS gender_known,
            {" AND ".join(f"{value} IS NOT NULL" for value, _ in features)} AS complete
        FROM {first} {" ".join(f"JOIN {table} USING (npi, type)" for table in others)}
        LEFT JOIN genders ON genders.npi = {first}.npi
        LEFT JOIN excluded ON excluded.npi = {first}.npi"""


def result() -> str:
    """Select the result, ordered by its own values: their order says nothing about who a row is."""
    names = ", ".join(FEATURES)
    return f"SELECT {LABEL}, {names} FROM joined WHERE complete ORDER BY {names}, {LABEL}"


def literal(text: str) -> str:
    """Quote a text for SQL."""
    return "'" + text.replace("'", "''") + "'"


def _all(kind: Kind, files: Sequence[RawFile]) -> str:
    return " UNION ALL ".join(scan(file, kind) for file in files)
