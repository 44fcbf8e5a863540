"""The client's errors; each kind has its own exit code, described in ``docs/reference-errors.md``."""

from protocol.frames import IDENTITY_REFUSED, JOIN_REFUSED


class ClientError(Exception):
    """A failure that is safe to tell the server: its text never holds a value of the data."""

    exit_code = 50


class JoinRefusedError(ClientError):
    """The server does not let this client in."""

    exit_code = JOIN_REFUSED


class ServerUnreachableError(ClientError):
    """The server did not answer for longer than the client was told to wait."""

    exit_code = 52


class RunFailedError(ClientError):
    """The server ended the run without a model."""

    exit_code = 53


class TableError(ClientError):
    """A table of this client cannot be used; says which column and row, never the value."""

    exit_code = 54


class TooLargeError(ClientError):
    """The rows do not fit into this machine's memory, and the strategy needs them there."""

    exit_code = 55


class RowsChangedError(ClientError):
    """A file of rows changed, or ended early, while it was being read."""

    exit_code = 56


class IdentityError(ClientError):
    """The client cannot prove who it is, or the server does not accept its proof."""

    exit_code = IDENTITY_REFUSED


class ProtocolError(ClientError):
    """What the server sent is not what a server of this protocol sends."""

    exit_code = 59


class LedgerError(ClientError):
    """What is about to be sent cannot be written down, so it is not sent."""

    exit_code = 90


class PyarrowMissingError(ClientError):
    """A file needs pyarrow, which is neither installed nor among this job's wheels."""

    exit_code = 91


class ContractError(ClientError):
    """The rows of this client break the federation's data contract; says which columns, never a value."""

    exit_code = 94
