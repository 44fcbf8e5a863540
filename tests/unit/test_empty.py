"""Emptying buckets: only the party's own, all versions, and never what is to be retained."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from federation.cli.command import run
from federation.empty import main
from tests.conftest import ROOT

BUCKETS = [
    f"claims-hospital-a-{purpose}-123456789012" for purpose in ("data", "code", "artifacts", "access-logs")
]


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Stand in for S3 with moto, in the account that moto gives everybody."""
    monkeypatch.setitem(os.environ, "AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setitem(os.environ, "AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        yield boto3.client("s3", region_name="us-east-1")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Write the example configuration with moto's account as the client's."""
    text = (
        (ROOT / "config" / "example.toml").read_text(encoding="utf-8").replace("222222222222", "123456789012")
    )
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def fill(s3: Any) -> None:
    """Make the client's buckets, versioned, with an object written twice and one deleted."""
    for bucket in BUCKETS:
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        for body in (b"1", b"2"):
            s3.put_object(Bucket=bucket, Key="a", Body=body)
        s3.delete_object(Bucket=bucket, Key="a")


def call(config: Path, *options: str) -> int:
    """Run the command; return its exit code."""
    with pytest.raises(SystemExit) as ended:
        run(main, ["--config", str(config), *options])
    return int(str(ended.value.code or 0))


def test_without_yes_nothing_is_deleted(s3: Any, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command first says what would go."""
    fill(s3)
    assert call(config, "--party", "hospital-a") == 0
    assert "3 versions would be deleted" in capsys.readouterr().out
    assert len(s3.list_object_versions(Bucket=BUCKETS[0])["Versions"]) == 2


def test_all_versions_go(s3: Any, config: Path) -> None:
    """Afterwards every bucket can be deleted."""
    fill(s3)
    assert call(config, "--party", "hospital-a", "--yes") == 0
    for bucket in BUCKETS:
        s3.delete_bucket(Bucket=bucket)


def test_buckets_that_are_gone_are_empty(s3: Any, config: Path) -> None:
    """The command can be repeated."""
    assert s3
    assert call(config, "--party", "hospital-a", "--yes") == 0


def test_what_is_to_be_retained_stays(s3: Any, config: Path) -> None:
    """The configuration decides."""
    fill(s3)
    text = config.read_text().replace('# removal_policy = "destroy"', 'removal_policy = "retain"')
    config.write_text(text)
    assert call(config, "--party", "hospital-a", "--yes") == 20
    assert len(s3.list_object_versions(Bucket=BUCKETS[0])["Versions"]) == 2


def test_an_unknown_party_is_an_error(s3: Any, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message names the clients that there are."""
    assert s3
    assert call(config, "--party", "hospital-z", "--yes") == 43
    assert "hospital-a" in capsys.readouterr().err
