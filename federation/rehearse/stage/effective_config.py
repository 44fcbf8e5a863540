"""Create the configuration that a rehearsal deploys, with a free port and the requested number of clients."""

import shutil
import socket
from pathlib import Path
from typing import Any

import tomli_w

from federation.config.rules import is_placeholder
from federation.config.schema import FederationConfig, load_config, parse_config
from federation.config.toml import read_toml
from federation.errors import SettingError

_HOST = "127.0.0.1"
_MOST_CLIENTS = 20


def write_effective_config(given: Path, target: Path, *, clients: int | None = None) -> FederationConfig:
    """Write and return the configuration that a rehearsal deploys.

    Parameters
    ----------
    given : pathlib.Path
        The configuration to rehearse.
    target : pathlib.Path
        The file to write.
    clients : int, optional
        Number of clients to rehearse with, instead of the configuration's: its first clients, followed by
        copies of its last client with their own account, addresses and ExternalId.

    Raises
    ------
    ConfigError
        The configuration cannot work.
    SettingError
        There are too many clients, or too few.
    """
    contract = load_config(given).federation.contract
    tables = read_toml(given)
    if clients is not None:
        tables["clients"] = _clients(tables["clients"], clients)
    for number, client in enumerate(tables["clients"], 1):
        if is_placeholder(client["external_id"]):  # of the example, which is good for a rehearsal only
            client["external_id"] = f"rehearsal-client-{number}-{number:08d}"
    tables["federation"]["port"] = _free_port(tables["federation"].get("port", 0))
    config = parse_config(tables)
    target.write_text(f"# {given.name}, as it was rehearsed.\n\n{tomli_w.dumps(tables)}", encoding="utf-8")
    if contract:
        shutil.copyfile(given.parent / contract, target.parent / contract)
    return config


def _clients(tables: list[dict[str, Any]], wanted: int) -> list[dict[str, Any]]:
    if not 1 <= wanted <= _MOST_CLIENTS:
        raise SettingError(f"{wanted} clients: out of range.", f"Choose between 1 and {_MOST_CLIENTS}.")
    model = {key: value for key, value in tables[-1].items() if key not in ("stack", "kms_key_arn")}
    more = [
        model
        | {
            "name": f"site-{number}",
            "account": f"{700_000_000_000 + number}",
            "cidr": f"10.200.{number}.0/24",
            "external_id": f"rehearsal-site-{number}-{number:08d}",
        }
        for number in range(len(tables) + 1, wanted + 1)
    ]
    return [*tables[:wanted], *more]


def _free_port(wanted: int) -> int:
    """Return the requested port if it is free, otherwise another free port."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            try:
                probe.bind((_HOST, port))
            except OSError:
                continue
            free: int = probe.getsockname()[1]
            return free
    raise SettingError("this machine has no free port.", "End some programs, then try again.")
