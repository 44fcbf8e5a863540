"""The pages of commands and of the configuration are what the code says."""

import pytest

from tests.conftest import ROOT
from tools.reference import COMMANDS, PAGES

PLACES = {place.partition(":")[0] for place in COMMANDS.values()}


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_what_the_code_says(name: str) -> None:
    """A page that is stale fails here; `make reference` writes it anew."""
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert page == PAGES[name](), f"docs/{name} is stale: run make reference"


def test_every_command_is_on_the_page() -> None:
    """A module that runs a command is one of those that the page describes."""
    doors = [*(ROOT / "federation").glob("[a-z]*.py"), ROOT / "federation" / "rehearse" / "__main__.py"]
    commands = {path for path in doors if "\n    run(" in path.read_text(encoding="utf-8")}
    assert {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in commands} <= PLACES


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_without_a_meaning(name: str) -> None:
    """Every option and every key says what it means."""
    lines = PAGES[name]().splitlines()
    assert [
        line for line in lines if line.startswith("| `") and "| " in line and line.split(" | ")[1] == ""
    ] == []
