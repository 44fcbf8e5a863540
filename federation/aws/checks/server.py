"""Checks before a run that the server can make."""

import errno
import ipaddress
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from shlex import quote

from client_code.protocol.frames import schema_hash
from federation.aws.checks.checks import Check, Finding
from federation.aws.checks.identity import identity_checks
from federation.aws.checks.network_path import Side, check_peering, check_routes, check_rules, check_subnets
from federation.aws.jobs.found_jobs import FoundJob, is_of_run
from federation.aws.ports import Account, Caller, ReadableBucket
from federation.aws.publishing.source_archive import archive_key
from federation.config.names import RUNS_PREFIX
from federation.config.schema import Client, FederationConfig
from federation.data.table import Table
from federation.errors import (
    ActiveRunError,
    ClientNetworkError,
    FederationError,
    PortTakenError,
    ServerAddressError,
)
from federation.words import some


@dataclass(frozen=True, kw_only=True)
class ServerView:
    """The data that the server's role can read for the checks.

    Parameters
    ----------
    caller : callable
        Returns the identity of the current credentials.
    own_side : callable
        Returns the notebook's end of the road to the clients.
    accounts : mapping of str to Account
        The clients' accounts, by the client's name.
    results : ReadableBucket
        The results bucket.
    jobs : callable
        Returns a client's jobs of late, by the client's name.
    test_rows : callable
        Returns the server's held-back rows; their columns only, if the label is not known.
    """

    caller: Callable[[], Caller]
    own_side: Callable[[], Side]
    accounts: Mapping[str, Account]
    results: ReadableBucket
    jobs: Callable[[str], list[FoundJob]]
    test_rows: Callable[[], Table | tuple[str, ...]]


def server_checks(
    config: FederationConfig,
    view: ServerView,
    *,
    host: str | None,
    digest: str,
    config_file: Path,
    resumed: str | None = None,
) -> list[Check]:
    """Return the server's checks before a run.

    Parameters
    ----------
    config : FederationConfig
        The federation.
    view : ServerView
        The data that the server's role can read.
    host : str, optional
        The address to listen on; None finds this machine's own.
    digest : str
        The sha256 of the code that the clients will be asked to run.
    config_file : Path
        The configuration's file, for the commands that remedies name.
    resumed : str, optional
        The run to go on with: its jobs may still be there, and will be stopped.
    """
    server, stop = config.server.label, f"python -m federation.stop --config {quote(str(config_file))}"
    own_side, test_rows = cache(view.own_side), cache(view.test_rows)
    return [
        *identity_checks(config.server, view.caller, expected_role=config.server_names.notebook_role),
        Check(party=server, name="test data", look=partial(_test_data, test_rows)),
        Check(party=server, name="port", look=partial(_port, config, host)),
        Check(party=server, name="results bucket", look=partial(_results, view.results)),
        Check(party=server, name="notebook", look=lambda: f"its network is {own_side().vpc}"),
        *(
            check
            for client in config.clients
            for check in _client_checks(
                config, client, replace(view, own_side=own_side, test_rows=test_rows), digest, resumed, stop
            )
        ),
    ]


def _test_data(test_rows: Callable[[], Table | tuple[str, ...]]) -> str | Finding:
    found = test_rows()
    if isinstance(found, Table):
        return f'{found.rows:,} rows, {len(found.features)} features, label "{found.label}"'
    return Finding(
        outcome="unseen",
        text=f"{len(found)} columns",
        remedy="Name the label column with --label to check it.",
    )


def _port(config: FederationConfig, host: str | None) -> str | Finding:
    """Report the server's listening address; listen there for a moment to verify it."""
    address = listening_address(config, host)
    port = config.federation.port
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As gRPC does: what the last run's connections leave behind for a minute keeps nobody from listening.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortTakenError(
                    f"cannot listen on port {port} of {address}: another process does.",
                    "End it; if it is another run of this federation, wait for it.",
                ) from error
            raise ServerAddressError(
                f"cannot listen on {address}:{port} ({error.strerror}).",
                "Name this machine's address: --host.",
            ) from error
    if host is None and ipaddress.ip_address(address) not in config.server.cidr:
        return Finding(
            outcome="warning",
            text=f"{address}:{port} is free, but not in {config.server.cidr}",
            remedy="Clients have a route to that network only: run on the server's notebook.",
        )
    return f"{address}:{port} is free"


def listening_address(config: FederationConfig, host: str | None) -> str:
    """Return the address on which the server listens, which the clients receive.

    Raises
    ------
    ServerAddressError
        There is none, or clients could not use it.
    """
    address = host or own_address(str(config.clients[0].cidr.network_address))
    try:
        if not ipaddress.ip_address(address).is_unspecified:
            return address
    except ValueError:
        pass
    raise ServerAddressError(f"{address} is no address that clients can reach.", "Name one with --host.")


def own_address(towards: str) -> str:
    """Return this machine's source address of a route to ``towards``; nothing is sent.

    Raises
    ------
    ServerAddressError
        There is no such route.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((towards, 9))
        except OSError as error:
            raise ServerAddressError(
                f"this machine has no route to {towards} ({error.strerror}).",
                "Run on the server's notebook, or name an address with --host.",
            ) from error
        return str(probe.getsockname()[0])


def _results(results: ReadableBucket) -> str:
    results.reach(RUNS_PREFIX)
    return f"s3://{results.bucket}/{RUNS_PREFIX} answers; nothing was written to try"


def _client_checks(
    config: FederationConfig,
    client: Client,
    view: ServerView,
    digest: str,
    resumed: str | None,
    stop: str,
) -> list[Check]:
    account = view.accounts[client.name]
    network = cache(account.network)
    side = cache(lambda: account.side(network()))
    key = f"arn:aws:kms:{client.region}:{client.account}:key/"

    def kickoff_role() -> str:
        network()
        return f"{config.client_names(client).kickoff_role_arn} lets the server in"

    def training_network() -> str:
        if not network().key_arn.startswith(key):
            raise ClientNetworkError(
                f"{client.label}: its jobs' key is {network().key_arn}, not of that account and region.",
                f"Deploy {client.stack} again.",
            )
        return check_subnets(client, side())

    looks: list[tuple[str, Callable[[], str | Finding]]] = [
        ("training network", training_network),
        ("peering", lambda: check_peering(client, view.own_side(), side())),
        ("routes", lambda: check_routes(config, client, view.own_side(), side())),
        ("security groups", lambda: check_rules(config, client, view.own_side(), side())),
        ("image", lambda: _unasked(config.image_uri(client))),
        ("jobs", lambda: _no_other_run(config, client, view.jobs(client.name), resumed, stop)),
        ("code and data", lambda: _unseen(client, digest, view.test_rows)),
    ]
    gate = Check(party=client.label, name="kickoff role", look=kickoff_role, gate="party")
    return [gate, *(Check(party=client.label, name=name, look=look) for name, look in looks)]


def _unasked(image: str) -> Finding:
    """Return that no role of ours may ask ECR whether the image is there: SageMaker pulls it itself."""
    return Finding(
        outcome="unseen",
        text=f"{image} is in AWS's registry of that region; nothing of ours may ask whether it is there",
        remedy="If SageMaker finds no image, compare federation.image with AWS's list of available images.",
    )


def _unseen(client: Client, digest: str, test_rows: Callable[[], Table | tuple[str, ...]]) -> Finding:
    """Return the command with which the client's operator sees whether the server would get what it needs."""
    look = f"python -m federation.preflight --config FILE --client {client.name} --code {digest}"
    with suppress(FederationError):  # another check tells it
        if isinstance(rows := test_rows(), Table):
            look += f" --label {quote(rows.label)} --columns {schema_hash(rows.label, rows.features)}"
    return Finding(
        outcome="unseen",
        text=f"the server may not look; it will ask for {archive_key(digest)}",
        remedy=f"The client's operator looks: {look}",
    )


def _no_other_run(
    config: FederationConfig, client: Client, jobs: Sequence[FoundJob], resumed: str | None, stop: str
) -> str:
    running = [job for job in jobs if not job.status.ended]
    if not running:
        return "none of this federation is running"
    if resumed and all(is_of_run(job, config, client, resumed) for job in running):
        return f"{len(running)} of the run to go on with, to be stopped"
    names = some([f"{job.name} ({job.status.status})" for job in running])
    raise ActiveRunError(
        f"{client.label}: jobs of an earlier run have not ended: {names}.",
        f"Wait for that run, or stop them: {stop}",
    )
