"""Publish a party's code, packages and data to its own buckets: ``python -m federation.publish --help``."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from federation.aws.publishing.object_sync import megabytes
from federation.aws.publishing.publisher import Published, Publisher
from federation.cli.command import Debug, run
from federation.cli.options import AsJsonData, Config
from federation.config.schema import FederationConfig, contract_of, load_own_config
from federation.errors import SettingError


def main(  # noqa: PLR0913 - a parameter for each option
    *,
    config: Config,
    client: Annotated[
        str | None,
        typer.Option(help="Publish code, packages and data for this client's training jobs.", metavar="NAME"),
    ] = None,
    server: Annotated[
        bool, typer.Option("--server", help="Publish code and packages for the server's notebook.")
    ] = False,
    notebook: Annotated[
        bool, typer.Option("--notebook", help="With --client: publish for its notebook instead of its jobs.")
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder from federation.data_prep, or the party's own folder in it. "
            "[default: the published data stay]",
            metavar="FOLDER",
            show_default=False,
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(help="Label column, if there is no manifest.json.", metavar="COLUMN"),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only compare; the exit code is 73 if anything differs.")
    ] = False,
    as_json: AsJsonData = False,
    debug: Debug = False,
) -> None:
    """Publish a party's code, packages and data to its own buckets, with its operator's credentials.

    Uploads the files that differ, verifies the others, then removes those that no longer belong. It can be
    run at any time.

    \b
    Examples:
      python -m federation.publish --config config/my.toml --server --data prepared
      python -m federation.publish --config config/my.toml --client hospital-a --data prepared
      python -m federation.publish --config config/my.toml --client hospital-a --check
    """
    from federation.aws.edge.buckets.s3 import stores

    if server == (client is not None) or (notebook and server):
        raise SettingError(
            "no party is chosen.",
            "Choose what to publish: --server, --client NAME, or --client NAME --notebook.",
        )
    federation = load_own_config(config)
    publisher = Publisher(open_store=stores(), check=check, say=lambda line: typer.echo(line, err=True))
    if client is None:
        published = publisher.server(federation, config, data=data, label=label)
    elif notebook:
        published = publisher.notebook(federation, federation.client(client), config)
    else:
        published = publisher.client(
            federation,
            federation.client(client),
            data=data,
            label=label,
            contract=contract_of(federation, config),
        )
    typer.echo(json.dumps(asdict(published), indent=2) if as_json else summary(published))
    typer.echo(_next_command(federation, client, notebook=notebook), err=True)


def summary(published: Published) -> str:
    """Return what is published, as people read it."""
    width = max(len(part.name) for part in published.parts)
    lines = [
        f"  {part.name:<{width}}  {part.objects:>3} objects {megabytes(part.bytes):>10}  "
        f"{part.uploaded:>3} uploaded {part.removed:>3} removed  {part.place}"
        for part in published.parts
    ]
    notes = [f"note: {note}" for note in published.notes]
    return "\n".join([f"{published.party}: {published.runs}", f"  sha256 {published.digest}", *lines, *notes])


def _next_command(config: FederationConfig, client: str | None, *, notebook: bool) -> str:
    own = config.server_names if client is None else config.client_names(config.client(client))
    if client is None or notebook:
        restart = "\n".join(
            f"  aws sagemaker {verb} --region {own.region} --notebook-instance-name {own.notebook}"
            for verb in (
                "stop-notebook-instance",
                "wait notebook-instance-stopped",
                "start-notebook-instance",
            )
        )
        return f"Restart the notebook to install it. Next:\n{restart}"
    return (
        "When every client has published, on the server's notebook. Next:\n"
        "  python -m federation.server --config federation.toml --label LABEL"
    )


if __name__ == "__main__":
    run(main)
