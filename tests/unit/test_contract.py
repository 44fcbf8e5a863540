"""A contract says what every table must be; what breaks it is told by column, never by value."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import contract as client_contract
import utils
from client_code.protocol.contract import Contract
from errors import ContractError
from federation import contract as module
from federation.config.contract import contract_beside, load_contract
from federation.data.contract_check import infer, read_prepared, require
from federation.data.preparation.prepare import prepare
from federation.data.preparation.prepared import CLIENT_FILES, prepared_files
from federation.data.preparation.settings import PreparationSettings
from federation.data.table import read_table
from federation.errors import ContractBrokenError, ContractFileError, SettingError

CONTRACT = """
label = "y"
[columns.age]
type = "numeric"
minimum = 0
maximum = 120
missing = 0.1
[columns.state]
type = "categorical"
[columns.smoker]
type = "boolean"
[columns.name]
type = "ignored"
"""
SECRET = "98765"


def frame(rows: int = 200) -> pd.DataFrame:
    """Return rows that keep the contract."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "y": np.arange(rows) % 2,
            "age": rng.integers(1, 100, rows).astype(object),
            "state": rng.choice(["CA", "NY"], rows).astype(object),
            "smoker": rng.choice(["true", "0"], rows).astype(object),
            "name": [f"person {i}" for i in range(rows)],
        }
    )


def load(folder: Path, text: str = CONTRACT) -> Contract:
    """Return a contract that was read from a file."""
    (folder / "contract.toml").write_text(text, encoding="utf-8")
    return load_contract(folder / "contract.toml")


def save(rows: pd.DataFrame, folder: Path, name: str = "rows.csv") -> Path:
    """Write rows and return the file."""
    path = folder / name
    if path.suffix == ".parquet":
        rows.to_parquet(path)
    else:
        rows.to_csv(path, index=False)
    return path


def broken(rows: pd.DataFrame, folder: Path, name: str = "rows.csv") -> str:
    """Return what the client's code says of rows, in its own words."""
    text = load(folder).to_json()
    found = client_contract.violations(Contract.from_json(text), [save(rows, folder, name)])
    return "; ".join(str(one) for violations in found.values() for one in violations)


# The file ---------------------------------------------------------------------------------------------------


def test_a_contract_is_read_and_travels_as_the_same_text(tmp_path: Path) -> None:
    """Both sides hash the same bytes, whatever the order of the file's keys."""
    one = load(tmp_path)
    head, *tables = CONTRACT.strip().split("\n[")
    other = load(tmp_path, "\n[".join([head, *reversed(tables)]))
    assert one.to_json() == other.to_json()
    assert one.digest == other.digest
    assert one.kinds == {"age": "numeric", "state": "categorical", "smoker": "boolean"}
    assert one.ignored == ("name",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("label = ", "not TOML"),
        ('label = "y"', "columns: this key is needed"),
        ('label = "y"\ncolumns = {}', "columns: at least one is needed"),
        ('label = "y"\n[columns.a]\ntype = "text"', "columns.a.type: numeric or boolean"),
        ('label = "y"\n[columns.a]\ntype = "numeric"\nlow = 1', "columns.a.low: there is no such key"),
        (
            'label = "y"\n[columns.a]\ntype = "numeric"\nmissing = 2',
            "columns.a.missing: a share from 0 to 1",
        ),
        ('label = "y"\n[columns.a]\ntype = "numeric"\nminimum = nan', "columns.a.minimum"),
        ('label = "y"\n[columns.a]\ntype = "boolean"\nminimum = 1', "a boolean column has no minimum"),
        ('label = "y"\n[columns.a]\ntype = "numeric"\nminimum = 2\nmaximum = 1', "above the maximum"),
        ('label = "y"\n[columns.y]\ntype = "numeric"', 'the label "y" is also a column'),
        ('label = "y"\n[columns.a]\ntype = "numeric"\nlog1p = 1', "columns.a.log1p: true or false"),
        ('label = "y"\n[columns.a]\ntype = "boolean"\nlog1p = true', "a boolean column has no logarithm"),
        (
            'label = "y"\n[columns.a]\ntype = "numeric"\nlog1p = true\nminimum = -1',
            "columns.a.log1p: the minimum is negative",
        ),
        ('label = "y"\n[columns.a]\ntype = "numeric"\nimpute = "mode"', "impute: mean or median is needed"),
        ('label = "y"\n[columns.a]\ntype = "categorical"\nimpute = "mean"', "column is not filled in"),
        ('label = "y"\n[columns.a]\ntype = "numeric"\nimpute = "median"', "a median needs a range"),
        (
            'label = "y"\n[columns.a]\ntype = "numeric"\nimpute = "median"\nminimum = 1\nmaximum = 2',
            "a median needs missing",
        ),
        ('label = "y"\n[columns.a]\ntype = "ignored"', "every column is ignored"),
    ],
)
def test_a_contract_that_cannot_be_is_refused(tmp_path: Path, text: str, words: str) -> None:
    """The message names the file and the key."""
    with pytest.raises(ContractFileError) as caught:
        load(tmp_path, text)
    assert "contract.toml" in str(caught.value)
    assert words in str(caught.value)
    assert caught.value.exit_code == 25


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ('label = "y"\n[columns.a]\ntype = "numeric"\nmax = 1', 'Did you mean "maximum"?'),
        ('label = "y"\npositiv = "1"\n[columns.a]\ntype = "numeric"', 'Did you mean "positive"?'),
        ('label = "y"\n[colums.a]\ntype = "numeric"', 'Did you mean "columns"?'),
    ],
)
def test_a_misspelt_key_is_answered_with_the_nearest(tmp_path: Path, text: str, remedy: str) -> None:
    """As in the configuration."""
    with pytest.raises(ContractFileError) as caught:
        load(tmp_path, text)
    assert caught.value.remedy == remedy


@pytest.mark.parametrize(
    ("lines", "remedy"),
    [
        ('type = "numeric"\nminimum = -1\nlog1p = true', "Remove log1p, or set minimum = 0."),
        ('type = "boolean"\nlog1p = true', "Remove log1p: it is for numeric columns."),
        ('type = "numeric"\nlog1p = "true"', "Write log1p = true or log1p = false, without quotes"),
        (
            'type = "numeric"\nimpute = "median"\nminimum = 1\nmaximum = 2',
            "Set minimum, maximum above it and missing above 0",
        ),
        ('type = "numeric"\nimpute = "median"', "Set minimum, maximum above it and missing above 0"),
        ('type = "numeric"\nimpute = "mode"', 'Write impute = "mean" or impute = "median"'),
        ('type = "categorical"\nimpute = "mean"', "Remove impute: it is for numeric columns."),
        ('type = "numeric"\nminimum = 2\nmaximum = 1', "Compare it with what"),
    ],
)
def test_what_infer_does_not_write_has_a_remedy_of_its_own(tmp_path: Path, lines: str, remedy: str) -> None:
    """Its contracts are no example of log1p and impute."""
    with pytest.raises(ContractFileError) as caught:
        load(tmp_path, f'label = "y"\n[columns.a]\n{lines}')
    assert caught.value.remedy.startswith(remedy)


def test_what_a_contract_does_not_set_leaves_its_digest_as_it_was(tmp_path: Path) -> None:
    """Contracts of before log1p and impute keep their hash; with them it is another, and they travel."""
    before = load(tmp_path)
    assert "log1p" not in before.to_json()
    assert "impute" not in before.to_json()
    assert before.digest[:16] == "403e6b3dff92bb86"  # as the version before had it
    after = load(
        tmp_path, CONTRACT.replace("maximum = 120", 'maximum = 120\nlog1p = false\nimpute = "median"')
    )
    assert after.digest != before.digest
    assert Contract.from_json(after.to_json()) == after
    assert set(after.medians) == {"age"}


def test_negative_values_break_a_contract_that_takes_their_logarithm(tmp_path: Path) -> None:
    """The column, how many, and the first rows; at both ends."""
    text = 'label = "y"\n[columns.debt]\ntype = "numeric"\nlog1p = true\n'
    rows = pd.DataFrame({"y": [0, 1, 0, 1], "debt": [1.0, -2.0, 0.0, -0.5]})
    contract, path = load(tmp_path, text), save(rows, tmp_path)
    words = 'column "debt": 2 negative values, of which the contract takes the logarithm (data rows 2, 4)'
    assert [str(one) for one in client_contract.violations(contract, [path])["rows.csv"]] == [words]
    with pytest.raises(ContractBrokenError) as caught:
        require(contract, [path])
    assert words in str(caught.value)


def test_a_contract_that_is_not_there_is_named(tmp_path: Path) -> None:
    """No traceback for a wrong path."""
    with pytest.raises(ContractFileError, match=r"absent\.toml: cannot be read"):
        load_contract(tmp_path / "absent.toml")


def test_a_label_of_yes_and_no_keeps_a_contract_without_positive(tmp_path: Path) -> None:
    """The contract and the reader of tables take the same words for the two classes."""
    rows = frame()
    rows["y"] = np.where(rows["y"] == 1, "Yes", "no")
    assert broken(rows, tmp_path) == ""
    table = read_table(tmp_path / "rows.csv", label="y", kinds=load(tmp_path).kinds, ignore=("name",))
    assert table.positives == 100


# Inferring --------------------------------------------------------------------------------------------------


def test_an_inferred_contract_is_kept_and_holds_no_value(tmp_path: Path) -> None:
    """Types are found, ranges are round, identifiers are ignored, and no level or single number is told."""
    rows = frame()
    rows.loc[0, "age"], rows.loc[1:9, "age"] = SECRET, None
    rows["income"] = -37.25
    path = save(rows, tmp_path)
    text = infer(read_table(path, label="y"), file="rows.csv")
    inferred = load(tmp_path, text)
    assert {name: rule.type for name, rule in inferred.columns.items()} == {
        "age": "numeric",
        "state": "categorical",
        "smoker": "boolean",
        "name": "ignored",
        "income": "numeric",
    }
    assert (inferred.columns["age"].minimum, inferred.columns["age"].maximum) == (0, 100_000)
    assert (inferred.columns["income"].minimum, inferred.columns["income"].maximum) == (-40, 0)
    assert inferred.columns["age"].missing == 0.05
    for value in (SECRET, "37.25", "person", '"CA"'):
        assert value not in text
    require(inferred, [path])


def test_columns_with_any_name_can_be_inferred(tmp_path: Path) -> None:
    """Quotes, dots and letters beyond ASCII survive the file."""
    name = 'a "quoted". naïve\tcolumn'
    rows = frame().rename(columns={"age": name})
    assert name in load(tmp_path, infer(read_table(save(rows, tmp_path), label="y"))).kinds


# Checking ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet"])
def test_rows_that_keep_the_contract_pass(tmp_path: Path, name: str) -> None:
    """In either format, with gaps within the share; an ignored column may be missing."""
    rows = frame()
    rows.loc[:10, "age"] = None
    rows["age"] = rows["age"].astype(float)
    assert broken(rows, tmp_path, name) == ""
    assert broken(rows.drop(columns="name"), tmp_path, name) == ""


@pytest.mark.parametrize(
    ("row", "column", "value", "words"),
    [
        (3, "age", SECRET, 'column "age": 1 values above 120 (data rows 4)'),
        (3, "age", "-1", 'column "age": 1 values below 0 (data rows 4)'),
        (3, "age", f"x{SECRET}", 'column "age": 1 values that are no finite numbers (data rows 4)'),
        (
            3,
            "age",
            "inf",
            'column "age": 1 values that are no finite numbers (data rows 4)',
        ),
        (3, "age", "1_0", 'column "age": 1 values that are no finite numbers (data rows 4)'),
        (3, "smoker", SECRET, 'column "smoker": 1 values that are neither true nor false (data rows 4)'),
        (3, "y", SECRET, 'column "y": 1 values that are not 0 and 1 (data rows 4)'),
        (3, "y", "", 'column "y": 1 rows without a label (data rows 4)'),
        (slice(0, 80), "age", "", 'column "age" lacks 81 of 200 values, more than the share of 0.1 allowed'),
        (3, "state", "NaN", 'column "state" lacks 1 of 200 values, more than the share of 0 allowed'),
        (slice(9, 19), "age", "-1", "11 values below 0 (data rows 10, 11, 12, 13, 14, ...)"),
    ],
)
def test_what_breaks_a_contract_is_located_without_values(
    tmp_path: Path, row: int | slice, column: str, value: str, words: str
) -> None:
    """Column, what is wrong, how many rows, the first of them."""
    rows = frame().astype(object)
    rows.loc[row, column] = value
    said = broken(rows, tmp_path)
    assert words in said
    assert SECRET not in said


def test_columns_that_are_missing_or_new_are_named(tmp_path: Path) -> None:
    """Neither is a feature that all parties agreed on."""
    said = broken(frame().rename(columns={"state": "province"}), tmp_path)
    assert 'column "province" is not in the contract' in said
    assert 'column "state" is not there' in said


def test_rows_are_counted_through_all_parts_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large file is read in parts, and a row keeps its number."""
    monkeypatch.setattr(client_contract, "CHUNK_ROWS", 60)
    rows = frame()
    rows.loc[[5, 61, 199], "age"] = 999
    assert "3 values above 120 (data rows 6, 62, 200)" in broken(rows, tmp_path)


def test_an_empty_row_group_is_no_rows(tmp_path: Path) -> None:
    """A Parquet file may hold groups without rows."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    table = pa.Table.from_pandas(frame().astype({"age": float}))
    with pq.ParquetWriter(tmp_path / "rows.parquet", table.schema) as writer:
        for part in (table.slice(0, 0), table, table.slice(0, 0)):
            writer.write_table(part)
    contract = Contract.from_json(load(tmp_path).to_json())
    assert client_contract.violations(contract, [tmp_path / "rows.parquet"]) == {}


def test_the_operators_check_is_the_clients(tmp_path: Path) -> None:
    """Both say the same, for one program decides."""
    rows = frame()
    rows.loc[7, "age"] = SECRET
    contract, path = load(tmp_path), save(rows, tmp_path)
    with pytest.raises(ContractBrokenError) as theirs:
        require(contract, [path])
    mine = Contract.from_json(contract.to_json())
    with pytest.raises(ContractError) as ours:
        client_contract.require(mine, [path])
    assert theirs.value.problem == str(ours.value)
    assert (theirs.value.exit_code, ours.value.exit_code) == (26, 94)
    assert SECRET not in str(theirs.value)


def test_what_is_no_table_is_named(tmp_path: Path) -> None:
    """A file that cannot be read breaks any contract."""
    (tmp_path / "rows.csv").write_bytes("y,age\n1,é\n".encode("latin-1") * 3)
    with pytest.raises(ContractBrokenError, match=r"rows\.csv cannot be read as a table"):
        require(load(tmp_path), [tmp_path / "rows.csv"])


# Travelling -------------------------------------------------------------------------------------------------


def test_prepared_files_carry_their_contract(tmp_path: Path) -> None:
    """Every party gets it, publishing takes it along, and the client finds the digest the server expects."""
    contract = load(tmp_path)
    out = tmp_path / "out"
    prepare(save(frame(), tmp_path), out, PreparationSettings(label="y", contract=contract))
    assert contract_beside(out / "server" / "test.csv") == contract
    published = prepared_files(out, "client-1", CLIENT_FILES)
    beside = ["contract.json", "preparation.json"]
    assert [file.path.name for file in published] == ["train.csv", "validation.csv", *beside]
    kept = client_contract.kept(out / "client-1", CLIENT_FILES)
    assert kept == (contract.digest, contract.kinds, False, {}, (), {})
    assert read_prepared(out / "client-1" / "train.csv", label="y").features == ("age", "state", "smoker")


def test_a_client_whose_rows_break_the_contract_does_not_join(tmp_path: Path) -> None:
    """Another client's rows do not matter to it."""
    contract = load(tmp_path)
    out = tmp_path / "out"
    prepare(save(frame(), tmp_path), out, PreparationSettings(label="y", contract=contract))
    train = out / "client-2" / "train.csv"
    train.write_text(train.read_text().replace(",CA,", ",,", 1), encoding="utf-8")
    client_contract.kept(out / "client-1", CLIENT_FILES)
    with pytest.raises(ContractError, match=r'train\.csv breaks the contract: column "state" lacks'):
        client_contract.kept(out / "client-2", CLIENT_FILES)


def test_without_a_contract_prepared_files_tell_what_their_columns_hold(tmp_path: Path) -> None:
    """A client whose part of a text column holds only numbers reads it as texts all the same."""
    third = np.arange(200) % 3 == 0
    rows = frame().assign(state=np.where(third, "12", "7A"), site=np.where(third, "a", "b"))
    out = tmp_path / "out"
    prepare(save(rows, tmp_path), out, PreparationSettings(label="y", partition="column:site"))
    digest, kinds, *_ = client_contract.kept(out / "a", CLIENT_FILES)
    assert digest == ""
    table = utils.load_table(out / "a" / "train.csv", "y", kinds)
    assert table.levels["state"] == ("12",)


def test_a_table_that_breaks_its_contract_is_not_prepared(tmp_path: Path) -> None:
    """Nothing is written."""
    rows = frame()
    rows.loc[0, "age"] = 999
    settings = PreparationSettings(label="y", contract=load(tmp_path))
    with pytest.raises(ContractBrokenError, match="values above 120"):
        prepare(save(rows, tmp_path), tmp_path / "out", settings)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"label": "age"}, 'in the contract "y"'), ({"partition": "column:state"}, "has it for a feature")],
)
def test_settings_that_contradict_the_contract_are_refused(
    tmp_path: Path, changes: dict[str, str], words: str
) -> None:
    """The message says what to change."""
    settings = PreparationSettings(**({"label": "y", "contract": load(tmp_path)} | changes))  # type: ignore[arg-type]
    with pytest.raises(SettingError, match=words):
        prepare(save(frame(), tmp_path), tmp_path / "out", settings)


# The command ------------------------------------------------------------------------------------------------


def test_the_next_command_names_the_contract(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Unless it is the one that check takes by itself; it works as printed."""
    path, contract = save(frame(), tmp_path), tmp_path / "the agreed.toml"
    module.main(action="infer", data=str(path), contract=contract, label="y")
    *_, words = capsys.readouterr().err.strip().splitlines()
    assert words.endswith(f"check --data {path} --contract '{contract}'")


def test_the_command_infers_then_checks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What infer writes, check accepts; a folder of tables is checked whole; --json is for programs."""
    path, contract = save(frame(), tmp_path), tmp_path / "new.toml"
    module.main(action="infer", data=str(path), contract=contract, label="y")
    module.main(action="check", data=str(tmp_path), contract=contract)
    rows = frame()
    rows.loc[2, "smoker"] = SECRET
    save(rows, tmp_path, "more.csv")
    capsys.readouterr()
    with pytest.raises(ContractBrokenError, match=r"^more\.csv: broken contract"):
        module.main(action="check", data=str(tmp_path), contract=contract, as_json=True)
    (one,) = json.loads(capsys.readouterr().out)["more.csv"]
    assert (one["column"], one["count"], one["rows"]) == ("smoker", 1, [3])
    with pytest.raises(SettingError, match="exists already"):
        module.main(action="infer", data=str(path), contract=contract, label="y")
