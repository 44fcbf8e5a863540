"""Hold this client's files to the data contract beside them, before it joins.

What a contract says, and what breaks it, is in `protocol.contract` and `protocol.contract_check`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pandas as pd

from columns import texts
from errors import ContractError
from parquet import as_frame, need_pyarrow, stand_in
from protocol.contract import NAME, Contract, Rule
from protocol.contract_check import Check, Violation, in_words
from protocol.dates import Dates

CHUNK_ROWS = 50_000


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
            yield as_frame(batch)


def check_of(contract: Contract, path: Path) -> Check:
    """Return what a look at a whole file found; ContractError if it cannot be read."""
    check = Check(contract)
    for part in read_parts(path):
        check.add({str(name): texts(part[name]) for name in part.columns})
    return check


def violations(contract: Contract, paths: Iterable[Path]) -> dict[str, list[Violation]]:
    """Return what in each file breaks the contract, by the file's name; files that keep it are left out."""
    return {path.name: broken for path in paths if (broken := check_of(contract, path).violations())}


def require(contract: Contract, paths: Iterable[Path]) -> bool:
    """Refuse files that break the contract, and return whether none holds a date yet to become a number.

    Raises
    ------
    ContractError
        Names the first violations.
    """
    plain = True
    for path in paths:
        check = check_of(contract, path)
        if broken := check.violations():
            raise ContractError(in_words(path.name, broken))
        plain = plain and check.plain
    return plain


class Kept(NamedTuple):
    """The contract that files keep: its SHA-256 ("" if there is none), and what their columns hold.

    ``plain`` tells whether all of them hold numbers without gaps; ``medians`` has the rules of those that are
    filled in with their median; words of ``missing`` stand for a gap; ``dates`` become numbers.
    """

    digest: str = ""
    kinds: Mapping[str, str] = MappingProxyType({})
    plain: bool = True
    medians: Mapping[str, Rule] = MappingProxyType({})
    missing: Sequence[str] = ()
    dates: Mapping[str, Dates] = MappingProxyType({})


def kept(folder: Path, files: Iterable[str]) -> Kept:
    """Check files against the contract beside them, if there is one.

    Raises
    ------
    ContractError
        They break it, or it cannot be read.
    """
    if not (folder / NAME).is_file():
        return Kept()
    try:
        contract = Contract.from_json((folder / NAME).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ContractError("the contract cannot be read. Publish the prepared data again.") from error
    agreed = Kept(
        contract.digest,
        contract.kinds,
        contract.plain,
        contract.medians,
        contract.missing_values,
        contract.dates,
    )
    if contract.inferred:
        return agreed
    paths = [stand_in(folder / name) for name in files]
    plain = require(
        contract, [path for path in paths if path.is_file()]
    )  # who loads them names one that is not
    return agreed._replace(plain=agreed.plain and plain)
