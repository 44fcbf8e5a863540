"""Turn the options that commands share into the settings of data preparation."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from federation.config.contract import load_contract
from federation.data.files.records import near
from federation.data.files.text import Format
from federation.data.preparation.manifest import NAME as MANIFEST
from federation.data.preparation.settings import PreparationSettings
from federation.data.synthetic import LABEL
from federation.data.table import read_header
from federation.errors import SettingError


def settings_of(data: Path | None, seed: int, **options: Any) -> PreparationSettings:
    """Return the settings with which a table is prepared.

    Parameters
    ----------
    data : Path, optional
        A table, a folder of tables, or None for synthetic data.
    seed : int
        Of everything random.
    **options
        The other fields of ``PreparationSettings``, the contract as its file, and those of ``Format``; None,
        false or empty where not given.

    Raises
    ------
    SettingError
        The label is not named, or an option is out of range.
    """
    given = _given(options)
    form = Format(**{field.name: given.pop(field.name, None) for field in fields(Format)})
    if "contract" in given:
        contract = load_contract(Path(given["contract"]))
        given |= {"contract": contract, "label": given.get("label", contract.label)}
    if data is not None and "label" not in given:
        raise SettingError(
            f"which column of {data} is the label?",
            f"Name it with --label. {near('', read_header(data, form))}",
        )
    return PreparationSettings(seed=seed, form=form, **{"label": LABEL, **given})


def choose_preparation(data: Path | None, seed: int, **options: Any) -> PreparationSettings | None:
    """Return how to prepare ``data``, or None if ``federation.data_prep`` has; parameters as `settings_of`.

    Raises
    ------
    SettingError
        As `settings_of`, or an option contradicts prepared data.
    """
    if data is None or not (data / MANIFEST).exists():
        return settings_of(data, seed, **options)
    if given := _given(options):
        names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise SettingError(f"{names} cannot change {data}, which is prepared already.", "Leave it out.")
    return None


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in options.items()
        if value is not None and value is not False and value not in ([], ())
    }
