"""The command that infers contracts takes what it writes, and no option that it would ignore."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from federation.contract import main
from federation.errors import SettingError


def table(folder: Path, zero: str = "0.00", one: str = "1.00", separator: str = ",") -> Path:
    """Write a table with a column of 0 and 1 in this form."""
    lines = [(str(at % 2), one if at % 3 else zero, str(at * 1.5)) for at in range(60)]
    path = folder / "rows.csv"
    path.write_text("\n".join(map(separator.join, [("y", "flag", "age"), *lines])), encoding="utf-8")
    return path


def infer(path: Path, **options: Any) -> Path:
    """Infer a contract and return its file."""
    contract = path.parent / "new.toml"
    main(action="infer", data=str(path), contract=contract, label="y", **options)
    return contract


@pytest.mark.parametrize(("zero", "one"), [("0.00", "1.00"), ("0e0", "1E0")])
def test_a_truth_is_a_number_in_any_form(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], zero: str, one: str
) -> None:
    """What infer calls boolean, check reads, here and at clients."""
    path = table(tmp_path, zero, one)
    contract = infer(path)
    assert '[columns."flag"]\ntype = "boolean"' in contract.read_text(encoding="utf-8")
    main(action="check", data=str(path), contract=contract)
    assert capsys.readouterr().err.endswith(f"\n1 file keeps the contract {contract}.\n")


def test_the_next_command_has_the_form_that_was_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Check reads the table as infer did."""
    path = table(tmp_path, separator="|")
    contract = infer(path, separator="|", decimal=".", encoding="cp1252")
    *_, words = capsys.readouterr().err.strip().splitlines()
    form = ["--separator", "|", "--decimal", ".", "--encoding", "cp1252"]
    assert shlex.split(words)[3:] == ["check", "--data", str(path), "--contract", str(contract), *form]


def test_a_column_of_words_must_be_there(tmp_path: Path) -> None:
    """A mistyped name is answered with the nearest."""
    with pytest.raises(SettingError, match=r'^--categorical "flg": no such column\. Did you mean "flag"'):
        infer(table(tmp_path), categorical=["flg"])


@pytest.mark.parametrize(
    ("action", "option", "words"),
    [
        ("check", {"categorical": ["flag"]}, "check: --categorical belongs to infer"),
        ("check", {"label": "y"}, "check: --label belongs to infer"),
        ("check", {"positive": "1"}, "check: --positive belongs to infer"),
        ("infer", {"label": "y", "as_json": True}, "infer: --json belongs to check"),
    ],
)
def test_an_option_of_the_other_action_is_refused(
    tmp_path: Path, action: Any, option: dict[str, Any], words: str
) -> None:
    """It would do nothing."""
    path = table(tmp_path)
    contract = tmp_path / "none.toml" if action == "infer" else infer(path)
    with pytest.raises(SettingError, match=words):
        main(action=action, data=str(path), contract=contract, **option)


def test_a_contract_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """Its folder is a file."""
    path = table(tmp_path)
    with pytest.raises(SettingError, match=r"new\.toml: cannot be written \(.+\)\. Choose another file"):
        main(action="infer", data=str(path), contract=path / "new.toml", label="y")
