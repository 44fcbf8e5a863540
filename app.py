"""Compose the stacks of the federation that ``-c config=<file>`` describes."""

import sys
from pathlib import Path

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks

from federation.config import load_config
from federation.errors import FederationError
from stacks.client_stack import ClientStack
from stacks.server_network_stack import ServerNetworkStack
from stacks.server_stack import ServerStack


def main() -> None:
    """Synthesise; a configuration that cannot work ends with its own exit code."""
    app = cdk.App()
    try:
        config = load_config(Path(app.node.get_context("config")))
    except FederationError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - the CDK CLI shows it
        sys.exit(error.exit_code)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    network = ServerNetworkStack(app, config=config)
    clients = [ClientStack(app, config=config, client=client) for client in config.clients]
    server = ServerStack(app, config=config, network=network)
    for client in clients:
        client.add_stack_dependency(network)
        server.add_stack_dependency(client)
    app.synth()


if __name__ == "__main__":
    main()
