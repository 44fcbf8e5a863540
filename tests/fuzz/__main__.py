"""Fuzz everything that parses a peer's bytes: ``python -m tests.fuzz [INPUTS] [SEED]``.

The inputs are shared among the targets. It ends with exit code 1 at the first one that breaks a promise,
which it shows; the same seed gives the same inputs again.
"""

import logging
import random
import sys
import time
import traceback
import warnings
from pathlib import Path

from flwr.supercore.task_identity import TaskIdentity

COUNTS, LENGTHS, CUTS, IN_PLACE = (1, 1, 1, 2, 2, 3, 4), (1, 1, 1, 1, 2, 4), (0, 1, 8, 64), 0.8


def main(inputs: int = 1_000_000, seed: int = 1) -> int:
    """Run all targets; return the exit code."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "client_code"))
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1
    from tests.fuzz.targets import TARGETS, damaged  # noqa: PLC0415 - needs the path

    warnings.simplefilter("ignore")  # what NumPy says about damaged arrays
    logging.disable(logging.CRITICAL)
    share = -(-inputs // len(TARGETS))
    for target in TARGETS:
        drawn, started, seeds = random.Random(seed), time.process_time(), target.seeds()  # noqa: S311
        for number in range(share):
            data = damaged(drawn.choice(seeds), _changes(drawn))
            try:
                target.parse(data)
            except Exception:  # noqa: BLE001 - any error that escapes is the finding
                traceback.print_exc()
                print(f"{target.name}: input {number:,} of seed {seed} breaks it: {data!r}")  # noqa: T201
                return 1
        seconds = time.process_time() - started
        print(f"{target.name:24} {share:>10,} inputs {seconds:8.1f} s", flush=True)  # noqa: T201
    return 0


def _changes(drawn: random.Random) -> list[tuple[int, int, bytes]]:
    """Return a few changes: most put bytes in the place of others, some cut bytes out or put more in."""
    changes = []
    for _ in range(drawn.choice(COUNTS)):
        new = drawn.randbytes(drawn.choice(LENGTHS))
        length = len(new) if drawn.random() < IN_PLACE else drawn.choice(CUTS)
        changes.append((drawn.randrange(4096), length, new))
    return changes


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
