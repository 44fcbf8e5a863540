"""References in docstrings, comments and pages lead to something that exists."""

import importlib
import re

import pytest

from tests.conftest import ROOT

TOPS = ("federation", "stacks", "client_code", "flower_app", "tools", "tests", "benchmarks", "docs")
FILES = sorted(
    [
        *(it for top in TOPS for kind in ("py", "md") for it in (ROOT / top).rglob(f"*.{kind}")),
        *ROOT.glob("*.md"),
        ROOT / "pyproject.toml",
    ]
)
ROOMS = "|".join(it.parent.name for it in (ROOT / "federation").glob("*/__init__.py"))
NAME = re.compile(rf"`((?:federation|{ROOMS})(?:\.\w+)+)(?:\(\))?`")
DATA = {"toml", "json", "joblib", "html", "gz"}
"""Endings of files, such as model.json, that look like names of a module."""
PATH = re.compile(rf"`((?:{'|'.join(TOPS)})/[\w./-]*)`")


def _found(pattern: re.Pattern[str]) -> list[tuple[str, str]]:
    """Return what matches, once for each file, with the file."""
    texts = {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in FILES}
    return sorted({(found, file) for file, text in texts.items() for found in pattern.findall(text)})


def _exists(name: str) -> bool:
    """Import as much of the name as is a module, and look up the rest; `federation.` may be left out."""
    parts = name.removeprefix("federation.").split(".")
    parts.insert(0, "federation")
    for end in range(len(parts), 0, -1):
        module = ROOT.joinpath(*parts[:end])
        if module.is_dir() or module.with_suffix(".py").exists():
            found: object = importlib.import_module(".".join(parts[:end]))
            break
    for part in parts[end:]:
        found = getattr(found, part, None)
    return found is not None


NAMES = [it for it in _found(NAME) if it[0].rpartition(".")[2] not in DATA]
PATHS = _found(PATH)


@pytest.mark.parametrize(("name", "file"), NAMES)
def test_a_dotted_name_exists(name: str, file: str) -> None:
    """A module, class, function or attribute that a text names is there."""
    assert _exists(name), f"{file} names {name}"


@pytest.mark.parametrize(("path", "file"), PATHS)
def test_a_path_exists(path: str, file: str) -> None:
    """A file or folder of the repository that a text names is there."""
    assert (ROOT / path).exists(), f"{file} names {path}"


def test_a_name_that_is_gone_is_noticed() -> None:
    """The checks can fail, and have something to check."""
    assert NAMES
    assert PATHS
    assert _exists("federation.model.quality.metrics.Metrics")
    assert not _exists("federation.model.quality.metrics.Nothing")
    assert not _exists("federation.aws.ec2")
