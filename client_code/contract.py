r"""The data contract, and what in a table breaks it: by column, with counts and row numbers, never a value.

    python contract.py --contract contract.json claims.csv more.parquet

prints the violations as JSON. The client checks its own files so before it joins. A contract is JSON: the
label, its positive value or null, and for each column a type (numeric, boolean, categorical or ignored), a
minimum and a maximum or null, and the largest share of missing values.
"""

import argparse
import hashlib
import json
import math
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from columns import MISSING
from link import ClientError
from parquet import need_pyarrow, stand_in

NAME = "contract.json"
NUMERIC, BOOLEAN, CATEGORICAL, IGNORED = "numeric", "boolean", "categorical", "ignored"
CHUNK_ROWS = 50_000
ROWS_TOLD = 5
COLUMNS_TOLD = 5
_TRUTHS = ("0", "1", "0.0", "1.0", "false", "true")
_CLEAR_LABELS = (*_TRUTHS, "no", "yes", "n", "y", "negative", "positive")

Bools = NDArray[np.bool_]


class ContractError(ClientError):
    """The rows of this client break the federation's data contract; says which columns, never a value."""

    exit_code = 94


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What a column must be.

    Parameters
    ----------
    type : {"numeric", "boolean", "categorical", "ignored"}
        What it holds; an ignored column need not be there.
    minimum, maximum : float, optional
        Least and greatest number.
    missing : float
        Largest share of missing values.
    """

    type: str
    minimum: float | None = None
    maximum: float | None = None
    missing: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Contract:
    """What every party's table must be.

    Parameters
    ----------
    label : str
        Its label column.
    positive : str, optional
        The label's value that counts as 1, if its values are not 0 and 1; in prepared files they are.
    columns : mapping of str to Rule
        Its other columns.
    inferred : bool
        Whether nobody wrote it: then it only tells what the columns hold.
    """

    label: str
    positive: str | None
    columns: Mapping[str, Rule]
    inferred: bool = False

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a contract as data preparation writes it.

        Raises
        ------
        ContractError
            It is not one.
        """
        try:
            parts = json.loads(text)
            columns = {name: Rule(**rule) for name, rule in parts["columns"].items()}
            return cls(**parts | {"columns": columns})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ContractError("the contract cannot be read. Publish the prepared data again.") from error


@dataclass(frozen=True, kw_only=True)
class Violation:
    """What breaks a contract.

    Parameters
    ----------
    column, problem : str
        Where and what.
    count : int
        How many rows; 0 if it is the column as a whole.
    rows : list of int
        The first of them, from 1.
    """

    column: str
    problem: str
    count: int = 0
    rows: list[int] = field(default_factory=list)

    def __str__(self) -> str:
        if not self.count:
            return f'column "{self.column}" {self.problem}'
        more = ", ..." if self.count > len(self.rows) else ""
        where = ", ".join(map(str, self.rows)) + more
        return f'column "{self.column}": {self.count} {self.problem} (data rows {where})'


class Check:
    """Look for violations, part of a table by part.

    Parameters
    ----------
    contract : Contract
        What must hold.
    """

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._rows = 0
        self._missing: Counter[str] = Counter()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._first: dict[tuple[str, str], list[int]] = {}
        self._whole: dict[str, str] = {}
        self._labels: set[str] = set()

    def add(self, frame: pd.DataFrame) -> None:
        """Look at the next rows; every value is a text, as in the file."""
        contract = self._contract
        rules = {name: rule for name, rule in contract.columns.items() if rule.type != IGNORED}
        names = list(map(str, frame.columns))
        for name in names:
            if name != contract.label and name not in contract.columns:
                self._whole[name] = "is not in the contract"
        for name in (contract.label, *rules):
            if name not in names:
                self._whole[name] = "is not there"
        if contract.label in names:
            self._add_label(frame[contract.label])
        for name, rule in rules.items():
            if name in names:
                self._add_column(name, rule, frame[name])
        self._rows += len(frame)

    def violations(self) -> list[Violation]:
        """Return what was found, by column."""
        found = [Violation(column=name, problem=problem) for name, problem in self._whole.items()]
        found += [
            Violation(column=name, problem=problem, count=count, rows=self._first[name, problem])
            for (name, problem), count in self._counts.items()
        ]
        for name, missing in self._missing.items():
            allowed = self._contract.columns[name].missing
            # A part of a table that just keeps it may hold some more by chance: three standard deviations.
            chance = 3 * math.sqrt(allowed * (1 - allowed) * self._rows)
            if missing > allowed * self._rows + chance:
                problem = (
                    f"lacks {missing} of {self._rows} values, more than the share of {allowed:g} allowed"
                )
                found.append(Violation(column=name, problem=problem))
        if len(self._labels) > 2:  # noqa: PLR2004 - binary
            problem = f"has {len(self._labels)} distinct values: a label has two"
            found.append(Violation(column=self._contract.label, problem=problem))
        return found

    def _add_label(self, values: pd.Series) -> None:
        texts, missing = _texts(values)
        self._note(self._contract.label, "rows without a label", missing)
        self._labels |= set(texts[~missing].unique())
        if self._contract.positive is None:
            wrong = ~texts.str.lower().isin(_CLEAR_LABELS).to_numpy() & ~missing
            self._note(self._contract.label, "values that are not 0 and 1", wrong)

    def _add_column(self, name: str, rule: Rule, values: pd.Series) -> None:
        texts, missing = _texts(values)
        self._missing[name] += int(missing.sum())
        if rule.type == BOOLEAN:
            wrong = ~texts.str.lower().isin(_TRUTHS).to_numpy() & ~missing
            self._note(name, "values that are neither true nor false", wrong)
        if rule.type == NUMERIC:
            plain = texts.where(~texts.str.contains("_", regex=False))
            numbers = pd.to_numeric(plain, errors="coerce").to_numpy(dtype=np.float64)
            self._note(name, "values that are no finite numbers", ~np.isfinite(numbers) & ~missing)
            if rule.minimum is not None:
                self._note(name, f"values below {rule.minimum:g}", numbers < rule.minimum)
            if rule.maximum is not None:
                self._note(name, f"values above {rule.maximum:g}", numbers > rule.maximum)

    def _note(self, column: str, problem: str, wrong: Bools) -> None:
        if not wrong.any():
            return
        first = self._first.setdefault((column, problem), [])
        first += (np.flatnonzero(wrong)[: ROWS_TOLD - len(first)] + self._rows + 1).tolist()
        self._counts[column, problem] += int(wrong.sum())


def _texts(values: pd.Series) -> tuple[pd.Series, Bools]:
    texts = values.astype(str).str.strip()
    missing = values.isna().to_numpy() | texts.isin(MISSING).to_numpy()
    return texts, np.asarray(missing, dtype=np.bool_)


def read_parts(path: Path) -> Iterator[pd.DataFrame]:
    """Yield a table part by part, every value a text.

    Raises
    ------
    ContractError
        It cannot be read.
    """
    try:
        if path.suffix == ".parquet":
            yield from _parquet_parts(path)
            return
        with pd.read_csv(
            path, dtype=str, keep_default_na=False, skipinitialspace=True, chunksize=CHUNK_ROWS
        ) as parts:
            for part in parts:
                yield part.rename(columns=str.strip)
    except (ValueError, OSError) as error:  # pandas' and pyarrow's own errors are ValueErrors
        raise ContractError(f"{path.name} cannot be read as a table ({type(error).__name__}).") from error


def _parquet_parts(path: Path) -> Iterator[pd.DataFrame]:
    need_pyarrow(path.name)
    from pyarrow.parquet import ParquetFile  # noqa: PLC0415 - only where there is such a file

    with ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=CHUNK_ROWS):
            yield batch.to_pandas()


def violations(contract: Contract, paths: Iterable[Path]) -> dict[str, list[Violation]]:
    """Return what in each file breaks the contract, by the file's name; files that keep it are left out."""
    found = {}
    for path in paths:
        check = Check(contract)
        for part in read_parts(path):
            check.add(part)
        if broken := check.violations():
            found[path.name] = broken
    return found


def require(contract: Contract, paths: Iterable[Path]) -> None:
    """Refuse files that break the contract.

    Raises
    ------
    ContractError
        Names the first violations.
    """
    for name, broken in violations(contract, paths).items():
        told = "; ".join(map(str, broken[:COLUMNS_TOLD]))
        more = f"; and {len(broken) - COLUMNS_TOLD} more" if len(broken) > COLUMNS_TOLD else ""
        raise ContractError(f"{name} breaks the contract: {told}{more}.")


class Kept(NamedTuple):
    """The contract that files keep: its SHA-256 ("" if there is none), and what their columns hold.

    ``plain`` tells whether all of them hold numbers without gaps.
    """

    digest: str = ""
    kinds: Mapping[str, str] = MappingProxyType({})
    plain: bool = True


def kept(folder: Path, files: Iterable[str]) -> Kept:
    """Check files against the contract beside them, if there is one.

    Raises
    ------
    ContractError
        They break it, or it cannot be read.
    """
    if not (folder / NAME).is_file():
        return Kept()
    text = (folder / NAME).read_text(encoding="utf-8")
    contract = Contract.from_json(text)
    kinds = {name: rule.type for name, rule in contract.columns.items() if rule.type != IGNORED}
    used = [rule for rule in contract.columns.values() if rule.type != IGNORED]
    plain = all(rule.type != CATEGORICAL and not rule.missing for rule in used)
    if contract.inferred:
        return Kept("", kinds, plain)
    paths = [stand_in(folder / name) for name in files]
    require(contract, [path for path in paths if path.is_file()])  # who loads them says that one is not there
    return Kept(hashlib.sha256(text.encode()).hexdigest(), kinds, plain)


def main(arguments: list[str]) -> int:
    """Print the violations in files; return 0 if there are none, else the exit code of `ContractError`."""
    parser = argparse.ArgumentParser(description="Say what in tables breaks a data contract.")
    parser.add_argument("--contract", type=Path, required=True, help="contract.json")
    parser.add_argument("tables", type=Path, nargs="+", help="CSV or Parquet files")
    options = parser.parse_args(arguments)
    try:
        found = violations(Contract.from_json(options.contract.read_text(encoding="utf-8")), options.tables)
    except ContractError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    sys.stdout.write(json.dumps({name: list(map(asdict, broken)) for name, broken in found.items()}) + "\n")
    return ContractError.exit_code if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
