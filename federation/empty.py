"""Empty a party's buckets before its stack is destroyed: ``python -m federation.empty --help``."""

from shlex import quote
from typing import Annotated

import typer

from federation.cli.command import Debug, run
from federation.cli.options import Config
from federation.config.schema import FederationConfig, load_config
from federation.errors import SettingError


def main(
    *,
    config: Config,
    party: Annotated[
        str,
        typer.Option(help='Party whose buckets are emptied: "server", or a client\'s name.', metavar="NAME"),
    ],
    yes: Annotated[
        bool, typer.Option("--yes", help="Delete; without it, only show what would be deleted.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Delete every object version in one party's buckets, so that its stack can be destroyed.

    Needs the credentials of the party's own operator. It refuses to delete if the
    configuration says removal_policy = "retain".

    \b
    Examples:
      python -m federation.empty --config config/mine.toml --party hospital-a
      python -m federation.empty --config config/mine.toml --party hospital-a --yes
    """
    from federation.aws.edge.buckets.emptying import bucket_client, count_versions, empty_bucket

    federation = load_config(config)
    if federation.federation.removal_policy == "retain":
        raise SettingError(
            f'{config} says removal_policy = "retain": nothing is deleted.',
            'Say "destroy" if the data may go.',
        )
    account, region, buckets = _buckets(federation, party)
    client = bucket_client(region)
    for bucket in buckets:
        if yes:
            typer.echo(f"{bucket}: {empty_bucket(client, bucket, account):,} versions deleted")
        else:
            typer.echo(f"{bucket}: {count_versions(client, bucket, account):,} versions would be deleted")
    repeat = f"python -m federation.empty --config {quote(str(config))} --party {quote(party)} --yes"
    typer.echo(f"Next: {f'make destroy CONFIG={quote(str(config))}' if yes else repeat}", err=True)


def _buckets(federation: FederationConfig, party: str) -> tuple[str, str, list[str]]:
    """Return a party's account, region and buckets, the one that the others' access logs go to last."""
    if party == federation.server.name:
        own = federation.server_names
        return own.account, own.region, [own.results_bucket, own.code_bucket, own.access_logs_bucket]
    its = federation.client_names(federation.client(party))
    buckets = [its.data_bucket, its.code_bucket, its.artifacts_bucket, its.access_logs_bucket]
    return its.account, its.region, buckets


if __name__ == "__main__":
    run(main)
