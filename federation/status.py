"""Show the state of a federation: ``python -m federation.status --help``."""

import datetime as dt
import json
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING

import typer

from federation.aws.checks.checks import Check, Finding, as_text, run_checks
from federation.aws.checks.network_path import ACTIVE, check_peering
from federation.aws.jobs.found_jobs import FoundJob, past_runs
from federation.cli.command import Debug, run
from federation.cli.options import AsJsonData, Config
from federation.config.names import SERVER_NETWORK_STACK, SERVER_STACK
from federation.config.schema import Client, FederationConfig, Party, load_config
from federation.errors import (
    AccessDeniedError,
    FederationError,
    KickoffRefusedError,
    UnreachableError,
    WrongAccountError,
)

if TYPE_CHECKING:
    from federation.aws.edge.own_account import OwnAccount
    from federation.aws.edge.views import OnAws

OPERATOR = "The account's operator may: run this with those credentials."


def main(
    *,
    config: Config,
    as_json: AsJsonData = False,
    debug: Debug = False,
) -> None:
    """Show the state of a federation: stacks, peering, notebooks, training jobs, the last run.

    Shows what the current credentials may see: on the server's notebook, the clients' jobs and peering; with
    an operator's credentials, the party's own stacks, notebook and jobs. Changes nothing.

    \b
    Examples:
      python -m federation.status --config federation.toml
      python -m federation.status --config config/my.toml --json
    """
    from federation.aws.edge.views import caller_in

    federation = load_config(config)
    caller = caller_in(federation.server.region)()
    parties = [federation.server, *federation.clients]
    party = next((party for party in parties if party.account == caller.account), None)
    if party is None:
        raise WrongAccountError(
            f"the current credentials belong to account {caller.account or caller.refused}, which is not in "
            "the configuration.",
            "Choose others with AWS_PROFILE, or work on a party's notebook.",
        )
    by_notebook = f"/{federation.server_names.notebook_role}/" in caller.arn
    looks = (
        _of_client(federation, party)
        if isinstance(party, Client)
        else _of_server(federation, by_notebook=by_notebook)
    )
    results = run_checks(looks)
    if as_json:
        typer.echo(json.dumps({"seen_by": party.label, "status": [it.as_json() for it in results]}, indent=2))
    else:
        typer.echo(as_text(results))


def _of_server(config: FederationConfig, *, by_notebook: bool) -> list[Check]:
    from federation.aws.edge.views import OnAws

    aws, server = OnAws(config), config.server
    stacks = [SERVER_NETWORK_STACK, SERVER_STACK]
    return [
        # There is no way from the notebook's network to CloudFormation: a request would wait for ever.
        *(_look(server, name, partial(_stack, None if by_notebook else aws.own, name)) for name in stacks),
        _look(server, "notebook", aws.own.notebook_status),
        _look(server, "last run", lambda: last_run(past_runs(aws.results))),
        *(
            check
            for client in config.clients
            for check in (_of_client_by_server(aws, client) if by_notebook else [_closed(config, client)])
        ),
    ]


def _closed(config: FederationConfig, client: Client) -> Check:
    role = config.server_names.notebook_role
    found = Finding(
        outcome="unseen",
        text=f"its account lets only the role {role} in",
        remedy="Run this on the server's notebook, or as the client's operator.",
    )
    return Check(party=client.label, name=client.stack, look=lambda: found)


def _of_client_by_server(aws: "OnAws", client: Client) -> list[Check]:
    account = aws.accounts[client.name]
    network = cache(account.network)

    def stack() -> str:
        return f"its kickoff role lets the server in; {len(network().subnets)} training subnets"

    return [
        _look(client, client.stack, stack),
        _look(client, "peering", lambda: check_peering(client, aws.own.side(), account.side(network()))),
        _look(client, "jobs", lambda: latest_jobs(aws.jobs.of(client.name))),
    ]


def _of_client(config: FederationConfig, client: Client) -> list[Check]:
    from federation.aws.edge.views import own_account

    own = config.client_names(client)
    account = own_account(own)
    since = dt.datetime.now(dt.UTC) - dt.timedelta(days=7)

    def jobs() -> str:
        found = account.jobs(own.job_name_prefix, since)
        return latest_jobs([FoundJob(client=client.name, name=name, status=it) for name, it in found.items()])

    looks: list[Check] = [_look(client, client.stack, partial(_stack, account, client.stack))]
    if client.notebook:
        looks.append(_look(client, "notebook", account.notebook_status))
        looks.append(_look(client, "peering", lambda: _peerings(account)))
    return [*looks, _look(client, "jobs", jobs)]


def _look(party: Party, name: str, look: Callable[[], str | Finding]) -> Check:
    """Return a look at something that the current credentials may not be allowed to see."""

    def looking() -> str | Finding:
        try:
            return look()
        except (AccessDeniedError, KickoffRefusedError, UnreachableError) as error:
            return _unseen(error)

    return Check(party=party.label, name=name, look=looking)


def _unseen(error: FederationError) -> Finding:
    return Finding(outcome="unseen", text=error.problem, remedy=error.remedy)


def _stack(account: "OwnAccount | None", name: str) -> str | Finding:
    if account is None:
        return Finding(outcome="unseen", text="the notebook may not look at stacks", remedy=OPERATOR)
    status = account.stack_status(name)
    fine = status.endswith("_COMPLETE") and "ROLLBACK" not in status
    return status if fine else Finding(outcome="warning", text=status, remedy="See the stack's events.")


def _peerings(account: "OwnAccount") -> str | Finding:
    side = account.side()
    states = [f"{it.id} is {it.state}" for it in side.peerings if side.vpc in (it.requester, it.accepter)]
    if not any(state.endswith(ACTIVE) for state in states):
        return Finding(outcome="warning", text=", ".join(states) or "none", remedy="Deploy the stack again.")
    return ", ".join(states)


def latest_jobs(jobs: Sequence[FoundJob]) -> str:
    """Return the jobs that run, or the last one if none does."""
    running = [job for job in jobs if not job.status.ended]
    if not jobs:
        return "no recent jobs"
    shown = ", ".join(f"{it.name} ({it.status.status}, {it.status.secondary})" for it in running or jobs[-1:])
    return f"{len(running)} running: {shown}" if running else f"none running; the last: {shown}"


def last_run(runs: dict[str, set[str]]) -> str:
    """Return which run was the last, and whether it left a model."""
    if not runs:
        return "none yet"
    name, files = list(runs.items())[-1]
    return f"{name}, {'with a model' if 'model.json' in files else 'no model yet (still running, or failed)'}"


if __name__ == "__main__":
    run(main)
