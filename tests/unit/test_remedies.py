"""What a message tells its reader to do can be done as printed."""

import ast
import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
import pandas as pd
import pytest

from federation.cli.command import click_command
from federation.config.schema import load_config
from federation.errors import ConfigError
from tests.conftest import ROOT
from tools.reference import COMMANDS

FILES = sorted(
    path for folder in ("federation", "client_code", "stacks") for path in (ROOT / folder).rglob("*.py")
)
OF_AWS = {"--filters", "--notebook-instance-name"}
"""Options of the AWS CLI that messages name."""
COMMAND = re.compile(r"python -m federation\.(\w+)([^\n`]*)")


def command_of(words: list[str]) -> tuple[click.Command, list[str]]:
    """Return the command that words behind ``python -m federation.`` name, and its arguments."""
    name = " ".join(words[:2]) if " ".join(words[:2]) in COMMANDS else words[0]
    module, _, function = COMMANDS[name].partition(":")
    return click_command(getattr(import_module(module), function)), words[len(name.split()) :]


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the texts of a module that are no docstring and no help; what is filled in is ``1``."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kept_out = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "help":
            kept_out.add(id(node.value))
        if isinstance(node, ast.JoinedStr) and id(node) not in kept_out:
            parts = list(ast.iter_child_nodes(node))
            kept_out |= {id(part) for part in parts}
            yield (
                node.lineno,
                "".join(str(part.value) if isinstance(part, ast.Constant) else "1" for part in parts),
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in kept_out:
            yield node.lineno, node.value


def messages(path: Path) -> Iterator[str]:
    """Yield the texts of a module's errors, findings and remedies."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and re.search(r"(Error|Finding)$", ast.unparse(node.func)):
            for part in ast.walk(node):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.value


def test_every_command_that_is_printed_can_be_typed() -> None:
    """It exists, it has these options, and none that it needs is missing."""
    found = []
    for path in FILES:
        for line, text in texts(path):
            for name, rest in COMMAND.findall(text):
                if name == "1":  # what was typed
                    continue
                command, arguments = command_of([name, *shlex.split(rest.rstrip(")"))])
                if arguments == ["1"]:  # put together where it is printed, and run below
                    continue
                try:
                    command.make_context(name, arguments)
                except click.UsageError as error:
                    pytest.fail(f"{path.name}:{line}: {name}{rest}: {error.format_message()}")
                found.append(name)
    assert {"predict", "publish", "preflight", "server", "stop", "empty", "contract"} <= set(found)


def test_every_option_that_a_message_names_exists() -> None:
    """In one command at least."""
    known = {"--help", *OF_AWS}
    for name in COMMANDS:
        command, _ = command_of(name.split())
        known |= {option for one in command.params for option in one.opts}
    named = {
        (option, path.name)
        for path in FILES
        for text in messages(path)
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)
    }
    assert len(named) > 20
    assert {(option, file) for option, file in named if option not in known} == set()


def test_every_target_of_make_that_is_named_exists() -> None:
    """`make demo`, say."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {
        target
        for path in [*FILES, ROOT / "app.py"]
        for _, text in texts(path)
        for target in re.findall(r"(?:`|Run: |run )make ([a-z-]+)", text)
    }
    assert {"demo", "lock", "synth"} <= named
    assert named <= targets


# Followed as printed ------------------------------------------------------------------------------------


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> "Prompt":
    """Return a prompt in an empty folder whose name needs quotes."""
    folder = tmp_path / "my data"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return Prompt(capsys)


class Prompt:
    """Type command lines."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, line: str, code: int = 0) -> str:
        """Type what follows ``python -m federation.``; return what came on stderr."""
        command, arguments = command_of(shlex.split(line))
        with pytest.raises(SystemExit) as ended:
            command(arguments, prog_name="federation")
        printed = self._capsys.readouterr().err
        assert ended.value.code == code, printed
        return printed

    def following(self, printed: str) -> str:
        """Return the command that a text ends with."""
        name, rest = COMMAND.findall(printed)[-1]
        return f"{name}{rest}"


def table(**columns: object) -> Path:
    """Write a table of a label and columns."""
    path = Path("the rows.csv")
    pd.DataFrame({"y": [0, 1] * 100, "age": [i * 7 % 90 for i in range(200)], **columns}).to_csv(
        path, index=False
    )
    return path


def option_of(printed: str, name: str) -> str:
    """Return the option that a message tells to use, quoted as printed."""
    assert f"--{name}" in printed, printed
    return f"--{name}"


def test_a_contract_that_was_written_is_checked_as_printed(said: Prompt) -> None:
    """Under any name, in a folder with a space."""
    path = shlex.quote(str(table()))
    printed = said(f"contract infer --data {path}", code=20)
    again = f"contract infer --data {path} {option_of(printed, 'label')} y"
    said(said.following(said(again)))
    printed = said(again, code=20)
    next_one = said.following(said(f"{again} {option_of(printed, 'contract')} 'the other.toml'"))
    assert "'the other.toml'" in next_one
    said(next_one)


def test_the_sample_of_cms_files_becomes_a_table_as_printed(said: Prompt) -> None:
    """And the command that trains on it can be typed."""
    printed = said("data_prep cms-sample --out 'raw files' --providers 60")
    command, arguments = command_of(shlex.split(said.following(said(said.following(printed)))))
    options = command.make_context("local", arguments).params
    assert Path(options["data"]).is_file()
    assert options["label"] == "fraudulent_provider"


@pytest.mark.parametrize(
    ("columns", "options", "code", "remedy", "more"),
    [
        ({}, "", 20, "label", "y"),
        ({"y": ["sick", "well"] * 100}, "--label y", 12, "positive", "sick"),
        ({"age": range(200)}, "--label y", 10, "keep", "age"),
        ({"sex": ["f", "m"] * 100}, "--label y --resample smote", 20, "ignore", "sex"),
    ],
    ids=["label", "positive", "keep", "ignore"],
)
def test_the_option_that_a_message_names_mends_it(
    said: Prompt, columns: dict[str, object], options: str, code: int, remedy: str, more: str
) -> None:
    """The same command with it prepares the table."""
    line = f"data_prep --input {shlex.quote(str(table(**columns)))} --out prepared {options}"
    printed = said(line, code=code)
    said(f"{line} {option_of(printed, remedy)} {more}")


def test_a_random_external_id_is_made_as_printed(tmp_path: Path) -> None:
    """By the line of Python in the message."""
    path = tmp_path / "mine.toml"
    example = (ROOT / "config" / "example.toml").read_text(encoding="utf-8")
    placeholder = load_config(ROOT / "config" / "example.toml").clients[0].external_id
    path.write_text(example.replace(placeholder, "short"), encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load_config(path)
    code = re.search(r"python -c '(.*)'", refused.value.remedy)
    assert code
    made: list[object] = []
    exec(code[1], {"print": made.append})  # noqa: S102 - our own message's line
    path.write_text(example.replace(placeholder, str(made[0])), encoding="utf-8")
    assert load_config(path).clients[0].external_id == str(made[0])
