"""Proof of this client's identity to the server, created for each join.

On AWS the client signs the request "who am I?" to AWS STS with the credentials of its training role, without
sending it. The server sends that request to the STS that it trusts, and learns the account and the role from
AWS itself: no secret exists that could be lost. The signature also covers the run, the server, its
certificate and the client's name, so the proof is invalid for any other join. AWS calls the signature SigV4:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from errors import IdentityError
from link import Server
from protocol.proof import BODY, NONCE, bound_headers, fingerprint

Prove = Callable[[], Mapping[str, str]]


def by_token(token: str) -> Prove:
    """Return a proof by token, for a run whose server started this process itself."""
    return lambda: {"token": token}


@dataclass(frozen=True, kw_only=True)
class ByRole:
    """A proof by the role of this process's credentials.

    Parameters
    ----------
    region : str
        The region of the STS that the server calls.
    run_id : str
        The run to join.
    server : Server
        The server to join.
    name : str
        This client's name in the federation.
    session : botocore.session.Session, optional
        The session whose credentials sign; by default botocore finds those of the training role.
    """

    region: str
    run_id: str
    server: Server
    name: str
    session: Any = field(default=None, repr=False)

    def __call__(self) -> dict[str, str]:
        """Return the headers of a signed request; the server knows the other parts.

        Raises
        ------
        IdentityError
            This process has no credentials of a role.
        """
        from botocore.auth import SigV4Auth  # noqa: PLC0415 - a local run has no use for it
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415

        bound = bound_headers(
            run_id=self.run_id,
            server=self.server.address,
            certificate=fingerprint(self.server.certificate),
            client=self.name,
        )
        try:
            session, endpoint = self._sts
            credentials = session.get_credentials()
            if credentials is None:
                raise IdentityError("this job has no credentials of a role to prove itself with.")
            request = AWSRequest("POST", endpoint, headers=bound | {NONCE: uuid.uuid4().hex}, data=BODY)
            # Frozen: botocore renews what is about to expire, then hands out one consistent set.
            SigV4Auth(credentials.get_frozen_credentials(), "sts", self.region).add_auth(request)
        except BotoCoreError as error:
            raise IdentityError(f"this job cannot get the credentials of its role ({error}).") from error
        return dict(request.headers.items())

    @cached_property
    def _sts(self) -> tuple[Any, str]:
        """Return the session and the URL of the region's STS; nothing is sent to it."""
        import botocore.session  # noqa: PLC0415

        session = self.session or botocore.session.get_session()
        return session, session.create_client("sts", region_name=self.region).meta.endpoint_url + "/"
