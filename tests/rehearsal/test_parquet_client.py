"""A client whose rows are Parquet files: its job installs pyarrow from its own wheels, nobody else's does."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from federation.errors import TrainingJobError
from federation.rehearse.machine.image.job_environment import IMAGE_REQUIREMENTS
from tests.rehearsal.federations import ClientBucket, Federation

pytestmark = pytest.mark.timeout(600)
INSTALLS = "needs pyarrow, which is not installed: installing it from this job's wheels"


def _publish(federation: Federation, data: Path) -> None:
    options = ("--client", "site-2", "--data", str(data), "--label", federation.label)
    run = federation.operator_command("publish", *options, party="site-2")
    assert run.code == 0, run.said


@pytest.fixture(scope="module")
def parquet(federation: Federation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let site-2's rows be Parquet files; in the end they are CSV files again."""
    given, folder = federation.data / "site-2", tmp_path_factory.mktemp("parquet")
    for name in ("train", "validation"):
        pd.read_csv(given / f"{name}.csv").to_parquet(folder / f"{name}.parquet")
    _publish(federation, folder)
    yield
    _publish(federation, given)
    assert not _wheels(federation)


def _wheels(federation: Federation) -> list[str]:
    return [key for key in federation.bucket("site-2", "code").keys("wheels/") if "pyarrow" in key]


def _log(federation: Federation, client: str) -> str:
    """Return what a client's last job said."""
    logs, group = federation.root("logs", client), "/aws/sagemaker/TrainingJobs"
    streams = logs.describe_log_streams(logGroupName=group)["logStreams"]
    last = max(streams, key=lambda stream: stream["creationTime"])["logStreamName"]
    events = logs.get_log_events(logGroupName=group, logStreamName=last, startFromHead=True)["events"]
    return "\n".join(event["message"] for event in events)


@pytest.mark.usefixtures("parquet")
def test_its_job_installs_pyarrow_and_takes_part(federation: Federation, tmp_path: Path) -> None:
    """The stand-in for the image has none; the other client, with CSV files, needs none."""
    assert "pyarrow==" not in IMAGE_REQUIREMENTS.read_text(encoding="utf-8")
    assert len(_wheels(federation)) == 1
    preflight = federation.command(
        "preflight", "--client", "site-2", "--label", federation.label, client="site-2"
    )
    assert preflight.code == 0, preflight.printed
    assert "train.parquet and validation.parquet" in preflight.printed
    run = federation.serve(tmp_path, "--strategy", "fednewton")
    assert run.code == 0, run.said
    assert _log(federation, "site-2").count(f"train.parquet {INSTALLS}") == 1
    assert INSTALLS not in _log(federation, "site-1")


@pytest.mark.usefixtures("parquet")
def test_without_the_wheel_the_client_says_what_to_do(
    federation: Federation, bucket: ClientBucket, tmp_path: Path
) -> None:
    """Its job fails before it joins, and the run ends with the job's own words."""
    [wheel] = _wheels(federation)
    bucket.delete(wheel)
    run = federation.serve(tmp_path, "--strategy", "fednewton")
    assert run.code == TrainingJobError.exit_code
    assert "train.parquet needs pyarrow" in run.said.splitlines()[-1]
    assert "federation.publish" in run.said.splitlines()[-1]
    assert federation.nothing_runs()
