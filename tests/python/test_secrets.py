"""A canary for a password: it is found nowhere, neither raw nor encoded."""

from __future__ import annotations

import base64
import logging
import pickle
import traceback
from pathlib import Path
from typing import Any

import pytest
import starttls

from tests.python.faces import Face, trusting
from tests.python.scripted import Peer, scripted
from tests.servers.ftp import FTPServer
from tests.servers.pki import PKI
from tests.servers.postfix import PostfixServer

CANARY = "canary-7f3a9c"


def shapes() -> list[str]:
    """The canary as it is, and as Base64 at each of the three places it can begin at."""
    encoded = [base64.b64encode(b"\0" * pad + CANARY.encode())[4:-4].decode() for pad in range(3)]
    return [CANARY, CANARY.encode().hex(), *encoded]


def assert_silent(*told: object) -> None:
    text = "\n".join(it if isinstance(it, str) else repr(it) for it in told)
    assert [shape for shape in shapes() if shape in text] == []


def test_a_refused_password_is_told_to_nobody(
    face: Face, postfix: PostfixServer, vsftpd: FTPServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for session in (
        face.smtp(postfix.url, password=CANARY, tls=trusting(postfix), trace=True),
        face.ftp(vsftpd.url, password=CANARY, account=CANARY, tls=trusting(vsftpd), trace=True),
    ):
        with pytest.raises(starttls.AuthenticationFailed) as caught:
            session.connect()
        error = caught.value
        assert_silent(session, error, str(error), vars(error), "".join(traceback.format_exception(error)))
        assert CANARY.encode() not in pickle.dumps(error)
    assert {record.name for record in caplog.records} >= {"starttls.smtp", "starttls.ftp"}
    assert any("***" in record.getMessage() for record in caplog.records)
    assert_silent(caplog.text)


def test_a_url_shows_no_password() -> None:
    for session in (
        starttls.SMTP(f"smtp://ann:{CANARY}@localhost"),
        starttls.AsyncFTP(f"ftp://ann:{CANARY}@localhost/a"),
    ):
        assert_silent(session, dir(session))
        assert "ann@localhost" in repr(session)
        with pytest.raises(TypeError):
            pickle.dumps(session)
    with pytest.raises(starttls.InvalidArgument) as caught:
        starttls.SMTP(f"smtp://ann:{CANARY}%zz@localhost")
    assert_silent(caught.value, str(caught.value))


def test_a_server_that_repeats_the_password(face: Face) -> None:
    events: list[str] = []

    def script(peer: Peer) -> None:
        peer.say("220 scripted")
        assert peer.line() == "AUTH TLS"
        peer.say(f"504 what is {CANARY}")

    with scripted(script) as server:
        session = face.ftp(f"ftp://ann:{CANARY}@127.0.0.1:{server.port}", trace=events.append)
        with pytest.raises(starttls.UpgradeNotOffered):
            session.connect()
    assert events  # nothing secret was said to it, so what it says is its own


def test_keys_are_not_shown(pki: PKI) -> None:
    key = pki.client.key_file.read_bytes()
    tls = starttls.TLSConfig(ca_file=pki.ca_file, client_cert=pki.client.cert_file.read_bytes(), client_key=key)
    lines = [line for line in key.decode().splitlines() if "-----" not in line]
    assert not any(line in repr(tls) for line in lines)
    assert "client_cert=…" in repr(tls)
    with pytest.raises(TypeError):
        pickle.dumps(tls)


def test_the_environment_has_a_password(face: Face, postfix: PostfixServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STARTTLS_PASSWORD", postfix.password)
    with face.smtp(f"smtp://localhost:{postfix.port}", user=postfix.user, tls=trusting(postfix)) as smtp:
        assert smtp.noop().code == 250


def test_a_trace_that_fails_changes_nothing(
    postfix: PostfixServer, capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", seen.append)

    def failing(event: str) -> None:
        raise LookupError(event)

    with starttls.SMTP(postfix.url, tls=trusting(postfix), trace=failing) as smtp:
        assert smtp.noop().code == 250
    assert seen
    assert all(isinstance(it.exc_value, LookupError) for it in seen)


def test_a_client_certificate_is_shown(pki: PKI, tmp_path: Path) -> None:
    from tests.servers import vsftpd as vsftpd_daemon

    with vsftpd_daemon.serve(pki, client_ca=pki.ca_file) as server:
        tls = starttls.TLSConfig(ca_file=pki.ca_file, client_cert=pki.client.cert_file, client_key=pki.client.key_file)
        with starttls.FTP(server.url, tls=tls) as ftp:
            assert ftp.upload(b"x", "file").status == "verified"
        with pytest.raises(starttls.Error), starttls.FTP(server.url, tls=trusting(server)) as ftp:
            ftp.noop()
