"""What scores are worth where rows have labels: metrics of the rows that have both."""

from array import array
from typing import NamedTuple

import numpy as np

from client_code.protocol.cells import is_missing, label_of
from federation.data.columns.labels import binary
from federation.errors import LabelError
from federation.model.quality.metrics import evaluate
from federation.model.scoring.scorer import Scored

_MOST_WORDS = 100
_SHOWN = (
    ("roc_auc", "ROC-AUC"),
    ("average_precision", "average precision"),
    ("log_loss", "log loss"),
    ("brier", "Brier score"),
)


class Outcomes:
    """Keep the labels and scores of rows: 9 bytes for each that has both.

    Parameters
    ----------
    name : str
        What messages call the rows.
    label : str
        The column of the labels.
    positive : str, optional
        The label's value that counts as 1, if its values do not say so themselves.
    in_training : str, optional
        The same of training, which counts where rows hold it and nothing else is said.
    """

    def __init__(self, name: str, label: str, positive: str | None, in_training: str | None = None) -> None:
        self._name, self._label, self._positive, self._in_training = name, label, positive, in_training
        self._words: dict[str, int] = {}
        self._codes, self._scores = array("B"), array("d")
        self._unlabelled = 0
        self._met = False

    def add(self, scored: Scored) -> None:
        """Keep what has a label and a score."""
        if scored.labels is None or len(self._words) > _MOST_WORDS:
            return
        self._met = True
        scores = scored.scores.tolist()
        for row, cell in enumerate(scored.labels):
            if is_missing(cell):
                self._unlabelled += 1
            elif row not in scored.reasons and len(self._words) <= _MOST_WORDS:
                self._codes.append(self._words.setdefault(cell.strip(), len(self._words)))
                self._scores.append(scores[row])

    def metrics(self, *, asked: bool) -> "WordedMetrics":
        """Return the metrics in words.

        Parameters
        ----------
        asked : bool
            Whether somebody wants them: then there being none is an error; else it is a note, or, without a
            column of labels, nothing.

        Raises
        ------
        LabelError
            There are no labels, they are not binary, or do not say which is positive.
        """
        if not self._met and not asked:
            return WordedMetrics()
        try:
            return self._metrics()
        except LabelError as error:
            if asked:
                raise
            return WordedMetrics(notes=(f"no metrics: {str(error).removesuffix('.')}",))

    def _metrics(self) -> "WordedMetrics":
        if not self._words:
            raise LabelError(
                f'{self._name}: no row has a label in "{self._label}" and a score.',
                "Name the column of the labels with --label.",
            )
        words = list(self._words)
        remembered = self._in_training if self._in_training in words and not self._positive else None
        positive = self._positive or remembered
        coding = binary(self._name, self._label, words, positive)
        y = np.array([coding[word] for word in words])[np.frombuffer(self._codes, np.uint8)]
        p = np.frombuffer(self._scores)
        figures = evaluate(y, p)
        left = f"; {self._unlabelled:,} without a label are left out" if self._unlabelled else ""
        head = f'{len(y):,} rows with a label in "{self._label}", {figures["positives"]:,} positive{left}:'
        lines = [f"  {name:<24}{_figure(dict(figures)[key])}" for key, name in _SHOWN]
        means = f"mean score {p.mean():.4f}, share of positives {y.mean():.4f}"
        large = f"  {'calibration in the large':<24}{p.mean() - y.mean():>+8.4f} ({means})"
        notes = []
        if remembered and label_of(remembered) == 0:  # prepared files have 1 for it
            notes.append(
                f'"{remembered}" of "{self._label}" counts as positive, as in training; if the rows were '
                "prepared, say --positive 1"
            )
        return WordedMetrics(lines=(head, *lines, large), notes=tuple(notes))


class WordedMetrics(NamedTuple):
    """Hold lines for people: the metrics, and why there are none."""

    lines: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def _figure(value: object) -> str:
    return f"{value:>8.4f}" if isinstance(value, float) else f"{'–':>8}"
