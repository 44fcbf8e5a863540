"""Names that one party must know of another without credentials of the other side.

Everything else is named by CloudFormation. What a name cannot tell (ids of subnets, security group and key)
the server finds at run time, with the kickoff role, by the tags that `ClientNames.training_tags` lists.
"""

from dataclasses import dataclass

KICKOFF_ROLE = "FL-kickoff-client-job"
KICKOFF_POLICY = "FL-sagemaker-actions"
ASSUME_POLICY = "FL-allow-kickoff-client-job"

SERVER_NETWORK_STACK = "ServerNetworkStack"
SERVER_STACK = "ServerStack"
VPC_OUTPUT = "VpcId"
PEERING_OUTPUT = "PeeringConnectionId"

TRAINING_JOB_LOG_GROUP = "/aws/sagemaker/TrainingJobs"
NOTEBOOK_LOG_GROUP = "/aws/sagemaker/NotebookInstances"
TRAINING_JOB_METRICS = "/aws/sagemaker/TrainingJobs"
FEDERATION_METRICS = "Federation"

DATA_PREFIX = "data/"
"""In a client's data bucket: what its training jobs read."""
SOURCE_PREFIX = "source/"
"""In a client's code bucket: the archive a job runs."""
WHEELS_PREFIX = "wheels/"
"""In a client's code bucket: the packages a job installs."""
NOTEBOOK_PREFIX = "notebook/"
"""In any code bucket: what the notebook's start script installs."""
RUNS_PREFIX = "runs/"
"""In a client's artifacts bucket and in the server's results bucket: one folder a run."""
CHECKPOINTS_PREFIX = "checkpoints/"
"""In a client's artifacts bucket: what an interrupted Spot job continues from."""

FEDERATION_TAG = "Federation"
PARTY_TAG = "Party"
MANAGED_BY_TAG = "ManagedBy"
PURPOSE_TAG = "Purpose"
TRAINING_PURPOSE = "training"
TRAINING_KEY_TAG = "TrainingKeyArn"
"""On the training security group: ARN of the key that a job's volume and output must use."""


@dataclass(frozen=True, kw_only=True)
class PartyNames:
    """Names of what every party owns.

    Parameters
    ----------
    federation : str
        The federation's name.
    party : str
        The client's name, or ``server``.
    account, region : str
        Where the party deploys.
    """

    federation: str
    party: str
    account: str
    region: str

    def _bucket(self, purpose: str) -> str:
        return f"{self.federation}-{self.party}-{purpose}-{self.account}"

    def _role_arn(self, name: str) -> str:
        return f"arn:aws:iam::{self.account}:role/{name}"

    @property
    def code_bucket(self) -> str:
        """Bucket of the code that runs at this party, published by its own operator."""
        return self._bucket("code")

    @property
    def access_logs_bucket(self) -> str:
        """Bucket of the access logs of this party's other buckets."""
        return self._bucket("access-logs")

    @property
    def notebook(self) -> str:
        """Name of the notebook instance."""
        return f"{self.federation}-{self.party}"

    @property
    def notebook_role(self) -> str:
        """Name of the role that the notebook runs with."""
        return f"FL-{self.federation}-{self.party}-notebook"

    @property
    def notebook_role_arn(self) -> str:
        """ARN of the role that the notebook runs with."""
        return self._role_arn(self.notebook_role)

    @property
    def notebook_arn(self) -> str:
        """ARN of the notebook instance."""
        return f"arn:aws:sagemaker:{self.region}:{self.account}:notebook-instance/{self.notebook}"

    def log_group_arn(self, log_group: str) -> str:
        """Return the ARN of one of SageMaker's log groups here, without a trailing ``:*``."""
        return f"arn:aws:logs:{self.region}:{self.account}:log-group:{log_group}"

    def reader_role(self, reader: str) -> str:
        """Return the name of the role with which another party reads the one output it needs."""
        return f"FL-{self.federation}-output-reader-{reader}"

    def reader_role_arn(self, reader: str) -> str:
        """Return the ARN of the role with which another party reads the one output it needs."""
        return self._role_arn(self.reader_role(reader))

    def deploy_role_arn(self, qualifier: str) -> str:
        """Return the role that CloudFormation works with here, made by ``cdk bootstrap``.

        Parameters
        ----------
        qualifier : str
            The bootstrap qualifier, ``hnb659fds`` unless the organisation chose its own.
        """
        return self._role_arn(f"cdk-{qualifier}-cfn-exec-role-{self.account}-{self.region}")


@dataclass(frozen=True, kw_only=True)
class ServerNames(PartyNames):
    """Names of what the server owns."""

    @property
    def results_bucket(self) -> str:
        """Bucket of models, metrics and reports, by run."""
        return self._bucket("results")

    def accepter_role(self, client: str) -> str:
        """Return the name of the role with which a client's peering connection is accepted."""
        return f"FL-{self.federation}-peering-accepter-{client}"

    def accepter_role_arn(self, client: str) -> str:
        """Return the ARN of the role with which a client's peering connection is accepted."""
        return self._role_arn(self.accepter_role(client))


@dataclass(frozen=True, kw_only=True)
class ClientNames(PartyNames):
    """Names of what a client owns."""

    @property
    def data_bucket(self) -> str:
        """Bucket of the training data."""
        return self._bucket("data")

    @property
    def artifacts_bucket(self) -> str:
        """Bucket that the training jobs write to."""
        return self._bucket("artifacts")

    @property
    def kickoff_role_arn(self) -> str:
        """ARN of the role that the server assumes to start a job."""
        return self._role_arn(KICKOFF_ROLE)

    @property
    def training_role(self) -> str:
        """Name of the execution role of the training jobs."""
        return f"FL-{self.federation}-training-job"

    @property
    def training_role_arn(self) -> str:
        """ARN of the execution role of the training jobs."""
        return self._role_arn(self.training_role)

    @property
    def job_name_prefix(self) -> str:
        """Start of the name of every training job; the kickoff role may touch no other."""
        return f"{self.federation}-{self.party}-"

    @property
    def job_arns(self) -> str:
        """ARN pattern of every training job of this federation here."""
        return f"arn:aws:sagemaker:{self.region}:{self.account}:training-job/{self.job_name_prefix}*"

    @property
    def training_tags(self) -> dict[str, str]:
        """Tags by which the server finds the training subnets and security group in the client's account."""
        return {
            FEDERATION_TAG: self.federation,
            PARTY_TAG: self.party,
            PURPOSE_TAG: TRAINING_PURPOSE,
        }
