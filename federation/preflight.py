"""Run all pre-run checks: ``python -m federation.preflight --help``."""

import json
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from federation.aws.checks.checks import Check, as_text, run_checks
from federation.cli.command import Debug, run
from federation.cli.options import AsJsonData, Config, Host, TestData
from federation.config.schema import FederationConfig, contract_of, load_own_config


def main(  # noqa: PLR0913 - a parameter for each option
    *,
    config: Config,
    client: Annotated[
        str | None,
        typer.Option(
            help="Check this client's own buckets, with its operator's credentials.",
            metavar="NAME",
            show_default=False,
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(help="Column to predict. [default: not checked]", metavar="COLUMN", show_default=False),
    ] = None,
    code: Annotated[
        str | None,
        typer.Option(
            help="With --client: sha256 of the code that the server requests. [default: this checkout's]",
            metavar="SHA256",
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            help="With --client: sha256 of the columns of the server's test rows, which the server's own "
            "preflight prints. [default: not compared]",
            metavar="SHA256",
            show_default=False,
        ),
    ] = None,
    test_data: TestData = None,
    host: Host = None,
    as_json: AsJsonData = False,
    debug: Debug = False,
) -> None:
    """Run all pre-run checks; print each result and how to fix it. Changes nothing.

    On the server's notebook, it checks everything that the server may see. With --client, as that client's
    operator, it checks the code, packages and data, which the server may not see. The exit code is 1 if a
    check fails. federation.server runs the same checks before it starts a job.

    \b
    Examples:
      python -m federation.preflight --config federation.toml --label fraudulent_provider
      python -m federation.preflight --config config/my.toml --client hospital-a --label fraudulent_provider
    """
    federation = load_own_config(config)
    checks = (
        _of_client(federation, config, client, code=code, label=label, columns=columns)
        if client
        else _of_server(federation, config, test_data or config.parent / "test.csv", label, host)
    )
    results = run_checks(checks)
    wrong = sum(result.outcome == "wrong" for result in results)
    if as_json:
        typer.echo(json.dumps({"ready": not wrong, "checks": [each.as_json() for each in results]}, indent=2))
    else:
        typer.echo(as_text(results))
    if wrong:
        typer.echo(f"Not ready: {wrong} of {len(results)} checks failed.", err=True)
        raise typer.Exit(1)
    typer.echo(_next(config, client, label), err=True)


def _of_server(
    config: FederationConfig, path: Path, test_data: Path, label: str | None, host: str | None
) -> list[Check]:
    from federation.aws.checks.server import server_checks
    from federation.aws.edge.views import OnAws
    from federation.aws.publishing.source_archive import source_archive
    from federation.config.contract import contract_beside, governing
    from federation.data.contract_check import read_prepared
    from federation.data.table import read_header

    agreed = governing(contract_of(config, path), contract_beside(test_data), str(test_data))
    rows = (
        partial(read_prepared, test_data, label=label, contract=agreed)
        if label
        else partial(read_header, test_data)
    )
    view, digest = OnAws(config).view(rows), source_archive().digest
    return server_checks(config, view, host=host, digest=digest, config_file=path)


def _of_client(
    config: FederationConfig,
    path: Path,
    name: str,
    *,
    code: str | None,
    label: str | None,
    columns: str | None,
) -> list[Check]:
    from federation.aws.checks.client import Expected, client_checks
    from federation.aws.edge.buckets.s3 import stores
    from federation.aws.edge.views import caller_in, own_account
    from federation.aws.publishing.source_archive import source_archive

    client = config.client(name)
    return client_checks(
        config,
        client,
        caller=caller_in(client.region),
        open_store=stores(),
        quotas=lambda: own_account(config.client_names(client)).quotas(),
        expected=Expected(
            digest=code or source_archive().digest,
            label=label,
            columns=columns,
            contract=contract_of(config, path),
            publish=f"python -m federation.publish --config {quote(str(path))} --client {name}",
        ),
    )


def _next(config: Path, client: str | None, label: str | None) -> str:
    if client:
        return f'Ready, as far as client "{client}" can tell.'
    return (
        "Ready, as far as the server may see. When every client's operator says the same, next:\n"
        f"  python -m federation.server --config {quote(str(config))} --label {quote(label or 'LABEL')}"
    )


if __name__ == "__main__":
    run(main)
