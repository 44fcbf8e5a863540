"""What a client signs to prove its role: the question "who am I?" to AWS STS, bound to one join.

Method, host, path and body are the same for every client, so only the headers travel. The signature covers
the headers below as well, so that a proof is worth nothing for any other join.
"""

import hashlib
import ssl

BODY = b"Action=GetCallerIdentity&Version=2011-06-15"
CONTENT_TYPE = "application/x-www-form-urlencoded; charset=utf-8"
NONCE = "x-federation-nonce"
"""Header with a random value: no proof is like another."""


def bound_headers(*, run_id: str, server: str, certificate: str, client: str) -> dict[str, str]:
    """Return the headers that a client's signature must cover, with their values.

    Parameters
    ----------
    run_id, server : str
        The run, and the address of its server.
    certificate : str
        The server's, see :func:`fingerprint`.
    client : str
        The client's name in the federation.
    """
    return {
        "content-type": CONTENT_TYPE,
        "x-federation-run": run_id,
        "x-federation-server": server,
        "x-federation-certificate": certificate,
        "x-federation-client": client,
    }


def fingerprint(certificate: bytes) -> str:
    """Return the SHA-256 of a PEM certificate, in hexadecimal."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.decode())).hexdigest()
