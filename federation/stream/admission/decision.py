"""Decide who may join a run."""

import hmac
from collections.abc import Awaitable, Callable, Sequence

from client_code.protocol.frames import IDENTITY_REFUSED, PROTOCOL, Join, schema_hash
from federation.data.table import describe_mismatch
from federation.errors import (
    FederationError,
    IdentityRefusedError,
    IdentityUncheckedError,
    JoinDeadlineError,
    SchemaMismatchError,
)
from federation.stream.clients.members import Refusal

Verify = Callable[[Join], Awaitable[None]]
"""Checks who sent a join; raises `ProofError`, or `UncheckedError` if that cannot be known now."""


class ProofError(ValueError):
    """A join whose sender is not the client that it claims to be, with the reason."""


class UncheckedError(Exception):
    """A join whose sender cannot be verified at present, with the reason."""


class Admission:
    """Let in the expected clients that prove who they are and hold the server's columns, and nobody else.

    Parameters
    ----------
    verify : callable
        Verifies the sender of a join.
    names : sequence of str
        The clients that are expected.
    label, features : str, sequence of str
        The server's columns.
    contract : str
        SHA-256 of the data contract that every client must keep; "" without one.
    """

    def __init__(
        self,
        verify: Verify,
        *,
        names: Sequence[str],
        label: str,
        features: Sequence[str],
        contract: str = "",
    ) -> None:
        self._verify = verify
        self._names = frozenset(names)
        self._label, self._features = label, tuple(features)
        self._schema = schema_hash(label, features, contract)
        self._proven: set[str] = set()
        self._problems: dict[str, FederationError] = {}

    async def __call__(self, join: Join) -> Refusal | None:
        """Return the reason for refusing a join; None admits it."""
        if join.protocol != PROTOCOL:
            return Refusal(reason=f"it speaks protocol {join.protocol}, this server {PROTOCOL}")
        try:
            await self._verify(join)
        except ProofError as error:
            self._note(join, IdentityRefusedError, str(error))
            return Refusal(reason=str(error), code=IDENTITY_REFUSED)
        except UncheckedError as error:
            self._note(join, IdentityUncheckedError, str(error))
            return Refusal(reason=str(error), temporary=True)
        if join.client not in self._names:
            return Refusal(reason=f'no client is named "{join.client}" in this federation')
        self._proven.add(join.client)
        return self._mismatch(join)

    def explanation_of(self, error: FederationError) -> FederationError:
        """Return why a client that ``error`` names could not prove its identity, or ``error`` itself.

        Clients that have proved their identity are ignored: a stranger with the same name explains nothing.
        """
        missing = error.missing if isinstance(error, JoinDeadlineError) else ()
        for name, problem in self._problems.items():
            if name not in self._proven and (name in missing or f'"{name}"' in error.problem):
                return problem
        return error

    def _note(
        self, join: Join, kind: type[IdentityRefusedError | IdentityUncheckedError], reason: str
    ) -> None:
        if join.client in self._names:
            self._problems[join.client] = kind(
                f'client "{join.client}" did not join: {reason}.',
                "Compare its account, its stack and this configuration; see the reference of errors.",
            )

    def _mismatch(self, join: Join) -> Refusal | None:
        if join.schema == self._schema:
            return None
        mismatch = describe_mismatch(join.label, join.features, label=self._label, features=self._features)
        reason = mismatch or "its schema hash is not that of its columns and the server's data contract."
        error = SchemaMismatchError(f'client "{join.client}": {reason}', "Give every party the same columns.")
        return Refusal(reason=reason, fatal=error)


def by_token(token: str) -> Verify:
    """Return a check by token, for a run whose server starts the clients itself and gives them the token."""

    async def verify(join: Join) -> None:
        if not hmac.compare_digest(join.proof.get("token", "").encode(), token.encode()):
            raise ProofError("its join token is not that of this run")

    return verify
