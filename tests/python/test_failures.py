"""What goes wrong, from both faces: each a typed error that says what was tried, where, and what to try next."""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import starttls

from tests.conftest import Servers
from tests.python.faces import Face, trusting
from tests.python.scripted import Peer, scripted, smtp_until_ready
from tests.servers.ftp import FTPServer
from tests.servers.pki import PKI
from tests.servers.postfix import PostfixServer


@contextmanager
def closed_port() -> Iterator[int]:
    """A port that stays taken, and on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def fail(kind: type[starttls.Error], session: object) -> starttls.Error:
    """The error of connecting."""
    with pytest.raises(kind) as caught:
        session.connect()  # type: ignore[attr-defined]
    with pytest.raises(starttls.InvalidState):
        session.noop()  # type: ignore[attr-defined]
    assert type(caught.value) is kind
    return caught.value


def test_a_wrong_password(face: Face, postfix: PostfixServer, vsftpd: FTPServer) -> None:
    for session, code in (
        (face.smtp(postfix.url, password="wrong-canary", tls=trusting(postfix)), 535),
        (face.ftp(vsftpd.url, password="wrong-canary", tls=trusting(vsftpd)), 530),
    ):
        error = fail(starttls.AuthenticationFailed, session)
        assert isinstance(error, PermissionError)
        assert (error.phase, error.code, error.transient) == ("authenticate", code, False)
        assert error.advice is not None
        assert error.advice in str(error)
        assert error.text is not None
        assert error.text in str(error)
        assert "canary" not in f"{error!r}{error}"


def test_an_unknown_authority(face: Face, postfix: PostfixServer, vsftpd: FTPServer, pki: PKI) -> None:
    import ssl

    tls = starttls.TLSConfig(ca_file=pki.other_ca_file)
    for session in (face.smtp(postfix.url, tls=tls), face.ftp(vsftpd.url, tls=tls)):
        error = fail(starttls.CertificateError, session)
        assert isinstance(error, ssl.SSLCertVerificationError)
        assert error.phase == "handshake"
        assert "not trusted" in str(error)


def test_a_wrong_name(face: Face, postfix: PostfixServer, vsftpd: FTPServer, pki: PKI) -> None:
    tls = starttls.TLSConfig(ca_file=pki.ca_file, server_name="elsewhere.example")
    for session in (face.smtp(postfix.url, tls=tls), face.ftp(vsftpd.implicit_url, tls=tls)):
        error = fail(starttls.CertificateError, session)
        assert "not for elsewhere.example but for localhost" in str(error)


def test_a_server_that_is_down(face: Face) -> None:
    with closed_port() as port:
        for session in (face.smtp(f"smtp://127.0.0.1:{port}"), face.ftp(f"ftps://127.0.0.1:{port}")):
            error = fail(starttls.ConnectionRefused, session)
            assert isinstance(error, ConnectionRefusedError)
            assert (error.phase, error.host, error.transient) == ("connect", f"127.0.0.1:{port}", True)


def test_a_name_without_an_address(face: Face) -> None:
    error = fail(starttls.NameUnresolvable, face.smtp("smtp://nowhere.invalid"))
    assert isinstance(error, socket.gaierror)
    assert (error.phase, error.host) == ("resolve", "nowhere.invalid:587")


def test_tls_at_once_where_clear_text_comes_first(face: Face, postfix: PostfixServer, vsftpd: FTPServer) -> None:
    for session, instead in (
        (face.smtp(f"smtps://localhost:{postfix.port}", tls=trusting(postfix)), "smtp://"),
        (face.ftp(f"ftps://localhost:{vsftpd.port}", tls=trusting(vsftpd)), "ftp://"),
    ):
        error = fail(starttls.TLSError, session)
        assert error.phase == "handshake"
        assert error.advice is not None
        assert instead in error.advice


def test_clear_text_where_tls_comes_first(face: Face, postfix: PostfixServer, vsftpd: FTPServer) -> None:
    timeout = starttls.Timeout(reply=0.5)
    for session, instead in (
        (face.smtp(f"smtp://localhost:{postfix.implicit_port}", tls=trusting(postfix), timeout=timeout), "smtps://"),
        (face.ftp(f"ftp://localhost:{vsftpd.implicit_port}", tls=trusting(vsftpd), timeout=timeout), "ftps://"),
    ):
        error = fail(starttls.TimeoutExceeded, session)
        assert isinstance(error, TimeoutError)
        assert error.phase == "greeting"
        assert error.advice is not None
        assert instead in error.advice


def test_a_password_is_not_sent_in_clear_text(face: Face) -> None:
    said: list[str] = []

    def script(peer: Peer) -> None:
        peer.say("220 scripted")
        said.append(peer.line())
        peer.say("250-scripted", "250 AUTH PLAIN")
        said.extend(iter(peer.line, ""))

    with scripted(script) as server:
        session = face.smtp(f"smtp://ann:secret@127.0.0.1:{server.port}?tls=none")
        error = fail(starttls.InvalidState, session)
        assert "clear text" in str(error)
    assert [line.split()[0] for line in said] == ["EHLO"]


def test_no_upgrade_on_offer(face: Face) -> None:
    import ssl

    def script(peer: Peer) -> None:
        peer.say("220 scripted")
        assert peer.line().startswith("EHLO ")
        peer.say("250-scripted", "250 AUTH PLAIN")
        assert peer.line() == ""

    with scripted(script) as server:
        error = fail(starttls.UpgradeNotOffered, face.smtp(f"smtp://ann:secret@127.0.0.1:{server.port}"))
        assert isinstance(error, ssl.SSLError)
        assert error.phase == "upgrade"


def test_bytes_before_the_handshake(face: Face) -> None:
    def script(peer: Peer) -> None:
        peer.say("220 scripted")
        assert peer.line().startswith("EHLO ")
        peer.say("250-scripted", "250 STARTTLS")
        assert peer.line() == "STARTTLS"
        peer.say("220 go ahead", "250 AUTH PLAIN")
        peer.wait_for_end()

    with scripted(script) as server:
        error = fail(starttls.BytesBeforeHandshake, face.smtp(f"smtp://ann:secret@127.0.0.1:{server.port}"))
        assert "AUTH PLAIN" in str(error)


STAGES: dict[str, Callable[[Peer], None]] = {
    "greeting": lambda peer: peer.wait_for_end(),
    "drip": lambda peer: [peer.say("220-more") or time.sleep(0.2) for _ in range(150)] and None,  # half a minute
}


@pytest.mark.parametrize("stage", STAGES)
def test_deadlines_hold(face: Face, stage: str) -> None:
    with scripted(STAGES[stage]) as server:
        session = face.smtp(f"smtp://127.0.0.1:{server.port}", timeout=1.0)
        start = time.monotonic()
        error = fail(starttls.TimeoutExceeded, session)
        assert 1.0 <= time.monotonic() - start < 10  # on a busy machine; without deadlines it would be longer
        assert error.transient


def test_a_drip_of_data_ends_with_the_total(face: Face, servers: Servers) -> None:
    server = servers.ftp("pyftpdlib-drip", None)
    server.put("short", b"x" * 20)
    server.put("long", b"x" * 2000)
    with face.ftp(server.url, tls=trusting(server), timeout=starttls.Timeout(stall=1)) as ftp:
        assert ftp.download("short", io.BytesIO()).size == 20  # two seconds of it, no pause longer than one
    with face.ftp(server.url, tls=trusting(server), timeout=starttls.Timeout(stall=1, total=2)) as ftp:
        start = time.monotonic()
        with pytest.raises(starttls.TimeoutExceeded):
            ftp.download("long", io.BytesIO())
        assert 2 <= time.monotonic() - start < 6


def test_an_outcome_that_nobody_knows(face: Face, pki: PKI) -> None:
    def script(peer: Peer) -> None:
        smtp_until_ready(peer, pki.server)
        assert peer.line().startswith("MAIL FROM:")
        assert peer.line().startswith("RCPT TO:")
        assert peer.line() == "DATA"
        peer.say("250 ok", "250 ok", "354 go on")
        while peer.line() != ".":
            pass
        peer.close()

    with scripted(script) as server:
        smtp = face.smtp(f"smtp://localhost:{server.port}", tls=starttls.TLSConfig(ca_file=pki.ca_file))
        smtp.connect()
        with pytest.raises(starttls.OutcomeUnknown) as caught:
            smtp.send(b"Subject: x\r\n\r\nx\r\n", sender="a@x.test", recipients=["b@x.test"])
        error = caught.value
        assert isinstance(error, ConnectionError)
        assert not error.transient
        assert error.report.outcome == "unknown"
        assert error.report.accepted == ("b@x.test",)
        assert isinstance(error.report.error, starttls.Truncated)
        assert isinstance(error.report.error, ConnectionError)
        assert error.__cause__ is error.report.error
        with pytest.raises(starttls.InvalidState):
            smtp.noop()
        smtp.close()
    assert server.connections == 1


def test_a_server_that_spoke_out_of_turn(face: Face, pki: PKI) -> None:
    def script(peer: Peer) -> None:
        smtp_until_ready(peer, pki.server)
        assert peer.line() == "NOOP"
        peer.say("250 ok", "250 and the next one too")
        assert peer.line() == ""

    with scripted(script) as server:
        smtp = face.smtp(f"smtp://localhost:{server.port}", tls=starttls.TLSConfig(ca_file=pki.ca_file))
        smtp.connect()
        assert smtp.noop().text == "ok"
        with pytest.raises(starttls.ProtocolError, match="and the next one too"):
            smtp.noop()
        smtp.close()
