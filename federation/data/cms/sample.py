"""Make up small raw files with everything that is awkward about the real ones, for tests and for trying out.

Nobody is described: names, NPIs, addresses and numbers are drawn. Every file says so in its name.
"""

import csv
import json
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from federation.errors import OutputExistsError, SettingError
from federation.files import sha256_of

MANIFEST = "synthetic-manifest.json"
FEWEST = 50

_TYPES = ("Internal Medicine", "Family Practice", "Nurse Practitioner", "Physician Assistant")
_SURNAMES = ("Muñoz", "O'Brien", "Åkesson", 'Smith "Jr"', "Lefèvre", "de la Cruz, III")
_OTHER_REASONS = ("1128b1  ", "1128b8", "1128Aa  ")
_POSITIVE_SHARE, _PRESENT_SHARE = 0.09, 0.9
_UNKNOWN_IN_LEIE = 9  # for each row with an NPI

# Medians: of a row's numbers of patients, services, claims or suppliers; and of its amounts in dollars.
_PART_B = (54, 93, 86), (166, 59)
_PART_D = (34, 49, 1_360, 14), (1_840,)
_DMEPOS = (2, 14, 20, 60), (100, 27)
_SUPPRESSED = ("", "*", "#")


@dataclass(frozen=True, kw_only=True)
class _Provider:
    npi: str
    last: str
    first: str
    street: str
    gender: str
    type: str
    risk: float
    excluded: bool


class _Release:
    """One file to write: its columns, and a row for each service of each provider."""

    def __init__(self, name: str, header: str, *, delimiter: str = ",", encoding: str = "utf-8") -> None:
        self.name, self.header = name, header.split()
        self.delimiter, self.encoding = delimiter, encoding

    def write(self, folder: Path, rows: Iterable[Iterable[object]]) -> None:
        """Write the file into a folder."""
        with (folder / self.name).open("w", encoding=self.encoding, newline="") as file:
            writer = csv.writer(file, delimiter=self.delimiter, lineterminator="\n")
            writer.writerow(self.header)
            writer.writerows(rows)


PART_B_OLD = _Release(
    "synthetic_part_b_2017.txt",
    "npi nppes_provider_last_org_name nppes_provider_first_name nppes_provider_gender nppes_provider_street1 "
    "provider_type hcpcs_code line_srvc_cnt bene_unique_cnt bene_day_srvc_cnt average_Medicare_allowed_amt "
    "average_submitted_chrg_amt average_Medicare_payment_amt",
    delimiter="\t",
    encoding="latin-1",
)
PART_B_NEW = _Release(
    "synthetic_part_b_2023.csv",
    "Rndrng_NPI Rndrng_Prvdr_Last_Org_Name Rndrng_Prvdr_First_Name Rndrng_Prvdr_St1 Rndrng_Prvdr_Type "
    "HCPCS_Cd Tot_Benes Tot_Srvcs Tot_Bene_Day_Srvcs Avg_Sbmtd_Chrg Avg_Mdcr_Alowd_Amt Avg_Mdcr_Pymt_Amt",
    encoding="utf-8-sig",
)
PART_D = _Release(
    "synthetic_part_d_2023.csv",
    "Prscrbr_NPI Prscrbr_Last_Org_Name Prscrbr_First_Name Prscrbr_Type Brnd_Name Gnrc_Name Tot_Clms "
    "Tot_30day_Fills Tot_Day_Suply Tot_Drug_Cst Tot_Benes GE65_Sprsn_Flag",
)
DMEPOS = _Release(
    "synthetic_dmepos_2023.csv",
    "Rfrg_NPI Rfrg_Prvdr_Last_Name_Org Rfrg_Prvdr_First_Name Rfrg_Prvdr_Gndr Rfrg_Prvdr_St1 Rfrg_Prvdr_Type "
    "HCPCS_CD Tot_Suplrs Tot_Suplr_Benes Tot_Suplr_Clms Tot_Suplr_Srvcs Avg_Suplr_Sbmtd_Chrg "
    "Avg_Suplr_Mdcr_Pymt_Amt",
    encoding="utf-8-sig",
)
LEIE = _Release(
    "synthetic_leie.csv",
    "LASTNAME FIRSTNAME MIDNAME BUSNAME NPI DOB ADDRESS EXCLTYPE EXCLDATE REINDATE",
    encoding="latin-1",
)
RELEASES = (PART_B_OLD, PART_B_NEW, PART_D, DMEPOS, LEIE)


def make_sample(out: Path, *, providers: int, seed: int) -> list[Path]:
    """Write raw files of two years of Part B, Part D, DMEPOS and LEIE, and a manifest; all or nothing.

    Parameters
    ----------
    out : Path
        The folder to write: new, or empty.
    providers : int
        Number of providers, at least 50; 9 % of them are excluded for fraud.
    seed : int
        The same seed gives the same bytes.

    Returns
    -------
    list of Path
        The files, in the order Part B (twice), Part D, DMEPOS, LEIE.

    Raises
    ------
    SettingError
        If there are too few providers.
    OutputExistsError
        If the folder holds something.
    """
    if providers < FEWEST:
        raise SettingError(f"{providers} providers: too few.", f"Choose {FEWEST} or more.")
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise OutputExistsError(f"{out}: holds something already.", "Choose another folder, or remove it.")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
        built = Path(scratch) / "built"
        built.mkdir()
        people = _draw_providers(providers, np.random.default_rng([seed, 0]))
        rows = (_part_b_old, _part_b_new, _part_d, _dmepos, _leie)
        for number, (release, make) in enumerate(zip(RELEASES, rows, strict=True), start=1):
            release.write(built, make(people, np.random.default_rng([seed, number])))
        (built / MANIFEST).write_text(_manifest(built, providers, seed), encoding="utf-8")
        if out.exists():
            out.rmdir()
        built.rename(out)
    return [out / release.name for release in RELEASES]


def _draw_providers(count: int, rng: np.random.Generator) -> list[_Provider]:
    npis = 1_000_000_000 + rng.choice(999_999_999, count, replace=False)
    risk = rng.normal(0, 1, count)
    excluded = np.zeros(count, dtype=bool)
    excluded[np.argsort(-(risk + rng.normal(0, 0.7, count)))[: round(_POSITIVE_SHARE * count)]] = True
    return [
        _Provider(
            npi=str(npis[i]),
            last=f"{_SURNAMES[i % len(_SURNAMES)]}-{i:06}",
            first=f"Renée-{i:06}",
            street=f"{i:06} MADE-UP AVENUE",
            gender="FM"[int(rng.random() < 0.6)],  # noqa: PLR2004 - a share
            type=_TYPES[i % len(_TYPES)],
            risk=float(risk[i]),
            excluded=bool(excluded[i]),
        )
        for i in range(count)
    ]


def _services(
    people: list[_Provider],
    medians: tuple[tuple[int, ...], tuple[int, ...]],
    mean_rows: float,
    rng: np.random.Generator,
) -> Iterator[tuple[_Provider, int, list[str]]]:
    """Yield, for nine in ten providers, each service: provider, its number, counts and amounts."""
    counts, amounts = medians
    center = np.array(counts + amounts)
    for provider in people:
        if rng.random() > _PRESENT_SHARE:
            continue
        for number in range(1 + rng.poisson(mean_rows)):
            values = np.maximum(center * np.exp(rng.normal(0.3 * provider.risk, 0.6, len(center))), 1)
            drawn = [f"{value:.0f}" for value in values[: len(counts)]]
            yield provider, number, drawn + [f"{value:.2f}" for value in values[len(counts) :]]


def _part_b_old(people: list[_Provider], rng: np.random.Generator) -> Iterator[tuple[object, ...]]:
    """Yield rows under old names, tabs, Latin-1, a gender, and first a copyright notice."""
    yield ("0000000001", "CPT copyright", "made up", "", "", "", "", "", "", "", "", "", "")
    for p, number, (benes, services, days, charge, paid) in _services(people, _PART_B, 4, rng):
        who = (p.npi, p.last, p.first, p.gender, p.street, p.type, f"99{number:03}")
        yield (*who, services, benes, days, charge, charge, paid)


def _part_b_new(people: list[_Provider], rng: np.random.Generator) -> Iterator[tuple[object, ...]]:
    """Yield rows under today's names, a byte-order mark, no gender; some providers have a second type."""
    for p, number, (benes, services, days, charge, paid) in _services(people, _PART_B, 4, rng):
        other = number == 1 and int(p.npi) % 10 == 0
        kind = "Clinical Laboratory" if other else p.type
        who = (p.npi, p.last, p.first, p.street, kind, f"99{number:03}")
        yield (*who, benes, services, days, charge, charge, paid)


def _part_d(people: list[_Provider], rng: np.random.Generator) -> Iterator[tuple[object, ...]]:
    """Yield rows with NPIs as a spreadsheet saves them, and withheld numbers of patients."""
    for p, number, (claims, fills, days, benes, cost) in _services(people, _PART_D, 9, rng):
        npi = (p.npi, f" {p.npi} ", f'="{p.npi}"', f"{p.npi}.0")[number % 4]
        who = (npi, p.last, p.first, f"{p.type} ", f"Brand {number}", f"generic {number}")
        yield (*who, claims, fills, days, cost, _withhold(benes, number), "*")


def _dmepos(people: list[_Provider], rng: np.random.Generator) -> Iterator[tuple[object, ...]]:
    """Yield rows with a gender, withheld numbers of patients, and suppliers' rows without an NPI."""
    for p, number, (suppliers, benes, claims, services, charge, paid) in _services(people, _DMEPOS, 3, rng):
        npi = "" if number == 8 else p.npi  # noqa: PLR2004 - now and then
        who = (npi, p.last, p.first, p.gender, p.street, p.type, f"E{number:04}")
        yield (*who, suppliers, _withhold(benes, number), claims, services, charge, paid)


def _leie(people: list[_Provider], _rng: np.random.Generator) -> Iterator[tuple[object, ...]]:
    """Yield rows with padded reasons, nine in ten without an NPI, some listed twice."""
    for number, p in enumerate(people):
        reasons = [f"{('1128a1', '1128a3', '1128b4', '1128b7')[number % 4]:<9}"] if p.excluded else []
        if number % 7 == 0:
            reasons.append(_OTHER_REASONS[number % len(_OTHER_REASONS)])
        if p.excluded and number % 3 == 0:
            reasons.append("1128a1   ")
        for reason in reasons:
            yield (p.last, p.first, "", "", p.npi, "19500101", p.street, reason, "20200101", "00000000")
            for _ in range(_UNKNOWN_IN_LEIE):
                yield ("Unknown", "", "", "", "0000000000", "", "", "1128a1   ", "19990101", "00000000")


def _withhold(patients: str, number: int) -> str:
    return patients if int(patients) >= 11 else _SUPPRESSED[number % len(_SUPPRESSED)]  # noqa: PLR2004


def _manifest(folder: Path, providers: int, seed: int) -> str:
    files = {release.name: sha256_of(folder / release.name) for release in RELEASES}
    content = {"synthetic": True, "providers": providers, "seed": seed, "files": files}
    return json.dumps(content, indent=2) + "\n"
