"""Side by side in one run: this product, stock Flower, Flower's first API, NVFlare, and plain scikit-learn.

python -m benchmarks.peers --quick
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import describe
from benchmarks.peers.arena import ContenderError, Outcome, run
from benchmarks.peers.environments import ROOT, environment
from benchmarks.peers.rows import Reference
from benchmarks.results import write_section

CLIENTS = 3
CONTENDERS = Path(__file__).resolve().parent / "contenders"


@dataclass(frozen=True, kw_only=True)
class Contender:
    """What takes part.

    Parameters
    ----------
    title : str
        In the table.
    lock : str or None
        Its environment; None is ours.
    script : str
        In ``contenders/``.
    options : tuple of str
        Of the script.
    """

    title: str
    lock: str | None
    script: str
    options: tuple[str, ...] = ()


OURS = "ours, fedavg"
STOCK = "Flower 1.41 SuperLink + SuperNodes, our app"
SIMULATOR = "NVFlare 2.9 simulator, scikit-learn FedAvg"
ARTICLE = "Flower 1.3.0 start_server, plaintext"
FIELD = (
    Contender(title="scikit-learn, pooled", lock=None, script="pooled.py"),
    Contender(title=OURS, lock=None, script="ours.py", options=("--strategy", "fedavg")),
    Contender(title="ours, fednewton", lock=None, script="ours.py", options=("--strategy", "fednewton")),
    Contender(title=ARTICLE, lock="flower-1.3.0", script="legacy.py"),
    Contender(title="Flower 1.41 start_server, plaintext", lock="flower", script="legacy.py"),
    Contender(
        title="Flower 1.41 simulation engine, our app",
        lock="flower",
        script="stock.py",
        options=("--simulation",),
    ),
    Contender(title=STOCK, lock="flower", script="stock.py"),
    Contender(
        title=SIMULATOR,
        lock="nvflare",
        script="nvflare_job.py",
        options=("--recipe", "fedavg", "--environment", "simulator"),
    ),
    Contender(
        title="NVFlare 2.9 simulator, Newton",
        lock="nvflare",
        script="nvflare_job.py",
        options=("--recipe", "newton", "--environment", "simulator"),
    ),
    Contender(
        title="NVFlare 2.9 POC, scikit-learn FedAvg",
        lock="nvflare",
        script="nvflare_job.py",
        options=("--recipe", "fedavg", "--environment", "poc"),
    ),
)
# How much faster a round of ours must be, and than whom.
TARGETS = {STOCK: 200.0, SIMULATOR: 80.0, ARTICLE: 1.0}


def main() -> None:
    """Let everybody run, one after the other, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="6 rounds instead of 30")
    parser.add_argument("--rounds", type=int, help="another number of rounds")
    parser.add_argument("--only", help="only contenders with this in their title; writes nothing")
    options = parser.parse_args()
    rounds = options.rounds or (6 if options.quick else 30)
    machine = describe()
    field = [one for one in FIELD if not options.only or options.only in one.title]
    with tempfile.TemporaryDirectory() as folder:
        reference = Reference(Path(folder) / "data", CLIENTS)
        outcomes = {
            one.title: _try(one, Path(folder), rounds, say=lambda text: print(text, file=sys.stderr))
            for one in field
        }
        lines = [*_head(rounds), *(_row(title, out, reference) for title, out in outcomes.items())]
    if options.only:
        print("\n".join(lines))
        return
    write_section("Beside peers", machine, [*lines, "", *_ratios(outcomes)])


def _try(one: Contender, folder: Path, rounds: int, say: Callable[[str], None]) -> Outcome | str:
    """Run a contender; return what was measured, or why there is nothing."""
    say(f"• {one.title}")
    try:
        python = environment(one.lock) if one.lock else Path(sys.executable)
    except subprocess.CalledProcessError as error:
        return f"not installable: {error.stderr.strip().splitlines()[-1]}"
    out = folder / one.title.replace(" ", "-").replace(",", "")
    command = [python, CONTENDERS / one.script, "--data", folder / "data", "--rounds", rounds, "--out", out]
    try:
        return run(
            [*map(str, command), *one.options],
            out,
            python_path=f"{ROOT}:{CONTENDERS}",
            timeout=300 + 60 * rounds,  # a busy machine; nobody needs it otherwise
        )
    except ContenderError as error:
        return f"failed: {error}"


def _head(rounds: int) -> list[str]:
    columns = (
        *("contender", "first round, s", "round, median, s", "p95, s", "total, s", "memory, MB", "processes"),
        *("sent, MB", "ROC-AUC", "avg. precision", "distance"),
    )
    return [
        f"{CLIENTS} clients, {rounds} rounds, synthetic rows with the CMS schema, logistic regression, 10",
        "local iterations a round; one after the other, each in a network namespace of its own. Seconds of a",
        "round are those after the first. Memory: all processes together, shared pages counted once. Sent:",
        "everything through loopback. Distance: of the coefficients to the pooled optimum, relative.",
        "What differs between them: README.md.",
        "",
        f"| {' | '.join(columns)} |",
        "|---" * len(columns) + "|",
    ]


def _row(title: str, outcome: Outcome | str, reference: Reference) -> str:
    if isinstance(outcome, str):
        return f"| {title} | {outcome.replace('|', '/')} |" + " |" * 9
    judged = reference.judge(outcome.coef, outcome.intercept)
    numbers = (outcome.first, outcome.median, outcome.p95, outcome.total)
    cells = [
        title,
        *("–" if value != value else f"{value:.3g}" for value in numbers),  # noqa: PLR0124 (NaN)
        f"{outcome.memory:.0f}",
        f"{outcome.processes}",
        f"{outcome.sent / 1e6:.3g}",
        f"{judged['roc_auc']:.4f}",
        f"{judged['average_precision']:.4f}",
        f"{judged['distance']:.1e}",
    ]
    return f"| {' | '.join(cells)} |"


def _ratios(outcomes: dict[str, Outcome | str]) -> list[str]:
    """Say how many times faster a round of ours is than the rounds of those who count."""
    ours = outcomes[OURS]
    if isinstance(ours, str):
        return [f"No comparison: {OURS} {ours}."]
    lines = ["| a round of ours, fedavg, is faster than | times | wanted |", "|---|---|---|"]
    for title, wanted in TARGETS.items():
        other = outcomes[title]
        times = "–" if isinstance(other, str) else f"{other.median / ours.median:.3g}"
        lines.append(f"| {title} | {times} | {wanted:g} |")
    return lines


if __name__ == "__main__":
    main()
