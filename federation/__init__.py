"""Train one model across organisations that keep their rows to themselves.

From Python::

    import federation

    run = federation.train("claims.csv", label="fraud", clients=4, strategy="fednewton")
    run.metrics
    federation.Model.load(run.folder).predict_proba(new_rows)

From a command line: ``federation --help``.
"""

import os
import signal
import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from federation import strategies
    from federation.api.model import Model
    from federation.api.run import Run
    from federation.api.training import train
    from federation.errors import FederationError

__version__ = "0.2.0"
__all__ = ["FederationError", "Model", "Run", "__version__", "strategies", "train"]

# Loaded when first asked for: `import federation` takes no second, and a command imports only what it needs.
_HOMES = {
    "FederationError": "federation.errors",
    "Model": "federation.api.model",
    "Run": "federation.api.run",
    "train": "federation.api.training",
}

# Read by libraries when they are imported: no phoning home, and no native log lines among ours.
os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
os.environ.setdefault("FLWR_DISABLE_UPDATE_CHECK", "1")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
# TLS 1.3 only: gRPC for Python has no setting for it, but this one lists the ciphers of TLS 1.2, and the one
# listed here needs an RSA key, where the server's is elliptic (ADR 0041).
os.environ["GRPC_SSL_CIPHER_SUITES"] = "ECDHE-RSA-AES256-GCM-SHA384"


def _end_at_once(_number: int, _frame: object) -> None:
    os.write(2, b"interrupted\n")
    os._exit(130)


def _is_command(arguments: list[str]) -> bool:
    """Whether Python was started for a command of this package: the rehearsal's own processes are none."""
    module = arguments[arguments.index("-m") + 1] if "-m" in arguments[:-1] else ""
    if module:
        return f"{module}.".startswith("federation.") and not module.startswith("federation.rehearse.")
    return any(it.rpartition("/")[2] == "federation" for it in arguments[1:2])


# Ctrl-C while a command's modules load, which takes a second or two; `federation.cli.command` takes over.
if _is_command(sys.orig_argv) and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, _end_at_once)


def __getattr__(name: str) -> object:
    """Load a public name when it is first used."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in __all__:
        return import_module(f"federation.{name}")
    raise AttributeError(f"module 'federation' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return __all__
