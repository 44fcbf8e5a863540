"""Numbers are read in the notation that a whole column is written in, and it is said; nothing is guessed."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client_code.protocol.contract import Contract, Rule
from federation.config.contract import load_contract
from federation.data.columns.notation import notations
from federation.data.columns.reader import reader_of
from federation.data.contract_check import check, infer, told_by
from federation.data.files.text import Format
from federation.data.preparation.manifest import Manifest
from federation.data.preparation.prepare import prepare
from federation.data.preparation.settings import PreparationSettings
from federation.data.table import read_table
from federation.errors import DataError, FeatureError, FederationError

ROWS = 600
NARROW, MINUS, QUOTE = "\u202f", "\u2212", "\u2019"


def amounts() -> np.ndarray:
    """Return costs of which most are a thousand or more, some negative."""
    rng = np.random.default_rng(1)
    return np.round(rng.lognormal(8, 1, ROWS) * np.where(np.arange(ROWS) % 9, 1, -1), 2)


def write(cost: object, folder: Path, **columns: object) -> Path:
    """Write a table with a column in the notation to be read, and return its path."""
    rng = np.random.default_rng(0)
    age = rng.integers(20, 90, ROWS)
    y = (rng.random(ROWS) < age / 100).astype(int)
    pd.DataFrame({"age": age, "cost": cost, "y": y} | columns).to_csv(folder / "rows.csv", index=False)
    return folder / "rows.csv"


def prepared(cost: object, folder: Path, **settings: object) -> Manifest:
    """Prepare such a table."""
    return prepare(write(cost, folder), folder / "out", PreparationSettings(label="y", **settings))  # type: ignore[arg-type]


def swapped(text: str) -> str:
    """Return a number as it is written where the comma separates decimals."""
    return text.translate(str.maketrans(",.", ".,"))


def in_brackets(x: float) -> str:
    """Return a number as accountants write it."""
    return f"({-x:,.2f})" if x < 0 else f"{x:,.2f}"


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (lambda x: f"{x:,.2f}", "numbers with thousands separators (1,234.5)"),
        (lambda x: f"{x:,.2f}".replace(",", " "), "numbers with thousands separators (1 234.5)"),
        (lambda x: f"{x:,.2f}".replace(",", NARROW), "numbers with thousands separators (1 234.5)"),
        (lambda x: f"{x:,.2f}".replace(",", QUOTE), "numbers with thousands separators (1'234.5)"),
        (lambda x: swapped(f"{x:.2f}"), "numbers with a decimal comma (1234,5)"),
        (lambda x: swapped(f"{x:,.2f}"), "numbers with thousands separators and a decimal comma (1.234,5)"),
        (lambda x: f"${x:,.2f}", "amounts with a currency and thousands separators ($1,234.5)"),
        (lambda x: f"-${-x:,.2f}" if x < 0 else f"${x:,.2f}", "amounts with a currency and thousands separ"),
        (lambda x: f"{x:.2f} EUR", "amounts with a currency (1234.5 EUR)"),
        (lambda x: f"{x:.2f} %", "percentages (12.5 % is 12.5)"),
        (lambda x: f"{x:.2f}%", "percentages (12.5 % is 12.5)"),
        (in_brackets, "numbers with thousands separators and brackets for a minus (1,234.5; (12) is -12)"),
        (lambda x: f"{x:.2f}".replace("-", MINUS), "numbers with a typographic minus"),
    ],
)
def test_a_column_in_one_notation_is_read_and_said(
    tmp_path: Path, written: Callable[[float], str], words: str
) -> None:
    """The numbers are those that were meant; prepared files hold them plainly, for any client."""
    manifest = prepared([written(x) for x in amounts()], tmp_path)
    assert manifest.features == ("age", "cost")
    (note,) = [one for one in manifest.told if '"cost"' in one]
    assert note.startswith(f'"cost": read as {words}')
    files = [pd.read_csv(path)["cost"] for path in (tmp_path / "out").rglob("*.csv")]
    assert sorted(pd.concat(files)) == sorted(amounts())


def test_numbers_with_a_point_are_not_said_to_have_another_minus() -> None:
    """As where an option or another column tells of decimal commas, and this column has points."""
    assert [one.words for one in notations(["1.25", "-2.5"])] == ["numbers with a decimal point (1234.5)"]


@pytest.mark.parametrize(
    ("texts", "decimal", "numbers"),
    [
        (["1,234", "900"], None, None),
        (["1,234", "900"], ".", [1234, 900]),
        (["1,234", "900"], ",", [1.234, 900]),
        (["$1.234"], None, None),
        (["1,234,567", "1,234"], None, [1234567, 1234]),
        (["1,234", "0,5"], None, [1.234, 0.5]),
        (["1,234", "12.5"], None, [1234, 12.5]),
        (["1.234", "1,5"], None, [1234, 1.5]),
        (["1.234", "900"], None, [1.234, 900]),
        (["1.234", "900"], ",", [1234, 900]),
        (["12.5", "900"], ",", [12.5, 900]),
        (["12,5", "900"], ".", [12.5, 900]),
        (["1,234.5", "900"], ",", [1234.5, 900]),
        (["$4009", "$5"], None, [4009, 5]),
    ],
)
def test_what_can_be_read_in_two_ways_is_not_guessed(
    texts: list[str], decimal: str | None, numbers: list[float] | None
) -> None:
    """One cell may decide for the column, as does the option; plain numbers are plain unless it says so."""
    reader = reader_of("cost", dict.fromkeys(texts, 1), decimal=decimal)
    if numbers is None:
        assert reader.refusal
        assert "--decimal ." in reader.refusal.remedy
    else:
        assert reader.read(texts).tolist() == numbers


def test_an_ambiguous_column_is_refused_where_it_begins(tmp_path: Path) -> None:
    """With the option for either way, which works as it is named."""
    cost = np.abs(amounts()).round()
    texts = [f"{x:,.0f}" for x in cost]
    with pytest.raises(FeatureError, match=r'"cost", data row \d+ .*as in \d+ of 600 rows\.') as error:
        prepared(texts, tmp_path)
    offered = re.findall(r"--decimal (\S) to read (?:1,234|it) as ([0-9.]+[0-9])[,.]", str(error.value))
    assert offered == [(".", "1234"), (",", "1.234")]
    for number, (mark, read) in enumerate(offered):
        settings = PreparationSettings(label="y", form=Format(decimal=mark))
        prepare(tmp_path / "rows.csv", tmp_path / f"out{number}", settings)
        files = [pd.read_csv(path)["cost"] for path in (tmp_path / f"out{number}").rglob("*.csv")]
        there = cost if read == "1234" else np.where(cost >= 1000, cost / 1000, cost)
        assert sorted(pd.concat(files)) == sorted(there)


@pytest.mark.parametrize(
    "texts",
    [
        ["12 %", "0.5"],
        ["$5", "\u20ac5"],
        ["$5", "5"],
        ["(1)", "(2)"],
        ["1,2,3", "4"],
        ["2020-01-05"],
        ["05.01.2020"],
        ["1.2.3"],
        ["01 234", "5 %"],
        ["1,23,456.5", "5,5"],
        ["4_009"],
        ["0xfa9"],
        ["--5", "1,5"],
        ["($5", "$5"],
        ["1e5", "1,5"],
    ],
)
def test_what_is_in_no_one_notation_is_none(texts: list[str]) -> None:
    """Two currencies, percentages beside shares, notes in brackets, lists, dates, versions, codes."""
    assert notations(texts) == []


def test_notations_that_are_mixed_are_refused(tmp_path: Path) -> None:
    """For 12 % beside 0.12 only the owner knows what was meant; the remedy works as it is printed."""
    texts = [f"{x:.2f} %" if i % 3 else f"{x:.2f}" for i, x in enumerate(amounts())]
    with pytest.raises(
        FeatureError, match="not all others are written as this one, as in 400 of 600"
    ) as error:
        prepared(texts, tmp_path)
    assert error.value.remedy.endswith("--ignore cost.")
    assert prepared(texts, tmp_path, ignore=("cost",)).features == ("age",)


def test_words_stay_words_where_the_user_says_so(tmp_path: Path) -> None:
    """Bands such as 10 % may be names."""
    manifest = prepared(["10 %", "20 %", "30 %"] * 200, tmp_path, categorical=("cost",))
    assert not any("read as" in one for one in manifest.told)
    assert set(pd.read_csv(tmp_path / "out/server/test.csv")["cost"]) == {"10 %", "20 %", "30 %"}


def test_a_contract_is_kept_by_numbers_in_another_notation(tmp_path: Path) -> None:
    """Its owner finds it out, checks with it and prepares with it; one that says words gets words."""
    path = write([f"{x:,.2f}" for x in amounts()], tmp_path)
    text = infer(read_table(path, label="y", codes=True))
    (tmp_path / "contract.toml").write_text(text, encoding="utf-8")
    contract = load_contract(tmp_path / "contract.toml")
    assert contract.kinds["cost"] == "numeric"
    told = told_by(contract)
    assert check(contract, [path], told=told) == {}
    narrow = Contract(label="y", columns={**contract.columns, "cost": Rule(type="numeric", maximum=1)})
    assert "values above 1" in str(check(narrow, [path], told=told)["rows.csv"][0])
    assert "no finite numbers" in str(check(contract, [path])["rows.csv"][0])  # as a client sees a file
    manifest = prepare(path, tmp_path / "out", PreparationSettings(label="y", contract=contract))
    assert '"cost": read as numbers with thousands separators (1,234.5).' in manifest.told
    words = load_contract_of(text.replace('type = "numeric"', 'type = "categorical"', 2), tmp_path)
    assert words.kinds["cost"] == "categorical"
    assert read_table(path, label="y", kinds=words.kinds, codes=True).levels["cost"]


def load_contract_of(text: str, folder: Path) -> Contract:
    """Return a contract, without the ranges that only numbers have."""
    kept = [line for line in text.splitlines() if not line.startswith(("minimum", "maximum"))]
    (folder / "words.toml").write_text("\n".join(kept), encoding="utf-8")
    return load_contract(folder / "words.toml")


def test_the_check_takes_the_option_too(tmp_path: Path) -> None:
    """Else a contract could not be kept by what `--decimal` reads."""
    path = write([f"{x:,.0f}" for x in np.abs(amounts())], tmp_path)
    text = infer(read_table(path, label="y", codes=True, told=told_by(None, decimal=".")))
    (tmp_path / "contract.toml").write_text(text, encoding="utf-8")
    contract = load_contract(tmp_path / "contract.toml")
    assert "no finite numbers" in str(check(contract, [path], told=told_by(contract))["rows.csv"][0])
    assert check(contract, [path], told=told_by(contract, decimal=".")) == {}


def test_the_check_reads_numbers_as_the_preparation_does(tmp_path: Path) -> None:
    """A decimal comma in one column tells what a point is in another, for both."""
    path = write(["1.100"] * ROWS, tmp_path, share=[f"0,{i % 9}" for i in range(ROWS)])
    rules = {name: Rule(type="numeric") for name in ("age", "share")}
    contract = Contract(label="y", columns={**rules, "cost": Rule(type="numeric", maximum=10)})
    told = told_by(contract)
    table = read_table(path, label="y", kinds=contract.kinds, codes=True, told=told)
    assert set(table.X[:, 1]) == {1100}
    (broken,) = check(contract, [path], told=told)["rows.csv"]
    assert "600 values above 10" in str(broken)


@given(
    st.lists(st.floats(-1e12, 1e12).map(lambda x: round(x, 2)), min_size=1),
    st.sampled_from([".", ","]),
)
def test_what_is_written_is_read(numbers: list[float], decimal: str) -> None:
    """To the last digit, in either way to write it."""
    texts = [f"{x:,.2f}" for x in numbers]
    texts = texts if decimal == "." else [swapped(text) for text in texts]
    found = reader_of("cost", dict.fromkeys(texts, 1), decimal=decimal).read(texts)
    assert found.tolist() == numbers


@given(st.lists(st.text("0123456789.,'() -+%$", max_size=8)))
def test_no_text_breaks_it(texts: list[str]) -> None:
    """Whatever is in a column, it is read, refused or taken for words."""
    reader = reader_of("cost", dict.fromkeys(texts, 12))
    try:
        assert len(reader.read(texts)) == len(texts)
    except ValueError:
        assert reader.kind == "numeric"


def test_a_table_in_parquet_is_read_alike(tmp_path: Path) -> None:
    """As is the same table in CSV."""
    path = write([f"{x:,.2f}" for x in amounts()], tmp_path)
    pd.read_csv(path, dtype=str).to_parquet(tmp_path / "rows.parquet")
    one, other = (read_table(file, label="y", codes=True) for file in (path, tmp_path / "rows.parquet"))
    np.testing.assert_array_equal(one.X, other.X)
    assert one.notes == other.notes != ()


@pytest.mark.parametrize("separator", [";", ","])
@pytest.mark.parametrize(
    ("written", "read"),
    [
        (lambda x: swapped(f"{x:,.2f}"), lambda x: x),
        (lambda x: swapped(f"{x:.2f}"), lambda x: x),
        (lambda x: swapped(f"{x:,.0f}"), round),
        (lambda x: swapped(f"{x:.2f}") if x > 0 else "k. A.", lambda x: x if x > 0 else np.nan),
    ],
)
def test_a_file_with_decimal_commas_tells_what_its_points_are(
    tmp_path: Path, written: Callable[[float], str], read: Callable[[float], float], separator: str
) -> None:
    """Another column shows the decimal comma: 1.234 is a thousand there, beside 900 and beside words."""
    path = write([written(x) for x in amounts()], tmp_path, share=[f"0,{i % 9}" for i in range(ROWS)])
    pd.read_csv(path, dtype=str).to_csv(path, index=False, sep=separator)
    table = read_table(path, label="y", codes=True, told=told_by(None, missing=["k. A."]))
    np.testing.assert_array_equal(table.X[:, 1], [read(x) for x in amounts()])
    np.testing.assert_array_equal(table.X[:, 2], [i % 9 / 10 for i in range(ROWS)])


@pytest.mark.parametrize("size", ["900", "2,5"])
def test_an_unusual_quote_changes_nothing_of_decimal_commas(tmp_path: Path, size: str) -> None:
    """Such a file is read in another way, which keeps the rules for points and commas."""
    rows = [f"{i % 2};{size};1,{i % 9};pipe" for i in range(60)]
    (tmp_path / "rows.csv").write_text("y;size;share;kind\n" + "\n".join([*rows, '1;1.234;1,5;5" pipe']))
    (tmp_path / "plain.csv").write_text("y;size;share;kind\n" + "\n".join([*rows, "1;1.234;1,5;pipe"]))
    unusual, plain = (outcome(tmp_path / name) for name in ("rows.csv", "plain.csv"))
    assert unusual == plain
    assert size != "900" or unusual[-1] == [1234, 1.5]


def outcome(path: Path) -> list[list[float]] | str:
    """Return the numbers of two columns of a table, or the problem without the file's name."""
    try:
        table = read_table(path, label="y", codes=True)
    except FederationError as error:
        return error.problem.replace(path.name, "")
    numbers: list[list[float]] = table.X[:, :2].tolist()
    return numbers


GERMAN = "y;x\n" + "".join(f"{i % 2};{i},5\n" for i in range(30))
AMERICAN = "y,x\n" + "".join(f"{i % 2},{i}.129\n" for i in range(30))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("decimal", [None, ","])
def test_each_file_is_read_by_its_own_mark(tmp_path: Path, decimal: str | None, kind: str) -> None:
    """Also where a declared word makes a column of texts; an option tells nothing of numbers in Parquet."""
    (tmp_path / "a.csv").write_text(GERMAN + "1;?\n1;-99,5\n")
    (tmp_path / "b.csv").write_text(AMERICAN)
    if kind == "parquet":
        pd.read_csv(tmp_path / "b.csv").to_parquet(tmp_path / "b.parquet")
    if kind == "parquet" or decimal:
        (tmp_path / "b.csv").unlink()
    told = told_by(None, missing=["?"], decimal=decimal)
    table = read_table(tmp_path, Format(decimal=decimal), label="y", codes=True, told=told)
    there = [i + 0.129 for i in range(30)] if kind == "parquet" or not decimal else []
    np.testing.assert_array_equal(table.X[:, 0], [*(i + 0.5 for i in range(30)), np.nan, -99.5, *there])


def test_points_beside_files_of_another_mark_are_refused(tmp_path: Path) -> None:
    """Whether 1.234 is a thousand there, its file does not say; files of whole numbers change nothing."""
    rows = "".join(f"{i % 2};900;1,5\n" for i in range(60))
    (tmp_path / "a.csv").write_text(f"y;x;z\n{rows}1;1.234;1,5\n")
    (tmp_path / "b.csv").write_text("y,x,z\n1,1,1\n")
    assert read_table(tmp_path, label="y", codes=True).X[-2:, 0].tolist() == [1234, 1]
    (tmp_path / "b.csv").write_text("y,x,z\n1,1.129,1\n")
    with pytest.raises(DataError, match='column "x" has numbers with a decimal comma, and others with a poi'):
        read_table(tmp_path, label="y", codes=True)
