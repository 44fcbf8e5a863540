"""Which tests may run side by side, where pytest-xdist is installed and asked to."""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling


class ByFile(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """Give a file's tests to one process, and all that share the deployed rehearsal and its port too."""

    def _split_scope(self, nodeid: str) -> str:
        shared = "tests/rehearsal/"
        return shared if nodeid.startswith(shared) else str(super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    """Say which tests may run side by side."""
    return ByFile(config, log)
