"""The server's network, to which every client's stack connects."""

from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from federation.config import names
from federation.config.schema import Client, FederationConfig
from stacks.constructs.endpoints import InterfaceEndpoints
from stacks.constructs.network import PrivateNetwork
from stacks.constructs.output_reader import OutputReader
from stacks.constructs.peering import PeeringAccepter
from stacks.federation_stack import FederationStack
from stacks.server_doors import server_doors


class ServerNetworkStack(FederationStack):
    """VPC, endpoints, and two roles per client with which its stack connects.

    This stack is deployed first and does not depend on the clients' stacks. The server stack contains the
    server's routes and rules, which need the clients' peering connections.

    Parameters
    ----------
    config : FederationConfig
        The whole federation.
    """

    def __init__(self, scope: Construct, *, config: FederationConfig) -> None:
        super().__init__(
            scope,
            names.SERVER_NETWORK_STACK,
            config=config,
            party=config.server,
            description=f"Federation {config.federation.name}: the server's network",
        )
        own = config.server_names
        self.network = PrivateNetwork(
            self,
            "Network",
            party=config.server,
            buckets=[own.results_bucket, own.code_bucket],
            has_notebook=True,
            log_retention_days=config.federation.log_retention_days,
            removal_policy=self.removal_policy,
        )
        self.notebook_group = self.network.add_security_group("NotebookGroup", "Notebook of the server")
        InterfaceEndpoints(
            self,
            "Endpoints",
            vpc=self.network.vpc,
            region=config.server.region,
            caller=self.notebook_group,
            accounts=[config.server.account, *(client.account for client in config.clients)],
            doors=server_doors(config),
        )
        for client in config.clients:
            self._admit(client)
        self._share()

    def _admit(self, client: Client) -> None:
        own = self.config.server_names
        deploy_role = self.config.client_names(client).deploy_role_arn(
            self.config.federation.bootstrap_qualifier
        )
        PeeringAccepter(
            self,
            f"PeeringAccepter-{client.name}",
            role_name=own.accepter_role(client.name),
            vpc=self.network.vpc,
            client_account=client.account,
            client_region=client.region,
            client_deploy_role_arn=deploy_role,
        )
        OutputReader(
            self,
            f"OutputReader-{client.name}",
            role_name=own.reader_role(client.name),
            reader_account=client.account,
            reader_deploy_role_arn=deploy_role,
        )

    def _share(self) -> None:
        self.add_output(
            names.VPC_OUTPUT, self.network.vpc.vpc_id, "The server's VPC; the clients' stacks connect to it"
        )
        self.shared_subnet_id = self._export("SubnetId", self.network.subnet_ids[0], "The notebook's subnet")
        self.shared_group_id = self._export(
            "NotebookGroupId", self.notebook_group.security_group_id, "The notebook's security group"
        )
        self.shared_route_table_ids = [
            self._export(f"RouteTableId{number}", table, "A route table that gets a route to each client")
            for number, table in enumerate(self.network.route_table_ids, start=1)
        ]

    def _export(self, name: str, value: str, description: str) -> str:
        """Export a value to the server stack under a fixed name instead of a generated one."""
        export = f"{self.config.federation.name}-{self.stack_name}-{name}"
        return self.export_value(value, name=export, description=description)

    def shared_group(self, scope: Construct) -> ec2.ISecurityGroup:
        """Return the notebook's security group, for the server stack."""
        return ec2.SecurityGroup.from_security_group_id(scope, "NotebookGroup", self.shared_group_id)
