"""Words for missing values are declared; words among numbers are told with the options that decide."""

import inspect
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import contract as client_contract
import federation
import utils
from client_code.protocol.cells import Words
from client_code.protocol.contract import NAME, Contract, Rule
from errors import ContractError
from federation import contract, data_prep, local
from federation.cli.command import run
from federation.config.contract import load_contract
from federation.data.contract_check import check, read_prepared, told_by
from federation.data.preparation.manifest import Manifest
from federation.data.preparation.options import choose_preparation
from federation.data.preparation.prepare import prepare
from federation.data.preparation.settings import PreparationSettings
from federation.data.table import read_table
from federation.errors import (
    ContractBrokenError,
    ContractFileError,
    FeatureError,
    LabelError,
    SettingError,
)
from federation.rehearse import __main__ as rehearse
from federation.rehearse.parties.prepared_data import prepare_data

ROWS = 600
WORD = "Too Few to Report"


def frame(column: str = "n", values: Any = None, every: int = 3, word: str = WORD) -> pd.DataFrame:
    """Return rows of which one column holds numbers, and every so many rows a word."""
    rng = np.random.default_rng(0)
    age = rng.integers(20, 90, ROWS)
    numbers = rng.integers(100, 9_000, ROWS).astype(str).astype(object)
    numbers[::every] = word
    y = (rng.random(ROWS) < age / 100).astype(int)
    return pd.DataFrame({"age": age, column: numbers if values is None else values, "y": y})


def write(rows: pd.DataFrame, folder: Path, name: str = "rows.csv") -> Path:
    """Write a table and return its path."""
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".parquet":
        rows.astype(str).to_parquet(path)
    else:
        rows.to_csv(path, index=False)
    return path


def prepared(rows: pd.DataFrame, folder: Path, **settings: Any) -> Manifest:
    """Prepare a table below a folder."""
    return prepare(write(rows, folder), folder / "out", PreparationSettings(label="y", **settings))


def printed_by(path: Path, out: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """Return what the command prints, whether it prepares the table or refuses it."""
    arguments = ["--input", str(path), "--label", "y", "--out", str(out), *options]
    with pytest.raises(SystemExit):
        run(data_prep.main, arguments)
    return "".join(capsys.readouterr())


def fragments(printed: str) -> list[list[str]]:
    """Return the options that a message names, as a shell would read them."""
    option = r"--(?:missing|categorical|decimal|ignore)[ =](?:'(?:[^']|'\"'\"')*'|[^\s,']+)"
    return [shlex.split(one) for one in re.findall(rf"{option}(?: {option})*", printed)]


def test_a_column_of_numbers_with_a_word_is_told_with_word_rows_and_options(tmp_path: Path) -> None:
    """The file, the first row and its line, how many rows, the word, and what reads it."""
    with pytest.raises(FeatureError) as error:
        prepared(frame("Number of Readmissions"), tmp_path)
    assert str(error.value) == (
        f'{tmp_path}/rows.csv: column "Number of Readmissions", data row 1 (line 2): not a number, as in 200 '
        f"of 600 rows: \"{WORD}\" in 200. Add --missing '{WORD}' if it means a missing value, or "
        "--categorical 'Number of Readmissions' if the column holds words (a contract can say so too)."
    )


@pytest.mark.parametrize(
    "word", [WORD, "?", ".", "*", "-", "#N/A", "<NA>", "None", "it's", "a  b", "-9x", "(*)"]
)
def test_every_option_that_the_message_names_works_as_it_is_printed(
    tmp_path: Path, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each is copied from the message to the command line, through a shell's rules."""
    path = write(frame("a column", every=9, word=word), tmp_path)
    offered = fragments(printed_by(path, tmp_path / "out", capsys))
    assert [options[0].partition("=")[0] for options in offered] == ["--missing", "--categorical"]
    for number, options in enumerate(offered):
        out = tmp_path / f"out{number}"
        shown = printed_by(path, out, capsys, *options)
        assert (out / "manifest.json").is_file(), shown
    filled = pd.read_csv(tmp_path / "out0/server/test.csv")["a column"]
    assert filled.dtype == float
    assert filled.isna().any()


@pytest.mark.parametrize(("rows", "shown"), [(9, False), (10, True)])
def test_a_word_is_shown_only_where_many_rows_hold_it(tmp_path: Path, rows: int, *, shown: bool) -> None:
    """A word in few rows may be a diagnosis; how many rows hold one is told all the same."""
    values = np.arange(1_000, 1_000 + ROWS).astype(str).astype(object)
    values[:rows], values[20:25] = "HIV positive", [f"note {i}" for i in range(5)]
    with pytest.raises(FeatureError) as error:
        prepared(frame(values=values), tmp_path)
    assert f"as in {rows + 5} of 600 rows" in str(error.value)
    assert ("HIV" in str(error.value)) is shown
    assert "note" not in str(error.value)
    if shown:
        assert '"HIV positive" in 10, other words in 5.' in str(error.value)
        assert "and correct the others" in error.value.remedy


def test_signs_for_a_gap_are_named_however_few(tmp_path: Path) -> None:
    """A question mark is nobody's diagnosis."""
    values = np.arange(1_000, 1_000 + ROWS).astype(str).astype(object)
    values[7] = "?"
    with pytest.raises(FeatureError, match=r"data row 8 \(line 9\): not a number: .* Add --missing '\?'"):
        prepared(frame(values=values), tmp_path)


def test_numbers_do_not_become_words_where_most_are_missing(tmp_path: Path) -> None:
    """More than half hold one word: without a line, the numbers would be levels that hardly repeat."""
    values = np.random.default_rng(0).integers(100, 9_000, ROWS).astype(str).astype(object)
    values[np.arange(ROWS) % 5 < 3] = "Not Available"
    with pytest.raises(FeatureError, match='"Not Available" in 360') as error:
        prepared(frame(values=values), tmp_path)
    assert "Add --missing 'Not Available'" in error.value.remedy
    manifest = prepared(frame(values=values), tmp_path, missing=["Not Available"])
    assert "n" in manifest.features
    assert pd.read_csv(tmp_path / "out/server/test.csv")["n"].dtype == float


@pytest.mark.parametrize("values", [["1", "A", "B"], ["V45", "E879", "250.00"], ["1", "2", "A", "B", "C"]])
def test_codes_with_letters_stay_words(tmp_path: Path, values: list[str]) -> None:
    """Few different numbers among words are levels like the others."""
    prepared(frame(values=(values * ROWS)[:ROWS]), tmp_path)
    assert set(pd.read_csv(tmp_path / "out/server/test.csv", dtype=str)["n"]) == set(values)


# A column of codes ------------------------------------------------------------------------------------------


def test_a_mixed_column_is_categorical_where_the_user_says_so(tmp_path: Path) -> None:
    """Sex as 1, 2 and U: the message names the way, and the levels are in the files."""
    rows = frame("sex", ["1", "2", "U"] * 200)
    with pytest.raises(FeatureError, match='"U" in 200') as error:
        prepared(rows, tmp_path)
    assert "--categorical sex if the column holds words" in str(error.value)
    prepared(rows, tmp_path, categorical=["sex"])
    assert set(pd.read_csv(tmp_path / "out/server/test.csv", dtype=str)["sex"]) == {"1", "2", "U"}


def test_infer_writes_a_mixed_column_as_words_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its contract is kept and prepared with; no level is in it."""
    path = write(frame("sex", ["1", "2", "U"] * 200), tmp_path)
    file = str(tmp_path / "contract.toml")
    with pytest.raises(SystemExit, match="0"):
        run(contract.main, ["infer", "--data", str(path), "--label", "y", "--contract", file])
    told = capsys.readouterr().err
    assert 'note: "sex": taken for words (not a number, as in 200 of 600 rows: "U" in 200)' in told
    assert "--missing U" in told
    text = Path(file).read_text(encoding="utf-8")
    assert '[columns."sex"]\ntype = "categorical"  # numbers and words' in text
    assert "U" not in text.split("[columns.", 1)[1].replace('"', "")
    agreed = load_contract(Path(file))
    assert check(agreed, [path]) == {}
    prepare(path, tmp_path / "out", PreparationSettings(label="y", contract=agreed))


def test_infer_takes_the_options_and_writes_the_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Then the column is one of numbers, with gaps; what was declared is agreed with the contract."""
    path = write(frame(), tmp_path)
    file = str(tmp_path / "contract.toml")
    options = ["infer", "--data", str(path), "--label", "y", "--contract", file]
    with pytest.raises(SystemExit, match="0"):
        run(contract.main, [*options, "--missing", WORD, "--missing", ".", "--categorical", "age"])
    agreed = load_contract(Path(file))
    assert tuple(agreed.missing_values) == (WORD, ".")
    assert (agreed.kinds, agreed.columns["n"].missing) == ({"age": "categorical", "n": "numeric"}, 0.35)
    with pytest.raises(SystemExit, match="0"):
        run(contract.main, ["check", "--data", str(path), "--contract", file])
    capsys.readouterr()


def test_the_check_of_a_contract_names_the_words_and_what_reads_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Below the violations, which hold none; under a contract no option makes the column one of words."""
    path = write(frame(), tmp_path)
    (tmp_path / "contract.toml").write_text(
        'label = "y"\n[columns.age]\ntype = "numeric"\n[columns.n]\ntype = "numeric"\nmissing = 0.4\n',
        encoding="utf-8",
    )
    options = ["check", "--data", str(path), "--contract", str(tmp_path / "contract.toml")]
    with pytest.raises(SystemExit, match="26"):
        run(contract.main, options)
    shown = capsys.readouterr()
    assert WORD not in shown.out
    assert f'note: "n": not a number, as in 200 of 600 rows: "{WORD}" in 200. Add --missing' in shown.err
    assert "--categorical" not in shown.err
    (declared,) = fragments(shown.err)
    with pytest.raises(SystemExit, match="0"):
        run(contract.main, [*options, *declared])
    capsys.readouterr()


# In a folder ------------------------------------------------------------------------------------------------


def folder_of(folder: Path, **columns: tuple[list[str], list[str]]) -> Path:
    """Write two files that differ in a column, and return their folder."""
    for number, name in enumerate(("a.csv", "b.csv")):
        own = {column: (values[number] * ROWS)[: ROWS // 2] for column, values in columns.items()}
        write(frame()[number * ROWS // 2 :][: ROWS // 2].drop(columns="n").assign(**own), folder / "in", name)
    return folder / "in"


def test_files_that_write_a_column_in_two_ways_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """F and M in one, 1 and 2 in the other; the option works, for whom that is meant."""
    path = folder_of(tmp_path, sex=(["F", "M"], ["1", "2"]))
    shown = printed_by(path, tmp_path / "out", capsys)
    assert f'{path}: column "sex" holds words in a.csv and numbers in b.csv.' in shown
    (options,) = fragments(shown)
    assert options == ["--categorical", "sex"]
    printed_by(path, tmp_path / "out", capsys, *options)
    assert set(pd.read_csv(tmp_path / "out/server/test.csv")["sex"]) == {"F", "M", "1", "2"}


def test_files_that_write_the_label_in_two_ways_are_named(tmp_path: Path) -> None:
    """Each has two values: the column is no wrong choice, the files differ."""
    path = folder_of(tmp_path, y=(["no", "yes"], ["0", "2"]))
    with pytest.raises(LabelError) as error:
        read_table(path, label="y", codes=True)
    assert str(error.value) == (
        f'{path}: label "y" has 4 distinct values (2 in a.csv and 2 in b.csv: 2 different pairs): '
        "not binary. Write the label alike in all files."
    )


def test_a_word_in_a_file_is_a_mistake_in_that_file(tmp_path: Path) -> None:
    """With its name and its line there."""
    path = folder_of(tmp_path, n=(["7", "8"], ["7", "8", "?"]))
    with pytest.raises(FeatureError, match=r'b\.csv: column "n", data row 3 \(line 4\): .* "\?" in 100'):
        read_table(path, label="y", codes=True)


# What is declared -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "cell", "missing"),
    [
        (WORD, f" {WORD} ", True),
        (WORD, WORD.lower(), False),
        (".", ".", True),
        ("-9", "-9.0", True),
        ("999", "9.99e2", True),
        ("999", "0999", False),
        ("999", "9990", False),
    ],
)
def test_a_word_is_the_same_text_or_the_same_number(word: str, cell: str, *, missing: bool) -> None:
    """Its case counts, blanks around it do not; a code with a 0 in front is another one."""
    assert (cell in Words([word])) is missing


def test_declared_words_become_gaps_in_columns_of_any_kind(tmp_path: Path) -> None:
    """Prepared files hold none of them; the manifest says in how many rows they were."""
    rows = frame().assign(state=["CA", "NY", "."] * 200, smoker=["true", "false", "."] * 200)
    manifest = prepared(rows, tmp_path, missing=[WORD, ".", "never there"])
    for path in (tmp_path / "out").rglob("*.csv"):
        text = path.read_text(encoding="utf-8")
        assert WORD not in text
        assert ",.," not in text
    assert 'Missing, as declared: "n" in 200, "state" in 200, "smoker" in 200 rows.' in manifest.notes


def test_a_number_may_be_declared(tmp_path: Path) -> None:
    """Where -9 stands for "not asked", it is no measurement, however it is written."""
    rows = frame(values=["-9", "5.5", "-9.0", "7"] * 150)
    prepared(rows, tmp_path, missing=["-9"])
    found = pd.read_csv(tmp_path / "out/server/test.csv")["n"]
    assert found.isna().any()
    assert found.min() == 5.5


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet"])
def test_a_client_reads_a_raw_table_under_the_contract_as_preparation_does(tmp_path: Path, name: str) -> None:
    """The same numbers and the same gaps at either end."""
    rows = frame().assign(code=["-9", "7", "5"] * 200)
    agreed = Contract(
        label="y",
        columns={name: Rule(type="numeric", missing=0.4) for name in ("age", "n", "code")},
        missing_values=(WORD, "-9"),
    )
    path = write(rows, tmp_path, name)
    (tmp_path / NAME).write_text(agreed.to_json(), encoding="utf-8")
    terms = client_contract.kept(tmp_path, [name])
    client = utils.load_table(path, "y", terms.kinds, missing=terms.missing, dates=terms.dates)
    server = read_table(path, label="y", kinds=agreed.kinds, codes=True, told=told_by(agreed))
    np.testing.assert_array_equal(client.X, server.X)
    assert np.isnan(client.X).sum(axis=0).tolist() == [0, 200, 200]


def test_words_that_are_not_declared_break_the_contract_at_either_end(tmp_path: Path) -> None:
    """By their number, without the words; `--missing` at the operator's end is enough there."""
    path = write(frame(), tmp_path)
    agreed = Contract(label="y", columns=dict.fromkeys(("age", "n"), Rule(type="numeric", missing=0.4)))
    problem = 'column "n": 200 values that are no finite numbers'
    assert str(check(agreed, [path])["rows.csv"][0]).startswith(problem)
    (tmp_path / NAME).write_text(agreed.to_json(), encoding="utf-8")
    with pytest.raises(ContractError, match=problem):
        client_contract.kept(tmp_path, ["rows.csv"])
    assert check(agreed, [path], told=told_by(agreed, missing=[WORD])) == {}
    with pytest.raises(ContractBrokenError, match=problem) as error:
        prepare(path, tmp_path / "out", PreparationSettings(label="y", contract=agreed))
    assert fragments(error.value.remedy) == [["--missing", WORD]]
    assert "missing_values in the contract does it for all" in error.value.remedy
    prepare(path, tmp_path / "out", PreparationSettings(label="y", contract=agreed, missing=[WORD]))


def test_a_contract_without_words_has_the_digest_it_had() -> None:
    """So parties need not publish again for a key that they do not use."""
    parts = {"label": "y", "columns": {"age": {"type": "numeric"}}}
    assert "missing_values" not in Contract.of(parts).to_json()
    declared = Contract.of(parts | {"missing_values": ["."]})
    assert declared.digest != Contract.of(parts).digest
    assert Contract.from_json(declared.to_json()).digest == declared.digest


@pytest.mark.parametrize("words", ['"."', "[9]", '[""]', "[[]]"])
def test_words_in_a_contract_are_a_list_of_texts(tmp_path: Path, words: str) -> None:
    """Anything else is refused with an example."""
    path = tmp_path / "contract.toml"
    path.write_text(
        f'label = "y"\nmissing_values = {words}\n[columns.a]\ntype = "numeric"\n', encoding="utf-8"
    )
    with pytest.raises(ContractFileError, match="missing_values: a list of texts") as error:
        load_contract(path)
    assert 'missing_values = ["Too Few to Report", "."]' in error.value.remedy


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"missing": [" "]}, "--missing: an empty word"),
        ({"categorical": ["sexx"]}, '--categorical "sexx": no such column. Did you mean "sex"?'),
        ({"categorical": ["y"]}, '--categorical "y": it is the label'),
        ({"categorical": ["sex"], "ignore": ["sex"]}, '"sex" is both categorical and to ignore'),
        ({"categorical": ["sex"], "partition": "column:sex"}, '--categorical "sex": it names the clients'),
    ],
)
def test_what_cannot_be_declared_is_named(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    """Before the table is read."""
    with pytest.raises(SettingError, match=re.escape(message)):
        prepared(frame("sex", ["1", "2", "U"] * 200), tmp_path, **settings)


def test_the_contract_decides_what_is_categorical(tmp_path: Path) -> None:
    """An option that contradicts it is refused; one that agrees is not."""
    columns = {"age": Rule(type="numeric"), "sex": Rule(type="categorical")}
    agreed = Contract(label="y", columns=columns)
    rows = frame("sex", ["1", "2", "U"] * 200)
    with pytest.raises(SettingError, match='--categorical "age": the contract says numeric'):
        prepared(rows, tmp_path, contract=agreed, categorical=["age"])
    prepared(rows, tmp_path, contract=agreed, categorical=["sex"])


def test_a_rehearsal_reads_cells_as_it_is_told(tmp_path: Path) -> None:
    """From a file; data that are prepared already are not read again, and options for that are refused."""
    path = write(frame(), tmp_path)
    prepare_data(path, tmp_path / "out", ["a", "b"], label="y", missing=[WORD])
    assert pd.read_csv(tmp_path / "out/server/test.csv")["n"].isna().any()
    with pytest.raises(SettingError, match="--missing cannot change"):
        prepare_data(tmp_path / "out", tmp_path / "other", ["a", "b"], label="y", missing=[WORD])


def test_what_is_told_of_cells_reaches_preparation(tmp_path: Path) -> None:
    """From the options of a run; prepared data are not read again, so that there they are refused."""
    told = {"missing": [WORD], "categorical": ["age"]}
    settings = choose_preparation(write(frame(), tmp_path), 0, label="y", **told)
    assert settings
    assert prepare(tmp_path / "rows.csv", tmp_path / "out", settings).features == ("age", "n")
    assert set(read_prepared(tmp_path / "out/server/test.csv", label="y").levels) == {"age"}
    for name, value in told.items():
        with pytest.raises(SettingError, match=f"--{name} cannot change .* prepared already"):
            choose_preparation(tmp_path / "out", 0, **{name: value})


def test_every_command_that_reads_tables_has_the_options() -> None:
    """And the Python API: what one names, the others take."""
    for command in (local.main, data_prep.main, contract.main, rehearse.main, federation.train):
        assert {"missing", "categorical", "decimal"} <= set(inspect.signature(command).parameters)


@pytest.mark.parametrize("kind", ["numeric", "categorical"])
@pytest.mark.parametrize("word", ["", "?"])
def test_a_declared_number_is_written_as_the_file_has_it(tmp_path: Path, kind: Any, word: str) -> None:
    """With a decimal comma, in columns of numbers alone, of numbers and words, and of codes."""
    cells = [f"{i % 9},5" for i in range(60)] + ["-99,9", word]
    rows = "".join(f"{i % 2};{cell}\n" for i, cell in enumerate(cells))
    (tmp_path / "rows.csv").write_text(f"y;a\n{rows}")
    told = told_by(None, missing=["-99,9", "?"])
    table = read_table(tmp_path / "rows.csv", label="y", kinds={"a": kind}, codes=True, told=told)
    assert np.isnan(table.X[-2:]).all()
    assert not np.isnan(table.X[:-2]).any()


def test_a_declared_number_with_a_comma_is_no_number_with_a_point(tmp_path: Path) -> None:
    """Where the file has points."""
    (tmp_path / "rows.csv").write_text("y,a\n1,1.5\n0,2\n")
    table = read_table(tmp_path / "rows.csv", label="y", codes=True, told=told_by(None, missing=["1,5"]))
    assert not np.isnan(table.X).any()
