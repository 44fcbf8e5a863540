"""How fast raw CMS files become a table, and in how much memory.

python -m benchmarks.cms_preparation --rows 10000000
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

from benchmarks.machine import describe
from benchmarks.results import write_section

# Rows of a provider in the real files of one year, and their share of all rows.
PART_B, PART_D, DMEPOS = (9, 0.45), (25, 0.5), (4, 0.05)
WANTED_RATE, WANTED_MEMORY = 1e6, 1024

_TYPES = (
    "['Internal Medicine', 'Family Practice', 'Nurse Practitioner', 'Cardiology'][CAST({who} % 4 AS INT) + 1]"
)
_GENDER = "CASE WHEN {who} % 3 = 0 THEN 'F' ELSE 'M' END"
_NPI = "1000000000 + {who} * 7919 % 900000000"
_NAMES = "'LASTNAME' || {who} % 50000 AS last, 'First' || {who} % 3000 AS first, 'M.D.' AS credentials"
_ADDRESS = (
    "({who} % 9999) || ' Example Medical Center Drive' AS street1, 'Suite 100' AS street2, "
    "'Springfield' AS city, 'MA' AS state, '25' AS fips, '01101' AS zip, '1' AS ruca, 'US' AS country, "
    "'Metropolitan area core: primary flow within an urbanized area of 50,000 and greater' AS ruca_desc"
)


def _draw(number: int, most: int) -> str:
    return f"11 + hash(i, {number}) % {most}"


def _withheld(number: int) -> str:
    return f"CASE WHEN hash(i, {number}) % 2 = 0 THEN 11 + hash(i, {number}) % 100 END"


_COLUMNS = {
    "part_b": f"{_NPI} AS Rndrng_NPI, {_NAMES}, {_GENDER} AS Rndrng_Prvdr_Gndr, "
    f"{_ADDRESS}, {_TYPES} AS Rndrng_Prvdr_Type, '99' || i % 9 AS HCPCS_Cd, "
    "'Established patient office or other outpatient visit, 20-29 minutes' AS HCPCS_Desc, "
    f"'O' AS Place_Of_Srvc, {_draw(1, 400)} AS Tot_Benes, {_draw(2, 900)} AS Tot_Srvcs, "
    f"{_draw(3, 800)} AS Tot_Bene_Day_Srvcs, ({_draw(4, 9999)}) / 13.7 AS Avg_Sbmtd_Chrg, "
    f"({_draw(5, 9999)}) / 17.3 AS Avg_Mdcr_Alowd_Amt, ({_draw(6, 9999)}) / 19.9 AS Avg_Mdcr_Pymt_Amt",
    "part_d": f"{_NPI} AS Prscrbr_NPI, {_NAMES}, {_TYPES} AS Prscrbr_Type, 'Brand' || i % 25 AS Brnd_Name, "
    f"'Generic name hydrochloride ' || i % 25 AS Gnrc_Name, {_draw(1, 100)} AS Tot_Clms, "
    f"({_draw(2, 900)}) / 10 AS Tot_30day_Fills, {_draw(3, 8000)} AS Tot_Day_Suply, "
    f"({_draw(4, 9999)}) / 1.37 AS Tot_Drug_Cst, {_withheld(5)} AS Tot_Benes, '*' AS GE65_Sprsn_Flag, "
    "11 AS GE65_Tot_Clms, 12.1 AS GE65_Tot_30day_Fills, 33.12 AS GE65_Tot_Drug_Cst",
    "dmepos": f"{_NPI} AS Rfrg_NPI, {_NAMES}, {_GENDER} AS Rfrg_Prvdr_Gndr, "
    f"{_ADDRESS}, {_TYPES} AS Rfrg_Prvdr_Type, 'E0601' AS HCPCS_CD, {_draw(1, 5)} AS Tot_Suplrs, "
    f"{_withheld(2)} AS Tot_Suplr_Benes, {_draw(3, 100)} AS Tot_Suplr_Clms, "
    f"{_draw(4, 100)} AS Tot_Suplr_Srvcs, ({_draw(5, 9999)}) / 13 AS Avg_Suplr_Sbmtd_Chrg, "
    f"({_draw(6, 9999)}) / 17 AS Avg_Suplr_Mdcr_Pymt_Amt",
}


def make_files(folder: Path, rows: int) -> float:
    """Write files of so many rows in all, as wide as the real ones; return their size in GB."""
    database = duckdb.connect(config={"memory_limit": "1GB", "threads": 2})
    for (name, columns), (each, share) in zip(_COLUMNS.items(), (PART_B, PART_D, DMEPOS), strict=True):
        select = columns.format(who=f"(i // {each})")
        database.execute(
            f"COPY (SELECT {select} FROM (SELECT range AS i FROM range({round(rows * share)}))) "  # noqa: S608
            f"TO '{folder / name}.csv' (HEADER)"
        )
    listed = "\n".join(
        f"NAME,{_npi(number) if number % 10 == 0 else '0000000000'},1128a1   " for number in range(80_000)
    )
    (folder / "leie.csv").write_text(f"LASTNAME,NPI,EXCLTYPE\n{listed}\n")
    return sum(path.stat().st_size for path in folder.iterdir()) / 1e9


def _npi(who: int) -> int:
    return 1_000_000_000 + who * 7919 % 900_000_000


def measure(folder: Path, repeat: int) -> list[tuple[float, float, float, dict[str, int]]]:
    """Prepare the files in a process of its own, several times: wall and CPU seconds, peak MB, rows read."""
    figures = []
    for number in range(repeat):
        out = folder / f"out-{number}.csv"
        options = [
            f"--{name.replace('_', '-')}={folder / name}.csv"
            for name in ("part_b", "part_d", "dmepos", "leie")
        ]
        command = [sys.executable, "-m", "federation.data_prep", "cms", *options, f"--out={out}", "--json"]
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE)  # noqa: S603 - our own command
        assert process.stdout is not None
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        assert status == 0
        figures.append(
            (seconds, usage.ru_utime + usage.ru_stime, _peak(usage), json.loads(printed)["rows_read"])
        )
    return figures


def _peak(usage: resource.struct_rusage) -> float:
    """Return the high-water mark in MB; it counts this process at the fork, which is smaller."""
    return usage.ru_maxrss / 1024


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="in all files together")
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    machine = describe()
    with tempfile.TemporaryDirectory() as folder:
        # In a process of its own, so that its memory does not count as that of the measured one.
        make = (
            f"from benchmarks.cms_preparation import *; print(make_files(Path({folder!r}), {arguments.rows}))"
        )
        made = subprocess.run([sys.executable, "-c", make], check=True, capture_output=True, text=True)  # noqa: S603
        figures = measure(Path(folder), arguments.repeat)
    read = sum(rows for kind, rows in figures[0][3].items() if kind != "leie")
    wall, cpu, peak = (sorted(values) for values in list(zip(*figures, strict=True))[:3])
    middle = len(wall) // 2
    lines = [
        f"`federation.data_prep cms` on {read:,} rows in files of {float(made.stdout.split()[-1]):.1f} GB,",
        f"{arguments.repeat} times, from the start of the process to its end.",
        "Wanted: at least 1,000,000 rows a second and at most 1 GB.",
        "",
        "| figure | median | worst |",
        "|---|---|---|",
        f"| wall, s | {wall[middle]:.1f} | {wall[-1]:.1f} |",
        f"| CPU, s | {cpu[middle]:.1f} | {cpu[-1]:.1f} |",
        f"| rows a second | {read / wall[middle]:,.0f} | {read / wall[-1]:,.0f} |",
        f"| peak memory, MB | {peak[middle]:.0f} | {peak[-1]:.0f} |",
    ]
    write_section("CMS preparation", machine, lines)


if __name__ == "__main__":
    main()
