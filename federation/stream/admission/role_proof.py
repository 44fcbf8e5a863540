"""Verify that a client has its training role, with a request to AWS STS that the client signed.

The client signs "who am I?" (``GetCallerIdentity``) and sends the headers; see `client_code.protocol.proof`.
Method, host, path and body are the server's own, so the signature is valid only for that one request to the
STS that the server chose. The headers are checked here first, so that a stranger who does not know the run's
values causes no request to AWS.
"""

import asyncio
import datetime as dt
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from client_code.protocol.frames import Join
from client_code.protocol.proof import NONCE, bound_headers
from federation.stream.admission.decision import ProofError, UncheckedError

MINUTES = 5
CONCURRENT = 4
UNBOUND = frozenset({"authorization", "x-amz-date", "x-amz-security-token", NONCE})

_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,8190}[\x21-\x7e])?")
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=\w+/(?P<scope>\d{8}/[a-z0-9-]+/[a-z0-9]+/aws4_request), ?"
    r"SignedHeaders=(?P<signed>[a-z0-9;-]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)
_ARN = re.compile(r"arn:aws[a-z-]*:sts::(?P<account>\d{12}):assumed-role/(?P<role>[\w+=,.@-]+)/[\w+=,.@-]+")


@dataclass(frozen=True, kw_only=True)
class Role:
    """A role in an account.

    Parameters
    ----------
    account, name : str
        Twelve digits; the name without path.
    """

    account: str
    name: str

    @classmethod
    def of_session(cls, arn: str) -> "Role | None":
        """Return the role of an ``assumed-role`` ARN; None for any other principal."""
        match = _ARN.fullmatch(arn)
        return cls(account=match["account"], name=match["role"]) if match else None


@dataclass(frozen=True, kw_only=True)
class Binding:
    """The values that a proof must be bound to.

    Parameters
    ----------
    run_id, server_address : str
        The run, and the server's address as the clients received it.
    certificate : str
        SHA-256 of the server's certificate, in hexadecimal.
    region : str
        The region of the STS that is called.
    """

    run_id: str
    server_address: str
    certificate: str
    region: str

    def headers(self, client: str) -> dict[str, str]:
        """Return the headers that a client's signature must cover, with their values."""
        return bound_headers(
            run_id=self.run_id, server=self.server_address, certificate=self.certificate, client=client
        )


@dataclass(frozen=True, kw_only=True)
class SignedRequest:
    """A request that may be sent to STS.

    Parameters
    ----------
    headers : mapping of str to str
        All of them, names in lower case.
    signature : str
        The part that is unique to this request.
    """

    headers: Mapping[str, str]
    signature: str


def read_proof(proof: Mapping[str, str], *, client: str, binding: Binding, now: dt.datetime) -> SignedRequest:
    """Return the signed request that a proof contains.

    Raises
    ------
    ProofError
        The proof is invalid: it is for another run, server, certificate, client or time, or has unexpected
        parts.
    """
    headers = {name.lower(): value for name, value in proof.items()}
    bound = binding.headers(client)
    if headers.keys() != bound.keys() | UNBOUND or len(headers) != len(proof):
        raise ProofError("its proof of identity is not a signed request with the headers of a client")
    if not all(_VALUE.fullmatch(value) for value in headers.values()):
        raise ProofError("its proof of identity has a header that is none")
    for name, expected in bound.items():
        if headers[name] != expected:
            raise ProofError(f"its proof of identity is for another {name.rpartition('-')[2]}")
    match = _AUTHORIZATION.fullmatch(headers["authorization"])
    if match is None:
        raise ProofError("its proof of identity has no signature of AWS's version 4")
    signed = match["signed"].split(";")
    if missing := sorted((headers.keys() | {"host"}) - {"authorization"} - set(signed)):
        raise ProofError(f"its signature does not cover {missing[0]}")
    _check_date(headers["x-amz-date"], now)
    if match["scope"] != f"{headers['x-amz-date'][:8]}/{binding.region}/sts/aws4_request":
        raise ProofError(f"its signature is not for STS in {binding.region}")
    return SignedRequest(headers=headers, signature=match["signature"])


def _check_date(text: str, now: dt.datetime) -> None:
    try:
        signed = dt.datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC)
    except ValueError:
        raise ProofError("its proof of identity has no date") from None
    if abs(now - signed) > dt.timedelta(minutes=MINUTES):
        raise ProofError(
            f"its proof of identity was signed {text}, more than {MINUTES} minutes from the server's clock"
        )


class RoleVerifier:
    """Verify the joins of one run by the clients' roles.

    Parameters
    ----------
    roles : mapping of str to Role
        Each client's role, by the client's name.
    binding : Binding
        The values that a proof must be bound to.
    ask : callable
        Sends a signed request to STS and returns the ARN of the signer; may block. Raises `ProofError` if STS
        refuses, and `UncheckedError` if it does not answer.
    clock : callable
        Returns the time.
    answer_seconds : float
        Maximum time for an answer of STS.
    """

    def __init__(
        self,
        roles: Mapping[str, Role],
        binding: Binding,
        *,
        ask: Callable[[SignedRequest], str],
        clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
        answer_seconds: float = 10.0,
    ) -> None:
        self._roles = roles
        self._binding = binding
        self._ask = ask
        self._clock = clock
        self._answer_seconds = answer_seconds
        self._used: dict[str, dt.datetime] = {}
        self._threads = ThreadPoolExecutor(CONCURRENT, thread_name_prefix="sts")

    async def __call__(self, join: Join) -> None:
        """Return if the sender of a join has the role of the client it names; a proof can be used once.

        Raises
        ------
        ProofError
            It is not, or the proof was used before.
        UncheckedError
            STS does not answer.
        """
        role = self._roles.get(join.client)
        if role is None:
            raise ProofError(f'no client is named "{join.client}" in this federation')
        request = read_proof(join.proof, client=join.client, binding=self._binding, now=self._clock())
        self._check_unused(request)
        asking = asyncio.get_running_loop().run_in_executor(self._threads, self._ask, request)
        try:
            arn = await asyncio.wait_for(asking, self._answer_seconds)
        except TimeoutError:
            raise UncheckedError("AWS STS does not answer the server, who must ask it who joins") from None
        if Role.of_session(arn) != role:
            raise ProofError(f"it is {arn}, and not the role {role.name} of account {role.account}")
        self._check_unused(request)  # a copy may have been accepted while STS was asked
        self._used[request.signature] = self._clock()

    def _check_unused(self, request: SignedRequest) -> None:
        past = self._clock() - dt.timedelta(minutes=2 * MINUTES)  # its date would be refused by then
        self._used = {signature: when for signature, when in self._used.items() if when > past}
        if request.signature in self._used:
            raise ProofError("its proof of identity was used before")
