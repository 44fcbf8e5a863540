"""The TLS certificate of one run: made in memory, valid for its server only, never written to disk."""

import datetime as dt
import ipaddress
import ssl
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from client_code.protocol.proof import fingerprint


@dataclass(frozen=True, kw_only=True)
class RunCertificate:
    """A private key and the self-signed certificate; clients of this run trust only this certificate.

    Parameters
    ----------
    key, certificate : bytes
        PEM.
    """

    key: bytes = field(repr=False)
    certificate: bytes

    @classmethod
    def create(cls, *hosts: str, now: dt.datetime, lifetime: dt.timedelta = dt.timedelta(days=2)) -> Self:
        """Make a certificate for the addresses and names in ``hosts``, valid for ``lifetime`` from ``now``.

        No client can join after that, so it should last as long as a client may run.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "federation server")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=5))  # clocks of two accounts may differ
            .not_valid_after(now + lifetime)
            .add_extension(x509.SubjectAlternativeName([_subject(host) for host in hosts]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(
            key=key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
            certificate=certificate.public_bytes(serialization.Encoding.PEM),
        )

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, in hexadecimal."""
        return fingerprint(self.certificate)

    def for_clients(self) -> str:
        """Return the certificate as one line of base64 (DER), as the client's command line takes it."""
        return b64encode(ssl.PEM_cert_to_DER_cert(self.certificate.decode())).decode()


def _subject(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
