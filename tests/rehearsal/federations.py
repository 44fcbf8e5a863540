"""A federation that is deployed and published in an embedded AWS, to try things on."""

import io
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import boto3

from federation.checkout import PROJECT
from federation.rehearse.deployment.deployment import Deployment
from federation.rehearse.machine.embedded_aws import EmbeddedAws
from federation.rehearse.machine.image.image_python import ImagePython
from federation.rehearse.machine.image.stand_in import StandIn, make_stand_in
from federation.rehearse.stage.effective_config import write_effective_config
from federation.rehearse.stage.stage import Stage
from federation.rehearse.stage.steps import Steps

CONFIG = PROJECT / "config" / "rehearsal.toml"


def embedded_aws() -> EmbeddedAws:
    """Return an embedded AWS whose jobs run in the stand-in for the training image."""
    return EmbeddedAws(job_python=stand_in().job_python, stop_grace=0.5)


@cache
def stand_in() -> StandIn:
    """Return what stands in for the training image; its environment is kept beyond the tests."""
    return make_stand_in(os.environ, ImagePython(os.environ.get("FEDERATION_IMAGE_PYTHON", "auto")))


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
        checkout=stand_in().checkout(folder / "checkout"),
        aws=aws,
        config=config,
        config_file=target,
        logs=folder / "logs",
        steps=Steps(stream=io.StringIO()),
    )


@dataclass(frozen=True, kw_only=True)
class Run:
    """How a command ended.

    Parameters
    ----------
    code : int
        Its exit code.
    said : str
        What it said on standard error.
    printed : str
        What it printed on standard output.
    """

    code: int
    said: str
    printed: str


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
        return {**environment, "PYTHONPATH": str(self.stage.checkout)}

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
        command = [*self.server_command(*options, config=config, label=label), "--out", str(folder / "run")]
        return _run(command, folder, self.notebook_environment)

    def command(
        self, module: str, *options: str, client: str | None = None, config: Path | None = None
    ) -> Run:
        """Run another command of ours, on the server's notebook or on a client's."""
        words = [
            sys.executable,
            "-m",
            f"federation.{module}",
            "--config",
            str(config or self.stage.config_file),
        ]
        environment = self.client_environment(client) if client else self.notebook_environment
        return _run([*words, *options], self.stage.config_file.parent, environment)

    def operator_command(self, module: str, *options: str, party: str | None = None) -> Run:
        """Run a command as who may do anything in an account: the server's, or a client's."""
        config = self.stage.config
        own = config.client(party) if party else config.server
        environment = self.stage.aws.environment(account=own.account, region=own.region)
        words = [
            sys.executable,
            "-m",
            f"federation.{module}",
            "--config",
            str(self.stage.config_file),
            *options,
        ]
        return _run(
            words, self.stage.config_file.parent, {**environment, "PYTHONPATH": str(self.stage.checkout)}
        )

    def client_environment(self, name: str) -> dict[str, str]:
        """Return the environment of a client's notebook, with our checkout."""
        client = self.stage.config.client(name)
        environment = self.stage.aws.notebook_environment(
            account=client.account,
            region=client.region,
            name=self.stage.config.client_names(client).notebook,
        )
        return {**environment, "PYTHONPATH": str(self.stage.checkout)}

    def bucket(self, client: str, purpose: str) -> "ClientBucket":
        """Return one of a client's buckets: ``code`` or ``data``."""
        own = self.stage.config.client_names(self.stage.config.client(client))
        return ClientBucket(self.root("s3", client), getattr(own, f"{purpose}_bucket"))

    def request(self, **changes: Any) -> dict[str, Any]:
        """Return a request that the kickoff role of site-1 may make, but for the changes."""
        from federation.aws.edge.client_account import ClientAccount  # noqa: PLC0415 (boto3 has been imported by now)
        from federation.aws.jobs.request import JobSettings, RunIdentity, build_job_request  # noqa: PLC0415

        config = self.stage.config
        client = config.client("site-1")
        account = object.__new__(ClientAccount)
        account._ec2 = self.as_server("ec2", client="site-1")
        account._names, account._client = config.client_names(client), client
        run = RunIdentity(run_id="test", server_address="127.0.0.1:1", certificate="")
        [key] = self.bucket("site-1", "code").keys("source/")
        settings = JobSettings(label=self.label, source_key=key)
        return build_job_request(config, client, account.network(), run, settings) | changes

    def nothing_runs(self) -> bool:
        """Return whether all jobs end within some seconds."""
        deadline = time.monotonic() + 15
        while self.running() and time.monotonic() < deadline:
            time.sleep(0.2)
        return not self.running()

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


def _run(words: list[str], folder: Path, environment: Mapping[str, str]) -> Run:
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return Run(code=done.returncode, said=done.stderr, printed=done.stdout)


class ClientBucket:
    """A client's bucket whose objects can be spoilt for a while.

    Parameters
    ----------
    s3 : boto3 client
        As the root of the account.
    name : str
        The bucket.
    """

    def __init__(self, s3: Any, name: str) -> None:
        self._s3, self.name = s3, name
        self._kept: dict[str, bytes] = {}

    def keys(self, prefix: str) -> list[str]:
        """Return the keys below a prefix."""
        listed = self._s3.list_objects_v2(Bucket=self.name, Prefix=prefix)
        return [entry["Key"] for entry in listed["Contents"]]

    def delete(self, key: str) -> None:
        """Delete an object."""
        self._keep(key)
        self._s3.delete_object(Bucket=self.name, Key=key)

    def replace(self, key: str, content: bytes) -> None:
        """Put other bytes in an object's place."""
        self._keep(key)
        self._s3.put_object(Bucket=self.name, Key=key, Body=content)

    def replace_script(self, script: str) -> None:
        """Put another client.py, and nothing else, in the place of the published code."""
        [key] = self.keys("source/")
        self.replace(key, _packed({"client.py": script.encode()}))

    def fail_after_the_script(self) -> None:
        """Let the published code run to its end, and then fail."""
        [key] = self.keys("source/")
        with tarfile.open(fileobj=io.BytesIO(self.read(key))) as old:
            files = {entry.name: old.extractfile(entry).read() for entry in old}  # type: ignore[union-attr]
        script = (
            "import subprocess, sys\n"
            "subprocess.run([sys.executable, 'published.py', *sys.argv[1:]])\n"
            "sys.exit('error: the disk is full')\n"
        )
        self.replace(key, _packed(files | {"published.py": files["client.py"], "client.py": script.encode()}))

    def restore(self) -> None:
        """Put everything back."""
        for key, content in self._kept.items():
            self._s3.put_object(Bucket=self.name, Key=key, Body=content, ChecksumAlgorithm="SHA256")

    def read(self, key: str) -> bytes:
        """Return an object's bytes."""
        content: bytes = self._s3.get_object(Bucket=self.name, Key=key)["Body"].read()
        return content

    def _keep(self, key: str) -> None:
        self._kept.setdefault(key, self.read(key))


def _packed(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


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
