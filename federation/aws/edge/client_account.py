"""Requests of the server in a client's account, all with the kickoff role."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import DeferredRefreshableCredentials
from botocore.exceptions import BotoCoreError, ClientError

from federation.aws.checks.network_path import Side
from federation.aws.edge.networks import look_at
from federation.aws.jobs.request import ClientNetwork
from federation.aws.ports import JobStatus
from federation.config.names import TRAINING_JOB_LOG_GROUP, TRAINING_KEY_TAG
from federation.config.schema import Client, FederationConfig
from federation.errors import ClientNetworkError, KickoffRefusedError, TrainingJobError

Clock = Callable[[], dt.datetime]
LOG_LINES = 500
"""A job's last lines that are read: a toolkit may write a long traceback after the client's own words."""
RETRIES = Config(retries={"mode": "standard", "max_attempts": 5}, connect_timeout=10, read_timeout=30)


class ClientAccount:
    """A client's account, as visible to the server.

    botocore renews the role's session before it expires: a federation may last a day, a session an hour.

    Parameters
    ----------
    config : FederationConfig
        The federation.
    client : Client
        The client whose account it is.
    session : boto3.session.Session
        The server's own.
    now : callable
        Returns the current time, which decides when the role's session is renewed.
    """

    def __init__(
        self,
        config: FederationConfig,
        client: Client,
        session: boto3.session.Session,
        *,
        now: Clock = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        self._names = config.client_names(client)
        self._client = client
        assumed = _assume(
            session,
            role_arn=self._names.kickoff_role_arn,
            external_id=client.external_id,
            session_name=f"{config.federation.name}-server",
            region=config.server.region,
            now=now,
        )
        create = partial(assumed.client, region_name=client.region, config=RETRIES)
        self._ec2, self._sagemaker, self._logs = create("ec2"), create("sagemaker"), create("logs")

    def network(self) -> ClientNetwork:
        """Find the training subnets, security group and key by their tags.

        Raises
        ------
        KickoffRefusedError
            The kickoff role cannot be assumed, or lacks the right to read this.
        ClientNetworkError
            The client's stack is not deployed, or was changed by hand.
        """
        filters = [
            {"Name": f"tag:{key}", "Values": [value]} for key, value in self._names.training_tags.items()
        ]
        with self._explained("look up its training network"):
            subnets = self._ec2.describe_subnets(Filters=filters)["Subnets"]
            groups = self._ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
        if not subnets or len(groups) != 1:
            raise ClientNetworkError(
                f'client "{self._client.name}": {len(subnets)} subnets and {len(groups)} security groups are '
                "tagged for training, where at least 1 and exactly 1 are needed.",
                f"Deploy {self._client.stack} again.",
            )
        tags = {tag["Key"]: tag["Value"] for tag in groups[0]["Tags"]}
        return ClientNetwork(
            subnets=tuple(sorted(subnet["SubnetId"] for subnet in subnets)),
            security_group=groups[0]["GroupId"],
            key_arn=tags[TRAINING_KEY_TAG],
        )

    def create_job(self, request: Mapping[str, Any]) -> None:
        """Start a training job.

        Raises
        ------
        KickoffRefusedError
            The kickoff role refuses the request.
        TrainingJobError
            SageMaker refuses it.
        """
        with self._explained("start a training job"):
            self._sagemaker.create_training_job(**request)

    def job_status(self, name: str) -> JobStatus:
        """Return a job's status."""
        with self._explained("ask for its training job's status"):
            return self._describe(name)

    def find_job(self, name: str) -> JobStatus | None:
        """Return a job's status, or None if no job has that name, which SageMaker reports only as text."""
        with self._explained("ask for its training job's status"):
            try:
                return self._describe(name)
            except ClientError as error:
                if "not found" in error.response["Error"]["Message"]:
                    return None
                raise

    def _describe(self, name: str) -> JobStatus:
        job = self._sagemaker.describe_training_job(TrainingJobName=name)
        return JobStatus(
            status=job["TrainingJobStatus"],
            secondary=job["SecondaryStatus"],
            failure=job.get("FailureReason", ""),
        )

    def logged_jobs(self, since: dt.datetime) -> list[str]:
        """Return the names of the federation's jobs that have started to print since then."""
        with self._explained("list its training jobs' logs"):
            streams = self._streams(self._names.job_name_prefix)
        earliest = since.timestamp() * 1000
        recent = [stream["logStreamName"] for stream in streams if stream["creationTime"] >= earliest]
        return sorted({name.partition("/")[0] for name in recent})

    def side(self, network: ClientNetwork) -> Side:
        """Return the training network's half of the path to the server."""
        with self._explained("look at its training network"):
            return look_at(self._ec2, network.subnets, [network.security_group])

    def stop_job(self, name: str) -> None:
        """Stop a job, unless it has ended or is being stopped."""
        with self._explained("stop its training job"):
            if self._describe(name).status == "InProgress":
                self._sagemaker.stop_training_job(TrainingJobName=name)

    def last_log_lines(self, name: str) -> list[str]:
        """Return the last lines that a job printed, or none."""
        with self._explained("read its training job's log"):
            streams = self._streams(f"{name}/")
            if not streams:
                return []
            stream = streams[0]["logStreamName"]
            events = self._logs.get_log_events(
                logGroupName=TRAINING_JOB_LOG_GROUP, logStreamName=stream, limit=LOG_LINES
            )["events"]
        return [str(event["message"]).rstrip() for event in events]

    def _streams(self, prefix: str) -> list[dict[str, Any]]:
        """Return the log streams whose names begin with a prefix, or none if no job has run here yet."""
        pages = self._logs.get_paginator("describe_log_streams").paginate(
            logGroupName=TRAINING_JOB_LOG_GROUP, logStreamNamePrefix=prefix
        )
        try:
            return [stream for page in pages for stream in page["logStreams"]]
        except self._logs.exceptions.ResourceNotFoundException:
            return []

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        who = f'client "{self._client.name}"'
        try:
            yield
        except ClientError as error:
            code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
            if error.operation_name == "AssumeRole":
                raise KickoffRefusedError(
                    f"{who}: the kickoff role {self._names.kickoff_role_arn} refused the server ({code}).",
                    "Check that its stack is deployed, with the external_id of this configuration.",
                ) from error
            if code.startswith("AccessDenied"):
                raise KickoffRefusedError(
                    f"{who}: the kickoff role may not {what} ({message}).",
                    f"Deploy {self._client.stack} with the configuration that the server uses.",
                ) from error
            raise TrainingJobError(
                f"{who}: AWS could not {what} ({code}: {message}).", "See the message."
            ) from error
        except BotoCoreError as error:
            raise TrainingJobError(
                f"{who}: could not {what} ({error}).", "Check the network and the credentials."
            ) from error


def client_accounts(
    config: FederationConfig, session: boto3.session.Session | None = None
) -> dict[str, ClientAccount]:
    """Return every client's account by the client's name, for this process's credentials."""
    own = session or boto3.session.Session()
    return {client.name: ClientAccount(config, client, own) for client in config.clients}


def _assume(
    session: boto3.session.Session,
    *,
    role_arn: str,
    external_id: str,
    session_name: str,
    region: str,
    now: Clock,
) -> boto3.session.Session:
    """Return a session of the role that is renewed a quarter of an hour before it expires."""

    def assume() -> dict[str, str]:
        answer = session.client("sts", region_name=region, config=RETRIES).assume_role(
            RoleArn=role_arn, RoleSessionName=session_name, ExternalId=external_id
        )
        keys = answer["Credentials"]
        return {
            "access_key": keys["AccessKeyId"],
            "secret_key": keys["SecretAccessKey"],
            "token": keys["SessionToken"],
            "expiry_time": keys["Expiration"].isoformat(),
        }

    assumed = botocore.session.Session()
    # Parsed models of EC2 and SageMaker take a third of a second and 20 MB: once is enough for all clients.
    assumed.register_component("data_loader", session._session.get_component("data_loader"))  # noqa: SLF001
    assumed._credentials = DeferredRefreshableCredentials(  # noqa: SLF001 - botocore has no public way in
        refresh_using=assume, method="assume-role", time_fetcher=now
    )
    return boto3.session.Session(botocore_session=assumed)
