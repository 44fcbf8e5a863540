"""Columns that cannot be used as they stand are left out, and named with the reason."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from client_code.protocol.cells import Profile
from federation.cli.command import run
from federation.config.contract import load_contract
from federation.data.contract_check import infer
from federation.data.preparation.manifest import Manifest
from federation.data.preparation.options import choose_preparation
from federation.data.preparation.prepare import prepare
from federation.data.preparation.prepared import manifest_beside
from federation.data.preparation.settings import PreparationSettings
from federation.data.table import read_table
from federation.data.unused import ASKED, BY_CONTRACT, lines, unused
from federation.data_prep import main
from federation.errors import DataError, FeatureError, SettingError

ROWS = 600
ID = "whole numbers, all different: an identifier"


def frame(**columns: Any) -> pd.DataFrame:
    """Return rows with a number, a word, and more."""
    rng = np.random.default_rng(0)
    age = rng.integers(20, 90, ROWS)
    known = {"age": age, "sex": rng.choice(["f", "m"], ROWS), "y": (rng.random(ROWS) < age / 100).astype(int)}
    return pd.DataFrame(known | columns)


def amounts() -> np.ndarray:
    """Return costs, 97 % of them of a thousand or more."""
    rng = np.random.default_rng(1)
    return np.where(
        np.arange(ROWS) % 33 == 0, rng.uniform(100, 999, ROWS), rng.uniform(1_000, 90_000, ROWS)
    ).round(2)


def write(rows: pd.DataFrame, folder: Path) -> Path:
    """Write a table and return its path."""
    rows.to_csv(folder / "rows.csv", index=False)
    return folder / "rows.csv"


def found(rows: pd.DataFrame, folder: Path) -> dict[str, str]:
    """Return what is found unusable in a table as its owner exported it."""
    return unused(read_table(write(rows, folder), label="y", codes=True))


def prepared(rows: pd.DataFrame, folder: Path, **settings: Any) -> Manifest:
    """Prepare a table below a folder."""
    return prepare(write(rows, folder), folder / "out", PreparationSettings(label="y", **settings))


# What is found ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("%Y-%m-%d", "dates (year, month, day)"),
        ("%Y-%m-%dT%H:%M:%S", "dates (year, month, day)"),
        ("%m/%d/%Y", "dates (month, day, year)"),
        ("%m/%d/%y %H:%M", "dates (month, day, year)"),
        ("%d.%m.%Y", "dates (day, month, year)"),
        ("%d/%m/%Y", "dates (day, month, year)"),
        ("%d-%b-%Y", "dates"),
    ],
)
@pytest.mark.parametrize("days", [600, 60])
def test_dates_are_named_whether_or_not_they_repeat(tmp_path: Path, form: str, words: str, days: int) -> None:
    """Else the days that many rows share would become features."""
    dates = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(ROWS) % days, unit="D")
    reason = found(frame(day=dates.strftime(form)), tmp_path)["day"]
    assert reason == (
        f"100 % of its values look like {words}: a contract makes them numbers, the days since a reference "
        'day (type = "date")'
    )


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.arange(ROWS), ID),
        (np.random.default_rng(0).permutation(np.arange(5_000, 5_000 + ROWS)), ID),
        (np.random.default_rng(0).choice(900_000, ROWS, replace=False) + 100_000, ID),
        (np.r_[np.arange(580), 10**6 + np.arange(20)], ID),
        ([f"P-{i}" for i in range(ROWS)], "texts, all different: an identifier"),
        ([f"{i:06d}" for i in range(ROWS)], "codes, all different: an identifier"),
        (
            [f"they said {i % 400}" for i in range(ROWS)],
            "texts, most of them different: an identifier, or prose",
        ),
    ],
)
def test_identifiers_are_found(tmp_path: Path, values: Any, reason: str) -> None:
    """In a row, at random, in blocks of two hospitals, in texts and in codes."""
    assert found(frame(id=values), tmp_path) == {"id": reason}


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(0).normal(size=ROWS),
        np.arange(ROWS) + 0.5,
        np.random.default_rng(0).integers(0, 400, ROWS),
        np.round(np.random.default_rng(0).lognormal(14, 1, ROWS)),
        np.round(np.random.default_rng(0).normal(1e8, 1e7, ROWS)),
        [f"{code:05d}" for code in np.random.default_rng(0).choice([2139, 1010, 90210], ROWS)],
    ],
)
def test_measurements_and_levels_are_not(tmp_path: Path, values: Any) -> None:
    """Not even whole numbers that all differ, where they lie as amounts and sizes do."""
    assert found(frame(value=values), tmp_path) == {}


def test_few_numbers_are_no_identifier(tmp_path: Path) -> None:
    """They differ by chance."""
    assert found(frame(id=np.arange(ROWS))[:49], tmp_path) == {}
    assert found(frame(id=np.arange(ROWS))[:50], tmp_path) == {"id": ID}


def test_codes_with_leading_zeros_are_levels(tmp_path: Path) -> None:
    """At every client; one zero among hundreds of numbers is a slip, and no file changes by it."""
    zips = [f"{code:05d}" for code in np.random.default_rng(0).choice([2139, 1010, 90210], ROWS)]
    prepared(frame(zip=zips, dose=["05", *["12"] * (ROWS - 1)]), tmp_path)
    contract = json.loads((tmp_path / "out/client-1/contract.json").read_text())
    assert contract["columns"]["zip"]["type"] == "categorical"
    assert contract["columns"]["dose"]["type"] == "numeric"
    train = pd.read_csv(tmp_path / "out/client-1/train.csv", dtype=str)
    assert set(train["zip"]) == {"02139", "01010", "90210"}


@pytest.mark.parametrize(
    ("cells", "codes"),
    [
        (["02139", "90210"], True),
        (["0", "1"], False),
        (["0.5", "10"], False),
        (["-01", "2"], False),
        (["05"] + ["12"] * 99, True),
        (["05"] + ["12"] * 100, False),
        (["a"], False),
    ],
)
def test_a_profile_knows_codes(cells: list[str], codes: bool) -> None:  # noqa: FBT001
    """Digits alone, one in a hundred with a zero in front."""
    profile = Profile()
    profile.add(cells)
    assert profile.codes is codes


def test_one_number_in_another_notation_is_read_where_it_can_be_no_other(tmp_path: Path) -> None:
    """Beside plain numbers with fractions a comma separates thousands; alone, it may not."""
    cost = amounts().astype(str).astype(object)
    cost[7] = "1,234.50"
    assert found(frame(cost=cost), tmp_path) == {}
    whole = amounts().round().astype(int).astype(str).astype(object)
    whole[7] = "1,234"
    with pytest.raises(FeatureError, match=r'"cost", data row 8 \(line 9\): "," may separate'):
        prepared(frame(cost=whole), tmp_path)


def test_infer_ignores_what_preparation_leaves_out(tmp_path: Path) -> None:
    """With the same reasons; under its contract the same columns are used."""
    rows = frame(id=np.arange(ROWS), day=["2024-01-05", "2024-02-07"] * 300, zip=["01234", "90210"] * 300)
    table = read_table(write(rows, tmp_path), label="y", codes=True)
    (tmp_path / "contract.toml").write_text(infer(table), encoding="utf-8")
    contract = load_contract(tmp_path / "contract.toml")
    assert set(contract.ignored) == set(unused(table)) == {"id", "day"}
    assert contract.kinds["zip"] == "categorical"
    assert '[columns."zip"]\ntype = "categorical"  # codes\n' in (tmp_path / "contract.toml").read_text()
    assert f"# {ID}\n" in (tmp_path / "contract.toml").read_text()
    manifest = prepared(rows, tmp_path, contract=contract)
    assert manifest.left_out == {"id": BY_CONTRACT, "day": BY_CONTRACT}
    assert manifest.features == ("age", "sex", "zip")


def test_many_columns_with_one_reason_are_one_line() -> None:
    """The first five by name, and how to use them all the same where that makes a feature."""
    first, second = lines({f"id{i}": ID for i in range(7)} | {"name": ASKED}, hint=True)
    assert first.startswith(
        '"id0", "id1", "id2", "id3", "id4" and 2 more: left out. Whole numbers, all different'
    )
    assert first.endswith(" --keep COLUMN uses it all the same.")
    assert second == '"name": left out. Ignored, as asked.'


@pytest.mark.parametrize(
    "reason",
    [
        "codes, all different: an identifier",
        "texts, all different: an identifier",
        "texts, most of them different: an identifier, or prose",
        "100 % of its values look like dates: a contract makes them numbers",
    ],
)
def test_keep_is_no_hint_where_it_makes_no_feature(reason: str) -> None:
    """Of texts that hardly repeat no level is frequent enough; dates and notations are to be converted."""
    (line,) = lines({"a": reason}, hint=True)
    assert "--keep" not in line


# What is asked for ------------------------------------------------------------------------------------------


def test_keep_and_ignore_decide(tmp_path: Path) -> None:
    """An identifier that is kept is in the files; an ignored column is not read, whatever it holds."""
    rows = frame(id=np.arange(ROWS), mixed=["1", "2", "U"] * 200)
    manifest = prepared(rows, tmp_path, keep=("id",), ignore=("mixed", "sex"))
    assert manifest.features == ("age", "id")
    assert manifest.left_out == {"mixed": ASKED, "sex": ASKED}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keep": ("agee",)}, '--keep "agee": no such column. Did you mean "age"?'),
        ({"ignore": ("agee",)}, '--ignore "agee": no such column. Did you mean "age"?'),
        ({"keep": ("y",)}, '--keep "y": it is the label'),
        ({"ignore": ("y",)}, '--ignore "y": it is the label'),
        ({"keep": ("age",), "ignore": ("age",)}, '"age" is both to keep and to ignore'),
        ({"keep": ("sex",), "partition": "column:sex"}, '--keep "sex": it names the clients'),
        ({"ignore": ("age",), "partition": "quantile:age"}, 'by "age": it is to be ignored'),
    ],
)
def test_what_cannot_be_chosen_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    """With near names; nothing is written."""
    with pytest.raises(SettingError) as error:
        prepared(frame(), tmp_path, **changes)
    assert message in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keep": ("id",)}, '--keep "id": the contract ignores it'),
        ({"ignore": ("age",)}, '--ignore "age": the contract uses it'),
    ],
)
def test_the_contract_decides(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    """Options that contradict it are refused; `test_infer_...` shows that what it uses is used."""
    rows = frame(id=np.arange(ROWS))
    text = infer(read_table(write(rows, tmp_path), label="y", codes=True))
    (tmp_path / "contract.toml").write_text(text, encoding="utf-8")
    with pytest.raises(SettingError) as error:
        prepared(rows, tmp_path, contract=load_contract(tmp_path / "contract.toml"), **changes)
    assert message in str(error.value)


def test_a_table_of_nothing_but_identifiers_is_refused(tmp_path: Path) -> None:
    """And says which option uses one."""
    rows = frame(id=np.arange(ROWS)).drop(columns=["age", "sex"])
    with pytest.raises(DataError, match="every column is left out") as error:
        prepared(rows, tmp_path)
    assert "--keep" in str(error.value)
    dates = pd.date_range("2024-01-01", periods=ROWS).strftime("%Y-%m-%d")
    with pytest.raises(DataError, match="every column is left out") as error:
        prepared(frame(day=dates)[["day", "y"]], tmp_path)
    assert "--keep" not in str(error.value)


@pytest.mark.parametrize(
    "options",
    [{"ignore": ["age"]}, {"keep": ["age"]}, {"drop_duplicates": True}],
    ids=lambda one: next(iter(one)),
)
def test_prepared_data_are_not_changed_by_options(tmp_path: Path, options: dict[str, Any]) -> None:
    """As other options of the preparation; not given, they contradict nothing."""
    prepared(frame(), tmp_path)
    nothing: dict[str, Any] = {"ignore": [], "keep": None, "drop_duplicates": False}
    assert choose_preparation(tmp_path / "out", 0, **nothing) is None
    with pytest.raises(SettingError, match="0 clients"):  # given, though it equals false
        choose_preparation(None, 0, **nothing, clients=0)
    name = next(iter(options)).replace("_", "-")
    with pytest.raises(SettingError, match=f"--{name} cannot change"):
        choose_preparation(tmp_path / "out", 0, **nothing | options)


def test_the_command_tells_what_is_left_out_and_dropped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Below the table of rows."""
    rows = pd.concat([frame(id=np.arange(ROWS), note="x"), frame(id=np.arange(ROWS), note="x")[:3]])
    source = write(rows.assign(id=rows["id"] % ROWS), tmp_path)
    options = [
        "--input",
        str(source),
        "--label",
        "y",
        "--ignore",
        "note",
        "--keep",
        "sex",
        "--drop-duplicates",
    ]
    with pytest.raises(SystemExit, match="0"):
        run(main, [*options, "--out", str(tmp_path / "out")])
    shown = capsys.readouterr().out
    assert "3 (" in shown.splitlines()[0]
    assert shown.splitlines()[0].endswith("duplicates dropped")
    assert "note: 3 of 603 rows are identical to an earlier row, label included: dropped." in shown
    assert 'note: "note": left out. Ignored, as asked.' in shown


def test_the_servers_manifest_is_found_beside_its_table(tmp_path: Path) -> None:
    """In the folder or the one above, if it is the table's; another program's is no fault."""
    manifest = prepared(frame(id=np.arange(ROWS)), tmp_path)
    test = tmp_path / "out/server/test.csv"
    assert manifest_beside(test) == manifest
    test.write_text(test.read_text() + "1,50,f\n")
    assert manifest_beside(test) is None
    (tmp_path / "out/manifest.json").write_text("{}")
    assert manifest_beside(test) is None
