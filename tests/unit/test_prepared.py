"""Only data that a run can use are published."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from federation.data.contract_check import types_of
from federation.data.preparation.prepare import prepare
from federation.data.preparation.prepared import CLIENT_FILES, SERVER_FILES, prepared_files
from federation.data.preparation.settings import PreparationSettings
from federation.data.synthetic import LABEL
from federation.data.table import read_table
from federation.errors import (
    DataError,
    FederationError,
    LabelError,
    MissingFileError,
    SchemaMismatchError,
    SettingError,
)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what federation.data_prep writes for three sites."""
    folder = tmp_path_factory.mktemp("data") / "prepared"
    prepare(None, folder, PreparationSettings(label=LABEL))
    return folder


@pytest.fixture
def folder(tmp_path: Path, written: Path) -> Path:
    """Return a copy of it that the test may spoil."""
    return shutil.copytree(written, tmp_path / "prepared")


def test_the_whole_folder_or_the_clients_own_may_be_named(folder: Path) -> None:
    """Both lead to the same files."""
    whole = prepared_files(folder, "site-1", CLIENT_FILES)
    own = prepared_files(folder / "site-1", "site-1", CLIENT_FILES)
    assert whole == own
    assert [file.path.name for file in whole] == ["train.csv", "validation.csv", "preparation.json"]


def test_the_folder_may_have_another_name_than_the_client(folder: Path) -> None:
    """Named itself it is taken; otherwise the error says which folders there are."""
    assert prepared_files(folder / "site-2", "hospital-a", CLIENT_FILES)
    with pytest.raises(MissingFileError, match=r'No folder is named "hospital-a".*site-1'):
        prepared_files(folder, "hospital-a", CLIENT_FILES)


def test_the_servers_test_rows_are_found(folder: Path) -> None:
    """In its own folder, as a client's."""
    assert prepared_files(folder, "server", SERVER_FILES)[0].path == folder / "server" / "test.csv"


def test_without_a_manifest_the_label_has_to_be_named(folder: Path) -> None:
    """Data may be prepared with other tools."""
    (folder / "manifest.json").unlink()
    assert prepared_files(folder, "site-1", CLIENT_FILES, label=LABEL)
    with pytest.raises(SettingError, match="Name it with --label"):
        prepared_files(folder, "site-1", CLIENT_FILES)


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """The message says which folder is meant."""
    with pytest.raises(MissingFileError, match=r"Name the folder that federation\.data_prep wrote"):
        prepared_files(tmp_path / "absent", "site-1", CLIENT_FILES)


def _remove_file(own: Path) -> None:
    (own / "validation.csv").unlink()


def _change_rows(own: Path) -> None:
    with (own / "train.csv").open("a", encoding="utf-8") as file:
        file.write("\n")


def _rename_label(own: Path) -> None:
    text = (own / "validation.csv").read_text(encoding="utf-8")
    (own / "validation.csv").write_text(text.replace(LABEL, "fraud", 1), encoding="utf-8")


def _add_column(own: Path) -> None:
    text = (own / "validation.csv").read_text(encoding="utf-8")
    (own / "validation.csv").write_text(f"extra,{text}", encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (_remove_file, MissingFileError),
        (_change_rows, DataError),
        (_rename_label, LabelError),
        (_add_column, SchemaMismatchError),
    ],
)
def test_what_a_run_could_not_use_is_refused(
    folder: Path, spoil: Callable[[Path], None], expected: type[FederationError]
) -> None:
    """Here, and not minutes later in a paid job."""
    spoil(folder / "site-1")
    with pytest.raises(FederationError) as refused:
        prepared_files(folder, "site-1", CLIENT_FILES)
    assert type(refused.value) is expected


@pytest.mark.parametrize("witness", ["contract.json", "manifest.json", "server/test.csv"])
def test_a_column_that_the_parties_agreed_on_must_be_there(folder: Path, witness: str) -> None:
    """The tables agree with each other and not with the file that says what all have."""
    own = folder / "site-1"
    for name in CLIENT_FILES:
        rows = pd.read_csv(own / name)
        lacking = next(column for column in rows.columns if column != LABEL)
        rows.drop(columns=lacking).to_csv(own / name, index=False)
    for other in {"manifest.json", "server/test.csv"} - {witness}:
        (folder / other).unlink()
    if witness == "contract.json":
        (own / witness).write_text(types_of(read_table(folder / "site-2/train.csv", label=LABEL)).to_json())
    with pytest.raises(SchemaMismatchError) as refused:
        prepared_files(folder, "site-1", CLIENT_FILES, label=LABEL)
    assert refused.value.problem == f'{own / "train.csv"}: lacks "{lacking}", which {witness} has.'
