"""From raw CMS files to the curated table: the recipe, and everything awkward about the files."""

import csv
import json
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from federation.data import synthetic
from federation.data.cms.columns import CLAIMS, DMEPOS, FEATURES, GENDER, LABEL, LEIE, PART_B, PART_D, Kind
from federation.data.cms.preparation import prepare_cms
from federation.data.cms.sample import DMEPOS as DMEPOS_FILE
from federation.data.cms.sample import LEIE as LEIE_FILE
from federation.data.cms.sample import PART_B_NEW, PART_B_OLD, make_sample
from federation.data.cms.sample import PART_D as PART_D_FILE
from federation.data.table import read_header, read_table
from tests.unit.cms_files import BAD, GOOD, Raw, write

LEGACY = {
    PART_B: "npi nppes_provider_last_org_name nppes_provider_gender provider_type bene_unique_cnt "
    "line_srvc_cnt bene_day_srvc_cnt average_submitted_chrg_amt average_Medicare_payment_amt",
    PART_D: "npi specialty_description total_claim_count total_30_day_fill_count total_day_supply "
    "total_drug_cost bene_count",
    DMEPOS: "REFERRING_NPI REFERRING_PROVIDER_GENDER REFERRING_PROVIDER_TYPE NUMBER_OF_SUPPLIERS "
    "NUMBER_OF_SUPPLIER_BENEFICIARIES NUMBER_OF_SUPPLIER_CLAIMS NUMBER_OF_SUPPLIER_SERVICES "
    "AVG_SUPPLIER_SUBMITTED_CHARGE AVG_SUPPLIER_MEDICARE_PMT_AMT",
}
PORTAL = (
    "National Provider Identifier|Last Name/Organization Name of the Provider|Gender of the Provider|"
    "Provider Type of the Provider|Number of Medicare Beneficiaries|Number of Services|"
    "Number of Distinct Medicare Beneficiary/Per Day Services|Average Submitted Charge Amount|"
    "Average Medicare Payment Amount"
)


@pytest.fixture
def raw(tmp_path: Path) -> Raw:
    """Return files of two providers, not yet written."""
    return Raw(tmp_path)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of made-up raw files."""
    folder = tmp_path_factory.mktemp("sample") / "raw"
    make_sample(folder, providers=300, seed=3)
    return folder


def read_frame(path: Path) -> pd.DataFrame:
    """Read a result of either format."""
    if path.suffix == ".csv":
        return pd.read_csv(path)
    frame: pd.DataFrame = duckdb.read_parquet(str(path)).df()
    return frame


def sample_paths(folder: Path) -> dict[Kind, list[Path]]:
    """Return the files of a sample by kind."""
    return {
        PART_B: [folder / PART_B_OLD.name, folder / PART_B_NEW.name],
        PART_D: [folder / PART_D_FILE.name],
        DMEPOS: [folder / DMEPOS_FILE.name],
        LEIE: [folder / LEIE_FILE.name],
        GENDER: [],
    }


def _slow(folder: Path) -> pd.DataFrame:
    """Follow the recipe a second time, with pandas and all rows in memory."""
    spellings = {column.name: column.spellings for kind in CLAIMS for column in kind.measures}
    joined: pd.DataFrame | None = None
    genders = []
    for kind, paths in sample_paths(folder).items():
        if kind not in CLAIMS:
            continue
        frames = []
        for path in paths:
            encoding = "latin-1" if path == folder / PART_B_OLD.name else "utf-8-sig"
            frame = pd.read_csv(path, sep=None, engine="python", dtype=str, encoding=encoding)
            frame.columns = [name.lower() for name in frame.columns]
            names = {
                spelling.lower(): column.name for column in kind.columns for spelling in column.spellings
            }
            frames.append(frame.rename(columns=names))
        rows = pd.concat(frames)
        rows["npi"] = rows["npi"].str.extract(r"([12]\d{9})")[0]
        rows["type"] = rows["type"].str.strip()
        rows = rows.dropna(subset=["npi", "type"])
        for column in kind.measures:
            rows[column.name] = pd.to_numeric(rows[column.name], errors="coerce")
            if column.suppressed:
                rows[column.name] = rows[column.name].fillna(5)
        if "gender" in rows:
            genders.append(rows[["npi", "gender"]].dropna())
        of = {"standard_deviation": "std"}
        table = rows.groupby(["npi", "type"]).agg(
            **{
                f"{column.name}_{statistic}": (column.name, of.get(statistic, statistic))
                for column in kind.measures
                for statistic in kind.statistics
            }
        )
        joined = table.fillna(0) if joined is None else joined.join(table.fillna(0), how="inner")
    assert joined is not None
    assert spellings
    gender = pd.concat(genders).groupby("npi").gender.first()
    npi = joined.index.get_level_values("npi")
    leie = pd.read_csv(folder / LEIE_FILE.name, dtype=str, encoding="latin-1")
    reasons = {"1128a1", "1128a2", "1128a3", "1128b4", "1128b7"}
    listed = set(leie[leie.EXCLTYPE.str.strip().isin(reasons)].NPI) - {"0000000000"}
    joined["female"] = (npi.map(gender) == "F").astype(int)
    joined[LABEL] = npi.isin(listed).astype(int)
    return joined[[LABEL, *FEATURES]]


def test_the_columns_are_those_of_the_source_articles_table(cms: Path) -> None:
    """Fifty names, in the order of the published table and of the synthetic one."""
    assert (LABEL, *FEATURES) == read_header(cms)
    assert [LABEL, *FEATURES, synthetic.SITE] == list(synthetic.generate(rows=20).columns)


def test_the_result_is_what_pandas_makes_of_all_rows_in_memory(sample: Path, tmp_path: Path) -> None:
    """Two years with different names, encodings and delimiters: equal to 1e-6, row for row."""
    manifest = prepare_cms(sample_paths(sample), tmp_path / "out.csv", lambda _text: None)
    made = pd.read_csv(tmp_path / "out.csv")
    expected = _slow(sample).round(6).sort_values([*FEATURES, LABEL])
    assert list(made.columns) == list(expected.columns)
    assert made.shape == expected.shape
    np.testing.assert_allclose(made.to_numpy(), expected.to_numpy(), rtol=1e-9, atol=2e-6)
    assert manifest.positives == made[LABEL].sum() > 0


def test_no_name_npi_or_address_reaches_what_is_written(sample: Path, tmp_path: Path) -> None:
    """Neither the table nor its manifest holds any of them, as CSV or as Parquet."""
    secrets = set()
    for path, encoding in ((sample / DMEPOS_FILE.name, "utf-8-sig"), (sample / LEIE_FILE.name, "latin-1")):
        with path.open(encoding=encoding, newline="") as file:
            for row in csv.DictReader(file):
                for name in (
                    "Rfrg_NPI",
                    "Rfrg_Prvdr_Last_Name_Org",
                    "Rfrg_Prvdr_St1",
                    "NPI",
                    "LASTNAME",
                    "ADDRESS",
                ):
                    secrets.add(row.get(name) or "")
    secrets -= {"", "Unknown", "0000000000"}
    binary = [int(npi).to_bytes(8, "little") for npi in secrets if npi.isdigit()]
    assert len(secrets) > 800
    assert len(binary) > 200
    for name in ("a.csv", "b.parquet"):
        manifest = prepare_cms(sample_paths(sample), tmp_path / name, lambda _text: None)
        table = read_frame(tmp_path / name).to_csv(index=False)
        for written in (table, (tmp_path / name).read_bytes().decode("latin-1"), manifest.to_json()):
            assert [secret for secret in secrets if secret in written] == []
        assert not any(npi in (tmp_path / name).read_bytes() for npi in binary)


def test_the_same_files_give_the_same_bytes(sample: Path, tmp_path: Path) -> None:
    """Cores add up in any order; rounding and sorting hide it."""
    for name in ("a.csv", "b.csv"):
        prepare_cms(sample_paths(sample), tmp_path / name, lambda _text: None)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_csv_and_parquet_hold_the_same_rows(sample: Path, tmp_path: Path) -> None:
    """The name chooses the format, nothing else."""
    for name in ("a.csv", "b.parquet"):
        prepare_cms(sample_paths(sample), tmp_path / name, lambda _text: None)
    csv_rows, parquet_rows = (read_frame(tmp_path / name) for name in ("a.csv", "b.parquet"))
    pd.testing.assert_frame_equal(csv_rows, parquet_rows, check_dtype=False)


def test_federated_training_reads_the_result(raw: Raw) -> None:
    """What is written is a table as every other command takes it."""
    raw.write()
    raw.prepare()
    table = read_table(raw.folder / "out.csv", label=LABEL)
    assert (table.rows, table.positives, table.features) == (2, 1, FEATURES)


def test_statistics_of_one_row_and_of_two(raw: Raw) -> None:
    """The deviation is the sample's, as in the source article's table, and 0 of one row."""
    raw.write()
    _, (first, second) = raw.prepare()
    bad, good = (first, second) if first[LABEL] == "1" else (second, first)
    statistics = ("mean", "sum", "standard_deviation")
    assert [float(good[f"line_svc_cnt_{name}"]) for name in statistics] == [30, 30, 0]
    assert [float(bad[f"line_svc_cnt_{name}"]) for name in statistics] == [17, 34, pytest.approx(50**0.5)]
    assert (good["female"], bad["female"]) == ("1", "0")


def test_withheld_patients_count_as_five(raw: Raw) -> None:
    """A blank, ``*`` and ``#`` in a number of patients stand for 1 to 10."""
    raw.rows[PART_D] += [
        [BAD, "Surgery", "11", "12.5", "30", "99.5", "#"],
        [BAD, "Surgery", "1", "1", "1", "1", "*"],
    ]
    raw.write()
    manifest, rows = raw.prepare()
    bad = next(row for row in rows if row[LABEL] == "1")
    assert (float(bad["bene_count_mean"]), float(bad["bene_count_sum"])) == (5, 15)
    assert float(bad["tot_suplr_benes_mean"]) == 5
    assert manifest.values_withheld == {"part-b": 0, "part-d": 3, "dmepos": 1}


def test_a_withheld_value_of_another_measure_is_left_out(raw: Raw) -> None:
    """It counts neither as 0 nor as 5: the mean is that of the rows that have it."""
    raw.rows[PART_B][2][5] = ""
    raw.write()
    _, rows = raw.prepare()
    bad = next(row for row in rows if row[LABEL] == "1")
    assert (float(bad["line_svc_cnt_mean"]), float(bad["line_svc_cnt_standard_deviation"])) == (12, 0)


def test_a_provider_without_any_value_of_a_measure_is_dropped_and_counted(raw: Raw) -> None:
    """A statistic that does not exist is not made up."""
    raw.rows[PART_B][0][5] = "*"
    raw.write()
    manifest, rows = raw.prepare()
    assert len(rows) == 1
    assert manifest.providers_dropped["a measure withheld throughout"] == 1


def test_the_unknown_npi_labels_nobody(raw: Raw) -> None:
    """``0000000000``, nine in ten rows of the exclusions list, is no provider anywhere."""
    unknown = "0000000000"
    raw.rows[LEIE] += [["Somebody", unknown, "1128a1"]] * 9
    for kind in CLAIMS:
        raw.rows[kind].append([unknown, *raw.rows[kind][0][1:]])
    raw.write()
    manifest, rows = raw.prepare()
    assert len(rows) == 2
    assert manifest.rows_dropped["leie"]["NPI unknown (0000000000)"] == 9
    assert manifest.rows_dropped["part-b"] == {"no valid NPI or no provider type": 1}


@pytest.mark.parametrize(
    ("reason", "counts"),
    [
        ("1128a1   ", True),
        (" 1128b7", True),
        ("1128A3", True),
        ("1128b8  ", False),
        ("1128a4", False),
        ("", False),
    ],
)
def test_only_exclusions_for_fraud_count(raw: Raw, reason: str, *, counts: bool) -> None:
    """Padding and case do not matter, the reason does."""
    raw.rows[LEIE].append(["Good", GOOD, reason])
    raw.write()
    manifest, _ = raw.prepare()
    assert manifest.positives == 1 + counts


def test_a_provider_listed_twice_is_one_row(raw: Raw) -> None:
    """Two exclusions of a provider, one of them for another reason, make one positive row."""
    raw.rows[LEIE] += [["Bad", BAD, "1128a1"], ["Bad", BAD, "1128b5"]]
    raw.write()
    manifest, rows = raw.prepare()
    assert (len(rows), manifest.positives) == (2, 1)
    assert manifest.rows_dropped["leie"]["listed again"] == 1


def test_a_provider_of_two_types_is_a_row_for_each_type_in_all_files(raw: Raw) -> None:
    """Types are aggregated apart, and only one that is in every file counts."""
    for kind in CLAIMS:
        raw.rows[kind].append([cell.replace("Surgery", "Urology") for cell in raw.rows[kind][-1]])
    raw.rows[PART_B].append([cell.replace("Surgery", "Nursing") for cell in raw.rows[PART_B][0]])
    raw.write()
    manifest, rows = raw.prepare()
    assert (len(rows), manifest.positives) == (3, 2)
    assert manifest.providers_dropped["only in some files, of --part-b"] == 1


@pytest.mark.parametrize(
    "written",
    [f'="{GOOD}"', f" {GOOD} ", f"{GOOD}.0", f"0{GOOD}"],
    ids=["formula", "blanks", "float", "zero"],
)
def test_an_npi_is_text(raw: Raw, written: str) -> None:
    """What spreadsheets make of it is understood."""
    raw.rows[PART_D][0][0] = written
    raw.write()
    assert len(raw.prepare()[1]) == 2


@pytest.mark.parametrize("written", ["1.00E+09", "12345", "10000000111", "5000000011", "none"])
def test_what_is_no_npi_is_dropped_and_counted(raw: Raw, written: str) -> None:
    """A number that lost digits must not become another provider's."""
    raw.rows[PART_D].append([written, *raw.rows[PART_D][0][1:]])
    raw.write()
    manifest, rows = raw.prepare()
    assert len(rows) == 2
    assert manifest.rows_dropped["part-d"] == {"no valid NPI or no provider type": 1}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "cp1252"])
def test_encodings_do_not_matter(raw: Raw, encoding: str) -> None:
    """Names in Latin-1, and a byte-order mark in front of the first column, cost no row."""
    raw.column(PART_B, "Rndrng_Prvdr_Last_Org_Name", "Muñoz–Åkesson" if encoding == "cp1252" else "Muñoz")
    raw.write(encoding=encoding)
    manifest, rows = raw.prepare()
    assert (len(rows), manifest.positives) == (2, 1)


def test_mixed_encodings_in_one_file_are_read(raw: Raw) -> None:
    """A file put together of two encodings costs no row; only names suffer, which nobody reads."""
    raw.column(PART_B, "Rndrng_Prvdr_Last_Org_Name", "Muñoz")
    raw.write()
    lines = raw.path(PART_B).read_bytes().splitlines()
    lines[1] = lines[1].replace("ñ".encode(), "ñ".encode("latin-1"))
    raw.path(PART_B).write_bytes(b"\n".join(lines))
    manifest, rows = raw.prepare()
    assert len(rows) == 2
    assert "part-b.csv" in manifest.notes[0]


@pytest.mark.parametrize("delimiter", [",", "\t"])
@pytest.mark.parametrize("upper", [False, True])
def test_the_names_of_2012_to_2018_are_known(raw: Raw, delimiter: str, *, upper: bool) -> None:
    """Old releases, separated by tabs or commas, give the same rows as today's names."""
    raw.write()
    expected = raw.prepare("today.csv")[1]
    for kind, names in LEGACY.items():
        raw.header[kind] = (names.upper() if upper else names).split()
    raw.write(delimiter=delimiter)
    assert raw.prepare("legacy.csv")[1] == expected


def test_the_names_of_the_old_data_portal_are_known(raw: Raw) -> None:
    """Its exports spell names out, with blanks and slashes."""
    raw.write()
    expected = raw.prepare("today.csv")[1]
    raw.header[PART_B] = PORTAL.split("|")
    raw.write()
    assert raw.prepare("portal.csv")[1] == expected


def test_several_years_add_up(raw: Raw) -> None:
    """Rows of another year, under other names, belong to the same provider."""
    raw.write()
    older = raw.folder / "older.csv"
    write(older, [LEGACY[PART_B].split(), [BAD, "Bad", "M", "Surgery", "30", "40", "50", "60", "70"]])
    raw.more[PART_B] = [older]
    manifest, rows = raw.prepare()
    bad = next(row for row in rows if row[LABEL] == "1")
    assert float(bad["bene_unique_cnt_sum"]) == 11 + 21 + 30
    assert manifest.rows_read["part-b"] == 4
    assert [file["name"] for file in manifest.inputs["part-b"]] == ["part-b.csv", "older.csv"]


def test_a_gender_missing_in_one_file_comes_from_another(raw: Raw) -> None:
    """Newer Part B releases have no gender; DMEPOS of the same year may."""
    raw.drop(PART_B, "Rndrng_Prvdr_Gndr")
    raw.write()
    manifest, rows = raw.prepare()
    assert sorted(row["female"] for row in rows) == ["0", "1"]
    assert (manifest.gender_unknown, manifest.notes) == (0, ())


def test_a_gender_missing_everywhere_is_said(raw: Raw) -> None:
    """``female`` is then 0 throughout, and the manifest warns and says how to get it."""
    raw.drop(PART_B, "Rndrng_Prvdr_Gndr")
    raw.drop(DMEPOS, "Rfrg_Prvdr_Gndr")
    raw.write()
    manifest, rows = raw.prepare()
    assert [row["female"] for row in rows] == ["0", "0"]
    assert manifest.gender_unknown == 2
    assert "--gender" in manifest.notes[0]


def test_a_file_of_genders_can_be_given(raw: Raw) -> None:
    """The NPPES file, or an older release, has what the newer ones lack."""
    raw.drop(PART_B, "Rndrng_Prvdr_Gndr")
    raw.drop(DMEPOS, "Rfrg_Prvdr_Gndr")
    raw.write()
    nppes = raw.folder / "npidata.csv"
    write(
        nppes, [["NPI", "Entity Type Code", "Provider Sex Code"], [GOOD, "1", "F"], ["1234567893", "1", "M"]]
    )
    raw.more[GENDER] = [nppes]
    manifest, rows = raw.prepare()
    assert sorted(row["female"] for row in rows) == ["0", "1"]
    assert manifest.gender_unknown == 1
    assert manifest.notes == ("No file says the gender of 1 providers: their female is 0.",)


def test_the_manifest_accounts_for_every_row(sample: Path, tmp_path: Path) -> None:
    """Rows read, and dropped by reason, add up; inputs and output are named by their sha256."""
    manifest = prepare_cms(sample_paths(sample), tmp_path / "out.csv", lambda _text: None)
    assert json.loads((tmp_path / "out.manifest.json").read_text()) == json.loads(manifest.to_json())
    assert manifest.synthetic
    leie = manifest.rows_dropped["leie"]
    assert manifest.rows_read["leie"] == manifest.providers["leie"] + sum(leie.values())
    with (sample / LEIE_FILE.name).open(encoding="latin-1") as file:
        assert manifest.rows_read["leie"] == sum(1 for _ in file) - 1
    assert manifest.rows_dropped["part-b"]["no valid NPI or no provider type"] == 1  # the copyright notice
    assert manifest.rows == manifest.providers["in all"]
    assert set(manifest.inputs) == {"part-b", "part-d", "dmepos", "leie", "gender"}
