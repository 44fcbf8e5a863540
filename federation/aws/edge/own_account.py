"""A party's own account: its stacks, notebook, network and jobs."""

import datetime as dt
from contextlib import AbstractContextManager
from typing import Any

import boto3
from botocore.config import Config

from federation.aws.checks.network_path import Side
from federation.aws.edge.boto import BotoClient
from federation.aws.edge.errors import translated
from federation.aws.edge.identity import QUICK
from federation.aws.edge.networks import look_at
from federation.aws.ports import JobStatus
from federation.config.names import PartyNames


class OwnAccount:
    """A party's account, visible to its notebook's role or operator; every method may raise an `AwsError`.

    Parameters
    ----------
    own : PartyNames
        The names of the party's resources.
    session : boto3.session.Session
        With credentials of that account.
    """

    def __init__(self, own: PartyNames, session: boto3.session.Session) -> None:
        self._own, self._session = own, session

    def stack_status(self, name: str) -> str:
        """Return a stack's status, such as ``CREATE_COMPLETE``."""
        with self._translated("describe it", f'stack "{name}"'):
            answer = self._client("cloudformation").describe_stacks(StackName=name)
        return str(answer["Stacks"][0]["StackStatus"])

    def notebook_status(self) -> str:
        """Return the notebook's status, such as ``InService``."""
        return str(self._notebook()["NotebookInstanceStatus"])

    def side(self) -> Side:
        """Return the notebook's half of the path to the other parties."""
        notebook = self._notebook()
        with self._translated("look at it", "network"):
            return look_at(self._client("ec2"), [notebook["SubnetId"]], notebook["SecurityGroups"])

    def jobs(self, prefix: str, since: dt.datetime) -> dict[str, JobStatus]:
        """Return the training jobs whose names begin with a prefix, by name."""
        with self._translated("list them", "training jobs"):
            pages = self._client("sagemaker").get_paginator("list_training_jobs")
            found = [
                job
                for page in pages.paginate(NameContains=prefix)
                for job in page["TrainingJobSummaries"]
                if job["TrainingJobName"].startswith(prefix) and job["CreationTime"] >= since
            ]
        return {
            job["TrainingJobName"]: JobStatus(
                status=job["TrainingJobStatus"], secondary=job.get("SecondaryStatus", "")
            )
            for job in sorted(found, key=lambda job: str(job["TrainingJobName"]))
        }

    def quotas(self) -> dict[str, float]:
        """Return SageMaker's quotas of the account in this region, by their names."""
        with self._translated("read them", "quotas"):
            # Once and briefly: a notebook has no way to this service.
            brief = QUICK.merge(Config(connect_timeout=2, retries={"total_max_attempts": 1}))
            quotas = self._session.client("service-quotas", region_name=self._own.region, config=brief)
            pages = quotas.get_paginator("list_service_quotas").paginate(ServiceCode="sagemaker")
            return {quota["QuotaName"]: quota["Value"] for page in pages for quota in page["Quotas"]}

    def _notebook(self) -> dict[str, Any]:
        with self._translated("describe it", f'notebook "{self._own.notebook}"'):
            answer: dict[str, Any] = self._client("sagemaker").describe_notebook_instance(
                NotebookInstanceName=self._own.notebook
            )
        return answer

    def _client(self, service: str) -> BotoClient:
        return self._session.client(service, region_name=self._own.region, config=QUICK)

    def _translated(self, action: str, target: str) -> AbstractContextManager[None]:
        return translated(
            action,
            f"{target} of account {self._own.account}",
            denied="Use credentials of that account's operator, or deploy with this configuration.",
        )
