"""What a run lets the libraries under it write to the log."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_flower() -> Iterator[None]:
    """Let Flower log nothing but errors while a run lasts: the run's own rows say the rest.

    Decorates what runs a federation, so that a library call is as quiet as a command.
    """
    log = logging.getLogger("flwr")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)
