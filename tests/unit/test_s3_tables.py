"""Tables in a bucket are read as if they were here, and nothing of them stays."""

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pandas as pd
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from federation import contract, data_prep, local
from federation.aws.edge.buckets.s3 import Store, foreign_store
from federation.aws.edge.buckets.tables import downloaded
from federation.cli.command import run
from federation.cli.tables import open_tables
from federation.data.preparation.manifest import read_manifest
from federation.errors import (
    AccessDeniedError,
    FederationError,
    MissingFileError,
    NotDeployedError,
    SettingError,
    StorageError,
)

ROWS = pd.DataFrame({"a": range(40), "b": [i % 7 for i in range(40)], "y": [i % 2 for i in range(40)]})


def parquet() -> bytes:
    """Return the rows as a Parquet file."""
    file = io.BytesIO()
    ROWS.to_parquet(file)
    return file.getvalue()


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where temporary folders go."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def s3(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:  # noqa: ARG001 - holds the downloads
    """Return moto's S3 with a bucket of data in another region than the caller's."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        client = boto3.client("s3", region_name="eu-west-1")
        client.create_bucket(Bucket="data", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        rows = ROWS.to_csv(index=False).encode()
        for key, body in {
            "claims/1.csv": rows,
            "claims/2.parquet": parquet(),
            "claims/_SUCCESS": b"",
            "claims/readme.txt": b"hello",
            "claims/old/0.csv": b"other,columns\n1,2\n",
            "claims-2024/1.csv": b"other,columns\n1,2\n",
            "texts/readme.txt": b"hello",
            "spark.parquet/part-0.parquet": parquet(),
        }.items():
            client.put_object(Bucket="data", Key=key, Body=body)
        yield client


@pytest.mark.usefixtures("s3")
@pytest.mark.parametrize(
    ("address", "name", "files"),
    [
        ("s3://data/claims", "claims", ["1.csv", "2.parquet"]),
        ("s3://data/claims/", "claims", ["1.csv", "2.parquet"]),
        ("s3://data/spark.parquet", "spark.parquet", ["part-0.parquet"]),
    ],
)
def test_the_tables_of_a_folder_are_brought_and_removed(
    scratch: Path, address: str, name: str, files: list[str]
) -> None:
    """Only what is right in it and can be read, under its own name; a folder of a like name is not meant."""
    said: list[str] = []
    with downloaded(address, said.append) as folder:
        assert folder.name == name
        assert sorted(path.name for path in folder.iterdir()) == files
    assert said[0].startswith(f"Reading {address}: {len(files)} table")
    assert len(said) == 1 + len(files)
    assert not list(scratch.iterdir())


@pytest.mark.usefixtures("s3")
def test_one_object_is_a_file_with_its_bytes(scratch: Path) -> None:
    """A bucket's table is read like a file."""
    with open_tables("s3://data/claims/1.csv") as path:
        assert path is not None
        assert path.name == "1.csv"
        assert path.read_bytes() == ROWS.to_csv(index=False).encode()
    assert not list(scratch.iterdir())


@pytest.mark.usefixtures("s3")
@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit, SettingError("x", "y")])
def test_nothing_stays_however_the_command_ends(scratch: Path, end: Any) -> None:
    """Ctrl-C, kill and errors alike."""
    seen: list[Path] = []

    def command() -> None:
        with open_tables("s3://data/claims"):
            seen.extend(scratch.iterdir())
            raise end

    with pytest.raises((KeyboardInterrupt, SystemExit, SettingError)):
        command()
    assert seen
    assert not list(scratch.iterdir())


@pytest.mark.usefixtures("s3")
@pytest.mark.parametrize(
    ("address", "expected", "words"),
    [
        ("s3://", SettingError, "names no bucket"),
        (
            "s3://absent/claims",
            NotDeployedError,
            'bucket "absent": not there .* Check the name of the bucket',
        ),
        ("s3://data/absent", MissingFileError, "no object, and so no table"),
        ("s3://data/texts", MissingFileError, "1 objects, but no table"),
        ("s3://data/claims/readme.txt", MissingFileError, "1 objects, but no table"),
        ("s3://data", MissingFileError, "8 objects, but no table right in that folder"),
    ],
)
def test_what_cannot_be_read_is_said(address: str, expected: type[FederationError], words: str) -> None:
    """The bucket, the folder, or that nothing in it is a table."""
    with pytest.raises(expected, match=words), downloaded(address, print):
        pass


def test_credentials_that_may_not_read_are_told_so() -> None:
    """Anybody's bucket: the remedy is not about the federation's accounts, and no owner is demanded."""
    client = boto3.client("s3", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    with Stubber(client) as stubber:
        stubber.add_client_error(
            "list_objects_v2", "AccessDenied", expected_params={"Bucket": "data", "Prefix": "claims"}
        )
        store = Store(bucket="data", account=None, client=client)
        with (
            pytest.raises(AccessDeniedError, match="may list the bucket"),
            downloaded("s3://data/claims", print, lambda _: store),
        ):
            pass


@pytest.mark.usefixtures("s3")
def test_a_table_that_finds_no_room_is_a_storage_error(scratch: Path) -> None:
    """Where the download goes is named."""
    store = foreign_store("data")
    with (
        pytest.raises(StorageError, match="Make room"),
        downloaded("s3://data/claims", lambda _: _block(scratch), lambda _: store),
    ):
        pass


def _block(scratch: Path) -> None:
    """Put a folder where the first table should go."""
    for folder in scratch.glob("*/claims"):
        (folder / "1.csv").mkdir(exist_ok=True)


@pytest.mark.process
@pytest.mark.usefixtures("s3")
def test_the_commands_take_an_address(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A contract is inferred and checked, and data prepared, from a bucket; what was read is told by name."""
    written, out = tmp_path / "contract.toml", tmp_path / "prepared"
    for command, arguments in (
        (contract.main, ["infer", "--data", "s3://data/claims", "--label", "y", "--contract", str(written)]),
        (contract.main, ["check", "--data", "s3://data/claims/1.csv", "--contract", str(written)]),
        (data_prep.main, ["--data", "s3://data/claims", "--label", "y", "--clients", "1", "--out", str(out)]),
    ):
        with pytest.raises(SystemExit) as ended:
            run(command, arguments)
        assert ended.value.code == 0, capsys.readouterr().err
    assert "Reading s3://data/claims: 2 tables" in capsys.readouterr().err
    manifest = read_manifest(out)
    assert (manifest.source.name if manifest.source else "", manifest.input.rows) == ("claims", 80)


@pytest.mark.process
@pytest.mark.usefixtures("s3")
def test_a_model_is_trained_from_an_address(
    scratch: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one command; the run folder holds the prepared data, and the download is gone."""
    out = tmp_path / "run"
    options = ["--data", "s3://data/claims", "--label", "y", "--clients", "2", "--rounds", "1"]
    with pytest.raises(SystemExit) as ended:
        run(local.main, [*options, "--out", str(out)])
    assert ended.value.code == 0, capsys.readouterr().err
    assert read_manifest(out / "data").input.rows == 80
    assert (out / "model.json").exists()
    assert not list(scratch.iterdir())
