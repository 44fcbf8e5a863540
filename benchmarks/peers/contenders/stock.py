"""Stock Flower with our own app: SuperLink and SuperNodes, or the simulation engine."""

import json
import sys
from pathlib import Path

import common

from benchmarks.peers.stock_flower import run_app, simulation, superlink
from federation.data.synthetic import LABEL

BIN = Path(sys.executable).parent


def main() -> None:
    """Run the app once."""
    parser = common.parser()
    parser.add_argument("--simulation", action="store_true")
    options = parser.parse_args()
    clients = {name: options.data / name for name in common.names(options.data)}
    config = {
        "label": LABEL,
        "data": str(options.data),
        "test": str(options.data / "server" / "test.csv"),
        "out": str(options.out / "run"),
        "clients": len(clients),
        "rounds": options.rounds,
    }

    def watch(line: str) -> None:
        """Take the time of the first round's end; the log is at most 0.7 s late."""
        if f"round 1/{options.rounds}:" in line:
            common.mark(options.out)

    if options.simulation:
        nodes = ("--federation-config", f"num-supernodes={len(clients)}")
        with simulation(BIN, options.out / "home") as environment:
            run_app(BIN, environment, config, *nodes, on_line=watch)
    else:
        with superlink(BIN, options.out / "home", clients) as environment:
            run_app(BIN, environment, config, on_line=watch)
    _mark_other_rounds(options.out)
    model = json.loads((options.out / "run" / "model.json").read_text())
    common.write_result(
        options.out, [feature["coefficient"] for feature in model["features"]], model["intercept"]
    )


def _mark_other_rounds(out: Path) -> None:
    """Add the seconds that the server itself measured for each round after the first."""
    at = float((out / "marks").read_text())
    with (out / "marks").open("a") as marks:
        for line in (out / "run" / "rounds.jsonl").read_text().splitlines()[2:]:
            at += json.loads(line)["seconds"]
            marks.write(f"{at!r}\n")


if __name__ == "__main__":
    main()
