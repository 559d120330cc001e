"""Connections of every protocol become TLS, with real servers: the upgrade, what is said then, and what goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import starttls

from tests.cli import ca
from tests.cli import starttls as run
from tests.conftest import FTP_DAEMONS, Servers
from tests.python.exchanges import EXCHANGES
from tests.python.faces import TIMEOUT, Face, trusting
from tests.python.tap import tapped
from tests.servers.dovecot import DovecotServer
from tests.servers.mail import MailServer
from tests.servers.peers import Peer
from tests.servers.pki import PKI, Identity
from tests.servers.process import TLSVersion
from tests.servers.service import IMPLICIT, Service

GREETINGS = {
    "imap": b"* OK [",
    "pop3": b"+OK ",
    "sieve": b'"IMPLEMENTATION" ',
    "nntp": b"20",
    "xmpp": b"<",
    "xmpp-server": b"<",
    "mysql": b"\x0a",
}
"""How that begins which a server says before TLS, if it says anything."""
IMPLICITLY = [protocol for protocol in EXCHANGES if protocol in IMPLICIT]
HANDSHAKE = b"\x16\x03"
"""How a ClientHello begins."""


def upgrading(face: Face, server: Service, port: int = 0, **options: Any) -> Any:
    """A connection to the server, in clear text, that believes its authority."""
    return face.connection(server.server_name, port or server.port, **{"tls": trusting(server), **options})


# --- the upgrade


@pytest.mark.parametrize("protocol", EXCHANGES)
def test_every_protocol(face: Face, servers: Servers, protocol: str) -> None:
    server = servers.service(protocol)
    with upgrading(face, server) as connection:
        assert connection.tls is None
        assert connection.peer_address == (server.host, server.port)
        assert connection.upgrade(protocol).startswith(GREETINGS.get(protocol, b""))
        assert connection.tls.version == "TLSv1.3"
        assert connection.tls.server_name == server.server_name
        EXCHANGES[protocol](connection, server)


@pytest.mark.parametrize("protocol", EXCHANGES)
def test_every_protocol_byte_by_byte(face: Face, servers: Servers, protocol: str) -> None:
    server = servers.service(protocol)
    with (
        tapped(server.host, server.port, piece=1) as tap,
        upgrading(face, server, tap.port) as connection,
    ):
        connection.upgrade(protocol)
        EXCHANGES[protocol](connection, server)
    clear, _, _ = tap.sent.partition(HANDSHAKE)
    assert len(clear) < len(tap.sent)
    assert server.password.encode() not in tap.sent


@pytest.mark.parametrize("protocol", EXCHANGES)
def test_every_protocol_over_a_socket(face: Face, servers: Servers, protocol: str) -> None:
    server = servers.service(protocol)
    sock = socket.create_connection((server.host, server.port), TIMEOUT)
    with face.connection(sock=sock, server_name=server.server_name, tls=trusting(server)) as connection:
        connection.upgrade(protocol)
        EXCHANGES[protocol](connection, server)
    assert sock.fileno() == -1


@pytest.mark.parametrize("protocol", EXCHANGES)
def test_every_protocol_by_pythons_openssl(face: Face, servers: Servers, protocol: str) -> None:
    server = servers.service(protocol)
    context = ssl.create_default_context(cafile=str(server.ca_file))
    with upgrading(face, server, tls=context) as connection:
        connection.upgrade(protocol)
        EXCHANGES[protocol](connection, server)


def test_a_stream_of_asyncio(servers: Servers) -> None:
    server = servers.service("imap")

    async def talk() -> None:
        stream = await asyncio.open_connection(server.host, server.port)
        tls = trusting(server)
        async with starttls.AsyncConnection(stream=stream, server_name=server.server_name, tls=tls) as connection:
            assert (await connection.upgrade("imap")).startswith(b"* OK")
            await connection.write(b"a LOGOUT\r\n")
            assert (await connection.read_line() or b"").startswith(b"* BYE")

    asyncio.run(asyncio.wait_for(talk(), TIMEOUT))


def test_mail(face: Face, mail_server: MailServer) -> None:
    with face.connection(mail_server.server_name, mail_server.port, tls=trusting(mail_server)) as connection:
        assert connection.upgrade("smtp").startswith(b"220")
        connection.write(b"EHLO client.example\r\n")
        offers = connection.read_until(b"\r\n250 ") + connection.read_line()
        assert b"AUTH " in offers and b"STARTTLS" not in offers
        connection.write(b"QUIT\r\n")
        assert connection.read_line().startswith(b"221")


def test_local_mail(face: Face, dovecot: DovecotServer) -> None:
    with face.connection(dovecot.server_name, dovecot.lmtp_port, tls=trusting(dovecot)) as connection:
        assert connection.upgrade("lmtp").startswith(b"220")
        connection.write(b"LHLO client.example\r\n")
        assert b"STARTTLS" not in connection.read_until(b"\r\n250 ") + connection.read_line()


@pytest.mark.parametrize("daemon", FTP_DAEMONS)
def test_files(face: Face, servers: Servers, daemon: str) -> None:
    server = servers.ftp(daemon, None)
    with face.connection(server.server_name, server.port, tls=trusting(server)) as connection:
        assert connection.upgrade("ftp").startswith(b"220")
        connection.write(b"USER " + server.user.encode() + b"\r\n")
        assert connection.read_line().startswith(b"331")
        connection.write(b"PASS " + server.password.encode() + b"\r\n")
        assert connection.read_line().startswith(b"230")


@pytest.mark.parametrize("protocol", IMPLICITLY)
def test_tls_from_the_first_byte(face: Face, servers: Servers, protocol: str) -> None:
    server = servers.service(protocol)
    with upgrading(face, server, server.implicit_port, security="implicit") as connection:
        assert connection.tls.version == "TLSv1.3"
        if protocol in ("imap", "pop3", "nntp"):
            assert connection.read_line().startswith(GREETINGS[protocol])
        EXCHANGES[protocol](connection, server)


def test_the_caller_says_when(face: Face, servers: Servers) -> None:
    """Talk in clear, hear the server agree, and shake hands on the same connection."""
    server = servers.service("imap")
    with upgrading(face, server) as connection:
        assert connection.read_line().startswith(b"* OK [")
        connection.write(b"1 CAPABILITY\r\n")
        assert b" STARTTLS" in connection.read_line()
        assert connection.read_line().startswith(b"1 OK")
        connection.write(b"2 STARTTLS\r\n")
        assert connection.read_line().startswith(b"2 OK")
        assert connection.tls is None
        connection.start_tls()
        assert connection.tls.version == "TLSv1.3"
        EXCHANGES["imap"](connection, server)
        assert connection.read() == b""


# --- what goes wrong


@pytest.mark.parametrize("protocol", EXCHANGES)
def test_a_server_without_tls(face: Face, servers: Servers, protocol: str) -> None:
    server = servers.service(f"{protocol}-clear")
    with tapped(server.host, server.port) as tap, upgrading(face, server, tap.port) as connection:
        with pytest.raises(starttls.UpgradeNotOffered) as refused:
            connection.upgrade(protocol)
        # It is over: nothing can be said in clear text by mistake.
        with pytest.raises(starttls.InvalidState):
            connection.write(f"LOGIN {server.user} {server.password}\r\n".encode())
    assert refused.value.phase == "upgrade"
    assert HANDSHAKE not in tap.sent
    for secret in (server.user, server.password):
        assert secret.encode() not in tap.sent


@pytest.mark.parametrize("fault", ["unknown-issuer", "name-mismatch"])
@pytest.mark.parametrize("protocol", EXCHANGES)
def test_a_certificate_that_is_not_believed(face: Face, servers: Servers, pki: PKI, protocol: str, fault: str) -> None:
    server = servers.service(protocol)
    unknown = fault == "unknown-issuer"
    config = starttls.TLSConfig(
        ca_file=pki.other_ca_file if unknown else pki.ca_file,
        server_name=server.server_name if unknown else "elsewhere.example",
    )
    with upgrading(face, server, tls=config) as connection:
        with pytest.raises(starttls.CertificateError) as refused:
            connection.upgrade(protocol)
        with pytest.raises(starttls.InvalidState):
            connection.write(server.password.encode())
    assert refused.value.kind == fault


@pytest.mark.parametrize("protocol", EXCHANGES)
def test_a_server_of_another_protocol(face: Face, servers: Servers, protocol: str) -> None:
    """The words that mean go are those of the protocol that was asked for."""
    other = servers.service("pop3" if protocol != "pop3" else "imap")
    with upgrading(face, other, timeout=2) as connection, pytest.raises(starttls.Error) as refused:
        connection.upgrade(protocol)
    assert not isinstance(refused.value, starttls.CertificateError)
    assert refused.value.phase in ("greeting", "upgrade")


# --- other libraries' TLS


def lines(connection: Any, peer: Peer) -> None:
    for line in (b"a line", b"another", b"x" * 1000):
        connection.write(line + b"\n")
        assert connection.read_line() == peer.answer(line)


@pytest.mark.parametrize("security", ["upgrade", "implicit"])
@pytest.mark.parametrize("tls", ["1.2", "1.3"])
@pytest.mark.parametrize("library", ["gnutls", "openssl"])
def test_libraries(face: Face, servers: Servers, library: str, tls: TLSVersion, security: str) -> None:
    peer = servers.peer(library, tls)
    with upgrading(face, peer, security=security) as connection:
        if security == "upgrade":
            connection.start_tls()
        assert connection.tls.version == f"TLSv{tls}"
        lines(connection, peer)


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
@pytest.mark.parametrize("library", ["gnutls", "openssl"])
def test_libraries_byte_by_byte(face: Face, servers: Servers, library: str, tls: TLSVersion) -> None:
    peer = servers.peer(library, tls)
    with tapped(peer.host, peer.port, piece=1) as tap, upgrading(face, peer, tap.port) as connection:
        connection.start_tls()
        lines(connection, peer)


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
@pytest.mark.parametrize("library", ["gnutls", "openssl"])
def test_client_certificates(face: Face, servers: Servers, pki: PKI, library: str, tls: TLSVersion) -> None:
    peer = servers.peer(f"{library}-asking", tls)

    def talk(identity: Identity | None) -> None:
        given = {"client_cert": identity.cert_file, "client_key": identity.key_file} if identity else {}
        config = starttls.TLSConfig(ca_file=pki.ca_file, **given)
        with upgrading(face, peer, tls=config, security="implicit") as connection:
            lines(connection, peer)

    talk(pki.client)
    # With TLS 1.3 the handshake is over on our side before the server says no: where we hear of it is no matter.
    with pytest.raises(starttls.TLSError) as missing:
        talk(None)
    assert missing.value.kind == "client-certificate-required"
    with pytest.raises((starttls.TLSError, starttls.ConnectionLost, starttls.TransportError)):
        talk(pki.other_client)


# --- from the command line


@pytest.mark.parametrize("protocol", EXCHANGES)
def test_the_command_line(servers: Servers, protocol: str) -> None:
    server = servers.service(protocol)
    done = run("probe", f"{protocol}://{server.server_name}:{server.port}", "--json", *ca(server))
    assert done.code == 0, done
    assert done.json["trusted"] is True
    assert done.json["tls"]["version"] == "TLSv1.3"
    plain = run("probe", f"{protocol}://{server.server_name}:{server.port}", *ca(server))
    assert plain.code == 0 and b"trusted for localhost" in plain.out


@pytest.mark.parametrize("protocol", IMPLICITLY)
def test_the_command_line_and_implicit_tls(servers: Servers, protocol: str) -> None:
    server = servers.service(protocol)
    done = run("probe", f"{IMPLICIT[protocol]}://{server.server_name}:{server.implicit_port}", "--json", *ca(server))
    assert done.code == 0 and done.json["trusted"] is True, done


@pytest.mark.parametrize("protocol", EXCHANGES)
def test_the_command_line_says_what_is_wrong(servers: Servers, pki: PKI, protocol: str) -> None:
    server, clear = servers.service(protocol), servers.service(f"{protocol}-clear")
    stranger = run("probe", f"{protocol}://localhost:{server.port}", "--json", "--ca-file", pki.other_ca_file)
    assert stranger.code == 76
    assert (stranger.json["trusted"], stranger.json["error"]["kind"]) == (False, "tls_unknown_issuer")
    refused = run("probe", f"{protocol}://localhost:{clear.port}", "--json", *ca(clear))
    assert refused.code == 76, refused
    assert json.loads(refused.out or b"{}").get("tls") is None


# --- PostgreSQL's direct TLS


@contextlib.contextmanager
def direct(pki: PKI) -> Iterator[tuple[int, list[str | None]]]:
    """Like PostgreSQL 17: TLS from the first byte, for two who offer its protocol. Its port, and what was chosen."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.server.cert_file, pki.server.key_file)
    context.set_alpn_protocols(["postgresql"])
    chosen: list[str | None] = []

    def serve() -> None:
        for _ in range(2):
            accepted, _ = listener.accept()
            accepted.settimeout(TIMEOUT)
            with contextlib.suppress(OSError), context.wrap_socket(accepted, server_side=True) as secured:
                chosen.append(secured.selected_alpn_protocol())
                if chosen[-1] and secured.recv(100) == b"startup":
                    secured.sendall(b"R")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(TIMEOUT)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1], chosen
        finally:
            thread.join(TIMEOUT)


def test_postgres_direct(face: Face, pki: PKI) -> None:
    with direct(pki) as (port, chosen):
        config = starttls.TLSConfig(ca_file=pki.ca_file, alpn=["postgresql"])
        with face.connection("localhost", port, security="implicit", tls=config) as connection:
            connection.write(b"startup")
            assert (connection.tls.alpn, connection.read(1)) == ("postgresql", b"R")
        done = run("probe", f"postgres-direct://localhost:{port}", "--json", "--ca-file", pki.ca_file)
        assert (done.code, done.json["tls"]["alpn"]) == (0, "postgresql")
    assert chosen == ["postgresql"] * 2
