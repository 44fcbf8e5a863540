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

BUFFER = 64  # bytes that an input is drawn from


def main(inputs: int = 1_000_000, seed: int = 1) -> int:
    """Run all targets; return the exit code."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "client_code"))
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 1, 1
    from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - needs the path

    warnings.simplefilter("ignore")  # what NumPy says about damaged arrays
    logging.disable(logging.CRITICAL)
    share = -(-inputs // len(TARGETS))
    for target in TARGETS:
        drawn, started = random.Random(seed), time.process_time()  # noqa: S311 - to be repeated
        fuzz = target.hypothesis.fuzz_one_input  # type: ignore[attr-defined]
        for number in range(share):
            try:
                fuzz(drawn.randbytes(BUFFER))
            except Exception:  # noqa: BLE001 - any error that escapes is the finding
                traceback.print_exc()
                print(f"{target.__name__}: broken by input {number:,} of seed {seed}")  # noqa: T201
                return 1
        seconds = time.process_time() - started
        print(f"{target.__name__:24} {share:>10,} inputs {seconds:8.1f} s", flush=True)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
