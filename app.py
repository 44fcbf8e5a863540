"""Compose the stacks of the federation that ``-c config=<file>`` describes."""

import sys
from pathlib import Path

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks

from federation.config.schema import FederationConfig, load_config, load_own_config
from federation.errors import FederationError, SettingError
from stacks.client_stack import ClientStack
from stacks.review import unaccepted
from stacks.server_network_stack import ServerNetworkStack
from stacks.server_stack import ServerStack

EXAMPLE = "config/example.toml"


def compose(app: cdk.App, config: FederationConfig) -> None:
    """Add all stacks, in the order in which they deploy, and check them against AwsSolutions."""
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    network = ServerNetworkStack(app, config=config)
    clients = [ClientStack(app, config=config, client=client) for client in config.clients]
    server = ServerStack(app, config=config, network=network)
    for client in clients:
        client.add_stack_dependency(network)
        server.add_stack_dependency(client)


if __name__ == "__main__":
    app = cdk.App()
    try:
        if not (path := app.node.try_get_context("config")):
            raise SettingError("app.py needs a configuration.", "Run: make synth CONFIG=FILE")
        compose(app, load_config(Path(path)) if path == EXAMPLE else load_own_config(Path(path)))
    except FederationError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
    if findings := unaccepted(Path(app.synth().directory)):
        sys.exit("\n".join(findings))
