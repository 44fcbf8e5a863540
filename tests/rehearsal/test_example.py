"""The notebook that reads a run on AWS reads what the README's first command leaves."""

import pytest

from tests.local.test_examples import run_notebook
from tests.rehearsal.conftest import Demo

pytestmark = [
    pytest.mark.timeout(900),  # the first one makes the demo
    # ipykernel's and zmq's own, while a kernel starts and ends
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]


def test_the_audit_agrees(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every message of both clients stands in both records."""
    monkeypatch.setenv("REHEARSALS", str(demo.out.parent))
    shown = run_notebook("read_a_run_on_aws.ipynb", demo.out.parent, monkeypatch)
    (audit,) = [text for text in shown if "on both sides" in text]
    assert audit.count("agrees") == 2
