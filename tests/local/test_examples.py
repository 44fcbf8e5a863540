"""The notebooks in examples/ run from top to bottom."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.local.processes import ROOT

pytestmark = [
    pytest.mark.timeout(600),
    # ipykernel's and zmq's own, while a kernel starts and ends
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]
EXAMPLES = ROOT / "examples"


def run_notebook(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run a notebook in a folder, and return what its cells showed as text."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(folder / "ipython"))
    notebook = nbformat.read(EXAMPLES / name, as_version=4)
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}})
    client.execute()
    outputs = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.get("name") != "stderr"
    ]
    return [output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs]


def test_a_first_federation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends with scores of every held-back row."""
    shown = run_notebook("first_federation.ipynb", tmp_path, monkeypatch)
    assert "pooled" in shown[1]
    assert "count" in shown[-1]


def test_own_table_and_strategy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The strategy of the notebook trains, and its mistake is told as the notebook says."""
    shown = run_notebook("own_table_and_strategy.ipynb", tmp_path, monkeypatch)
    assert shown[-1].startswith("12 | ")


def test_no_notebook_keeps_outputs() -> None:
    """What a cell shows is made when it is run: nobody reviews old output, and rows could hide in it."""
    for path in EXAMPLES.glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        assert all(not cell.get("outputs") for cell in notebook.cells), path.name
