"""Ours, as `python -m federation.local` runs it: processes, TLS, ledgers, yardsticks and report."""

import datetime as dt
import json
import logging

import common

from federation.cli.progress import Progress
from federation.learning.rounds.figures import Round
from federation.learning.settings import TrainingSettings
from federation.runs.local.training import LocalRun, train_locally


def main() -> None:
    """Train with one strategy."""
    parser = common.parser()
    parser.add_argument("--strategy", required=True)
    options = parser.parse_args()

    logging.getLogger("flwr").setLevel(logging.ERROR)  # as every command of ours does

    class Marking(Progress):
        """Notes when each round has ended."""

        def round_ended(self, record: Round, of: int) -> None:
            """Take the time of every round but the untrained model's."""
            if record.round:
                common.mark(options.out)
            super().round_ended(record, of)

    train_locally(
        LocalRun(
            source=options.data,
            preparation=None,
            training=TrainingSettings(strategy=options.strategy, rounds=options.rounds),
            out=options.out / "run",
            join_timeout=600,  # fifty clients share two cores while they start
            started=dt.datetime.now(dt.UTC),
        ),
        Marking(),
    )
    model = json.loads((options.out / "run" / "model.json").read_text())
    common.write_result(
        options.out, [feature["coefficient"] for feature in model["features"]], model["intercept"]
    )


if __name__ == "__main__":
    main()
