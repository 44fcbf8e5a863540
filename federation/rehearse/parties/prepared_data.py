"""Prepare the data of a rehearsal: a folder for each client of the configuration, one for the server."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from federation.data.preparation.manifest import NAME as MANIFEST
from federation.data.preparation.manifest import read_manifest
from federation.data.preparation.prepare import prepare
from federation.data.preparation.settings import PreparationSettings
from federation.data.readers import AS_WRITTEN
from federation.data.synthetic import LABEL
from federation.data.text import Format
from federation.errors import SettingError


@dataclass(frozen=True, kw_only=True)
class RehearsalData:
    """The folders of the prepared rows.

    Parameters
    ----------
    label : str
        The column to predict.
    server : pathlib.Path
        Folder with the server's held-back rows, ``test.csv``.
    clients : mapping of str to pathlib.Path
        Each client's folder, by its name in the configuration.
    """

    label: str
    server: Path
    clients: Mapping[str, Path]


def prepare_data(
    source: Path | None,
    out: Path,
    clients: Sequence[str],
    *,
    label: str | None,
    seed: int = 0,
    cells: Mapping[str, Any] = MappingProxyType({}),
    form: Format = AS_WRITTEN,
) -> RehearsalData:
    """Prepare a table for the clients of a configuration, or use prepared data.

    Parameters
    ----------
    source : pathlib.Path, optional
        A table, a folder that ``federation.data_prep`` wrote, or None for synthetic data.
    out : pathlib.Path
        The folder to write.
    clients : sequence of str
        Names of the clients. Rows dealt at random have no client of their own, and go to them in this order.
    label : str, optional
        The label column of a table.
    seed : int
        The seed of all random choices.
    cells : mapping of str to object
        The fields of `PreparationSettings` that tell how cells are read, by name.
    form : Format
        How text files are written.

    Raises
    ------
    DataError
        The table cannot be used.
    SettingError
        The label is not named, or prepared data is for other clients.
    """
    if source is not None and (source / MANIFEST).exists():
        if given := [name for name, value in cells.items() if value]:
            names = ", ".join(f"--{name}" for name in given)
            raise SettingError(f"{names} cannot change {source}, which is prepared already.", "Leave it out.")
        folder, manifest = source, read_manifest(source)
        if label not in {None, manifest.label}:
            raise SettingError(
                f'{source} is prepared for the label "{manifest.label}".', "Leave out --label."
            )
    else:
        if source is not None and label is None:
            raise SettingError(f"which column of {source} is the label?", "Name it with --label.")
        settings = PreparationSettings(
            label=label or LABEL, clients=len(clients), partition="iid", seed=seed, form=form, **cells
        )
        if source is None:
            settings = PreparationSettings(label=label or LABEL, clients=len(clients), seed=seed)
        folder, manifest = out, prepare(source, out, settings)
    folders = _by_client(list(manifest.clients), clients)
    return RehearsalData(
        label=manifest.label,
        server=folder / "server",
        clients={name: folder / prepared for name, prepared in folders.items()},
    )


def _by_client(prepared: Sequence[str], clients: Sequence[str]) -> dict[str, str]:
    """Return each client's folder: the one with its name, or the next one if folders have only numbers."""
    if set(prepared) == set(clients):
        return {name: name for name in clients}
    numbered = all(name.rpartition("-")[0] in {"client", "site"} for name in prepared)
    if len(prepared) == len(clients) and numbered:
        return dict(zip(clients, prepared, strict=True))
    raise SettingError(
        f"the data is for {', '.join(sorted(prepared))}, the configuration has {', '.join(clients)}.",
        "Give the clients in the configuration the names that the data has.",
    )
