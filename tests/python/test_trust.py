"""Whom a session believes: authorities in every form, beside the system's own, and pins."""

from __future__ import annotations

import datetime
import hashlib
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import starttls
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from tests.cli import ca
from tests.cli import starttls as cli
from tests.python.faces import Face
from tests.servers import postfix as postfix_daemon
from tests.servers.pki import DAY, PKI, Authority
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


def test_a_store_that_there_is_not(postfix: PostfixServer) -> None:
    with pytest.raises(starttls.TLSError, match='certificate store "Nowhere"') as caught:
        starttls.TLSConfig(ca_store="Nowhere")
    assert caught.value.kind == "no-authorities" and caught.value.advice
    done = cli("probe", postfix.url, "--ca-store", "Nowhere")
    assert done.code == 78 and 'certificate store "Nowhere"' in done.err


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


def revocation_list(authority: Authority, *revoked: int, stale: bool = False) -> x509.CertificateRevocationList:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(now - 2 * DAY)
        .next_update(now - DAY if stale else now + DAY)
        .add_extension(x509.CRLNumber(1), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()),
            critical=False,
        )
    )
    for serial in revoked:
        one = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - 2 * DAY).build()
        builder = builder.add_revoked_certificate(one)
    return builder.sign(authority.key, hashes.SHA256())


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ours"), "one that revokes")


@pytest.fixture(scope="module")
def mail(pki: PKI, ours: Authority) -> Iterator[PostfixServer]:
    """A server whose certificate that authority issued."""
    with postfix_daemon.serve(pki, identity=ours.issue("mail")) as server:
        yield server


def test_revoked(face: Face, mail: PostfixServer, ours: Authority, tmp_path: Path) -> None:
    serial = x509.load_pem_x509_certificate((ours.folder / "mail.pem").read_bytes()).serial_number
    ca_file = ours.write("ca")

    def kind(crl: bytes | Path, unknown: Literal["refuse", "allow"] = "refuse") -> str | None:
        trust = starttls.TLSConfig(ca_file=ca_file, crls=[crl], unknown_revocation=unknown)
        try:
            with face.smtp(mail.url, tls=trust):
                return None
        except starttls.CertificateError as error:
            return error.kind

    revoked, fine = revocation_list(ours, serial, 5), revocation_list(ours, 5)
    stale = revocation_list(ours, serial, stale=True)
    (tmp_path / "list.crl").write_bytes(revoked.public_bytes(Encoding.DER))
    assert kind(fine.public_bytes(Encoding.PEM)) is None
    assert kind(revoked.public_bytes(Encoding.PEM)) == kind(tmp_path / "list.crl") == "revoked"
    assert kind(stale.public_bytes(Encoding.DER)) == "revocation-unknown"
    assert kind(stale.public_bytes(Encoding.DER), "allow") == "revoked"
    with pytest.raises(starttls.TLSError, match="no list of revoked certificates"):
        starttls.TLSConfig(crls=[b"nonsense"])
    with pytest.raises(starttls.InvalidArgument, match="unknown_revocation"):
        starttls.TLSConfig(unknown_revocation="maybe")  # type: ignore[arg-type]

    words = ("probe", mail.url, "--json", "--ca-file", ca_file)
    done = cli(*words, "--crl", tmp_path / "list.crl")
    assert done.code == 76 and done.json["error"]["kind"] == "tls_revoked" and done.json["trusted"] is False
    (tmp_path / "list.crl").write_bytes(stale.public_bytes(Encoding.DER))
    done = cli(*words, "--crl", tmp_path / "list.crl")
    assert done.code == 76 and done.json["error"]["kind"] == "tls_revocation_unknown" and "CRL" in done.err
    (tmp_path / "list.crl").write_bytes(revocation_list(ours, stale=True).public_bytes(Encoding.PEM))
    assert cli(*words, "--crl", tmp_path / "list.crl", "--allow-unknown-revocation").code == 0


def test_a_check_of_ones_own(face: Face, postfix: PostfixServer, pki: PKI) -> None:
    seen: list[starttls.Presented] = []

    def say(answer: Any) -> Callable[[starttls.Presented], Any]:
        def check(presented: starttls.Presented) -> Any:
            seen.append(presented)
            return answer

        return check

    def outcome(**trust: Any) -> str | None:
        try:
            with face.smtp(postfix.url, tls=starttls.TLSConfig(**trust)) as session:
                return str(session.tls.verified_by)
        except starttls.CertificateError as error:
            return f"{error.kind}: {error.message}"

    good, bad = pki.ca_file, pki.other_ca_file
    assert outcome(ca_file=good, check=say(True)) == "authorities"
    assert (seen[0].verified_by, seen[0].refusal, seen[0].server_name) == ("authorities", None, "localhost")
    assert seen[0].chain[0] == der(pki.server.cert_file) and seen[0].ocsp_response is None
    assert seen[0].certificates[0] is not None and "localhost" in seen[0].certificates[0].names
    for answer, why in (("not today", "not today"), (None, "it returned None"), (1, "it returned 1")):
        told = str(outcome(ca_file=good, check=say(answer)))
        assert told.startswith("rejected-by-check: ") and why in told
        assert str(outcome(ca_file=bad, danger_check=say(answer))).startswith("rejected-by-check: ")
    # It cannot accept what is refused, unless it is asked to by name.
    assert str(outcome(ca_file=bad, check=say(True))).startswith("unknown-issuer")
    assert isinstance(seen[-1].refusal, starttls.CertificateError) and seen[-1].refusal.kind == "unknown-issuer"
    assert seen[-1].verified_by is None
    assert outcome(ca_file=bad, danger_check=say(True)) == "check"
    with pytest.raises(starttls.InvalidArgument, match="exclude each other"):
        starttls.TLSConfig(check=say(True), danger_check=say(True))


def test_a_check_that_raises_rejects(face: Face, postfix: PostfixServer, pki: PKI) -> None:
    raised = LookupError("no such thing")

    def check(presented: starttls.Presented) -> bool:
        raise raised

    for trust in (
        starttls.TLSConfig(ca_file=pki.ca_file, check=check),
        starttls.TLSConfig(ca_file=pki.ca_file, danger_check=check),
    ):
        rejects = pytest.raises(starttls.CertificateError, match="LookupError: no such thing")
        with rejects as caught, face.smtp(postfix.url, tls=trust):
            pass
        assert caught.value.kind == "rejected-by-check"
        assert caught.value.__cause__ is raised
        frames = [frame.name for frame in traceback.extract_tb(raised.__traceback__)]
        assert frames[-1] == "check", "where it was raised"


def test_what_is_no_exception_is_raised_as_it_is(face: Face, postfix: PostfixServer, pki: PKI) -> None:
    """As Ctrl-C in the middle of a check."""

    class Stop(BaseException):
        pass

    def check(presented: starttls.Presented) -> bool:
        raise Stop

    with pytest.raises(Stop), face.smtp(postfix.url, tls=starttls.TLSConfig(ca_file=pki.ca_file, check=check)):
        pass


def test_what_a_check_raises_about_a_refused_certificate_is_reported(
    face: Face, postfix: PostfixServer, pki: PKI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal is the error; the exception is no cause of it, and does not vanish."""
    reported: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda it: reported.append(it.exc_value))
    raised = LookupError("no such thing")

    def check(presented: starttls.Presented) -> bool:
        raise raised

    trust = starttls.TLSConfig(ca_file=pki.other_ca_file, check=check)
    with pytest.raises(starttls.CertificateError) as caught, face.smtp(postfix.url, tls=trust):
        pass
    assert (caught.value.kind, caught.value.__cause__) == ("unknown-issuer", None)
    assert reported == [raised]
