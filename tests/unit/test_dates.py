"""Dates become numbers by contract, the days since a reference day, and the same ones at either end."""

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import contract as client_contract
import memory
import utils
from client_code.protocol.contract import NAME, Contract
from client_code.protocol.dates import Dates
from errors import ContractError
from federation.config.contract import load_contract
from federation.data.contract_check import check, told_by
from federation.data.preparation.prepare import prepare
from federation.data.preparation.settings import PreparationSettings
from federation.data.table import read_table
from federation.errors import ContractBrokenError, ContractFileError

ROWS = 300
DAYS = pd.Series(pd.Timestamp("2019-12-01") + pd.to_timedelta(np.arange(ROWS) % 90, unit="D"))
SINCE = (DAYS - pd.Timestamp("2020-01-01")).dt.days


def frame(days: Any) -> pd.DataFrame:
    """Return rows with a column of dates."""
    rng = np.random.default_rng(0)
    return pd.DataFrame({"age": rng.integers(20, 90, ROWS), "day": days, "y": rng.integers(0, 2, ROWS)})


def agreed(**rule: Any) -> Contract:
    """Return a contract with a column of dates."""
    day = {"type": "date", "reference": "2020-01-01", **rule}
    return Contract.of({"label": "y", "columns": {"age": {"type": "numeric"}, "day": day}})


def at_both_ends(path: Path, contract: Contract) -> tuple[np.ndarray, np.ndarray]:
    """Return the column as data preparation reads it, and as a client does from the raw table."""
    assert check(contract, [path], told=told_by(contract)) == {}
    table = read_table(path, label="y", kinds=contract.kinds, codes=True, told=told_by(contract))
    (path.parent / NAME).write_text(contract.to_json(), encoding="utf-8")
    terms = client_contract.kept(path.parent, [path.name])
    client = utils.load_table(path, "y", terms.kinds, missing=terms.missing, dates=terms.dates)
    return table.X[:, 1], client.X[:, 1]


@pytest.mark.parametrize(
    ("written", "rule"),
    [
        ("%Y-%m-%d", {}),
        ("%Y-%m-%d %H:%M:%S", {}),
        ("%Y-%m-%dT%H:%M:%SZ", {}),
        ("%m/%d/%Y", {"format": "%m/%d/%Y"}),
        ("%d.%m.%Y", {"format": "%d.%m.%Y"}),
        ("%d%b%Y", {"format": "%d%b%Y"}),
        ("%Y%m%d", {"format": "%Y%m%d"}),
        ("%d %B %Y 11:30 PM", {"format": "%d %B %Y"}),
    ],
)
@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet"])
def test_dates_are_the_days_since_the_reference_at_either_end(
    tmp_path: Path, written: str, rule: dict[str, str], name: str
) -> None:
    """As the contract writes them; a time of day does not count."""
    rows = frame(DAYS.dt.strftime(written))
    path = tmp_path / name
    if path.suffix == ".csv":
        rows.to_csv(path, index=False)
    else:
        rows.to_parquet(path)
    for found in at_both_ends(path, agreed(**rule)):
        np.testing.assert_array_equal(found, SINCE)


@pytest.mark.parametrize("days", [DAYS, DAYS.dt.date])
def test_dates_that_parquet_knows_as_such_are_dates(tmp_path: Path, days: Any) -> None:
    """Days and time stamps, which need no format."""
    frame(days).to_parquet(tmp_path / "rows.parquet")
    for found in at_both_ends(tmp_path / "rows.parquet", agreed()):
        np.testing.assert_array_equal(found, SINCE)


def test_whole_numbers_with_gaps_may_be_dates(tmp_path: Path) -> None:
    """Such a column comes to clients as fractions."""
    days = pd.array(DAYS.dt.strftime("%Y%m%d").astype(int), dtype="Int64")
    days[5] = pd.NA
    frame(days).to_parquet(tmp_path / "rows.parquet")
    expected = SINCE.astype(float).mask(np.arange(ROWS) == 5)
    for found in at_both_ends(tmp_path / "rows.parquet", agreed(format="%Y%m%d", missing=0.1)):
        np.testing.assert_array_equal(found, expected)


def test_prepared_files_hold_days_and_keep_the_contract(tmp_path: Path) -> None:
    """The client that reads them under the same contract finds numbers, and can read them in blocks."""
    rows = frame(DAYS.dt.strftime("%Y-%m-%d"))
    rows.to_csv(tmp_path / "rows.csv", index=False)
    contract = agreed(minimum=-40, maximum=100)
    prepare(tmp_path / "rows.csv", tmp_path / "out", PreparationSettings(label="y", contract=contract))
    own = tmp_path / "out" / "client-1"
    terms = client_contract.kept(own, ["train.csv", "validation.csv"])
    assert terms.plain
    table = utils.load_table(own / "train.csv", "y", terms.kinds, dates=terms.dates)
    assert set(table.X[:, 1]) <= set(SINCE)
    assert pd.read_csv(own / "train.csv")["day"].dtype == int


def test_raw_dates_are_not_read_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks hold numbers: a table with dates to be converted is read into memory, whatever its size."""
    rows = frame(DAYS.dt.strftime("%Y-%m-%d"))
    for name in ("train.csv", "validation.csv"):
        rows.to_csv(tmp_path / name, index=False)
    (tmp_path / NAME).write_text(agreed().to_json(), encoding="utf-8")
    monkeypatch.setattr(memory, "IN_MEMORY_BYTES", 0)
    terms = client_contract.kept(tmp_path, ["train.csv", "validation.csv"])
    task = memory.open_task(
        tmp_path / "train.csv",
        tmp_path / "validation.csv",
        name="a",
        label="y",
        terms=terms,
        max_iter=1,
        model_dir=tmp_path,
    )
    assert isinstance(task, utils.Task)
    np.testing.assert_array_equal(task.train.X[:, 1], SINCE)


def test_gaps_among_dates_are_gaps(tmp_path: Path) -> None:
    """And count against the share that the contract allows."""
    days = DAYS.dt.strftime("%Y-%m-%d").where(np.arange(ROWS) % 3 > 0, "")
    frame(days).to_csv(tmp_path / "rows.csv", index=False)
    for found in at_both_ends(tmp_path / "rows.csv", agreed(missing=0.4)):
        assert np.isnan(found).sum() == ROWS // 3
    broken = check(agreed(), [tmp_path / "rows.csv"])["rows.csv"]
    assert [str(one) for one in broken] == [
        'column "day" lacks 100 of 300 values, more than the share of 0 allowed'
    ]


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        ("01/02/2020", 'column "day": 1 values that are no dates as "%Y-%m-%d" (data rows 8)'),
        ("2020-02-30", 'column "day": 1 values that are no dates as "%Y-%m-%d" (data rows 8)'),
        ("99", 'column "day": 1 numbers among dates (data rows 8)'),
        ("1990-01-01", 'column "day": 1 values below -100 (data rows 8)'),
    ],
)
def test_what_is_no_such_date_breaks_the_contract_at_either_end(
    tmp_path: Path, cell: str, problem: str
) -> None:
    """Another format, a day that there is not, a spreadsheet's number, and a day out of range."""
    days = DAYS.dt.strftime("%Y-%m-%d")
    days[7] = cell
    path = tmp_path / "rows.csv"
    frame(days).to_csv(path, index=False)
    contract = agreed(minimum=-100, maximum=100)
    assert [str(one) for one in check(contract, [path], told=told_by(contract))["rows.csv"]] == [problem]
    (tmp_path / NAME).write_text(contract.to_json(), encoding="utf-8")
    with pytest.raises(ContractError) as error:
        client_contract.kept(tmp_path, ["rows.csv"])
    assert problem in str(error.value)
    with pytest.raises(ContractBrokenError):
        prepare(path, tmp_path / "out", PreparationSettings(label="y", contract=contract))


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ('type = "date"', "columns.day.reference: a day is needed"),
        ('type = "date"\nreference = 2020-01-01', "columns.day.reference: a day is needed"),
        ('type = "date"\nreference = "2020-02-30"', "columns.day.reference: there is no day 2020-02-30"),
        ('type = "date"\nreference = "2020-01-01"\nformat = "%d/%m/%y"', "columns.day.format: %Y, %d"),
        ('type = "date"\nreference = "2020-01-01"\nformat = "%Y"', "columns.day.format: %Y, %d"),
        ('type = "date"\nreference = "2020-01-01"\nformat = "%Y-%m-%d %H"', "columns.day.format: %Y, %d"),
        ('type = "date"\nreference = "2020-01-01"\nformat = "%Y-%m-%b"', "columns.day.format: %Y, %d"),
        ('type = "date"\nreference = "2020-01-01"\nformat = 8', "columns.day.format: %Y, %d"),
        ('type = "numeric"\nreference = "2020-01-01"', "columns.day.reference: a numeric column has none"),
        ('type = "ignored"\nformat = "%Y-%m-%d"', "columns.day.format: a ignored column has none"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_with_its_key(tmp_path: Path, lines: str, words: str) -> None:
    """Also a year of two digits, whose century is a guess."""
    path = tmp_path / "contract.toml"
    path.write_text(
        f'label = "y"\n[columns.age]\ntype = "numeric"\n[columns.day]\n{lines}\n', encoding="utf-8"
    )
    with pytest.raises(ContractFileError) as error:
        load_contract(path)
    assert words in str(error.value)


def test_other_rules_have_the_digest_they_had() -> None:
    """A contract without dates travels as the same text as before there were any."""
    text = Contract.of({"label": "y", "columns": {"age": {"type": "numeric"}}}).to_json()
    assert "format" not in text
    assert "reference" not in text
    assert Contract.from_json(agreed().to_json()) == agreed()


@given(st.dates(), st.dates(), st.sampled_from(["%Y-%m-%d", "%d/%m/%Y", "%Y%m%d"]))
def test_the_days_are_those_of_the_calendar(day: dt.date, reference: dt.date, written: str) -> None:
    """Before the reference they are negative."""
    text = day.isoformat()
    if written != "%Y-%m-%d":
        year, month, of_month = text.split("-")
        text = f"{of_month}/{month}/{year}" if "/" in written else f"{year}{month}{of_month}"
    assert Dates(written=written, reference=reference).days(text) == (day - reference).days
