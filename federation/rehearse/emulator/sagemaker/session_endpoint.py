"""The container credentials protocol, from which notebooks and training jobs get their role's credentials.

Every AWS SDK follows ``AWS_CONTAINER_CREDENTIALS_FULL_URI`` and asks again before the credentials expire, as
on a real instance. So a script that wants fixed keys in its environment fails here as it fails there.
https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
"""

import json
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any

from federation.rehearse.emulator import ministack_tables as ministack
from federation.rehearse.emulator.access.role_evaluation import session_credentials
from federation.rehearse.emulator.sagemaker import store

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

CREDENTIALS = "/_federation/credentials"
NOTEBOOKS = "/_federation/notebooks/"
_LIFETIME = 3600.0


class Sessions:
    """The role of each token.

    Parameters
    ----------
    endpoint_url : str
        The URL of this emulator.
    """

    def __init__(self, endpoint_url: str) -> None:
        self._uri = endpoint_url + CREDENTIALS
        self._roles: dict[str, tuple[str, str]] = {}

    def grant(self, role_arn: str, session_name: str) -> dict[str, str]:
        """Return the environment variables that give a process a role."""
        token = secrets.token_urlsafe(32)
        self._roles[token] = (role_arn, session_name)
        return {"AWS_CONTAINER_CREDENTIALS_FULL_URI": self._uri, "AWS_CONTAINER_AUTHORIZATION_TOKEN": token}

    def credentials(self, token: str) -> dict[str, str] | None:
        """Return fresh credentials for a token, in the protocol's form."""
        if token not in self._roles:
            return None
        role_arn, session_name = self._roles[token]
        keys = session_credentials(role_arn, session_name, _LIFETIME)
        return {
            "AccessKeyId": keys["AWS_ACCESS_KEY_ID"],
            "SecretAccessKey": keys["AWS_SECRET_ACCESS_KEY"],
            "Token": keys["AWS_SESSION_TOKEN"],
            "Expiration": datetime.fromtimestamp(time.time() + _LIFETIME, UTC).isoformat(),
            "RoleArn": role_arn,
        }

    def notebook(self, account: str, region: str, name: str) -> dict[str, str] | None:
        """Return the environment of a notebook instance in service."""
        with ministack.acting_as(account, region):
            record = store.notebooks.get(name)
        if record is None or record["NotebookInstanceStatus"] != "InService":
            return None
        return self.grant(record["RoleArn"], "SageMaker")

    def forget(self) -> None:
        """Forget every token."""
        self._roles.clear()


def serve_sessions(application: Application, sessions: Sessions) -> Application:
    """Wrap an ASGI application so that it also answers for sessions."""

    async def with_sessions(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if path == CREDENTIALS:
            token = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
            await _answer(send, sessions.credentials(token))
        elif path.startswith(NOTEBOOKS):
            account, _, rest = path.removeprefix(NOTEBOOKS).partition("/")
            region, _, name = rest.partition("/")
            await _answer(send, sessions.notebook(account, region, name))
        else:
            await application(scope, receive, send)

    return with_sessions


async def _answer(send: Send, content: dict[str, str] | None) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200 if content else 404, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(content).encode()})
