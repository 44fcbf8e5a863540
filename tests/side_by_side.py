"""Which tests may run side by side, and in which order, where pytest-xdist is installed and asked to."""

from pathlib import PurePath

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

LONG = ("rehearsal", "local", "faults", "infrastructure", "security", "flower")
"""Folders of tests that take long, the longest first: what begins last is short, so that no process idles."""
TOGETHER = (
    *("test_federation_faults", "test_operations", "test_parquet_client"),
    *("test_readme", "test_example", "test_whole_rehearsal"),
)
"""Files of rehearsals whose servers listen on the port of the configuration: one at a time."""


class ByFile(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """Give a file's tests to one process, and those of files that share a port."""

    def __init__(self, config: pytest.Config, log: Producer) -> None:
        config.option.loadscopereorder = False  # it takes the files with the most tests first
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        file = str(super()._split_scope(nodeid))
        return "federation" if PurePath(file).stem in TOGETHER else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    """Say which tests may run side by side."""
    return ByFile(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what takes long."""
    if hasattr(config, "workerinput"):
        items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    return next(
        (at for at, folder in enumerate(LONG) if item.nodeid.startswith(f"tests/{folder}/")), len(LONG)
    )
