"""What a client's training job is asked to be, by value."""

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from federation.aws.jobs.request import (
    METRICS,
    ClientNetwork,
    JobSettings,
    RunIdentity,
    build_job_request,
    job_name,
)
from federation.config.schema import FederationConfig, load_config
from federation.learning.strategies.catalogue import STRATEGIES
from tests.conftest import ROOT
from tests.script_mode import arguments
from tests.unit.test_checked_strategy import Federation

NETWORK = ClientNetwork(subnets=("subnet-1",), security_group="sg-1", key_arn="arn:aws:kms:us-east-1:2:key/k")
RUN = RunIdentity(run_id="r1", server_address="10.0.0.5:8080", certificate="TUlJ")
SETTINGS = JobSettings(label="fraud", source_key="source/abc/source.tar.gz")


@pytest.fixture(scope="module")
def config() -> FederationConfig:
    """Return the example configuration."""
    return load_config(ROOT / "config" / "example.toml")


def test_a_job_runs_the_clients_own_code_on_its_own_data(config: FederationConfig) -> None:
    """Code, wheels, data and output are all in the client's own buckets."""
    request = build_job_request(config, config.clients[0], NETWORK, RUN, SETTINGS)
    names = config.client_names(config.clients[0])
    uris = re.findall(r"s3://([^/']+)/", str(request))
    assert set(uris) == {names.code_bucket, names.data_bucket, names.artifacts_bucket}
    assert request["HyperParameters"]["sagemaker_submit_directory"].endswith('/source/abc/source.tar.gz"')
    assert request["RoleArn"] == names.training_role_arn


def test_a_job_is_what_the_kickoff_role_demands(config: FederationConfig) -> None:
    """Name, subnets, security group, keys, instance type and run time are the client's."""
    client = config.clients[0]
    request = build_job_request(config, client, NETWORK, RUN, SETTINGS)
    assert request["TrainingJobName"].startswith(config.client_names(client).job_name_prefix)
    assert request["VpcConfig"] == {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}
    assert request["ResourceConfig"]["VolumeKmsKeyId"] == NETWORK.key_arn
    assert request["OutputDataConfig"]["KmsKeyId"] == NETWORK.key_arn
    assert request["ResourceConfig"]["InstanceType"] in client.training_instance_types
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 86_400}
    assert {"Key": "Federation", "Value": config.federation.name} in request["Tags"]


def test_a_job_is_given_no_secret(config: FederationConfig) -> None:
    """Its environment holds settings only; what it joins with, its role's signature, it makes itself."""
    request = build_job_request(config, config.clients[0], NETWORK, RUN, SETTINGS)
    assert request["Environment"] == {
        "WHEELHOUSE": "/opt/ml/input/data/wheels",
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_COMPILE": "0",
    }


def test_a_client_signs_for_the_sts_that_the_server_reaches(config: FederationConfig) -> None:
    """Wherever the job runs, its proof is for the server's region, and for this run."""
    elsewhere = config.clients[0].model_copy(update={"region": "eu-west-1"})
    parameters = arguments(build_job_request(config, elsewhere, NETWORK, RUN, SETTINGS))
    assert parameters["sts-region"] == config.server.region == "us-east-1"
    assert parameters["run-id"] == RUN.run_id


def test_spot_jobs_may_wait_and_have_checkpoints(config: FederationConfig) -> None:
    """Managed Spot needs a longest wait, and a place to continue from."""
    settings = JobSettings(label="y", source_key="k", spot=True, keep_alive=600)
    request = build_job_request(config, config.clients[0], NETWORK, RUN, settings)
    assert request["EnableManagedSpotTraining"] is True
    assert (
        request["StoppingCondition"]["MaxWaitTimeInSeconds"]
        >= request["StoppingCondition"]["MaxRuntimeInSeconds"]
    )
    assert request["CheckpointConfig"]["S3Uri"].startswith("s3://")
    assert request["ResourceConfig"]["KeepAlivePeriodInSeconds"] == 600


@pytest.mark.parametrize("text", ["250.00", "1e3", "null", "true", "02139", '"', "-x", "{}", "ä b"])
def test_the_client_gets_what_the_server_sent(config: FederationConfig, text: str) -> None:
    """A label that is JSON, or looks like an option, is the same text after script mode."""
    import client  # noqa: PLC0415 - the other end

    named = config.clients[0].model_copy(update={"name": text})
    request = build_job_request(config, named, NETWORK, RUN, replace(SETTINGS, label=text))
    words = [part for name, value in arguments(request).items() for part in (f"--{name}", value)]
    options = client.parse_arguments([*words, "--train", ".", "--model-dir", ".", "--output-data-dir", "."])
    assert (options.label, options.client_name) == (text, text)
    assert (options.max_iter, options.patience, options.run_id) == (10, 600.0, "r1")


def test_names_of_jobs_fit_sagemaker(config: FederationConfig) -> None:
    """At most 63 letters, digits and hyphens."""
    name = job_name(config, config.clients[0], "20261122-153000-ab12")
    assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", name)


@pytest.mark.parametrize(
    "training", [*({"strategy": name} for name in STRATEGIES), {"strategy": "fednewton", "penalty": "firth"}]
)
def test_cloudwatch_finds_the_metrics_in_the_log_of_every_strategy(
    training: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The patterns match what clients log in real runs: each round's loss, and how good the model is."""
    caplog.set_level("INFO")
    ran = Federation(tmp_path).run(rounds=3, **training)
    lines = [record.getMessage() for record in caplog.records if record.name == "client"]
    losses, scores = ([m.group(1) for line in lines if (m := re.search(it, line))] for _, it in METRICS)
    trained = sum(len(one.clients) for one in ran.rounds)
    assert len(losses) >= trained > 0, lines
    assert len(scores) == len(ran.at_clients) > 0, lines
    assert all(math.isfinite(float(value)) for value in (*losses, *scores))


def test_the_example_exists() -> None:
    """The fixture above is what operators copy."""
    assert Path(ROOT / "config" / "example.toml").is_file()
