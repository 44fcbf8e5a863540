"""The set-up needs no compiler, says what is missing, and does nothing twice."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import lock_wheels, set_up
from tools.set_up import SETS, Environment, SetUpError

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("lock", lock_wheels.LOCKS)
def test_no_requirement_needs_a_compiler(lock: str) -> None:
    """Every pin has a wheel for each Python and platform that the README promises."""
    assert lock_wheels.missing(lock_wheels.pins(ROOT / lock), lock_wheels.read_notes()) == []


def test_a_package_without_a_wheel_somewhere_is_named() -> None:
    """The check can fail: a wheel for one Python alone leaves the others, and a marker excuses."""
    noted = {"x==1": frozenset(lock_wheels._tags("cp312-cp312-manylinux_2_17_x86_64"))}
    (only,) = lock_wheels.pins_of("x==1 ; python_full_version >= '3.12'")
    gaps = lock_wheels.missing([only], noted)
    assert "x==1 has no wheel for Python 3.13 on Linux x86_64." in gaps
    assert not [gap for gap in gaps if "Python 3.11" in gap or "3.12 on Linux x86_64" in gap]


@pytest.mark.parametrize("lock", lock_wheels.LOCKS)
def test_every_requirement_has_a_hash(lock: str) -> None:
    """Pip installs what was locked or nothing."""
    text = (ROOT / lock).read_text(encoding="utf-8")
    requirements = re.findall(
        r"^[a-z0-9][^\n]*==[^\n]*(?:\n    --hash=sha256:[0-9a-f]{64}[^\n]*)*", text, re.MULTILINE
    )
    assert len(requirements) == len(lock_wheels.pins(ROOT / lock)) > 0
    assert [pin for pin in requirements if "--hash=sha256:" not in pin] == []


def test_a_later_set_holds_the_earlier_ones() -> None:
    """One environment serves all commands, whichever came first."""
    small, middle, large = (
        {
            f"{pin.name}{pin.specifier}"
            for pin in lock_wheels.pins(ROOT / wanted.lock)
            if not pin.marker or pin.marker.evaluate()
        }
        for wanted in SETS.values()
    )
    assert small < middle < large


def test_the_readme_names_what_is_needed() -> None:
    """Its list of prerequisites is the one that the set-up checks."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"It needs {set_up.PREREQUISITES}" in " ".join(readme.split())
    for version in (set_up.OLDEST, set_up.NEWEST):
        assert "{}.{}".format(*version) in set_up.PREREQUISITES
    assert lock_wheels.PYTHONS[0] == set_up.OLDEST
    assert lock_wheels.PYTHONS[-1] == set_up.NEWEST


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a checkout without an environment, whose locks are empty, so that none takes the network."""
    for wanted in SETS.values():
        (tmp_path / wanted.lock).write_text("", encoding="utf-8")
    monkeypatch.setattr(set_up, "SETS", {name: it._replace(node=None) for name, it in SETS.items()})
    return tmp_path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an environment that was set up for ``make demo``, to be copied: making one takes seconds."""
    root = tmp_path_factory.mktemp("made")
    (root / SETS["demo"].lock).write_text("", encoding="utf-8")
    Environment(root).install("demo", sys.executable, anew=False)
    return root / ".venv"


@pytest.fixture
def ready(checkout: Path, made: Path) -> Path:
    """Return a checkout that is set up for ``make demo``."""
    shutil.copytree(made, checkout / ".venv", symlinks=True)
    note = checkout / ".venv" / "set-up.json"
    note.write_text(note.read_text(encoding="utf-8").replace(str(made), str(checkout / ".venv")))
    return checkout


@pytest.mark.process
def test_a_second_call_does_nothing(ready: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says nothing and starts nothing, also for a command that needs less; a changed lock is installed."""
    for command in ("demo", "demo-local"):
        set_up.set_up(command, root=ready)
    assert capsys.readouterr().err == ""
    (ready / SETS["demo"].lock).write_text("# other\n", encoding="utf-8")
    set_up.set_up("demo", root=ready)
    assert "Set up in" in capsys.readouterr().err


@pytest.mark.process
@pytest.mark.parametrize(
    ("note", "reason"),
    [
        ({"unfinished": True}, "did not finish"),
        ({"unfinished": False, "folder": "/elsewhere/.venv", "installed": {}}, "was made for /elsewhere"),
    ],
)
def test_a_half_made_or_moved_environment_is_made_anew(
    ready: Path, capsys: pytest.CaptureFixture[str], note: dict[str, object], reason: str
) -> None:
    """One line says why; what was in it is not used again."""
    environment = Environment(ready)
    (environment.folder / "set-up.json").write_text(json.dumps(note), encoding="utf-8")
    (environment.folder / "left-over").touch()
    set_up.set_up("demo", root=ready)
    assert reason in capsys.readouterr().err
    assert environment.why_stale(None) is None
    assert not (environment.folder / "left-over").exists()


@pytest.mark.process
def test_an_environment_whose_python_is_gone_is_stale(ready: Path) -> None:
    """As after an upgrade of the system."""
    environment = Environment(ready)
    environment.python.unlink()
    assert "Python is gone" in (environment.why_stale(None) or "")


@pytest.mark.process
def test_too_little_room_is_said_before_anything_is_made(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With how much there is, and how much is needed."""
    full = shutil.disk_usage(checkout)._replace(free=5_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with pytest.raises(SetUpError, match=f"has 5 MB of room, and {SETS['demo'].room} MB are needed"):
        set_up.set_up("demo", root=checkout)
    assert not (checkout / ".venv").exists()


@pytest.mark.process
def test_a_checkout_of_somebody_else_is_refused(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot hold an environment."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(SetUpError, match="cannot be written"):
        set_up.set_up("demo", root=checkout)


@pytest.mark.process
def test_the_environments_own_python_can_start_over(ready: Path) -> None:
    """The Makefile puts the environment first in ``PATH``, so its Python may be the one that removes it."""
    (ready / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "set_up.py", ready / "tools")
    (ready / "package-lock.json").write_text("{}", encoding="utf-8")
    environment = Environment(ready)
    (environment.folder / "set-up.json").unlink()
    path = f"{environment.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    program = [str(environment.python), "tools/set_up.py", "demo-local"]
    done = subprocess.run(program, cwd=ready, env={**os.environ, "PATH": path}, check=False)
    assert done.returncode == 0
    assert environment.has("demo-local")


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        (
            {"/usr/bin/python3": "3.10.4"},
            r"Python 3.11 to 3.14 is needed. Found 3.10.4. Install it: .*apt-get install",
        ),
        ({}, "Found none"),
        (
            {"/usr/bin/python3": "3.13.1"},
            r"Python 3.13 has no venv module. .*apt-get install python3.13-venv",
        ),
    ],
)
def test_what_is_missing_comes_with_the_command_that_installs_it(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, answers: dict[str, str], error: str
) -> None:
    """On a system with apt: no Python, too old a one, or one without venv."""
    monkeypatch.setattr(set_up, "_version", answers.get)
    monkeypatch.setattr(set_up, "_can_make_environments", lambda _: False)
    there = {"apt-get", "python3"}
    monkeypatch.setattr(shutil, "which", lambda name, **_: f"/usr/bin/{name}" if name in there else None)
    with pytest.raises(SetUpError, match=error):
        set_up.set_up("demo", root=checkout)


@pytest.mark.process
def test_an_index_out_of_reach_is_one_line(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing half made is taken for whole afterwards."""
    lock = checkout / SETS["demo"].lock
    lock.write_text(f"six==1.17.0 --hash=sha256:{'0' * 64}\n", encoding="utf-8")
    for name, value in {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_CONFIG_FILE": "/dev/null"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(SetUpError, match="pip cannot reach the package index"):
        set_up.set_up("demo", root=checkout)
    assert "did not finish" in (Environment(checkout).why_stale(None) or "")


def test_an_old_python_can_read_the_set_up() -> None:
    """Nothing in it is newer than Python 3.7, which would end in a syntax error instead of a sentence."""
    source = (ROOT / "tools" / "set_up.py").read_text(encoding="utf-8")
    ast.parse(source, feature_version=(3, 7))


@pytest.mark.process
def test_an_unknown_command_is_refused() -> None:
    """With the commands there are."""
    program = [sys.executable, str(ROOT / "tools" / "set_up.py"), "tests"]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "demo-local" in done.stderr
