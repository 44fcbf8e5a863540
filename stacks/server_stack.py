"""The server's resources other than its network."""

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from federation.config import names
from federation.config.schema import Client, FederationConfig
from stacks.constructs.encryption_key import EncryptionKey
from stacks.constructs.notebook import Notebook
from stacks.constructs.notebook_role import ServerNotebookRole
from stacks.constructs.peering import PeeringRoutes
from stacks.federation_stack import FederationStack
from stacks.server_network_stack import ServerNetworkStack
from stacks.storage import Storage


class ServerStack(FederationStack):
    """The routes to each client, the results, and the notebook that coordinates the run.

    Parameters
    ----------
    config : FederationConfig
        The whole federation.
    network : ServerNetworkStack
        The server's network.
    """

    def __init__(self, scope: Construct, *, config: FederationConfig, network: ServerNetworkStack) -> None:
        super().__init__(
            scope,
            names.SERVER_STACK,
            config=config,
            party=config.server,
            description=f"Federation {config.federation.name}: the server",
        )
        self.own = config.server_names
        self.network = network
        self.add_stack_dependency(network)
        self.add_log_group("NotebookLogs", names.NOTEBOOK_LOG_GROUP)
        for client in config.clients:
            self._connect(client)
        self._add_storage()
        self._add_notebook()
        self._add_outputs()

    def _connect(self, client: Client) -> None:
        """Add a route to one client, and allow its addresses to reach the federation's port."""
        scope = Construct(self, f"Client-{client.name}")
        reader_role = self.config.client_names(client).reader_role_arn(self.config.server.name)
        PeeringRoutes(
            scope,
            "Routes",
            route_table_ids=self.network.shared_route_table_ids,
            destination=str(client.cidr),
            connection_id=cdk.Fn.get_stack_output(
                client.stack, names.PEERING_OUTPUT, client.region, reader_role
            ),
        )
        ec2.CfnSecurityGroupIngress(
            scope,
            "Ingress",
            group_id=self.network.shared_group_id,
            ip_protocol="tcp",
            from_port=self.config.federation.port,
            to_port=self.config.federation.port,
            cidr_ip=str(client.cidr),
            description=f"Training jobs of {client.name}",
        )

    def _add_storage(self) -> None:
        self.key = EncryptionKey(
            self,
            "Encryption",
            existing_arn=self.config.server.kms_key_arn,
            description="Results, code and volume of the server",
            removal_policy=self.removal_policy,
        ).key
        storage = Storage(self, own=self.own, key=self.key, refused_role_arn=None)
        self.results = storage.bucket("Results", self.own.results_bucket)
        self.code = storage.bucket("Code", self.own.code_bucket)

    def _add_notebook(self) -> None:
        role = ServerNotebookRole(
            self,
            "NotebookRole",
            own=self.own,
            kickoff_role_arns=[self.config.client_names(it).kickoff_role_arn for it in self.config.clients],
            key_arn=self.key.key_arn,
        ).role
        Notebook(
            self,
            "Notebook",
            party=self.config.server,
            own=self.own,
            module="federation.server",
            role=role,
            key=self.key,
            subnet_id=self.network.shared_subnet_id,
            security_group=self.network.shared_group(self),
        )

    def _add_outputs(self) -> None:
        self.add_output("NotebookName", self.own.notebook, "The notebook to run federation.server on")
        self.add_output("ResultsBucketName", self.results.bucket_name, "Models, metrics and reports, by run")
        self.add_output("CodeBucketName", self.code.bucket_name, "What the notebook installs at its start")
