"""Whom a session believes: authorities in every form, beside the system's own, and pins."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import starttls
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.cli import ca
from tests.cli import starttls as cli
from tests.python.faces import Face
from tests.servers.pki import PKI
from tests.servers.postfix import PostfixServer


def der(file: Path) -> bytes:
    return x509.load_pem_x509_certificate(file.read_bytes()).public_bytes(Encoding.DER)


def system(file: Path, folder: Path) -> dict[str, str]:
    """An environment whose store of authorities is that file, and an empty folder."""
    return {"SSL_CERT_FILE": str(file), "SSL_CERT_DIR": str(folder)}


@pytest.fixture
def folder(pki: PKI, tmp_path: Path) -> Path:
    """As OpenSSL has it: each certificate under its name, one also under its hash."""
    folder = tmp_path / "authorities"
    folder.mkdir()
    (folder / "other.crt").write_bytes(der(pki.other_ca_file))
    (folder / "ours.pem").write_bytes(pki.ca_file.read_bytes())
    (folder / "0a1b2c3d.0").symlink_to("ours.pem")
    return folder


def test_authorities_in_every_form(face: Face, postfix: PostfixServer, pki: PKI, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "ca.der").write_bytes(der(pki.ca_file))
    for trust in (
        starttls.TLSConfig(ca_data=der(pki.ca_file)),
        starttls.TLSConfig(ca_file=tmp_path / "ca.der"),
        starttls.TLSConfig(ca_folder=folder),
        starttls.TLSConfig(ca_file=pki.other_ca_file, ca_data=pki.ca_file.read_text()),
    ):
        with face.smtp(postfix.url, tls=trust) as session:
            assert session.tls.verified_by == "authorities" and not session.tls.pinned
            assert session.tls.binding == "tls-exporter"
    done = cli("probe", postfix.url, "--json", "--ca-folder", folder)
    assert done.code == 0 and done.json["tls"]["verified_by"] == "authorities"
    assert done.json["tls"]["binding"] == "tls-exporter" and done.json["tls"]["pinned"] is False


def test_a_folder_that_cannot_be_used(folder: Path, tmp_path: Path, postfix: PostfixServer) -> None:
    with pytest.raises(starttls.TLSError, match="no certificates in the folder") as nothing:
        starttls.TLSConfig(ca_folder=tmp_path)
    assert nothing.value.kind == "no-authorities" and ".pem" in str(nothing.value.advice)
    with pytest.raises(starttls.LocalFileNotFound) as missing:
        starttls.TLSConfig(ca_folder=tmp_path / "nowhere")
    assert missing.value.filename == str(tmp_path / "nowhere")
    text = (folder / "ours.pem").read_text().splitlines()
    text[4] = text[4][:-1] + "*"
    (folder / "broken.pem").write_text("\n".join(text))
    with pytest.raises(starttls.TLSError, match=r"broken\.pem: line 5 of the PEM text") as broken:
        starttls.TLSConfig(ca_folder=folder)
    assert broken.value.kind == "configuration" and text[4] not in str(broken.value)
    done = cli("probe", postfix.url, "--ca-folder", folder)
    assert done.code == 78 and "broken.pem: line 5 " in done.err


def test_beside_the_systems_own(postfix: PostfixServer, pki: PKI, tmp_path: Path) -> None:
    ours, other = system(pki.ca_file, tmp_path), system(pki.other_ca_file, tmp_path)
    words = ("probe", postfix.url, "--json", "--ca-file", pki.other_ca_file)
    refused = cli(*words, env=ours)
    assert refused.code == 76 and refused.json["error"]["kind"] == "tls_unknown_issuer"
    beside = cli(*words, "--and-platform", env=ours)
    assert beside.code == 0 and beside.json["tls"]["verified_by"] == "platform"
    # What vouches is told, whoever was asked first.
    given = cli("probe", postfix.url, "--json", *ca(postfix), "--and-platform", env=other)
    assert given.code == 0 and given.json["tls"]["verified_by"] == "authorities"
    neither = cli(*words, "--and-platform", env=other)
    assert neither.code == 76 and neither.json["error"]["kind"] == "tls_unknown_issuer"


def test_a_system_without_authorities(postfix: PostfixServer, tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    (tmp_path / "empty.pem").touch()
    done = cli("probe", postfix.url, "--json", env=system(tmp_path / "empty.pem", folder))
    assert done.code == 78 and done.json["error"]["kind"] == "tls_no_authorities"
    assert "ca-certificates" in done.err and "ca_file" in done.err


def test_pins_of_certificates(face: Face, postfix: PostfixServer, pki: PKI) -> None:
    digest = hashlib.sha256(der(pki.server.cert_file))
    colons = digest.digest().hex(":").upper()
    for pin in (digest.digest(), digest.hexdigest(), colons):
        trust = starttls.TLSConfig(ca_file=postfix.ca_file, certificate_pins=["00" * 32, pin])
        with face.smtp(postfix.url, tls=trust) as session:
            assert session.tls.pinned
    for wrong in (
        starttls.TLSConfig(ca_file=postfix.ca_file, certificate_pins=[bytes(32)]),
        starttls.TLSConfig(ca_file=postfix.ca_file, pins=[digest.digest()]),
    ):
        with pytest.raises(starttls.CertificateError) as caught, face.smtp(postfix.url, tls=wrong):
            pass
        assert caught.value.kind == "pin-mismatch"
    alone = cli("probe", postfix.url, "--json", "--insecure", "--pin-certificate", colons)
    assert alone.json["tls"]["verified_by"] == "pin" and alone.json["tls"]["pinned"] is True
    assert cli("probe", postfix.url, *ca(postfix), "--pin-certificate", "00" * 32).code == 76
    for bad in ("", "ab", colons[:-1], bytes(31)):
        with pytest.raises(starttls.InvalidArgument, match="64 hexadecimal digits"):
            starttls.TLSConfig(certificate_pins=[bad])


def test_a_key_of_another_certificate(pki: PKI) -> None:
    with pytest.raises(starttls.TLSError) as caught:
        starttls.TLSConfig(client_cert=pki.client.cert_file, client_key=pki.server.key_file)
    assert caught.value.kind == "key-mismatch" and "issued for" in str(caught.value.advice)
