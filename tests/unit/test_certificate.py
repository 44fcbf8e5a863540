"""The certificate of one run: whom it names, how long, and who trusts it."""

import base64
import datetime as dt
import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509

from federation.stream.certificate import RunCertificate

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)


@pytest.fixture(scope="module")
def certificate() -> RunCertificate:
    """Return a certificate for two addresses and a name."""
    return RunCertificate.create("127.0.0.1", "fd00::1", "localhost", now=NOW)


def parsed(certificate: RunCertificate) -> x509.Certificate:
    """Return the certificate as its parts."""
    return x509.load_pem_x509_certificate(certificate.certificate)


def shake_hands(server: RunCertificate, trusted: str, hostname: str, folder: Path) -> None:
    """Do a TLS handshake in memory; raise what the client raises."""
    chain = folder / "server.pem"
    chain.write_bytes(server.key + server.certificate)
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(chain)
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    theirs.verify_flags = ssl.VERIFY_X509_PARTIAL_CHAIN
    theirs.load_verify_locations(cadata=trusted)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        theirs.wrap_bio(down, up, server_hostname=hostname),
        ours.wrap_bio(up, down, server_side=True),
    )
    done: set[int] = set()
    while len(done) < len(ends):
        for number, end in enumerate(ends):
            try:
                end.do_handshake()
                done.add(number)
            except ssl.SSLWantReadError:
                continue


@pytest.mark.parametrize("hostname", ["127.0.0.1", "localhost"])
def test_a_client_trusts_its_server(certificate: RunCertificate, hostname: str, tmp_path: Path) -> None:
    """What travels on the command line is enough to verify the server by address and by name."""
    trusted = ssl.DER_cert_to_PEM_cert(base64.b64decode(certificate.for_clients(), validate=True))
    shake_hands(certificate, trusted, hostname, tmp_path)


@pytest.mark.parametrize("hostname", ["127.0.0.2", "example.org"])
def test_a_server_of_another_name_is_not_trusted(
    certificate: RunCertificate, hostname: str, tmp_path: Path
) -> None:
    """The certificate is good for the hosts it was made for and no others."""
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        shake_hands(certificate, certificate.certificate.decode(), hostname, tmp_path)


def test_the_server_of_another_run_is_not_trusted(certificate: RunCertificate, tmp_path: Path) -> None:
    """A certificate made for another run, same hosts, does not verify."""
    other = RunCertificate.create("localhost", now=NOW)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(other, certificate.certificate.decode(), "localhost", tmp_path)


def test_addresses_and_names_are_named_as_such(certificate: RunCertificate) -> None:
    """IP addresses, old and new, are address entries and names are DNS entries."""
    names = parsed(certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address("127.0.0.1"),
        ipaddress.ip_address("fd00::1"),
    ]
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]


def test_it_is_valid_for_the_run_only() -> None:
    """It starts a little before now, for clocks that differ, and ends after the time asked for."""
    certificate = parsed(RunCertificate.create("localhost", now=NOW, lifetime=dt.timedelta(days=3)))
    assert certificate.not_valid_before_utc == NOW - dt.timedelta(minutes=5)
    assert certificate.not_valid_after_utc == NOW + dt.timedelta(days=3)


def test_it_cannot_sign_others(certificate: RunCertificate) -> None:
    """It proves one server, and is no authority."""
    extensions = parsed(certificate).extensions
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]


def test_the_key_is_not_shown(certificate: RunCertificate) -> None:
    """Neither the printed certificate nor what clients get holds the private key."""
    secret = certificate.key.decode().splitlines()[1]
    assert secret not in repr(certificate)
    assert "PRIVATE" not in repr(certificate)
    assert secret not in certificate.for_clients()


def test_what_clients_get_fits_a_command_line(certificate: RunCertificate) -> None:
    """It is one line without blanks, within SageMaker's 2,500 characters of a hyperparameter."""
    text = certificate.for_clients()
    assert text.split() == [text]
    assert len(text) <= 2500


def test_every_run_has_its_own_key() -> None:
    """Two runs for the same hosts share neither key nor serial number."""
    first, second = (RunCertificate.create("localhost", now=NOW) for _ in range(2))
    assert first.key != second.key
    assert parsed(first).serial_number != parsed(second).serial_number
