"""The map of the repository is the repository."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import ROOT

PAGE = ROOT / "docs" / "architecture.md"
TOPS = (
    "federation",
    "stacks",
    "client_code",
    "flower_app",
    "tools",
    "tests",
    "examples",
    "benchmarks",
    "docs",
)
LEVELS, MAXIMUM_ENTRIES = 3, 9
_LINE = re.compile(r"^((?:  )*)(\w+)/ +(\S.*)$")


def _shown() -> dict[str, str]:
    """Return the tree of the page: the line of each folder."""
    tree = PAGE.read_text(encoding="utf-8").partition("```text\n")[2].partition("```")[0]
    shown: dict[str, str] = {}
    path: list[str] = []
    for line in tree.splitlines():
        match = _LINE.match(line)
        assert match, f"{line!r} is no line of the tree"
        path[len(match[1]) // 2 :] = [match[2]]
        shown["/".join(path)] = match[3]
    return shown


def _folders(folder: Path) -> Iterator[str]:
    """Yield a folder and those below it, as deep as the tree goes, unless they hold only what Python left."""
    path = folder.relative_to(ROOT)
    if any(it.is_file() and it.suffix != ".pyc" for it in folder.rglob("*")):
        yield path.as_posix()
        if len(path.parts) < LEVELS:
            for below in folder.iterdir():
                if below.is_dir() and below.name[0] not in "._":
                    yield from _folders(below)


def _first_sentence(folder: str) -> str | None:
    source = ROOT / folder / "__init__.py"
    text = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) if source.exists() else None
    return re.split(r"(?<=\.)\s", text, maxsplit=1)[0] if text else None


def test_the_tree_shows_every_package_and_no_other() -> None:
    """A folder that is added, renamed or removed changes the page."""
    found = {folder for top in TOPS for folder in _folders(ROOT / top)}
    shown = set(_shown())
    assert shown == found, f"not in the tree: {sorted(found - shown)}; no folder: {sorted(shown - found)}"


def test_each_line_is_the_first_sentence_of_the_package() -> None:
    """What belongs in a package is said once, in its docstring."""
    for folder, line in _shown().items():
        assert line == (_first_sentence(folder) or line), folder


def test_every_package_of_the_product_says_what_belongs_there() -> None:
    """A package without a docstring would leave its line on the page unchecked."""
    packages = [it.parent for top in ("federation", "stacks") for it in (ROOT / top).rglob("__init__.py")]
    assert packages
    assert [it for it in packages if _first_sentence(it.relative_to(ROOT).as_posix()) is None] == []


def test_no_room_holds_more_than_a_glance_takes_in() -> None:
    """Nine entries; the doors, one a command, stand beside them."""
    for package in (it.parent for it in (ROOT / "federation").rglob("__init__.py")):
        entries = {it.stem for it in package.iterdir() if it.name[0] not in "._" and it.suffix in {"", ".py"}}
        if package.name != "federation":
            assert len(entries) <= MAXIMUM_ENTRIES, package


def test_the_diagram_of_imports_is_the_rule() -> None:
    """Its boxes are the layers that `make check` enforces, in their order."""
    page = PAGE.read_text(encoding="utf-8").partition("## Which way imports point")[2]
    arrows = re.findall(r"^ +(\w+)(?:\[.*\])? --> (\w+)", page.partition("```\n")[0], flags=re.MULTILINE)
    boxes = dict(re.findall(r'(\w+)\["([^"]+)"\]', page))
    assert [one for _, one in arrows[:-1]] == [other for other, _ in arrows[1:]]
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    (layers,) = (it["layers"] for it in contracts["contracts"] if it["type"] == "layers")
    assert "local" in layers[0]
    assert [boxes.get(name, name) for _, name in arrows] == layers[1:]


def test_the_rules_name_every_module_of_the_clients() -> None:
    """Import-linter forbids what its lists name: a module that they lack could be imported from anywhere."""
    modules = {path.stem for path in (ROOT / "client_code").glob("*.py")}
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    lists = [
        set(it["forbidden_modules"])
        for it in contracts["contracts"]
        if "client_code.client" in it.get("forbidden_modules", ())
    ]
    assert len(lists) == len(("federation", "the protocol"))
    for names in lists:
        assert modules | {f"client_code.{name}" for name in modules} <= names
