"""Score the rows of a file with a model.json, a few thousand at a time; no scikit-learn."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from federation.data.columns import BadValueError, Reader, levels_of
from federation.data.readers import open_records
from federation.data.table import Table
from federation.errors import DataError, FeatureError, MissingFileError, SchemaMismatchError
from federation.model.features import Encoding
from federation.model.linear import LinearModel

_CHUNK = 4096


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


def score_file(
    model: LinearModel, path: Path, id_column: str | None = None
) -> Iterator[tuple[Sequence[object], NDArray[np.float64]]]:
    """Yield ids and probabilities of the rows of a CSV file, a few thousand rows at a time.

    Parameters
    ----------
    model : LinearModel
        What scores them.
    path : Path
        CSV with a header that holds the model's features, in any order; other columns are ignored.
    id_column : str, optional
        Column whose text is a row's id; unless given, the id is the row's number, from 1.

    Raises
    ------
    MissingFileError
        When the file cannot be read.
    SchemaMismatchError
        When it lacks a column, naming all that it lacks.
    FeatureError
        When a value cannot be used, naming its column and row.
    DataError
        When it is no well-formed CSV.
    """
    encoding = model.preprocessing.encoding
    with open_records(path) as (header, rows):
        wanted = [*encoding.columns, *([id_column] if id_column else [])]
        if missing := [name for name in wanted if name not in header]:
            raise SchemaMismatchError(
                f"{path}: {len(missing)} columns are missing: {', '.join(missing)}.",
                "Name the columns as they were named in training.",
            )
        at = {name: header.index(name) for name in wanted}
        first = 1
        while chunk := [row for _, row in islice(rows, _CHUNK)]:
            try:
                scores = model.score(_table(encoding, chunk, at, first), first)
            except FeatureError as error:
                raise FeatureError(f"{path}: {error.problem}", error.remedy) from None  # it quotes values
            ids = [row[at[id_column]] for row in chunk] if id_column else range(first, first + len(chunk))
            yield ids, scores
            first += len(chunk)


def _table(encoding: Encoding, rows: list[list[str]], at: Mapping[str, int], first: int) -> Table:
    """Return rows of texts as a table of the model's columns; a label it does not need is 0."""
    readers = {column: _reader(encoding, column) for column in encoding.columns}
    values = []
    for column, reader in readers.items():
        try:
            values.append(reader.read([row[at[column]] for row in rows]))
        except BadValueError as error:
            raise FeatureError(
                f'column "{column}", data row {first + error.index}: {error.problem}.',
                "Correct or remove the row.",
            ) from None  # as above
    return Table(
        features=encoding.columns,
        X=np.column_stack(values),
        y=np.zeros(len(rows), dtype=np.int64),
        label="",
        levels=levels_of(readers),
    )


def _reader(encoding: Encoding, column: str) -> Reader:
    numeric = any(feature.kind == "number" for feature in encoding.features if feature.column == column)
    return Reader("numeric" if numeric else "categorical")
