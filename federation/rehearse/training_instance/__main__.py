"""The instance as a process: the order on standard input, events on standard output.

After the order, a line ``stop`` stops the job. End-of-file means that the emulator has ended: the instance
then ends everything.
"""

import os
import sys

from federation.rehearse.machine.parent_watch import end_with_parent
from federation.rehearse.training_instance.job import TrainingJob, describe
from federation.rehearse.training_instance.order import JobOrder, Reporter


def main() -> None:
    """Run one job."""
    report = Reporter()
    try:
        order = JobOrder.from_json(sys.stdin.readline())
        os.environ.update(order.credentials)
        job = TrainingJob(order, report)

        def obey(line: str) -> None:
            if line == "stop":
                job.stop()

        end_with_parent(job.abandon, obey)
        job.run()
    except Exception as error:
        report(**describe(error))
        raise


if __name__ == "__main__":
    main()
