"""Show how a run goes (on stderr: who has joined, a row for every round) and what came of it (on stdout)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Any

from rich.console import Console
from rich.table import Table

from federation.aws.checks.checks import Result
from federation.learning.preprocessing.statistics import ClientStatistics
from federation.learning.rounds.figures import Round
from federation.report.facts import RunMetrics
from federation.report.tables import METRIC_NAMES, metrics_table
from federation.words import some

HEADER = "  round  seconds  ROC-AUC  avg. precision  log loss   clients' own ROC-AUC, of the round before"


MANY = 10
"""Clients of which each has a figure of its own on the terminal."""
SUMMARY_COLUMNS = 3  # federated, pooled, mean of local-only; the report has each client


class Progress:
    """Print one line per step.

    Parameters
    ----------
    quiet : bool
        Print nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, quiet=quiet)

    def step(self, text: str) -> None:
        """Say what begins now."""
        self._print(f"• {text}")

    def checked(self, results: Sequence[Result]) -> None:
        """Say how many checks went well, and what the others found."""
        fine = [result for result in results if result.outcome in ("ok", "unseen")]
        self._print(f"  {len(fine)} of {len(results)} checks passed")
        for result in results:
            if result.outcome in ("warning", "wrong"):
                self._print(f"  {result.party}, {result.check}: {result.found} {result.remedy}")

    def joined(self, joined: list[str], missing: list[str]) -> None:
        """Say how many clients have joined, and who is missing."""
        waiting = f"waiting for {some(missing)}" if missing else "all are here"
        self._print(f"  {len(joined)} of {len(joined) + len(missing)} clients joined, {waiting}")

    def job(self, client: str, status: str) -> None:
        """Say how a client's training job stands now."""
        self._print(f"  {client}: {status}")

    def agreed(self, statistics: list[ClientStatistics], notes: Sequence[str]) -> None:
        """Say what the clients train on, and what may surprise."""
        for one in statistics:
            told = f"{one.rows:,} training rows, {one.positives:,} positive"
            if (before := one.preparation) and before.rows != one.rows:
                told += f" (before {before.resample} {before.rows:,}, {before.positives:,} positive)"
            self._print(f"  {one.client}: {told}")
        for line in notes:
            self._print(f"  note: {line}")
        self._print(HEADER)

    def round_ended(self, record: Round, of: int) -> None:
        """Add the round's row."""
        own = [figures["given"]["roc_auc"] for figures in record.clients.values()]
        cells = (
            f"{record.round}/{of}".rjust(7),
            _cell(record.seconds if record.round else None, 7),
            _cell(record.server["roc_auc"], 7),
            _cell(record.server["average_precision"], 14),
            _cell(record.server["log_loss"], 8),
        )
        self._print("  ".join(cells) + "   " + _of_clients(own))
        for name, reason in record.rejected.items():
            self._print(f'  client "{name}" does not count in this round: {reason}')
        for name, reason in record.set_aside.items():
            self._print(f'  client "{name}" is set aside: {reason}')

    def scored(self, at_clients: Mapping[str, Mapping[str, Any]]) -> None:
        """Say how good each client found the final model."""
        found = [f"{name} {_cell(figures['roc_auc'], 0)}" for name, figures in at_clients.items()]
        self._print(f"  the final model's ROC-AUC at each client: {some(found, MANY)}")

    def concluded(self, conclusion: str | None) -> None:
        """Say how the strategy ended, where it can tell."""
        if conclusion:
            self._print(f"  {conclusion}")

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def show_metrics(metrics: RunMetrics, out: Path) -> None:
    """Print the figures of a run side by side, what to do next, and where the report is."""
    console = Console()
    table = metrics_table(metrics)
    grid = Table("On the server's held-back rows", *table.columns[:SUMMARY_COLUMNS], box=None, pad_edge=False)
    for row in table.rows:
        grid.add_row(row.name, *row.cells[:SUMMARY_COLUMNS])
    console.print(grid, highlight=False)
    text = (
        f"\nScore new rows with: python -m federation.predict --model {quote(str(out / 'model.json'))} "
        f"--input ROWS.csv --out scores.csv\nReport: {out / 'report.html'}"
    )
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def show_spread(summary: Mapping[str, Any], out: Path) -> None:
    """Print the mean and interval of each metric over repeated runs, and where the page is."""
    console = Console(width=max(Console().width, 90))  # so that no interval is broken where nobody looks
    grid = Table(
        f"Mean of {len(summary['seeds'])} runs", "Federated", "Pooled", "Local-only, mean",
        box=None, pad_edge=False,
    )  # fmt: skip
    for key, name in METRIC_NAMES:
        of_models = (summary["models"][model][key] for model in ("federated", "pooled", "local"))
        cells = ("–" if s is None else f"{s['mean']:.3f} ({s['low']:.3f}–{s['high']:.3f})" for s in of_models)
        grid.add_row(name, *cells)
    console.print(grid, highlight=False)
    text = f"In brackets: 95 % interval of the mean.\n\nSummary: {out / 'summary.html'}"
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _of_clients(figures: Sequence[float | None]) -> str:
    """Return each client's figure, or of many clients the lowest and the highest."""
    known = [value for value in figures if value is not None and value == value]  # noqa: PLR0124 - NaN
    if len(figures) <= MANY or not known:
        return " ".join(_cell(value, 0) for value in figures)
    return f"{_cell(min(known), 0)} to {_cell(max(known), 0)}"


def _cell(value: float | None, width: int) -> str:
    return ("–" if value is None or value != value else f"{value:.3f}").rjust(width)  # noqa: PLR0124 - NaN
