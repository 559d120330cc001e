"""Who a client says it is: certificates of its own from PEM and PKCS#12, with and without a passphrase."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import starttls
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)

from tests.cli import ca
from tests.cli import starttls as cli
from tests.python.faces import Face
from tests.servers import postfix as postfix_daemon
from tests.servers.pki import PKI, Identity
from tests.servers.postfix import PostfixServer

PASSPHRASE = "correct horse é"


@pytest.fixture(scope="module")
def mail(pki: PKI) -> Iterator[PostfixServer]:
    """A server that insists on a certificate of its own authority."""
    with postfix_daemon.serve(pki, client_ca=pki.ca_file) as server:
        yield server


@pytest.fixture(scope="module")
def insisting(pki: PKI) -> Iterator[str]:
    """The URL of a server that ends the handshake of whoever shows no certificate of its authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.server.cert_file, pki.server.key_file)
    context.load_verify_locations(pki.ca_file)
    context.verify_mode = ssl.CERT_REQUIRED

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # the end of the test
            connection.settimeout(20)
            with connection, contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as tls:
                tls.sendall(b"220 ready\r\n")
                for line in tls.makefile("rb"):
                    tls.sendall(b"221 bye\r\n" if line.startswith(b"QUIT") else b"250 ok\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"smtps://localhost:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


def encrypted_key(identity: Identity) -> bytes:
    key = load_pem_private_key(identity.key_file.read_bytes(), None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSPHRASE.encode()))


def bundle(identity: Identity, passphrase: str = PASSPHRASE) -> bytes:
    key = load_pem_private_key(identity.key_file.read_bytes(), None)
    certificate = x509.load_pem_x509_certificate(identity.cert_file.read_bytes())
    sealed = BestAvailableEncryption(passphrase.encode())
    return pkcs12.serialize_key_and_certificates(b"client", key, certificate, None, sealed)  # type: ignore[arg-type]


def test_identities_in_every_form(face: Face, mail: PostfixServer, pki: PKI, tmp_path: Path) -> None:
    (tmp_path / "client.p12").write_bytes(bundle(pki.client))
    ours = starttls.Identity(pki.client.cert_file, pki.client.key_file)
    other = starttls.Identity(pki.other_client.cert_file, pki.other_client.key_file)
    for trust in (
        starttls.TLSConfig(
            ca_file=mail.ca_file,
            client_cert=pki.client.cert_file,
            client_key=encrypted_key(pki.client),
            client_passphrase=PASSPHRASE,
        ),
        starttls.TLSConfig(ca_file=mail.ca_file, client_cert=bundle(pki.client), client_passphrase=PASSPHRASE),
        starttls.TLSConfig(ca_file=mail.ca_file, client_cert=tmp_path / "client.p12", client_passphrase=PASSPHRASE),
        # The one that the server takes, whichever comes first.
        starttls.TLSConfig(ca_file=mail.ca_file, identities=[other, ours]),
        starttls.TLSConfig(
            ca_file=mail.ca_file,
            client_cert=pki.other_client.cert_file,
            client_key=pki.other_client.key_file,
            identities=[ours],
        ),
    ):
        with face.smtp(mail.url, tls=trust) as session:
            assert session.tls.verified_by == "authorities"
        assert PASSPHRASE not in repr(trust)
    assert repr(ours) == "Identity(…)"


def test_none_that_the_server_takes(face: Face, insisting: str, pki: PKI) -> None:
    with face.smtp(
        insisting,
        tls=starttls.TLSConfig(ca_file=pki.ca_file, client_cert=bundle(pki.client, "x"), client_passphrase="x"),
    ):
        pass
    other = starttls.Identity(pki.other_client.cert_file, pki.other_client.key_file)
    for trust, kind, advice in (
        (
            starttls.TLSConfig(ca_file=pki.ca_file),
            "client-certificate-required",
            "give a client certificate and its key",
        ),
        # It names nobody: the one that there is is shown, and refused.
        (
            starttls.TLSConfig(ca_file=pki.ca_file, identities=[other]),
            "alert-received",
            "not take the client certificate",
        ),
    ):
        with pytest.raises(starttls.TLSError) as caught, face.smtp(insisting, tls=trust):
            pass
        assert caught.value.kind == kind and advice in str(caught.value.advice)


def test_passphrases(pki: PKI) -> None:
    key, certificate = encrypted_key(pki.client), pki.client.cert_file
    for cert, its_key in ((certificate, key), (bundle(pki.client), None)):
        with pytest.raises(starttls.TLSError) as wrong:
            starttls.Identity(cert, its_key, passphrase="wrong")
        assert wrong.value.kind == "wrong-passphrase" and wrong.value.advice
        with pytest.raises(starttls.TLSError, match="is encrypted") as none:
            starttls.Identity(cert, its_key)
        assert none.value.kind == "configuration" and "passphrase" in str(none.value.advice)
    with pytest.raises(starttls.TLSError) as mismatch:
        starttls.Identity(certificate, encrypted_key(pki.server), passphrase=PASSPHRASE)
    assert mismatch.value.kind == "key-mismatch"
    with pytest.raises(starttls.TLSError, match="has its own key"):
        starttls.Identity(bundle(pki.client), pki.client.key_file, passphrase=PASSPHRASE)
    with pytest.raises(starttls.InvalidArgument, match="client_cert="):
        starttls.TLSConfig(client_passphrase=PASSPHRASE)
    old = b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"
    with pytest.raises(starttls.TLSError, match="line 2 of the PEM text is a header, as an old kind"):
        starttls.Identity(certificate, old, passphrase=PASSPHRASE)


def test_from_the_command_line(mail: PostfixServer, insisting: str, pki: PKI, tmp_path: Path) -> None:
    (tmp_path / "client.p12").write_bytes(bundle(pki.client))
    (tmp_path / "client.key").write_bytes(encrypted_key(pki.client))
    (tmp_path / "right").write_text(f"{PASSPHRASE}\n")
    (tmp_path / "wrong").write_text("wrong\n")
    words = ("probe", mail.url, "--json", *ca(mail))
    sealed = ("--client-cert", tmp_path / "client.p12", "--client-passphrase-file")
    key = ("--client-cert", pki.client.cert_file, "--client-key", tmp_path / "client.key", "--client-passphrase-file")
    for identity in (sealed, key):
        done = cli(*words, *identity, tmp_path / "right")
        assert done.code == 0, done.err
        done = cli(*words, *identity, tmp_path / "wrong")
        assert done.code == 78 and done.json["error"]["kind"] == "tls_wrong_passphrase"
    done = cli("probe", insisting, "--json", *ca(mail))
    assert done.code == 77 and done.json["error"]["kind"] == "tls_client_certificate_required"
    assert "--client-cert" in done.err
