"""Raw CMS files for tests: one tiny set that each test bends, and the made-up sample."""

import csv
from collections.abc import Sequence
from pathlib import Path

from federation.data.cms.columns import DMEPOS, GENDER, LEIE, PART_B, PART_D, Kind
from federation.data.cms.manifest import CmsManifest
from federation.data.cms.preparation import prepare_cms

Rows = list[list[str]]

HEADERS = {
    PART_B: "Rndrng_NPI Rndrng_Prvdr_Last_Org_Name Rndrng_Prvdr_Gndr Rndrng_Prvdr_Type Tot_Benes Tot_Srvcs "
    "Tot_Bene_Day_Srvcs Avg_Sbmtd_Chrg Avg_Mdcr_Pymt_Amt",
    PART_D: "Prscrbr_NPI Prscrbr_Type Tot_Clms Tot_30day_Fills Tot_Day_Suply Tot_Drug_Cst Tot_Benes",
    DMEPOS: "Rfrg_NPI Rfrg_Prvdr_Gndr Rfrg_Prvdr_Type Tot_Suplrs Tot_Suplr_Benes Tot_Suplr_Clms "
    "Tot_Suplr_Srvcs Avg_Suplr_Sbmtd_Chrg Avg_Suplr_Mdcr_Pymt_Amt",
    LEIE: "LASTNAME NPI EXCLTYPE",
}
GOOD, BAD = "1000000011", "1999999984"


class Raw:
    """Files of two providers, one of them excluded, to bend before `prepare` reads them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.header = {kind: header.split() for kind, header in HEADERS.items()}
        self.rows: dict[Kind, Rows] = {
            PART_B: [
                [GOOD, "Good", "F", "Surgery", "20", "30", "40", "100.5", "50.25"],
                [BAD, "Bad", "M", "Surgery", "11", "12", "13", "14.5", "15.5"],
                [BAD, "Bad", "M", "Surgery", "21", "22", "23", "24.5", "25.5"],
            ],
            PART_D: [
                [GOOD, "Surgery", "11", "12.5", "30", "99.5", "11"],
                [BAD, "Surgery", "11", "12.5", "30", "99.5", ""],
            ],
            DMEPOS: [
                [GOOD, "F", "Surgery", "1", "11", "12", "13", "14.5", "15.5"],
                [BAD, "M", "Surgery", "1", "*", "12", "13", "14.5", "15.5"],
            ],
            LEIE: [["Bad", BAD, "1128a1   "]],
        }
        self.more: dict[Kind, list[Path]] = {}

    def path(self, kind: Kind) -> Path:
        """Return where the file of a kind is written."""
        return self.folder / f"{kind.option}.csv"

    def column(self, kind: Kind, name: str, value: str) -> None:
        """Set a column in every row."""
        for row in self.rows[kind]:
            row[self.header[kind].index(name)] = value

    def drop(self, kind: Kind, name: str) -> None:
        """Remove a column."""
        at = self.header[kind].index(name)
        for row in [self.header[kind], *self.rows[kind]]:
            del row[at]

    def write(self, *, encoding: str = "utf-8", delimiter: str = ",") -> None:
        """Write every file."""
        for kind, rows in self.rows.items():
            write(self.path(kind), [self.header[kind], *rows], encoding=encoding, delimiter=delimiter)

    def prepare(self, name: str = "out.csv") -> tuple[CmsManifest, list[dict[str, str]]]:
        """Prepare the files as they are; return the manifest and the result's rows."""
        paths = {kind: [self.path(kind), *self.more.get(kind, [])] for kind in self.rows}
        paths[GENDER] = self.more.get(GENDER, [])
        manifest = prepare_cms(paths, self.folder / name, lambda _text: None)
        return manifest, read(self.folder / name)


def write(
    path: Path, rows: Sequence[Sequence[str]], *, encoding: str = "utf-8", delimiter: str = ","
) -> None:
    """Write a raw file."""
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)


def read(path: Path) -> list[dict[str, str]]:
    """Read a result."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
