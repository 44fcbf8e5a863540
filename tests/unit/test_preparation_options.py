"""Every command prepares a table with the same options, and knows prepared data by their manifest."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from federation.cli.command import run
from federation.data.preparation.options import choose_preparation
from federation.data.preparation.prepare import prepare
from federation.data_prep import main
from federation.errors import DataError, MissingFileError, SettingError
from federation.rehearse.parties.prepared_data import prepare_data

SITES = ("north", "south")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Return a Parquet file of two sites, with an identifier."""
    rows = pd.DataFrame({"y": [0, 1] * 150, "age": [i * 7 % 90 for i in range(300)], "id": range(300)})
    path = tmp_path / "rows.parquet"
    rows.assign(site=[SITES[i % 3 == 0] for i in range(300)]).to_parquet(path)
    return path


def test_a_rehearsal_prepares_parquet_with_the_options_of_other_commands(table: Path, tmp_path: Path) -> None:
    """Clients are named by a column if it says so; else rows are dealt to those of the configuration."""
    options: dict[str, Any] = {"label": "y", "keep": ["id"], "resample": "balanced", "drop_duplicates": False}
    dealt = prepare_data(table, tmp_path / "dealt", SITES, **options)
    assert dealt.balanced
    assert {len(pd.read_csv(dealt.clients[site] / "train.csv")) for site in SITES} == {108}
    named = prepare_data(table, tmp_path / "named", SITES, **options, partition="column:site")
    sizes = [len(pd.read_csv(named.clients[site] / "train.csv")) for site in SITES]
    assert sizes[0] > 1.5 * sizes[1]
    assert "id" in pd.read_csv(named.clients["north"] / "train.csv").columns
    with pytest.raises(SettingError, match="the data is for north and south, the configuration has a and b"):
        prepare_data(table, tmp_path / "other", ("a", "b"), label="y", partition="column:site")


def test_a_rehearsal_takes_a_folder_of_tables_too(table: Path, tmp_path: Path) -> None:
    """It is prepared only if it has a manifest."""
    (tmp_path / "tables").mkdir()
    table.rename(tmp_path / "tables" / "rows.parquet")
    assert prepare_data(tmp_path / "tables", tmp_path / "out", SITES, label="y").label == "y"
    assert prepare_data(tmp_path / "out", tmp_path / "unused", SITES).label == "y"
    with pytest.raises(SettingError, match="--label cannot change"):
        prepare_data(tmp_path / "out", tmp_path / "unused", SITES, label="y")


def test_a_folder_without_a_manifest_is_not_called_prepared(tmp_path: Path) -> None:
    """A folder of subfolders, say: what it lacks is a table, and no option is refused for it."""
    (tmp_path / "all" / "site=A").mkdir(parents=True)
    settings = choose_preparation(tmp_path / "all", 0, label="y", ignore=["id"])
    assert settings is not None
    assert settings.ignore == ["id"]
    with pytest.raises(MissingFileError, match="all is empty"):
        choose_preparation(tmp_path / "all", 0)
    with pytest.raises(DataError):
        prepare(tmp_path / "all", tmp_path / "out", settings)


def test_the_commands_ask_for_the_label_in_the_same_words(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And list the columns to choose from."""
    with pytest.raises(SettingError) as refused:
        choose_preparation(table, 0)
    with pytest.raises(SystemExit):
        run(main, ["--input", str(table), "--out", str(tmp_path / "out")])
    assert capsys.readouterr().err == f"error: {refused.value}\n"
    assert refused.value.remedy == 'Name it with --label. The 4 columns are "y", "age", "id", "site".'
