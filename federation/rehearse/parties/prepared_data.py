"""Prepare the data of a rehearsal: a folder for each client of the configuration, one for the server."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from federation.data.preparation.manifest import read_manifest
from federation.data.preparation.options import choose_preparation
from federation.data.preparation.prepare import prepare
from federation.errors import SettingError
from federation.words import some


@dataclass(frozen=True, kw_only=True)
class RehearsalData:
    """The folders of the prepared rows.

    Parameters
    ----------
    label : str
        The column to predict.
    balanced : bool
        Whether both classes get the same weight.
    server : pathlib.Path
        Folder with the server's held-back rows, ``test.csv``.
    clients : mapping of str to pathlib.Path
        Each client's folder, by its name in the configuration.
    """

    label: str
    balanced: bool
    server: Path
    clients: Mapping[str, Path]


def prepare_data(
    source: Path | None, out: Path, clients: Sequence[str], *, seed: int = 0, **options: Any
) -> RehearsalData:
    """Prepare a table for the clients of a configuration, or use prepared data.

    Parameters
    ----------
    source : pathlib.Path, optional
        A table, a folder of tables, a folder that ``federation.data_prep`` wrote, or None for synthetic data.
    out : pathlib.Path
        The folder to write.
    clients : sequence of str
        Names of the clients. Rows dealt at random have no client of their own, and go to them in this order.
    seed : int
        The seed of all random choices.
    **options
        The other options of data preparation, see `federation.data.preparation.options.settings_of`.

    Raises
    ------
    DataError
        The table cannot be used.
    SettingError
        The label is not named, or prepared data is for other clients.
    """
    settings = choose_preparation(source, seed, **options)
    if settings:
        by_name = (settings.partition or "").startswith("column:")
        folder = out
        manifest = prepare(source, out, settings if by_name else replace(settings, clients=len(clients)))
    else:
        assert source
        folder, manifest = source, read_manifest(source)
    folders = _by_client(list(manifest.clients), clients)
    return RehearsalData(
        label=manifest.label,
        balanced=manifest.resample == "balanced",
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
        f"the data is for {some(sorted(prepared))}, the configuration has {some(clients)}.",
        "Give the clients in the configuration the names that the data has.",
    )
