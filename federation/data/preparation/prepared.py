"""Find a party's files in what `federation.data_prep` wrote, and refuse what a run could not use."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from client_code.protocol.contract import NAME as CONTRACT
from client_code.protocol.contract import Contract
from federation.config.contract import contract_beside
from federation.data.contract_check import require
from federation.data.files.records import near
from federation.data.preparation.beside import NAMES as BESIDE
from federation.data.preparation.manifest import NAME, Manifest, read_manifest
from federation.data.table import read_header
from federation.errors import (
    DataError,
    LabelError,
    MissingFileError,
    PublishError,
    SchemaMismatchError,
    SettingError,
)
from federation.files import sha256_of
from federation.words import some

CLIENT_FILES = ("train.csv", "validation.csv")
SERVER_FILES = ("test.csv",)


@dataclass(frozen=True, kw_only=True)
class PreparedFile:
    """One file of a party, and the sha256 of its bytes."""

    path: Path
    sha256: str


def given_name(name: str, there: Container[str]) -> str:
    """Return a table's name, or that of the Parquet file that stands in for it if only that is there."""
    parquet = str(PurePosixPath(name).with_suffix(".parquet"))
    return parquet if name not in there and parquet in there else name


def prepared_files(
    folder: Path, party: str, names: Sequence[str], *, label: str | None = None, parquet: bool = False
) -> tuple[PreparedFile, ...]:
    """Return a party's files, each with the label among its columns and unchanged since it was prepared.

    Parameters
    ----------
    folder : Path
        What `federation.data_prep` wrote, or the party's own folder in it.
    party : str
        Name of the party, which may be that of its folder.
    names : sequence of str
        The tables it must have; data contract and preparation come along if they are there.
    label : str, optional
        Name of the label column; by default the manifest has it.
    parquet : bool
        Whether a Parquet file may stand in for a table that is not there.

    Raises
    ------
    MissingFileError
        A file is not there.
    SettingError
        Neither the manifest nor `label` tells the label.
    LabelError
        A file has no such column.
    SchemaMismatchError
        The files' columns differ, or are not those that were agreed on.
    DataError
        A file is not the one that was prepared.
    """
    own = folder / party if (folder / party).is_dir() else folder
    there = {path.name for path in own.glob("*")}
    paths = [own / (given_name(name, there) if parquet else name) for name in names]
    for path in paths:
        if not path.is_file():
            raise MissingFileError(f"{path}: no such file.", _where_to_look(folder, party, path.name))
    manifest = _manifest_of(own)
    label = label or _label(manifest, own)
    _check_columns(paths, label, _agreed_columns(own, manifest))
    paths += [own / name for name in BESIDE if (own / name).is_file()]
    files = tuple(PreparedFile(path=path, sha256=sha256_of(path)) for path in paths)
    for file in files:
        _check_unchanged(file, manifest)
    return files


def manifest_beside(table: Path) -> Manifest | None:
    """Return the manifest that names a table's bytes, from its folder or the one above, if there is one."""
    try:
        manifest = _manifest_of(table.parent)
    except DataError:  # another program's manifest.json
        return None
    if manifest is None or sha256_of(table) not in manifest.files.values():
        return None
    return manifest


def refuse_other_rows(contract: Contract, tables: Sequence[Path]) -> None:
    """Refuse tables that were prepared without a contract and could not be used under it.

    Raises
    ------
    ContractBrokenError
        A table breaks it.
    PublishError
        A table holds columns that the contract leaves out.
    """
    require(contract, list(tables))
    for path in tables:
        if unused := sorted(set(read_header(path)) & set(contract.ignored)):
            raise PublishError(
                f"{path}: holds columns that the contract ignores: {_quoted(unused)}.",
                "Prepare the data with the configuration's contract (--contract).",
            )


def _where_to_look(folder: Path, party: str, name: str) -> str:
    others = sorted(path.parent for path in folder.glob(f"*/{name}"))
    if not others:
        return "Name the folder that federation.data_prep wrote, or this party's own folder in it."
    return f'No folder is named "{party}". If it has another name, name it itself: {others[0]}, for example.'


def _manifest_of(own: Path) -> Manifest | None:
    for folder in (own, own.absolute().parent):
        if (folder / NAME).is_file():
            return read_manifest(folder)
    return None


def _label(manifest: Manifest | None, own: Path) -> str:
    if manifest is None:
        raise SettingError(f"{own}: no {NAME} tells which column is the label.", "Name it with --label.")
    return manifest.label


def _agreed_columns(own: Path, manifest: Manifest | None) -> dict[str, set[str]]:
    """Return the columns that a party's tables must have, by the file that says so, as far as any is there.

    The data contract, the manifest, and the server's test rows if the whole prepared folder is there.
    """
    contract, test = contract_beside(own / NAME), own.absolute().parent / "server" / SERVER_FILES[0]
    agreed = {CONTRACT: {*contract.kinds, contract.label}} if contract else {}
    if manifest:
        agreed[NAME] = {*manifest.features, manifest.label}
    if test.is_file():
        agreed[f"{test.parent.name}/{test.name}"] = set(read_header(test))
    return agreed


def _check_columns(paths: Sequence[Path], label: str, agreed: Mapping[str, set[str]]) -> None:
    first = read_header(paths[0])
    for path in paths:
        columns = read_header(path)
        if label not in columns:
            raise LabelError(f'{path}: no column "{label}".', near(label, columns))
        for file, needed in agreed.items():
            if lacking := sorted(needed - set(columns)):
                raise SchemaMismatchError(
                    f"{path}: lacks {_quoted(lacking)}, which {file} has.",
                    "Prepare the data again, with all columns that the parties agreed on.",
                )
        if odd := sorted(set(columns) ^ set(first)):
            raise SchemaMismatchError(
                f"{path} and {paths[0].name} have different columns: {_quoted(odd)}.",
                "Prepare the data again.",
            )


def _quoted(names: Sequence[str]) -> str:
    return some([f'"{name}"' for name in names])


def _check_unchanged(file: PreparedFile, manifest: Manifest | None) -> None:
    """Compare with what was written under that name; the folder may have been renamed since."""
    if manifest is None:
        return
    written = {digest for path, digest in manifest.files.items() if path.endswith(f"/{file.path.name}")}
    if file.sha256 not in written:
        raise DataError(
            f"{file.path}: changed since federation.data_prep wrote it.",
            "Prepare the data again, or remove manifest.json and name the --label.",
        )
