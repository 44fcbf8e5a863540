"""Raw CMS files that cannot be used: each says why, where, and leaves nothing behind."""

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from federation.cli.cms import cms, cms_sample
from federation.cli.command import run
from federation.data.cms.columns import CLAIMS, DMEPOS, LEIE, PART_B, PART_D
from federation.data.cms.database import connect, create
from federation.data.cms.sample import make_sample
from federation.data_prep import main
from federation.errors import (
    CmsColumnError,
    CmsFormatError,
    CmsOverlapError,
    CmsPositivesError,
    FederationError,
    MissingFileError,
    OutputExistsError,
    SettingError,
)
from tests.unit.cms_files import BAD, GOOD, Raw

SECRETS = ("SECRETNAME", GOOD, BAD)


@pytest.fixture
def raw(tmp_path: Path) -> Raw:
    """Return files of two providers, not yet written."""
    made = Raw(tmp_path)
    made.column(PART_B, "Rndrng_Prvdr_Last_Org_Name", SECRETS[0])
    return made


def refused(raw: Raw, error: type[FederationError], *parts: str, name: str = "out.csv") -> None:
    """Expect an error that names these parts, no line's content, and no file that was not there before."""
    before = sorted(raw.folder.rglob("*"))
    with pytest.raises(error) as raised:
        raw.prepare(name)
    assert type(raised.value) is error
    for part in parts:
        assert part in str(raised.value)
    chain: BaseException | None = raised.value
    while chain is not None:
        assert not any(secret in str(chain) for secret in SECRETS)
        chain = chain.__cause__ or chain.__context__
    assert sorted(raw.folder.rglob("*")) == before


def spoil(raw: Raw, line: int, old: str, new: str, *, rows: int = 0) -> None:
    """Write the files, Part B longer by so many rows, and change one line of it (the header is line 1)."""
    raw.write()
    lines = raw.path(PART_B).read_text(encoding="utf-8").splitlines()
    _, but_its_npi = lines[1].split(",", 1)
    lines += [f"{1_100_000_000 + number},{but_its_npi}" for number in range(rows)]
    assert old in lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(old, new, 1)
    raw.path(PART_B).write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize("kind", CLAIMS, ids=lambda kind: kind.option)
def test_a_missing_column_is_named_with_the_accepted_spellings(raw: Raw, kind: object) -> None:
    """The file, the column as it is called today, and what it was called before."""
    assert kind in CLAIMS
    column = kind.measures[-1]
    raw.drop(kind, column.spellings[0])
    raw.write()
    refused(raw, CmsColumnError, f"{kind.option}.csv", *(f'"{name}"' for name in column.spellings))


def test_swapped_files_are_recognised(raw: Raw) -> None:
    """Part D given as Part B is said so, not "column missing"."""
    raw.write()
    raw.path(PART_B).write_bytes(raw.path(PART_D).read_bytes())
    refused(raw, CmsColumnError, "part-b.csv", "given as --part-b", "those of --part-d")


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf\n"])
def test_an_empty_file_is_refused(raw: Raw, content: bytes) -> None:
    """No header, no table."""
    raw.write()
    raw.path(PART_D).write_bytes(content)
    refused(raw, CmsFormatError, "part-d.csv: empty")


def test_a_file_with_a_header_alone_is_refused(raw: Raw) -> None:
    """It is told from files that share no provider."""
    raw.rows[DMEPOS] = []
    raw.write()
    refused(raw, CmsFormatError, "dmepos.csv", "no row")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"PK\x03\x04zip", "ZIP"),
        (b"<!DOCTYPE html>", "web page"),
        (b'{"a": 1}', "JSON"),
        (b"\x1f\x8b\x08", "gzip"),
        ("Rndrng_NPI,x".encode("utf-16"), "UTF-16"),
        (b"abc\0\x01\x02", "not a text file"),
    ],
)
def test_what_is_no_csv_is_named(raw: Raw, content: bytes, what: str) -> None:
    """Archives as they are downloaded, error pages and workbooks are recognised."""
    raw.write()
    raw.path(PART_B).write_bytes(content)
    refused(raw, CmsFormatError, "part-b.csv", what)


def test_zero_bytes_far_into_a_file_are_refused(raw: Raw) -> None:
    """A disk that failed half-way leaves them."""
    raw.write()
    with raw.path(PART_B).open("ab") as file:
        file.write(b"x" * 100_000 + b"\0\0\0")
    refused(raw, CmsFormatError, "part-b.csv", "not a text file")


def test_a_stray_quote_is_found_far_down(raw: Raw) -> None:
    """The line is said, not what stands in it."""
    spoil(raw, 150_000, f",{SECRETS[0]}", f',"{SECRETS[0]}', rows=200_000)
    refused(raw, CmsFormatError, "part-b.csv, line 150,000", "stray quote")


def test_the_broken_one_of_several_years_is_named(raw: Raw) -> None:
    """Also where its text is not UTF-8, so that a copy of it is read."""
    raw.write()
    year = raw.folder / "2019.csv"
    lines = raw.path(PART_B).read_text(encoding="utf-8").replace(SECRETS[0], "Muñoz").splitlines()
    lines[2] = lines[2].replace("Muñoz", '"Muñoz')
    year.write_bytes("\n".join(lines).encode("latin-1"))
    raw.more[PART_B] = [year]
    refused(raw, CmsFormatError, "2019.csv, line 3", "stray quote")


def test_a_quote_inside_quotes_is_found(raw: Raw) -> None:
    """A name in quotes whose inner quotes were not doubled."""
    spoil(raw, 3, SECRETS[0], f'"Jo "{SECRETS[0]}" Jr"')
    refused(raw, CmsFormatError, "part-b.csv, line 3", "stray quote")


def test_text_in_a_number_is_found(raw: Raw) -> None:
    """The column is named as the file names it."""
    spoil(raw, 4, ",22,", ",about 22,")
    refused(raw, CmsFormatError, "part-b.csv, line 4", '"Tot_Srvcs" is not a number')


def test_an_interrupted_download_is_found(raw: Raw) -> None:
    """A last line that breaks off."""
    raw.write()
    raw.path(PART_B).write_bytes(raw.path(PART_B).read_bytes()[:-25])
    refused(raw, CmsFormatError, "part-b.csv, line 4", "columns, expected 9")


@pytest.mark.parametrize("value", ["inf", "nan", "-inf", "1e400"])
def test_an_infinite_number_is_refused(raw: Raw, value: str) -> None:
    """No statistic can be made of it."""
    raw.rows[PART_B][1][4] = value
    raw.write()
    refused(raw, CmsFormatError, "part-b.csv")


def test_files_without_a_common_provider_are_refused(raw: Raw) -> None:
    """A table without rows is no result."""
    raw.column(PART_D, "Prscrbr_Type", "Urology")
    raw.write()
    refused(raw, CmsOverlapError, "--dmepos, --part-b, --part-d")


def test_files_without_a_positive_are_refused(raw: Raw) -> None:
    """Nothing could be learnt."""
    raw.rows[LEIE] = [["Other", "1234567893", "1128a1"]]
    raw.write()
    refused(raw, CmsPositivesError, "--leie")


def test_a_missing_file_is_named(raw: Raw) -> None:
    """Before anything is read."""
    raw.write()
    raw.path(LEIE).unlink()
    refused(raw, MissingFileError, "leie.csv")


def test_a_file_given_twice_is_refused(raw: Raw) -> None:
    """Also under another name: its rows would count twice."""
    raw.write()
    (raw.folder / "copy.csv").write_bytes(raw.path(PART_B).read_bytes())
    raw.more[PART_B] = [raw.folder / "copy.csv"]
    refused(raw, SettingError, "copy.csv", "same bytes")


def test_an_output_of_another_format_is_refused(raw: Raw) -> None:
    """Its name has to say which."""
    raw.write()
    refused(raw, SettingError, ".csv or .parquet", name="out.xlsx")


def test_nothing_is_overwritten(raw: Raw) -> None:
    """Neither a table nor a manifest."""
    raw.write()
    raw.prepare()
    refused(raw, OutputExistsError, "out.csv")
    (raw.folder / "out.csv").unlink()
    refused(raw, OutputExistsError, "out.manifest.json")


def test_a_sample_is_reproducible_and_says_synthetic(tmp_path: Path) -> None:
    """The same seed gives the same bytes; every name says that they are made up."""
    for name in ("a", "b"):
        make_sample(tmp_path / name, providers=60, seed=1)
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("a", "b")
    )
    assert first == second
    assert len(first) == 6
    assert all(name.startswith("synthetic") for name in first)


def test_a_sample_needs_room(tmp_path: Path) -> None:
    """It refuses a folder that holds something, and fewer providers than make sense."""
    with pytest.raises(SettingError, match="too few"):
        make_sample(tmp_path / "raw", providers=3, seed=0)
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputExistsError):
        make_sample(tmp_path, providers=60, seed=0)


def test_ctrl_c_ends_a_long_query_at_once(tmp_path: Path) -> None:
    """Files of gigabytes take minutes: nobody should have to wait for one to end."""
    forever = "SELECT sum(hash(a.range, b.range)) FROM range(10000000) a, range(10000000) b"
    timer = threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT])
    started = time.monotonic()
    with connect(str(tmp_path)) as database:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            create(database, "t", forever, [], lambda _text: None)
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("name", ["cms", "cms-sample"])
def test_the_subcommands_explain_themselves(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Their help has their own options; that of the main command names them."""
    subcommands: dict[str, Any] = {"cms": cms, "cms-sample": cms_sample}
    for arguments, wanted in (([name, "--help"], f"{name} [OPTIONS]"), (["--help"], "data_prep cms")):
        with pytest.raises(SystemExit) as ended:
            run(main, arguments, subcommands=subcommands)
        assert ended.value.code == 0
        assert wanted in capsys.readouterr().out
