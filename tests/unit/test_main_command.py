"""The command ``federation`` finds every door, and says what it does not find."""

import subprocess
import sys

import pytest

import federation
from federation import __main__ as dispatcher
from federation import __version__
from federation.errors import ExtraMissingError, SettingError
from tests.conftest import ROOT


def call(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m federation`` with arguments."""
    program = [sys.executable, "-m", "federation", *arguments]
    return subprocess.run(
        program,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", **variables},
    )


@pytest.mark.process
def test_help_lists_every_door_with_its_purpose() -> None:
    """The commands are the modules that ``python -m federation.X`` runs, and no others."""
    doors = {path.stem.replace("_", "-") for path in (ROOT / "federation").glob("[a-z]*.py")}
    ground = {"checkout", "errors", "events", "files", "strategies", "words"}
    assert set(dispatcher.COMMANDS) == (doors - ground) | {"rehearse"}
    lines = call("--help").stdout.splitlines()
    for name in dispatcher.COMMANDS:
        assert any(line.split()[:1] == [name] and line.endswith(".") for line in lines), name


@pytest.mark.process
@pytest.mark.parametrize("name", ["predict", "data-prep", "rehearse"])
def test_a_command_is_the_door_itself(name: str) -> None:
    """Its help is that of ``python -m federation.NAME``, under the name that was typed."""
    done = call(name, "--help")
    assert done.returncode == 0, done.stderr
    assert f"Usage: federation {name} [OPTIONS]" in done.stdout


@pytest.mark.process
def test_an_unknown_command_names_the_nearest() -> None:
    """As one line, with the exit code of a setting that does not exist."""
    done = call("sever")
    assert done.returncode == SettingError.exit_code
    assert done.stderr == 'error: there is no command "sever". Did you mean `federation server`?\n'


@pytest.mark.process
def test_the_version_is_the_packages() -> None:
    """One number, for the command, the module and the wheel."""
    assert call("--version").stdout == f"federation {__version__}\n"


def test_a_missing_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the command that installs it."""
    monkeypatch.setattr(dispatcher, "find_spec", lambda _: None)
    monkeypatch.setattr(sys, "argv", ["federation", "rehearse"])
    with pytest.raises(SystemExit) as ended:
        dispatcher.main()
    assert ended.value.code == ExtraMissingError.exit_code
    assert "pip install 'federation[aws,rehearsal]'" in capsys.readouterr().err


@pytest.mark.process
@pytest.mark.parametrize(
    ("words", "position", "offered"),
    [("federation pre", "1", "preflight"), ("federation predict --m", "2", "--model")],
)
def test_bash_completes_commands_and_options(words: str, position: str, offered: str) -> None:
    """The script asks the command itself, which answers with what begins so."""
    assert _script_asks("bash")
    done = call(_FEDERATION_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=position)
    assert f"plain,{offered}" in done.stdout.splitlines()


def _script_asks(shell: str) -> bool:
    return "_FEDERATION_COMPLETE=bash_complete" in call("completion", shell).stdout


@pytest.mark.parametrize(
    ("arguments", "is_one"),
    [
        ("python -m federation.local --rounds 3", True),
        ("python -X importtime -m federation local", True),
        ("python -m federation.rehearse", True),
        ("python bin/federation local", True),
        ("python -m federation.rehearse.emulator", False),
        ("python -m federations", False),
        ("python -m hospital.train -m federation", False),
        ("python -m", False),
        ("python train.py federation", False),
        ("python", False),
    ],
)
def test_ctrl_c_ends_only_commands_of_ours_at_once(arguments: str, is_one: bool) -> None:  # noqa: FBT001
    """A program that imports the package keeps its own way to end."""
    assert federation._is_command(arguments.split()) == is_one
