"""Score the rows of a file with a model.json, a few hundred at a time; no scikit-learn."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client_code.protocol.cells import Words
from federation.data.columns.reader import Told
from federation.data.files.decimals import with_point
from federation.data.files.records import AS_WRITTEN, Part, near, parts_of
from federation.data.files.text import Format
from federation.errors import DataError, MissingFileError, SchemaMismatchError, SettingError
from federation.model.linear import LinearModel, Preprocessing
from federation.model.scoring.findings import FAR, Findings, Problem
from federation.model.scoring.numbers import Mark
from federation.model.scoring.raw_columns import LevelColumn, NumberColumn, raw_columns, was_binary
from federation.words import nearest

_CHUNK = 512  # texts that the processor still has at hand when they become numbers
_GAP = "empty or NaN, as no training row was"
_NEGATIVE = "negative, and the model takes the logarithm"
Floats = NDArray[np.float64]
Reasons = dict[int, dict[str, str]]
"""What is wrong in a row, by its position and by column."""


def read_model(path: Path) -> LinearModel:
    """Read a ``model.json``.

    Raises
    ------
    MissingFileError
        When it cannot be read.
    DataError
        When it is not what `LinearModel.to_json` wrote.
    """
    try:
        return LinearModel.from_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MissingFileError(f"{path}: cannot be read ({error.strerror}).", "Check the path.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a UTF-8 text file.", "Give the model.json of a run.") from error
    except DataError as error:
        raise type(error)(f"{path}: {error.problem}", error.remedy) from error


def at_site(model: LinearModel, site: str | None) -> LinearModel:
    """Return the model with the intercept of one client, for that client's rows; as it is without a client.

    Raises
    ------
    SettingError
        There is no such client, or one intercept for all.
    """
    if site is None:
        return model
    sites = model.site_intercepts
    if not sites:
        raise SettingError(
            f'--site "{site}": the model has one intercept for all clients.',
            "Leave out --site, or train with --site-intercepts.",
        )
    if site not in sites:
        raise SettingError(f'--site "{site}": the model has no such client.', nearest(site, list(sites)))
    return replace(model, intercept=float(sites[site]), site_intercepts=None)


@dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """Some rows, one after the other.

    Parameters
    ----------
    ids : sequence
        What identifies each row.
    scores : ndarray of float64, shape (n,)
        The probability of the positive class, in [0, 1]; NaN where a row cannot be scored.
    reasons : mapping of int to str
        Why not, by position.
    labels : sequence of str, optional
        The cells of the label column, if there is one.
    """

    ids: Sequence[object]
    scores: Floats
    reasons: Mapping[int, str]
    labels: Sequence[str] | None

    def lines(self, *, with_reasons: bool) -> Iterator[tuple[object, ...]]:
        """Return id and score of each row, and, if wanted, why it has none; "" stands for nothing."""
        if not with_reasons and not self.reasons:
            return zip(self.ids, self.scores.tolist(), strict=True)
        scores = ["" if math.isnan(score) else score for score in self.scores.tolist()]
        reasons = [self.reasons.get(row, "") for row in range(len(scores))]
        return zip(self.ids, scores, *([reasons] if with_reasons else []), strict=True)


class Scorer:
    """Score raw rows part by part, in memory that does not grow with them.

    Parameters
    ----------
    model : LinearModel
        What scores them.
    name : str
        What messages call the rows.
    """

    def __init__(self, model: LinearModel, name: str) -> None:
        self._model, self._columns = model, raw_columns(model)
        self._features = model.preprocessing.encoding.features
        self._marking = [feature.column for feature in self._features if feature.kind == "missing"]
        self._low, self._high = _bounds(model.preprocessing)
        self.findings = Findings(name=name, columns={at: it.found for at, it in self._columns.items()})
        """What is found in the rows so far; complete when `of_file` is."""

    def of_file(
        self,
        path: Path,
        *,
        id_column: str | None = None,
        label: str | None = None,
        form: Format = AS_WRITTEN,
        missing: Sequence[str] | None = None,
        numbers: Collection[str] = (),
    ) -> Iterator[Scored]:
        """Yield the rows of a table, a few hundred at a time.

        Parameters
        ----------
        path : Path
            A table that `parts_of` reads and that has the model's columns, in any order; other columns
            are ignored.
        id_column : str, optional
            Column whose text is a row's id; unless given, the id is the row's number, from 1.
        label : str, optional
            Column whose cells are wanted too, if there is one.
        form : Format
            How text files are written.
        missing : sequence of str, optional
            Words that stand for a gap in the columns of the model and of the label, see
            `client_code.protocol.cells.Words`; those of training unless given.
        numbers : collection of str
            Columns that were no texts before they came into a file: they have no notation.

        Raises
        ------
        MissingFileError
            When the file cannot be read.
        SchemaMismatchError
            When it lacks a column, naming all that it lacks.
        SettingError
            When it lacks the column of the ids, or the given one of the labels; or a word is empty.
        DataError
            When it is no well-formed table.
        """
        remembered = self._model.cells.missing
        gaps = _Gaps(Told(missing=remembered if missing is None else missing).missing)
        former = _Gaps([one for one in remembered if one not in gaps.words])
        for part in parts_of(path, form):
            self._check_header(path, part.header, id_column, label)
            if part.path != path:
                self.findings.begins.append((self.findings.rows, part.path))
            if part.text.told:
                self.findings.forms.setdefault(part.text.told, []).append(part.path.name)
            commas, read = part.text.decimal == ",", label or self._model.label
            marks = {
                name: None if name in {*numbers, *part.numbers} else _mark(column, part, form.decimal)
                for name, column in self._columns.items()
            }
            while (chunk := _next(part.records))[0]:
                lines, texts = chunk
                cells = dict(zip(part.header, zip(*texts, strict=True), strict=True))
                for name, column in self._columns.items():
                    column.found.former += former.count(cells[name], commas=commas)
                own = {
                    name: gaps.emptied(cells[name], commas=commas and isinstance(column, NumberColumn))
                    for name, column in self._columns.items()
                }
                scores, reasons = self._score(own, lines, marks)
                labels = gaps.emptied(cells[read], commas=commas) if read in cells else None
                first = self.findings.rows - len(texts) + 1
                yield Scored(
                    ids=cells[id_column] if id_column else range(first, first + len(texts)),
                    scores=scores,
                    reasons=reasons,
                    labels=[with_point(cell) for cell in labels] if labels and commas else labels,
                )

    def _check_header(
        self, path: Path, header: Sequence[str], id_column: str | None, label: str | None
    ) -> None:
        if missing := [name for name in self._columns if name not in header]:
            raise SchemaMismatchError(
                f"{path}: {len(missing)} columns are missing: {', '.join(missing)}.",
                "Name the columns as they were named in training.",
            )
        for option, name in (("--id", id_column), ("--label", label)):
            if name is not None and name not in header:
                raise SettingError(f'{path}: {option} "{name}": no such column.', near(name, header))

    def _score(
        self, cells: Mapping[str, Sequence[str]], lines: Sequence[int], marks: Mapping[str, Mark | None]
    ) -> tuple[Floats, dict[int, str]]:
        """Return the scores of n rows, and why some have none."""
        values, reasons = dict[str, Floats](), Reasons()
        for name, column in self._columns.items():
            values[name], wrong = column.read(cells[name], marks[name])
            for row, what in wrong.items():
                reasons.setdefault(row, {})[name] = what
        marked = np.zeros(len(lines), dtype=np.bool_)
        for name in self._marking:
            marked |= np.isnan(values[name])
        for name, column in self._columns.items():
            if isinstance(column, LevelColumn):
                column.count_gaps(values[name], marked)
        X = np.column_stack(
            [it.values(values[it.column], self._columns[it.column].levels) for it in self._features]
        )
        self._require(np.isnan(X), _GAP, reasons)
        self._require((X < 0) & np.array(self._model.preprocessing.log1p), _NEGATIVE, reasons)
        bad = sorted(reasons)
        X[bad] = 0.0
        self._count_far(X, bad)
        scores = self._model.predict_proba(X)
        scores[bad] = np.nan
        self._add(reasons, lines)
        return scores, {row: _sentence(wrong) for row, wrong in reasons.items()}

    def _require(self, broken: NDArray[np.bool_], what: str, reasons: Reasons) -> None:
        for row, at in np.argwhere(broken).tolist() if broken.any() else ():
            reasons.setdefault(row, {}).setdefault(self._features[at].column, what)

    def _count_far(self, X: Floats, bad: list[int]) -> None:
        far = np.less(X, self._low) | np.greater(X, self._high)
        far[bad] = False
        for at in np.flatnonzero(far.any(axis=0)).tolist():
            self._columns[self._features[at].column].found.far += int(np.count_nonzero(far[:, at]))

    def _add(self, reasons: Reasons, lines: Sequence[int]) -> None:
        first = self.findings.rows + 1
        for row, wrong in sorted(reasons.items()):
            for name, what in wrong.items():
                problem = Problem(first_row=first + row, first_line=lines[row])
                self._columns[name].found.problems.setdefault(what, problem).rows += 1
        self.findings.rows += len(lines)
        self.findings.unscored += len(reasons)


class _Gaps:
    """Find the words that stand for a gap, also those that are numbers where files have decimal commas."""

    def __init__(self, told: Sequence[str]) -> None:
        self.words, self._with_points = Words(told), Words([*told, *map(with_point, told)])

    def emptied(self, cells: Sequence[str], *, commas: bool) -> Sequence[str]:
        """Return the cells with nothing in the place of each word."""
        found = self._found(cells, commas=commas)
        return ["" if cell in found else cell for cell in cells] if found else cells

    def count(self, cells: Sequence[str], *, commas: bool) -> int:
        """Count the cells that hold a word."""
        found = self._found(cells, commas=commas)
        return sum(cell in found for cell in cells) if found else 0

    def _found(self, cells: Sequence[str], *, commas: bool) -> set[str]:
        words = self._with_points
        if not words.texts:
            return set()
        if not commas:
            return {cell for cell in set(cells) if cell in self.words}
        return {
            cell
            for cell in set(cells)
            if cell in self.words or ("." not in cell and with_point(cell) in words)
        }


def _mark(column: NumberColumn | LevelColumn, part: Part, decimal: str | None) -> Mark:
    """Return what separates decimals in a column of a file."""
    commas = part.text.decimal == ","
    of_training = column.mark if isinstance(column, NumberColumn) else None
    return Mark(decimal or of_training or ("," if commas else None), decimal is not None, commas)


def _next(rows: Iterator[tuple[int, list[str]]]) -> tuple[list[int], list[list[str]]]:
    """Return the lines and texts of the next rows, without keeping a tuple of each: a lot to collect."""
    lines, texts = list[int](), list[list[str]]()
    for line, row in islice(rows, _CHUNK):
        lines.append(line)
        texts.append(row)
    return lines, texts


def _sentence(wrong: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {what}" for name, what in wrong.items())


def _bounds(preprocessing: Preprocessing) -> tuple[Floats, Floats]:
    """Return the numbers beyond which each feature is far from its mean in training, before any logarithm."""
    low = preprocessing.mean - FAR * preprocessing.scale
    high = preprocessing.mean + FAR * preprocessing.scale
    logged = np.array(preprocessing.log1p)
    with np.errstate(over="ignore"):
        low, high = np.where(logged, np.expm1(low), low), np.where(logged, np.expm1(high), high)
    for at, feature in enumerate(preprocessing.encoding.features):
        if feature.kind != "number":
            low[at], high[at] = -math.inf, math.inf
        elif was_binary(preprocessing, at):
            low[at], high[at] = 0.0, 1.0
    return low, high
