"""Data preparation: which rows go where, and what is written about it."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import preparation
from federation.cli.command import run
from federation.data.preparation.manifest import Count, Manifest, read_manifest
from federation.data.preparation.partition import refuse_smote
from federation.data.preparation.prepare import prepare
from federation.data.preparation.settings import PreparationSettings
from federation.data.synthetic import LABEL
from federation.data.table import Table, read_table, write_table
from federation.data_prep import main
from federation.errors import (
    DataError,
    EmptyClientError,
    FederationError,
    LabelError,
    OutputExistsError,
    SettingError,
)

ROOT = Path(__file__).parents[2]
SYNTHETIC = PreparationSettings(label="fraudulent_provider")
SMOTE = PreparationSettings(label="fraudulent_provider", resample="smote")


def make_table(rows: int, positives: int, seed: int = 0) -> Table:
    """Return a table of random features."""
    X = np.random.default_rng(seed).normal(size=(rows, 3))
    return Table(features=("a", "b", "c"), X=X, y=(np.arange(rows) < positives).astype(np.int64), label="y")


def save(folder: Path, table: Table, sites: list[str] | None = None) -> Path:
    """Write a table, with a column of sites if given, and return its path."""
    path = folder / "rows.csv"
    write_table(table, path)
    if sites is not None:
        lines = path.read_text(encoding="utf-8").splitlines()
        lines = [f'"{site}",{line}' for site, line in zip(["hospital", *sites], lines, strict=True)]
        path.write_text("\n".join(lines), encoding="utf-8")
    return path


def rows_of(path: Path) -> list[bytes]:
    """Return the bytes of each row of a file."""
    table = read_table(path, label=read_manifest(path.parents[1]).label)
    return [row.tobytes() for row in np.column_stack([table.X, table.y])]


def digest(folder: Path) -> dict[str, str]:
    """Return the sha256 of every file below a folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the synthetic default, prepared by the article's recipe."""
    out = tmp_path_factory.mktemp("data") / "prepared"
    prepare(None, out, SMOTE)
    return out


@pytest.mark.process
def test_synthetic_default_is_one_client_for_each_site(prepared: Path) -> None:
    """Three sites, 49 features without the site, and synthetic said in the manifest."""
    manifest = read_manifest(prepared)
    assert manifest.synthetic
    assert manifest.source is None
    assert manifest.partition == "column:site"
    assert list(manifest.clients) == ["site-1", "site-2", "site-3"]
    assert len(manifest.features) == 49
    assert "site" not in manifest.features


def test_the_manifest_counts_and_hashes_what_was_written(prepared: Path) -> None:
    """Every number and sha256 is that of the file."""
    manifest = read_manifest(prepared)
    written = digest(prepared)
    del written["manifest.json"]
    assert manifest.files == written
    for name, client in manifest.clients.items():
        for step, count in (("train", client.train), ("validation", client.validation)):
            table = read_table(prepared / name / f"{step}.csv", label=manifest.label)
            assert (table.rows, table.positives) == (count.rows, count.positives)
            assert table.features == manifest.features


def test_no_row_is_in_two_places(prepared: Path, tmp_path: Path) -> None:
    """Without resampling, test, validation and train rows together are the distinct input rows, each once."""
    manifest = prepare(None, tmp_path / "plain", PreparationSettings(label=SYNTHETIC.label, resample="none"))
    rows = [row for path in (tmp_path / "plain").rglob("*.csv") for row in rows_of(path)]
    assert len(rows) == len(set(rows)) == manifest.input.rows - manifest.duplicates.rows
    held_back = {row for path in prepared.rglob("*.csv") if path.stem != "train" for row in rows_of(path)}
    trained = {row for path in prepared.rglob("train.csv") for row in rows_of(path)}
    assert not held_back & trained


def test_made_up_rows_are_only_in_train(prepared: Path, tmp_path: Path) -> None:
    """Resampling changes train files and no other; there it evens out the classes."""
    prepare(None, tmp_path / "plain", PreparationSettings(label=SYNTHETIC.label, resample="none"))
    resampled, plain = digest(prepared), digest(tmp_path / "plain")
    changed = {name for name in plain if plain[name] != resampled[name]}
    expected = {f"site-{n}/{name}" for n in (1, 2, 3) for name in ("train.csv", "preparation.json")}
    assert changed == expected | {"manifest.json"}
    for client in read_manifest(prepared).clients.values():
        assert client.train.positives * 2 == client.train.rows
        assert client.train.positives == int(
            0.25 * (client.train_before.rows - client.train_before.positives)
        )


def test_held_back_rows_keep_the_true_prevalence(prepared: Path) -> None:
    """Test and validation sets are stratified and never resampled."""
    manifest = read_manifest(prepared)
    assert manifest.test == Count(rows=600, positives=54)
    for client in manifest.clients.values():
        before = client.train_before.positives / client.train_before.rows
        assert client.validation.positives / client.validation.rows == pytest.approx(before, abs=0.01)


def test_balanced_leaves_rows_alone_and_is_recorded(tmp_path: Path) -> None:
    """Class weights come later, at fit."""
    source = save(tmp_path, make_table(120, 30))
    manifest = prepare(source, tmp_path / "out", PreparationSettings(label="y", resample="balanced"))
    assert manifest.resample == "balanced"
    assert all(client.train == client.train_before for client in manifest.clients.values())


@pytest.mark.parametrize("resample", ["none", "smote", "balanced"])
def test_every_party_is_told_how_its_rows_were_prepared(tmp_path: Path, resample: Any) -> None:
    """Counts are those before resampling, and the server's test rows are as they are."""
    source = save(tmp_path, make_table(120, 30))
    manifest = prepare(source, tmp_path / "out", PreparationSettings(label="y", resample=resample))
    for name, rows in manifest.clients.items():
        told = preparation.read(tmp_path / "out" / name)
        assert told is not None
        assert (told.resample, told.synthetic) == (resample, False)
        assert (told.rows, told.positives) == (rows.train_before.rows, rows.train_before.positives)
        assert preparation.told(told, rows.train.rows, rows.train.positives) == told.to_json()
    server = preparation.read(tmp_path / "out" / "server")
    assert server is not None
    assert (server.resample, server.rows) == ("none", manifest.test.rows)


def test_made_up_data_say_so(prepared: Path) -> None:
    """Synthetic rows are told from others wherever they go."""
    told = preparation.read(prepared / "site-1")
    assert told is not None
    assert told.synthetic


def test_rows_are_as_they_are_by_default(tmp_path: Path) -> None:
    """Resampling is asked for."""
    source = save(tmp_path, make_table(120, 30))
    manifest = prepare(source, tmp_path / "out", PreparationSettings(label="y"))
    assert manifest.resample == "none"
    assert all(client.train == client.train_before for client in manifest.clients.values())


@pytest.mark.process
def test_the_same_seed_gives_the_same_bytes_in_any_process(prepared: Path, tmp_path: Path) -> None:
    """Neither the process, its hash seed nor its number of threads matters."""
    subprocess.run(
        [sys.executable, "-m", "federation.data_prep", "--out", "again", "--resample", "smote"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
    )
    assert digest(tmp_path / "again") == digest(prepared)


def test_another_seed_gives_other_bytes(tmp_path: Path) -> None:
    """The seed decides every table, and what is told of the rows does not depend on it."""
    source = save(tmp_path, make_table(200, 50))
    digests = []
    for seed in (0, 1):
        prepare(source, tmp_path / str(seed), PreparationSettings(label="y", seed=seed))
        digests.append(digest(tmp_path / str(seed)))
    same = {name for name in digests[0] if digests[0][name] == digests[1][name]}
    assert same == {name for name in digests[0] if name.endswith("/preparation.json")}


def test_a_client_does_not_depend_on_another(tmp_path: Path) -> None:
    """Other values at one hospital change nothing at the others."""
    table, sites = make_table(90, 45), [f"s{i % 3}" for i in range(90)]
    digests = []
    for name in ("before", "after"):
        source = save(tmp_path, table, sites)
        prepare(source, tmp_path / name, PreparationSettings(label="y", partition="column:hospital"))
        digests.append(digest(tmp_path / name))
        table.X[2::3] += 100
    before, after = digests
    assert before["s0/train.csv"] == after["s0/train.csv"]
    assert before["s2/train.csv"] != after["s2/train.csv"]


def test_the_articles_table_without_its_duplicates(cms: Path, tmp_path: Path) -> None:
    """38 are dropped on demand, all of them positive; no path is told."""
    settings = PreparationSettings(label="fraudulent_provider", drop_duplicates=True)
    manifest = prepare(cms, tmp_path / "out", settings)
    assert manifest.input == Count(rows=5_500, positives=500)
    assert manifest.duplicates == Count(rows=38, positives=38)
    assert manifest.test == Count(rows=546, positives=46)
    assert manifest.source is not None
    assert manifest.source.name == cms.name
    assert str(cms.parent) not in manifest.to_json()


def test_hospitals_become_folders(tmp_path: Path) -> None:
    """Text names clients, in a form fit for a path; none can take the server's folder."""
    sites = [("St. Mary", "st mary", "../Server", "server", "Zürich")[i % 5] for i in range(100)]
    source = save(tmp_path, make_table(100, 50), sites)
    manifest = prepare(source, tmp_path / "out", PreparationSettings(label="y", partition="column:hospital"))
    assert set(manifest.clients) == {"st-mary", "st-mary-2", "server-2", "server-3", "zurich"}
    assert manifest.features == ("a", "b", "c")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *manifest.clients,
        "server",
        "manifest.json",
    }


def test_quantile_cuts_by_size_and_keeps_the_feature(tmp_path: Path) -> None:
    """The first client has the smallest values."""
    settings = PreparationSettings(label="y", partition="quantile:b", resample="none", clients=2)
    manifest = prepare(save(tmp_path, make_table(100, 50)), tmp_path / "out", settings)
    low, high = (read_table(tmp_path / f"out/client-{n}/train.csv", label="y").X[:, 1] for n in (1, 2))
    assert low.max() < high.min()
    assert manifest.features == ("a", "b", "c")


def test_a_client_of_one_class_takes_part(tmp_path: Path) -> None:
    """Its rows are split without stratifying, not resampled, and the manifest says so."""
    table = make_table(90, 30)
    sites = ["only-positive"] * 30 + ["mixed"] * 60
    source = save(tmp_path, Table(table.features, table.X, np.where(np.arange(90) < 50, 1, 0), "y"), sites)
    settings = PreparationSettings(label="y", partition="column:hospital", resample="smote")
    manifest = prepare(source, tmp_path / "out", settings)
    client = manifest.clients["only-positive"]
    assert client.train == client.train_before
    assert client.train.positives == client.train.rows
    assert manifest.notes == (
        'client "only-positive": not resampled: its training rows are all of one class.',
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clients": 0}, "0 clients: out of range"),
        ({"clients": 1_001}, "1001 clients: out of range"),
        ({"partition": "random"}, "Choose iid, quantile:COLUMN or column:COLUMN"),
        ({"partition": "column:"}, "Choose iid, quantile:COLUMN or column:COLUMN"),
        ({"partition": "quantile:hospitl"}, 'Did you mean "hospital"?'),
        ({"partition": "column:y"}, "it is the label"),
        ({"partition": "column:hospital", "clients": 5}, "has 2 values, not 5"),
        ({"resample": "magic"}, "Choose smote, balanced, none"),
        ({"seed": -1}, "seed -1: negative"),
        ({"test_share": 0.0}, "test share 0.0: out of range"),
        ({"validation_share": 1.0}, "validation share 1.0: out of range"),
        ({"test_share": float("nan")}, "test share nan: out of range"),
    ],
)
def test_a_bad_setting_names_the_remedy_and_writes_nothing(
    tmp_path: Path, changes: dict[str, str], message: str
) -> None:
    """Every one is a `SettingError`."""
    source = save(tmp_path, make_table(40, 20), ["A", "B"] * 20)
    with pytest.raises(SettingError) as error:
        prepare(source, tmp_path / "out", PreparationSettings(**{"label": "y"} | changes))  # type: ignore[arg-type]
    assert message in str(error.value)
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize(
    ("table", "changes", "error", "message"),
    [
        (make_table(20, 20), {}, LabelError, r'rows\.csv: label "y" has 1 distinct value'),
        (make_table(20, 1), {}, DataError, r"rows\.csv: .* one class"),
        (make_table(30, 15), {"clients": 20}, EmptyClientError, 'client "client-8"'),
    ],
)
def test_a_table_that_cannot_be_divided_is_refused(
    tmp_path: Path, table: Table, changes: dict[str, int], error: type[FederationError], message: str
) -> None:
    """Too few rows of a class, or for a client, which is named."""
    source = save(tmp_path, table)
    with pytest.raises(error, match=message):
        prepare(source, tmp_path / "out", PreparationSettings(label="y", **changes))  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == [source]


def test_ties_that_leave_a_quantile_empty_are_refused(tmp_path: Path) -> None:
    """The message offers another column."""
    table = make_table(60, 30)
    table.X[:, 0] = np.arange(60) % 2
    with pytest.raises(EmptyClientError, match="fewer equal values"):
        prepare(
            save(tmp_path, table), tmp_path / "out", PreparationSettings(label="y", partition="quantile:a")
        )


def test_a_hospital_without_training_rows_is_named(tmp_path: Path) -> None:
    """Also when its only rows were duplicates of another's, and dropped."""
    table = make_table(60, 30)
    table.X[-1], table.y[-1] = table.X[0], table.y[0]
    source = save(tmp_path, table, [*["A", "B"] * 29, "A", "Lost"])
    with pytest.raises(EmptyClientError, match='client "lost"'):
        prepare(
            source,
            tmp_path / "out",
            PreparationSettings(label="y", partition="column:hospital", drop_duplicates=True),
        )


def test_synthetic_data_has_its_own_label() -> None:
    """Another label would be ignored silently."""
    with pytest.raises(SettingError, match="fraudulent_provider"):
        prepare(None, Path("never"), PreparationSettings(label="y"))


def test_an_output_folder_with_content_is_left_alone(tmp_path: Path) -> None:
    """Exit code 22; an empty folder is fine."""
    (tmp_path / "mine").write_text("precious", encoding="utf-8")
    with pytest.raises(OutputExistsError):
        prepare(None, tmp_path, SYNTHETIC)
    with pytest.raises(OutputExistsError):
        prepare(None, tmp_path / "mine", SYNTHETIC)
    (tmp_path / "empty").mkdir()
    prepare(None, tmp_path / "empty", SYNTHETIC)
    assert (tmp_path / "empty/manifest.json").exists()
    assert (tmp_path / "mine").read_text(encoding="utf-8") == "precious"


def test_a_folder_that_cannot_be_written_is_a_setting_error(tmp_path: Path) -> None:
    """A file stands where a folder should."""
    (tmp_path / "file").touch()
    with pytest.raises(SettingError, match="cannot be written"):
        prepare(None, tmp_path / "file/out", SYNTHETIC)


def test_nothing_is_left_of_an_interrupted_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the folder nor the scratch folder beside it."""

    def interrupt(_: Manifest) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(Manifest, "to_json", interrupt)
    with pytest.raises(KeyboardInterrupt):
        prepare(None, tmp_path / "out", SYNTHETIC)
    assert not list(tmp_path.iterdir())


def test_the_command_prints_a_table_and_the_next_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Result on stdout, progress on stderr, whose last line can be run."""
    with pytest.raises(SystemExit, match="0"):
        run(main, ["--out", str(tmp_path / "out"), "--clients", "2"])
    shown = capsys.readouterr()
    assert shown.out.startswith("SYNTHETIC data: 6,000 (540) rows read, 0 (0) duplicates kept\n")
    assert "site-2" in shown.out
    assert shown.err.splitlines()[-1] == f"  python -m federation.local --data {tmp_path / 'out'}"


def test_the_command_prints_the_manifest_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing else is on stdout."""
    with pytest.raises(SystemExit, match="0"):
        run(main, ["--out", str(tmp_path / "out"), "--json"])
    assert capsys.readouterr().out == (tmp_path / "out/manifest.json").read_text(encoding="utf-8")


def test_the_command_asks_for_the_label_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It lists the columns to choose from."""
    source = save(tmp_path, make_table(40, 20))
    with pytest.raises(SystemExit, match="20"):
        run(main, ["--input", str(source), "--out", str(tmp_path / "out")])
    said = capsys.readouterr().err
    assert 'is the label? Name it with --label. The 4 columns are "y", "a", "b", "c".' in said


# Texts and gaps ---------------------------------------------------------------------------------------------


def mixed(folder: Path, rows: int = 200) -> Path:
    """Write a table with texts and gaps."""
    lines = [f"{i % 3 == 0:d},{i},{'' if i % 7 == 0 else 'abc'[i % 3]}" for i in range(rows)]
    path = folder / "mixed.csv"
    path.write_text("\n".join(["y,n,s", *lines]) + "\n")
    return path


def test_a_table_with_texts_is_prepared_as_it_is(tmp_path: Path) -> None:
    """Nothing is resampled unless asked for, and no row or weight is made up."""
    manifest = prepare(mixed(tmp_path), tmp_path / "out", PreparationSettings(label="y"))
    assert manifest.resample == "none"
    rows = read_table(tmp_path / "out" / "client-1" / "train.csv", label="y")
    assert set(rows.levels["s"]) == {"a", "b", "c"}
    assert np.isnan(rows.X).any()


def test_smote_of_a_table_with_texts_is_refused(tmp_path: Path) -> None:
    """Who asks for it is told why not, and nothing is written."""
    with pytest.raises(SettingError, match='SMOTE: the table holds texts and missing values: "s"') as caught:
        prepare(mixed(tmp_path), tmp_path / "out", PreparationSettings(label="y", resample="smote"))
    assert not (tmp_path / "out").exists()
    assert "--ignore" in caught.value.remedy
    prepare(
        mixed(tmp_path),
        tmp_path / "out",
        PreparationSettings(label="y", resample="smote", keep=("n",), ignore=("s",)),
    )
    with pytest.raises(SettingError, match='holds missing values: "a", "b", "c", "d", "e" and 2 more'):
        refuse_smote(
            Table(features=tuple("abcdefg"), X=np.full((2, 7), np.nan), y=np.array([0, 1]), label="y")
        )


def test_a_partition_by_size_needs_numbers(tmp_path: Path) -> None:
    """Words have no size."""
    with pytest.raises(SettingError, match='by the size of "s": it holds texts'):
        prepare(mixed(tmp_path), tmp_path / "out", PreparationSettings(label="y", partition="quantile:s"))


def test_only_its_user_can_read_what_is_prepared(tmp_path: Path) -> None:
    """It holds rows, and a research server has many users."""
    prepare(None, tmp_path / "out", PreparationSettings(label=LABEL))
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700
