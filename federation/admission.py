"""Decide who may join a run."""

import hmac
from collections.abc import Callable, Sequence

from federation.errors import SchemaMismatchError
from federation.frames import PROTOCOL, Join, schema_hash
from federation.members import Refusal
from federation.preprocessing import describe_mismatch


def token_admission(
    token: str, *, names: Sequence[str], label: str, features: Sequence[str]
) -> Callable[[Join], Refusal | None]:
    """Return a decision that lets in holders of the run's token with an expected name and the same columns.

    Parameters
    ----------
    token : str
        The secret of the run.
    names : sequence of str
        The clients that are expected.
    label, features : str, sequence of str
        The server's columns.
    """
    expected = schema_hash(label, features)

    def admit(join: Join) -> Refusal | None:
        if join.protocol != PROTOCOL:
            return Refusal(reason=f"it speaks protocol {join.protocol}, this server {PROTOCOL}")
        if not hmac.compare_digest(join.token.encode(), token.encode()):
            return Refusal(reason="its join token is not that of this run")
        if join.client not in names:
            return Refusal(reason=f'no client is named "{join.client}" in this federation')
        if join.schema != expected:
            mismatch = describe_mismatch(join.label, join.features, label=label, features=features)
            reason = mismatch or "its schema hash does not match its columns."
            error = SchemaMismatchError(
                f'client "{join.client}": {reason}', "Give every party the same columns."
            )
            return Refusal(reason=reason, fatal=error)
        return None

    return admit
