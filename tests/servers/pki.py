"""A throwaway public-key infrastructure: one trusted authority, good and bad certificates.

Made with the ``cryptography`` package, fresh for each run. All names stand for the local
machine; nothing here is of use outside the tests.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

DAY = datetime.timedelta(days=1)
NAMES = ("localhost", "127.0.0.1", "::1")
"""What the good server certificates are for."""


@dataclass(frozen=True)
class Identity:
    """A certificate with its private key, as PEM files."""

    cert_file: Path
    """The certificate, followed by any intermediates."""
    key_file: Path
    """The private key, PKCS #8 without a password."""


@dataclass(frozen=True)
class PKI:
    """The files of one throwaway infrastructure. Identities are servers' unless named otherwise."""

    ca_file: Path
    """The authority the tests trust."""
    other_ca_file: Path
    """An authority the tests do not trust; issuer of ``unknown_ca`` and ``other_client``."""
    crl_file: Path
    """What ``ca_file`` has revoked (RFC 5280, section 5): ``revoked``."""
    other_crl_file: Path
    """What ``other_ca_file`` has revoked: nothing."""
    server: Identity
    """EC P-256, for ``localhost``, 127.0.0.1 and ::1."""
    server_rsa: Identity
    """RSA 2048, for the same names."""
    chained: Identity
    """Issued by an intermediate authority, which follows in the file."""
    chain_missing: Identity
    """The same kind, with the intermediate left out of the file."""
    expired: Identity
    """Its validity ended yesterday."""
    not_yet_valid: Identity
    """Its validity begins tomorrow."""
    unknown_ca: Identity
    """Good names, issued by ``other_ca_file``."""
    wrong_name: Identity
    """Only for ``elsewhere.example`` and 192.0.2.1."""
    cn_only: Identity
    """``localhost`` as common name, and no subject alternative name at all."""
    no_ip: Identity
    """For ``localhost`` only: a connection by address does not match."""
    self_signed: Identity
    """Good names, signed with its own key."""
    revoked: Identity
    """Good in all other respects."""
    client: Identity
    """A client's certificate, issued by ``ca_file``."""
    other_client: Identity
    """A client's certificate, issued by ``other_ca_file``."""


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _subject(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


class Authority:
    """An authority that issues into a folder; a root, or an intermediate of another."""

    def __init__(self, folder: Path, name: str, issuer: Authority | None = None) -> None:
        self.folder, self.name = folder, name
        self.key = ec.generate_private_key(ec.SECP256R1())
        signer = issuer.key if issuer else self.key
        self.chain: list[x509.Certificate] = []
        """What a server sends after its own certificate: every authority but the root."""
        self.certificate: x509.Certificate = (
            x509.CertificateBuilder()
            .subject_name(_subject(name))
            .issuer_name(issuer.certificate.subject if issuer else _subject(name))
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(_now() - 10 * DAY)
            .not_valid_after(_now() + 10 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_key_usage(authority=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
            .sign(signer, hashes.SHA256())
        )
        if issuer:
            self.chain = [self.certificate, *issuer.chain]

    def write(self, name: str) -> Path:
        """Write the authority's certificate as ``name.pem``."""
        file = self.folder / f"{name}.pem"
        file.write_bytes(_pem(self.certificate))
        return file

    def issue(
        self,
        label: str,
        *,
        names: Sequence[str] = NAMES,
        common_name: str = "starttls test",
        starts: datetime.timedelta = -DAY,
        ends: datetime.timedelta = 5 * DAY,
        key: Key | None = None,
        usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
        with_chain: bool = True,
        self_signed: bool = False,
    ) -> Identity:
        """Issue one certificate and write ``label.pem`` and ``label.key``.

        ``starts`` and ``ends`` are relative to now; without ``names`` there is no subject
        alternative name; ``self_signed`` signs with the new key instead of the authority's.
        """
        key = key or ec.generate_private_key(ec.SECP256R1())
        signer = key if self_signed else self.key
        builder = (
            x509.CertificateBuilder()
            .subject_name(_subject(common_name))
            .issuer_name(_subject(common_name) if self_signed else self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(_now() + starts)
            .not_valid_after(_now() + ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        )
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False
            )
        certificate = builder.sign(signer, hashes.SHA256())
        identity = Identity(self.folder / f"{label}.pem", self.folder / f"{label}.key")
        identity.cert_file.write_bytes(_pem(certificate, *(self.chain if with_chain and not self_signed else ())))
        identity.key_file.touch(mode=0o600)
        identity.key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return identity

    def revoke(self, *identities: Identity) -> Path:
        """Write the list of certificates that the authority has revoked: these."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(_now() - DAY)
            .next_update(_now() + DAY)
            .add_extension(x509.CRLNumber(1), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        for identity in identities:
            serial = x509.load_pem_x509_certificate(identity.cert_file.read_bytes()).serial_number
            one = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(_now() - DAY).build()
            builder = builder.add_revoked_certificate(one)
        file = self.folder / f"{self.name.replace(' ', '-')}.crl"
        file.write_bytes(builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        return file


def make(folder: Path) -> PKI:
    """Make a whole infrastructure in the folder (about 0.2 s, most of it the RSA key)."""
    ca = Authority(folder, "starttls test root")
    intermediate = Authority(folder, "starttls test intermediate", issuer=ca)
    other = Authority(folder, "another root")
    revoked = ca.issue("revoked")
    return PKI(
        ca_file=ca.write("ca"),
        other_ca_file=other.write("other-ca"),
        crl_file=ca.revoke(revoked),
        other_crl_file=other.revoke(),
        server=ca.issue("server"),
        server_rsa=ca.issue("server-rsa", key=rsa.generate_private_key(public_exponent=65537, key_size=2048)),
        chained=intermediate.issue("chained"),
        chain_missing=intermediate.issue("chain-missing", with_chain=False),
        expired=ca.issue("expired", starts=-3 * DAY, ends=-DAY),
        not_yet_valid=ca.issue("not-yet-valid", starts=DAY, ends=3 * DAY),
        unknown_ca=other.issue("unknown-ca"),
        wrong_name=ca.issue("wrong-name", names=("elsewhere.example", "192.0.2.1")),
        cn_only=ca.issue("cn-only", names=(), common_name="localhost"),
        no_ip=ca.issue("no-ip", names=("localhost",)),
        self_signed=ca.issue("self-signed", self_signed=True),
        revoked=revoked,
        client=ca.issue("client", names=(), common_name="client", usage=ExtendedKeyUsageOID.CLIENT_AUTH),
        other_client=other.issue("other-client", names=(), common_name="client", usage=ExtendedKeyUsageOID.CLIENT_AUTH),
    )
