"""What people who built deferred TLS by hand did, stumbled over or failed at: here it works, or is told."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import starttls

import tests.cli
from tests.cli import starttls as run
from tests.conftest import Servers
from tests.python.faces import Face, trusting
from tests.python.scripted import DEADLINE, Peer, scripted
from tests.servers.pki import PKI, Identity
from tests.servers.postfix import PostfixServer
from tests.servers.process import SERVANT, TLSVersion, scratch

GREETED = ("smtp", "lmtp", "ftp", "imap", "pop3", "sieve", "nntp", "mysql")
"""Where the server speaks first."""
PROTOCOLS = (*GREETED, "xmpp", "ldap", "postgres")


# --- a mail client on the platform's own TLS


def test_a_server_that_takes_mail_under_tls_only(face: Face, postfix: PostfixServer) -> None:
    """``530 5.7.0 Must issue a STARTTLS command first`` comes to who asked for clear text, with what to do."""
    url = f"smtp://{postfix.server_name}:{postfix.port}?tls=none"
    with face.smtp(url) as smtp, pytest.raises(starttls.MessageRefused, match="Must issue a STARTTLS") as refused:
        smtp.send(b"Subject: x\r\n\r\nx\r\n", sender="ann@example.test", recipients=["bob@example.test"])
    assert refused.value.code == 530
    assert refused.value.advice == "this server takes mail under TLS only: do not ask for clear text"
    done = run("send", url, "--from", "ann@example.test", "--to", "bob@example.test", stdin=b"Subject: x\r\n\r\nx\r\n")
    assert done.code == 77
    assert "under TLS only: do not ask for clear text" in done.err


def test_an_account_that_can_read_no_certificate_store(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has no certificate needs no store for it, and whoever names an authority needs none for that."""
    server = servers.service("imap")
    with scratch("account") as folder:
        shutil.copy2(tests.cli.PROGRAM, folder / "starttls")
        authority = Path(shutil.copy(server.ca_file, folder / "ca.pem"))
        authority.chmod(0o644)
        (folder / "store").mkdir(0o700)
        monkeypatch.setattr(tests.cli, "PROGRAM", folder / "starttls")

        def become_nobody() -> None:
            os.setgroups([])
            os.setgid(SERVANT.pw_gid)
            os.setuid(SERVANT.pw_uid)

        nothing = {
            "HOME": "/nonexistent",
            "SSL_CERT_FILE": f"{folder}/store/all.pem",
            "SSL_CERT_DIR": f"{folder}/store",
        }
        url = f"imap://{server.server_name}:{server.port}"
        done = run("probe", url, "--json", "--ca-file", authority, env=nothing, before=become_nobody)
        assert (done.code, done.json["trusted"]) == (0, True), done
        done = run("probe", url, env=nothing, before=become_nobody)
        assert done.code == 78
        assert "certificate store is empty" in done.err and "ca_file" in done.err


@contextlib.contextmanager
def hasty(identity: Identity, version: ssl.TLSVersion, words: bytes, piece: int, first: bytes) -> Iterator[int]:
    """A server whose first words under TLS leave with the last of its handshake, in pieces of a size."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.cert_file, identity.key_file)
    context.minimum_version = context.maximum_version = version

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(DEADLINE)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(first)
            received, to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = context.wrap_bio(received, to_send, server_side=True)
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    connection.sendall(to_send.read())
                    received.write(connection.recv(65_536))
            tls.write(words)
            last = to_send.read()
            for start in range(0, len(last), piece):
                connection.sendall(last[start : start + piece])
            with contextlib.suppress(OSError):
                while connection.recv(65_536):
                    pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(DEADLINE)
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join(DEADLINE)
            assert not thread.is_alive()


@pytest.mark.parametrize("piece", [65_536, 1], ids=["whole", "bytes"])
@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("implicit", [False, True], ids=["deferred", "implicit"])
def test_words_behind_the_last_of_the_handshake(
    face: Face, pki: PKI, implicit: bool, version: TLSVersion, piece: int
) -> None:
    """What a fast server encrypts at once belongs to the session, and what is incomplete is waited for."""
    only = ssl.TLSVersion.TLSv1_2 if version == "1.2" else ssl.TLSVersion.TLSv1_3
    words = b"220 early\r\n" + b"x" * 20_000
    security = "implicit" if implicit else "upgrade"
    config = starttls.TLSConfig(ca_file=pki.ca_file)
    with (
        hasty(pki.server, only, words, piece, b"" if implicit else b"go\r\n") as port,
        face.connection("localhost", port, security=security, tls=config) as connection,
    ):
        if not implicit:
            assert connection.read_line() == b"go"
            connection.start_tls()
        assert connection.tls.version == f"TLSv{version}"
        assert connection.read_line() == b"220 early"
        assert connection.read_exactly(20_000) == b"x" * 20_000


@pytest.mark.parametrize("protocol", GREETED)
def test_the_greeting_is_waited_for(face: Face, protocol: str) -> None:
    """It comes without being asked for: nothing is said before, or it would be taken for the answer."""
    early = []

    def slow(peer: Peer) -> None:
        early.append(not peer.has_no_more())
        peer.say("??? this is no greeting of anything")
        peer.wait_for_end()

    with (
        scripted(slow) as server,
        face.connection("localhost", server.port) as connection,
        pytest.raises(starttls.Error) as refused,
    ):
        connection.upgrade(protocol)
    assert early == [False]
    assert refused.value.kind in ("protocol-violation", "limit-exceeded")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nobody_waits_for_ever(face: Face, protocol: str) -> None:
    def silent(peer: Peer) -> None:
        peer.wait_for_end()

    with scripted(silent) as server, face.connection("localhost", server.port, timeout=0.3) as connection:
        began = time.monotonic()
        with pytest.raises(starttls.TimeoutExceeded):
            connection.upgrade(protocol)
        assert time.monotonic() - began < 15


# --- a deferred handshake for sockets


OTHER_WORDS: dict[str, tuple[list[str], str]] = {
    "many lines": (["250-some.where greets you", "250-SIZE 1", "250-STARTTLS", "250 HELP"], "220 Go"),
    "no words": (["250-", "250 STARTTLS"], "220"),
    "an enhanced code": (["250-x", "250-ENHANCEDSTATUSCODES", "250 starttls"], "220 2.0.0 Ready to start TLS"),
    "a long answer": (["250-x", "250 STARTTLS"], "220-one moment\r\n220-please\r\n220 now"),
}


@pytest.mark.parametrize("words", OTHER_WORDS)
def test_servers_say_it_in_other_words(face: Face, pki: PKI, words: str) -> None:
    """An answer is its code and ends where its grammar says, whatever the text."""
    offers, go = OTHER_WORDS[words]

    def server(peer: Peer) -> None:
        peer.say("220-a long", "220 greeting")
        assert peer.line().startswith("EHLO ")
        peer.say(*offers)
        assert peer.line() == "STARTTLS"
        peer.say(go)
        peer.secure(pki.server)
        peer.say(peer.line())
        peer.wait_for_end()

    config = starttls.TLSConfig(ca_file=pki.ca_file)
    with scripted(server) as at, face.connection("localhost", at.port, tls=config) as connection:
        connection.upgrade("smtp")
        connection.write(b"EHLO again\r\n")
        assert connection.read_line() == b"EHLO again"


@pytest.mark.parametrize(
    "answer", ["454 4.7.0 TLS not available", "501 no", "502 5.5.1 what?", "530 no", "554 go away"]
)
def test_some_answers_mean_no(face: Face, pki: PKI, answer: str) -> None:
    heard = []

    def server(peer: Peer) -> None:
        peer.say("220 here")
        peer.line()
        peer.say("250-here", "250 STARTTLS")
        assert peer.line() == "STARTTLS"
        peer.say(answer)
        heard.append(peer.line())

    config = starttls.TLSConfig(ca_file=pki.ca_file)
    with (
        scripted(server) as at,
        face.connection("localhost", at.port, tls=config) as connection,
        pytest.raises((starttls.UpgradeNotOffered, starttls.Rejected)) as refused,
    ):
        connection.upgrade("smtp")
    assert str(refused.value.code) == answer[:3]
    # A good-bye at most, and nothing that is meant for a secure connection.
    assert heard in ([""], ["QUIT"])


def test_the_handshake_waits_until_it_is_asked_for(face: Face, servers: Servers) -> None:
    """Set before connecting: no handshake yet. Then talk, in clear, for as long as you like."""
    server = servers.service("pop3")
    with face.connection(server.server_name, server.port, tls=trusting(server)) as connection:
        assert connection.read_line().startswith(b"+OK")
        for _ in range(3):
            connection.write(b"CAPA\r\n")
            assert b"STLS\r\n" in connection.read_until(b"\r\n.\r\n")
        connection.write(b"STLS\r\n")
        assert connection.read_line().startswith(b"+OK")
        connection.start_tls()
        connection.write(b"CAPA\r\n")
        assert b"STLS" not in connection.read_until(b"\r\n.\r\n")


def test_a_hook_sees_the_certificate_and_the_name(face: Face, servers: Servers) -> None:
    server = servers.service("imap")
    seen: list[starttls.Presented] = []

    def check(presented: starttls.Presented) -> bool | str:
        seen.append(presented)
        return True if len(seen) == 1 else "not twice"

    config = starttls.TLSConfig(ca_file=server.ca_file, check=check)
    with face.connection(server.server_name, server.port, tls=config) as connection:
        connection.upgrade("imap")
        assert connection.tls.verified_by == "authorities"
    with (
        face.connection(server.server_name, server.port, tls=config) as connection,
        pytest.raises(starttls.CertificateError, match="not twice"),
    ):
        connection.upgrade("imap")
    for presented in seen:
        assert (presented.server_name, presented.refusal) == ("localhost", None)
        assert presented.certificates[0] is not None and "localhost" in presented.certificates[0].names


def test_a_data_connection_needs_what_comes_before_it(face: Face, servers: Servers) -> None:
    """AUTH, PBSZ, PROT and the transfer's command come first, in this order, and the data handshake does not hang."""
    server = servers.ftp("vsftpd", None)
    server.put("file", b"content")
    said: list[str] = []
    content = io.BytesIO()
    with face.ftp(server.url, tls=trusting(server), trace=said.append) as ftp:
        ftp.download("file", content)
    assert content.getvalue() == b"content"
    commands = [line.split()[1] for line in said if line.startswith("C: ")]
    for order in (["AUTH", "USER", "PASS", "RETR"], ["AUTH", "PBSZ", "PROT", "RETR"]):
        assert [command for command in commands if command in order] == order


def test_a_line_is_no_line_before_its_end(face: Face) -> None:
    """Fewer bytes than the buffer holds are not the end of an answer."""

    def server(peer: Peer) -> None:
        for octet in b"+OK a\r":
            peer.say_bytes(bytes([octet]))
        peer.say_bytes(b" b\n+OK c\r\n")
        peer.wait_for_end()

    with scripted(server) as at, face.connection("localhost", at.port, security="plaintext") as connection:
        assert [connection.read_line(), connection.read_line()] == [b"+OK a\r b", b"+OK c"]
