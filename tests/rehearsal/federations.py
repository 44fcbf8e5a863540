"""A federation that is deployed and published in an embedded AWS, to try things on."""

import io
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from federation.rehearse.cdk import PROJECT
from federation.rehearse.deployment import Deployment
from federation.rehearse.effective_config import write_effective_config
from federation.rehearse.embedded_aws import EmbeddedAws
from federation.rehearse.image_python import image_python
from federation.rehearse.job_environment import default_cache, job_environment
from federation.rehearse.stage import Stage
from federation.rehearse.steps import Steps

CONFIG = PROJECT / "config" / "rehearsal.toml"


def embedded_aws() -> EmbeddedAws:
    """Return an embedded AWS whose jobs run in the stand-in for the training image."""
    python = job_environment(default_cache(os.environ), python=image_python(os.environ))
    return EmbeddedAws(job_python=python, stop_grace=0.5)


def stage(aws: EmbeddedAws, folder: Path, *, changes: Mapping[str, str] | None = None) -> Stage:
    """Return a stage with the rehearsal's configuration, some of its text replaced."""
    given, target = folder / "given.toml", folder / "federation.toml"
    text = CONFIG.read_text(encoding="utf-8")
    for old, new in (changes or {}).items():
        assert old in text
        text = text.replace(old, new)
    given.write_text(text, encoding="utf-8")
    (folder / "logs").mkdir()
    config = write_effective_config(given, target)
    return Stage(
        aws=aws,
        config=config,
        config_file=target,
        logs=folder / "logs",
        steps=Steps(stream=io.StringIO()),
    )


@dataclass(frozen=True, kw_only=True)
class Run:
    """How ``federation.server`` ended.

    Parameters
    ----------
    code : int
        Its exit code.
    said : str
        What it said.
    """

    code: int
    said: str


class Federation:
    """A deployed federation.

    Parameters
    ----------
    on : Stage
        Where.
    data : pathlib.Path
        The prepared data.
    label : str
        The column to predict.
    """

    def __init__(self, on: Stage, *, data: Path, label: str) -> None:
        self.stage, self.data, self.label = on, data, label
        self.deployment = Deployment(on)

    @property
    def notebook_environment(self) -> dict[str, str]:
        """The environment of the server's notebook, with our checkout."""
        server = self.stage.config.server
        name = self.stage.config.server_names.notebook
        environment = self.stage.aws.notebook_environment(
            account=server.account, region=server.region, name=name
        )
        return {**environment, "PYTHONPATH": str(PROJECT)}

    def server_command(
        self, *options: str, config: Path | None = None, label: str | None = None
    ) -> list[str]:
        """Return the command of a run."""
        return [
            *(sys.executable, "-m", "federation.server", "--config", str(config or self.stage.config_file)),
            *("--label", label or self.label, "--test-data", str(self.data / "server" / "test.csv")),
            *("--host", "127.0.0.1", "--poll-seconds", "0.2", "--join-timeout", "60", *options),
        ]

    def serve(self, folder: Path, *options: str, config: Path | None = None, label: str | None = None) -> Run:
        """Run the server to its end."""
        done = subprocess.run(
            [*self.server_command(*options, config=config, label=label), "--out", str(folder / "run")],
            cwd=folder,
            env=self.notebook_environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return Run(code=done.returncode, said=done.stderr)

    def as_server(self, service: str, *, client: str | None = None) -> Any:
        """Return boto3 as the server's notebook, or as the kickoff role that it assumes at a client."""
        session = _session(self.stage, self.notebook_environment)
        if client is None:
            return session.client(service, endpoint_url=self.stage.aws.endpoint_url)
        party = self.stage.config.client(client)
        keys = session.client("sts", endpoint_url=self.stage.aws.endpoint_url).assume_role(
            RoleArn=self.stage.config.client_names(party).kickoff_role_arn,
            RoleSessionName="test",
            ExternalId=party.external_id,
        )["Credentials"]
        return boto3.client(
            service,
            endpoint_url=self.stage.aws.endpoint_url,
            region_name=party.region,
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys["SessionToken"],
        )

    def root(self, service: str, client: str | None = None) -> Any:
        """Return boto3 as the root of the server's or a client's account."""
        parties = [None, *(party.name for party in self.stage.config.clients)]
        return self.stage.connect(service, self.stage.accounts[parties.index(client)])

    def jobs(self, client: str) -> dict[str, str]:
        """Return the status of each training job in a client's account."""
        found = self.root("sagemaker", client).list_training_jobs()["TrainingJobSummaries"]
        return {job["TrainingJobName"]: job["TrainingJobStatus"] for job in found}

    def running(self) -> list[str]:
        """Return the jobs that have not ended, in all accounts."""
        return [
            name
            for client in self.stage.config.clients
            for name, status in self.jobs(client.name).items()
            if status in {"InProgress", "Stopping"}
        ]


def _session(on: Stage, environment: Mapping[str, str]) -> boto3.Session:
    """Return a session with the credentials that a container's environment leads to."""
    from botocore.credentials import ContainerMetadataFetcher  # noqa: PLC0415 (only here)

    keys = ContainerMetadataFetcher().retrieve_full_uri(
        environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"],
        headers={"Authorization": environment["AWS_CONTAINER_AUTHORIZATION_TOKEN"]},
    )
    return boto3.Session(
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["Token"],
        region_name=on.config.server.region,
    )
