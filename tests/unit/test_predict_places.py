"""Models, rows and scores may be in S3 or on standard output, and scores are there whole or not at all."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from federation.api.model import Model
from federation.aws.edge.buckets.objects import fetched, stored
from federation.aws.edge.buckets.s3 import Store
from federation.cli.command import run
from federation.errors import (
    AccessDeniedError,
    CredentialsError,
    FederationError,
    MissingFileError,
    NotDeployedError,
    SettingError,
)
from federation.model.linear import LinearModel, Preprocessing
from federation.predict import main

MODEL = LinearModel(
    label="fraud",
    preprocessing=Preprocessing(
        features=("claims",), log1p=(True,), mean=np.array([2.0]), scale=np.array([0.7])
    ),
    coef=np.array([0.8]),
    intercept=-2.0,
    provenance={"resample": "none"},
)
ROWS, BAD = "claims\n1\n2\n", "claims\n1\nsecret\n"
SCORES = "row,score\n" + "".join(
    f"{row},{score}\n" for row, score in enumerate(MODEL.predict_proba(np.array([[1.0], [2.0]])).tolist(), 1)
)


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where temporary files go."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def s3(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:  # noqa: ARG001 - holds the downloads
    """Return moto's S3 with a model and rows in a bucket."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="data")
        for key, text in {"run/model.json": MODEL.to_json(), "rows.csv": ROWS, "bad.csv": BAD}.items():
            client.put_object(Bucket="data", Key=key, Body=text.encode())
        yield client


def predict(*, model: str = "s3://data/run/model.json", source: str = "s3://data/rows.csv", out: str) -> None:
    """Score rows of a bucket."""
    main(model=model, source=source, out=out)


def keys(client: Any) -> list[str]:
    """Return the keys of all objects."""
    return [each["Key"] for each in client.list_objects_v2(Bucket="data")["Contents"]]


def test_model_rows_and_scores_may_be_in_a_bucket(s3: Any, scratch: Path) -> None:
    """The scores are those of files here, and nothing stays on this machine."""
    predict(out="s3://data/new/scores.csv")
    assert s3.get_object(Bucket="data", Key="new/scores.csv")["Body"].read().decode() == SCORES
    assert list(scratch.iterdir()) == []
    assert f"{Model(MODEL).predict_proba('s3://data/rows.csv')[2]}\n" in SCORES.replace("2,", "", 1)


@pytest.mark.parametrize(
    ("how", "error", "said"),
    [
        ({"model": "s3://data/no.json"}, MissingFileError, "s3://data/no.json: no such object"),
        ({"model": "s3://nobody/model.json"}, MissingFileError, "s3://nobody/model.json: no such object"),
        ({"model": "s3://data"}, SettingError, "names no object. Write s3://BUCKET/KEY"),
        ({"model": "s3://data/rows.csv"}, FederationError, "s3://data/rows.csv: The model is not JSON"),
        ({"source": "s3://data/no.csv"}, MissingFileError, "s3://data/no.csv: no object"),
        ({"source": "s3://data/bad.csv"}, FederationError, "s3://data/bad.csv: 1 of 2 rows cannot be scored"),
        ({"out": "s3://nobody/scores.csv"}, NotDeployedError, 'bucket "nobody": not there .*Check the name'),
        ({"out": "s3://data/scores/"}, SettingError, "names no object"),
    ],
    ids=str,
)
def test_what_is_wrong_in_a_bucket_is_called_by_its_address(
    s3: Any, scratch: Path, how: dict[str, str], error: type[FederationError], said: str
) -> None:
    """Not by the name of a file nobody knows; no object is written."""
    with pytest.raises(error, match=said) as caught:
        predict(**{"out": "s3://data/scores.csv"} | how)
    assert str(scratch) not in str(caught.value)
    assert "secret" not in str(caught.value)
    assert sorted(keys(s3)) == ["bad.csv", "rows.csv", "run/model.json"]


def test_credentials_that_may_not_are_told_what_they_need(tmp_path: Path) -> None:
    """Reading and writing each have a remedy of their own."""
    client = boto3.client("s3", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    store = Store(bucket="data", account=None, client=client)
    with Stubber(client) as stubber:
        stubber.add_client_error("head_object", "403", http_status_code=403)
        stubber.add_client_error("put_object", "AccessDenied", http_status_code=403)
        with (
            pytest.raises(AccessDeniedError, match="read its objects"),
            fetched("s3://data/a", lambda _: store),
        ):
            pass
        (tmp_path / "scores.csv").write_text(SCORES)
        with pytest.raises(AccessDeniedError, match="may put this object"):
            stored(tmp_path / "scores.csv", "s3://data/a", lambda _: store)


def test_without_credentials_one_is_told_to_log_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS is not even asked."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with pytest.raises(CredentialsError, match="Log in"):
        predict(out="-")


def test_standard_output_gets_nothing_before_everything_is_known(
    tmp_path: Path, scratch: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A row that cannot be scored leaves it empty; else the scores alone are there."""
    (tmp_path / "model.json").write_text(MODEL.to_json())
    for text, code, printed in ((BAD, 13, ""), (ROWS, 0, SCORES)):
        (tmp_path / "rows.csv").write_text(text)
        options = ["--model", str(tmp_path / "model.json"), "--input", str(tmp_path / "rows.csv")]
        with pytest.raises(SystemExit) as ended:
            run(main, [*options, "--out", "-"])
        assert (ended.value.code, capsys.readouterr().out) == (code, printed)
    assert list(scratch.iterdir()) == []


def test_metrics_stay_out_of_scores_on_standard_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They go where notes go."""
    (tmp_path / "model.json").write_text(MODEL.to_json())
    (tmp_path / "rows.csv").write_text("claims,fraud\n1,0\n2,1\n")
    main(model=str(tmp_path / "model.json"), source=str(tmp_path / "rows.csv"), out="-")
    captured = capsys.readouterr()
    assert captured.out == SCORES
    assert "calibration in the large" in captured.err


@pytest.mark.process
def test_a_reader_that_has_enough_is_no_error(tmp_path: Path) -> None:
    """As with ``| head -1``: nothing is printed about it, and the exit code is the shell's for it."""
    (tmp_path / "model.json").write_text(MODEL.to_json())
    (tmp_path / "rows.csv").write_text("claims\n" + "1\n" * 20_000)
    options = ["--model", tmp_path / "model.json", "--input", tmp_path / "rows.csv", "--out", "-"]
    with subprocess.Popen(
        [sys.executable, "-m", "federation.predict", *map(str, options)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "row,score\n"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141
