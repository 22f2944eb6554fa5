"""Makes a private certificate authority and the certificates that TLS tests need.

``make_tls(directory)`` writes PEM files: a good certificate for 127.0.0.1 and localhost, one for
another host, both signed by the authority, and a second authority that signed neither.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Sequence
from pathlib import Path

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet._sslverify import IOpenSSLTrustRoot
from twisted.internet.interfaces import IOpenSSLContextFactory
from twisted.internet.ssl import (
    Certificate,
    DefaultOpenSSLContextFactory,
    trustRootFromCertificates,
)

WRONG_HOST = "wrong.example"
_LIFETIME = dt.timedelta(days=2)


@attrs.frozen
class Pair:
    """A certificate and its private key, as PEM files."""

    certificate: Path
    key: Path

    def context_factory(self) -> IOpenSSLContextFactory:
        """Return what a TLS server that shows this certificate listens with."""
        return DefaultOpenSSLContextFactory(str(self.key), str(self.certificate))


@attrs.frozen
class TLSFiles:
    """What :func:`make_tls` made.

    ``ca`` signed ``good`` and ``wrong_host``; ``other_ca`` signed nothing that is here. A path of
    an authority may be given to a client as ``SSL_CERT_FILE``.
    """

    ca: Path
    other_ca: Path
    good: Pair
    wrong_host: Pair

    def trust_root(self) -> IOpenSSLTrustRoot:
        """Return the trust root of a client that knows the authority."""
        return _trust_root(self.ca)

    def other_trust_root(self) -> IOpenSSLTrustRoot:
        """Return the trust root of a client that knows the unrelated authority only."""
        return _trust_root(self.other_ca)


def make_tls(directory: Path) -> TLSFiles:
    """Write fresh keys and certificates into a directory, which must exist."""
    ca = _Authority("tutumwatch test CA")
    loopback = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
    return TLSFiles(
        ca=_write(directory / "ca.pem", ca.pem()),
        other_ca=_write(directory / "other-ca.pem", _Authority("an unrelated CA").pem()),
        good=ca.issue(directory, "good", loopback),
        wrong_host=ca.issue(directory, "wrong-host", [x509.DNSName(WRONG_HOST)]),
    )


class _Authority:
    """Signs certificates; the key is never written."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        self._certificate = (
            self._builder(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def pem(self) -> bytes:
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, directory: Path, name: str, hosts: Sequence[x509.GeneralName]) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            self._builder(_named(name), key.public_key())
            .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        key_pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        certificate_pem = certificate.public_bytes(serialization.Encoding.PEM)
        return Pair(
            certificate=_write(directory / f"{name}.pem", certificate_pem),
            key=_write(directory / f"{name}.key", key_pem),
        )

    def _builder(
        self, subject: x509.Name, public_key: ec.EllipticCurvePublicKey
    ) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _LIFETIME)
            .not_valid_after(now + _LIFETIME)
        )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _write(path: Path, pem: bytes) -> Path:
    path.write_bytes(pem)
    return path


def _trust_root(ca: Path) -> IOpenSSLTrustRoot:
    root: IOpenSSLTrustRoot = trustRootFromCertificates([Certificate.loadPEM(ca.read_bytes())])
    return root
