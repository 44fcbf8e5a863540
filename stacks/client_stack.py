"""The stack of one client's resources."""

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from federation.config import names
from federation.config.schema import Client, FederationConfig
from stacks.constructs.encryption_key import EncryptionKey
from stacks.constructs.kickoff_role import KickoffRole
from stacks.constructs.network import PrivateNetwork
from stacks.constructs.notebook import Notebook
from stacks.constructs.notebook_role import ClientNotebookRole
from stacks.constructs.output_reader import OutputReader
from stacks.constructs.peering import PeeringRequest
from stacks.constructs.training_role import TrainingRole
from stacks.federation_stack import FederationStack
from stacks.storage import Storage


class ClientStack(FederationStack):
    """Network, buckets, roles and notebook of one client.

    It has no interface endpoints: training and publishing need S3 only, and SageMaker fetches the image and
    delivers logs and metrics over its own network.

    Parameters
    ----------
    config : FederationConfig
        The whole federation.
    client : Client
        The client that owns the stack.
    """

    def __init__(self, scope: Construct, *, config: FederationConfig, client: Client) -> None:
        super().__init__(
            scope,
            client.stack,
            config=config,
            party=client,
            description=f"Federation {config.federation.name}: client {client.name}",
        )
        self.client = client
        self.own = config.client_names(client)
        self.server = config.server_names
        self._add_logs()
        self._add_storage()
        self._add_network()
        self._add_roles()
        self._add_peering()
        if client.notebook:
            self._add_notebook()
        self._add_outputs()

    def _add_logs(self) -> None:
        self.add_log_group("TrainingJobLogs", names.TRAINING_JOB_LOG_GROUP)
        if self.client.notebook:
            self.add_log_group("NotebookLogs", names.NOTEBOOK_LOG_GROUP)

    def _add_storage(self) -> None:
        self.key = EncryptionKey(
            self,
            "Encryption",
            existing_arn=self.client.kms_key_arn,
            description=f"Data, code, artifacts and volumes of {self.client.name}",
            removal_policy=self.removal_policy,
        ).key
        storage = Storage(self, own=self.own, key=self.key, refused_role_arn=self.own.kickoff_role_arn)
        self.data = storage.bucket("Data", self.own.data_bucket)
        self.code = storage.bucket("Code", self.own.code_bucket)
        self.artifacts = storage.bucket("Artifacts", self.own.artifacts_bucket)

    def _add_network(self) -> None:
        self.network = PrivateNetwork(
            self,
            "Network",
            party=self.client,
            buckets=[self.own.data_bucket, self.own.code_bucket, self.own.artifacts_bucket],
            has_notebook=self.client.notebook,
            log_retention_days=self.config.federation.log_retention_days,
            removal_policy=self.removal_policy,
        )
        self.training_group = self.network.add_security_group("TrainingGroup", "Training jobs")
        self.training_group.add_egress_rule(
            ec2.Peer.ipv4(str(self.config.server.cidr)),
            ec2.Port.tcp(self.config.federation.port),
            "The server",
        )
        self._tag_for_the_server()

    def _tag_for_the_server(self) -> None:
        """Tag the values of a job's request, so that the server finds them with `ec2:Describe*`."""
        group = cdk.Tags.of(self.training_group)
        group.add(names.PURPOSE_TAG, names.TRAINING_PURPOSE)
        group.add(names.TRAINING_KEY_TAG, self.key.key_arn)
        for subnet in self.network.vpc.isolated_subnets:
            cdk.Tags.of(subnet).add(
                names.PURPOSE_TAG, names.TRAINING_PURPOSE, include_resource_types=["AWS::EC2::Subnet"]
            )

    def _add_roles(self) -> None:
        self.training_role = TrainingRole(
            self,
            "TrainingRole",
            client=self.client,
            own=self.own,
            image=self.config.federation.image,
            key_arn=self.key.key_arn,
            subnet_ids=self.network.subnet_ids,
            group_id=self.training_group.security_group_id,
        ).role
        self.kickoff_role = KickoffRole(
            self,
            "KickoffRole",
            client=self.client,
            own=self.own,
            server=self.server,
            training_role_arn=self.training_role.role_arn,
            key_arn=self.key.key_arn,
            subnet_ids=self.network.subnet_ids,
            group_id=self.training_group.security_group_id,
            limits=self.config.federation,
        ).role

    def _add_peering(self) -> None:
        server = self.config.server
        self.peering = PeeringRequest(
            self,
            "Peering",
            vpc=self.network.vpc,
            route_table_ids=self.network.route_table_ids,
            server_vpc_id=cdk.Fn.get_stack_output(
                names.SERVER_NETWORK_STACK,
                names.VPC_OUTPUT,
                server.region,
                self.server.reader_role_arn(self.client.name),
            ),
            server_account=server.account,
            server_region=server.region,
            server_cidr=str(server.cidr),
            accepter_role_arn=self.server.accepter_role_arn(self.client.name),
        )
        OutputReader(
            self,
            "OutputReader",
            role_name=self.own.reader_role(server.name),
            reader_account=server.account,
            reader_deploy_role_arn=self.server.deploy_role_arn(self.config.federation.bootstrap_qualifier),
        )

    def _add_notebook(self) -> None:
        role = ClientNotebookRole(self, "NotebookRole", own=self.own, key_arn=self.key.key_arn).role
        Notebook(
            self,
            "Notebook",
            party=self.client,
            own=self.own,
            module="federation.publish",
            role=role,
            key=self.key,
            subnet_id=self.network.subnet_ids[0],
            security_group=self.network.add_security_group("NotebookGroup", "Notebook of the client"),
        )
        self.add_output("NotebookName", self.own.notebook, "The notebook to publish code and data from")

    def _add_outputs(self) -> None:
        self.add_output(
            names.PEERING_OUTPUT,
            self.peering.connection.ref,
            "The connection to the server's VPC; the server's stack routes to it",
        )
        self.add_output("DataBucketName", self.data.bucket_name, "What the training jobs read")
        self.add_output("CodeBucketName", self.code.bucket_name, "What the training jobs run")
        self.add_output("ArtifactsBucketName", self.artifacts.bucket_name, "What the training jobs save")
        self.add_output(
            "KickoffRoleArn", self.kickoff_role.role_arn, "What the server assumes to start a job"
        )
