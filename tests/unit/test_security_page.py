"""SECURITY.md promises nothing that no test shows."""

import ast
import re

import pytest

from tests.conftest import ROOT

PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)))
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ")][1:]


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_every_test_that_is_named_exists(file: str, name: str) -> None:
    """Who follows a name finds the test."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert name in functions if name else functions


def test_every_threat_names_a_test_and_what_remains() -> None:
    """A row has five parts, and none is empty but the name of who is meant again."""
    assert len(ROWS) > 20
    for row in ROWS:
        _who, could, stops, shown, remains = (part.strip() for part in row.strip("|").split("|"))
        assert could, row
        assert stops, row
        assert "`tests/" in shown, row
        assert remains, row
