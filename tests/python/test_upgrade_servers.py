"""The servers of other protocols, tried with Python's own TLS: each is asked for it as its protocol wants."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.conftest import Servers
from tests.python.exchanges import EXCHANGES, ber, stream_header
from tests.servers.catalogue import PEERS, UPGRADED
from tests.servers.pki import PKI, Identity
from tests.servers.process import TLSVersion
from tests.servers.service import IMPLICIT, Service

TIMEOUT = 10
REFUSED = {
    "imap": b"a BAD",
    "pop3": b"-ERR",
    "sieve": b"NO",
    "nntp": b"580",
    "xmpp": b"<stream:features>",
    "xmpp-server": b"<stream:features>",
    "ldap": b"\x0a\x01\x02",
    "postgres": b"N",
    "mysql": b"",
}
"""What a server says that has no TLS."""


class Peer:
    """One end of a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._received = b""

    def write(self, data: bytes) -> None:
        self.connection.sendall(data)

    def _receive(self) -> None:
        piece = self.connection.recv(65536)
        assert piece, f"it is over after {self._received!r}"
        self._received += piece

    def read_until(self, separator: bytes) -> bytes:
        while separator not in self._received:
            self._receive()
        read, _, self._received = self._received.partition(separator)
        return read + separator

    def read_exactly(self, count: int) -> bytes:
        while len(self._received) < count:
            self._receive()
        read, self._received = self._received[:count], self._received[count:]
        return read

    def secure(self, server: Service, certificate: Identity | None = None) -> Peer:
        """Shake hands. Nothing may have come that was not read."""
        assert self._received == b""
        context = ssl.create_default_context(cafile=str(server.ca_file))
        if certificate:
            context.load_cert_chain(certificate.cert_file, certificate.key_file)
        self.connection = secured = context.wrap_socket(self.connection, server_hostname=server.server_name)
        if server.tls:
            assert secured.version() == f"TLSv{server.tls}"
        return self


@contextlib.contextmanager
def connected(server: Service, *, implicit: bool = False, source: str = "") -> Iterator[Peer]:
    port = server.implicit_port if implicit else server.port
    assert port is not None
    with socket.create_connection((server.host, port), TIMEOUT, (source, 0)) as connection:
        peer = Peer(connection)
        try:
            yield peer
        finally:
            peer.connection.close()


# --- how TLS is asked for; each returns the server's answer


def imap(peer: Peer) -> bytes:
    assert peer.read_until(b"\r\n").startswith(b"* OK")
    peer.write(b"a STARTTLS\r\n")
    return peer.read_until(b"\r\n")


def pop3(peer: Peer) -> bytes:
    assert peer.read_until(b"\r\n").startswith(b"+OK")
    peer.write(b"STLS\r\n")
    return peer.read_until(b"\r\n")


def sieve(peer: Peer) -> bytes:
    while not peer.read_until(b"\r\n").startswith(b"OK"):
        pass
    peer.write(b"STARTTLS\r\n")
    return peer.read_until(b"\r\n")


def nntp(peer: Peer) -> bytes:
    assert peer.read_until(b"\r\n").startswith(b"20")
    peer.write(b"STARTTLS\r\n")
    return peer.read_until(b"\r\n")


def xmpp(peer: Peer, whose: str = "client") -> bytes:
    peer.write(stream_header(whose))
    features = peer.read_until(b"</stream:features>")
    if b"<starttls" not in features:
        return features[features.index(b"<stream:features>") :]
    peer.write(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    return peer.read_until(b">")


def ldap(peer: Peer) -> bytes:
    peer.write(ber(0x30, ber(2, b"\1"), ber(0x77, ber(0x80, b"1.3.6.1.4.1.1466.20037"))))
    answer = peer.read_exactly(peer.read_exactly(2)[1])
    return answer[answer.index(b"\x0a\x01") :]


def postgres(peer: Peer) -> bytes:
    peer.write(struct.pack("!II", 8, 80877103))
    return peer.read_exactly(1)


def mysql(peer: Peer) -> bytes:
    greeting = peer.read_exactly(int.from_bytes(peer.read_exactly(4)[:3], "little"))
    offered = greeting[greeting.index(b"\0") + 1 + 13 :]
    if not int.from_bytes(offered[:2], "little") & 0x800:
        return b""
    peer.write(b"\x20\0\0\1" + struct.pack("<IIB23x", 0x88A00, 1 << 24, 33))
    return b"go"


AGREED = {
    "imap": b"a OK",
    "pop3": b"+OK",
    "sieve": b"OK",
    "nntp": b"382",
    "xmpp": b"<proceed",
    "xmpp-server": b"<proceed",
    "ldap": b"\x0a\x01\x00",
    "postgres": b"S",
    "mysql": b"go",
}
ASK: dict[str, Callable[[Peer], bytes]] = {
    ask.__name__: ask for ask in (imap, pop3, sieve, nntp, xmpp, ldap, postgres, mysql)
} | {"xmpp-server": partial(xmpp, whose="server")}


@pytest.mark.parametrize("protocol", EXCHANGES)
def test_a_clear_connection_becomes_tls(servers: Servers, protocol: str) -> None:
    server = servers.service(protocol)
    with connected(server) as peer:
        assert ASK[protocol](peer).startswith(AGREED[protocol])
        EXCHANGES[protocol](peer.secure(server), server)


@pytest.mark.parametrize("protocol", [protocol for protocol in EXCHANGES if protocol in IMPLICIT])
def test_tls_from_the_first_byte(servers: Servers, protocol: str) -> None:
    server = servers.service(protocol)
    with connected(server, implicit=True) as peer:
        secured = peer.secure(server)
        if protocol in ("imap", "pop3", "nntp"):  # those that greet with a line
            secured.read_until(b"\r\n")
        EXCHANGES[protocol](secured, server)


@pytest.mark.parametrize("protocol", EXCHANGES)
def test_without_tls_it_is_refused(servers: Servers, protocol: str) -> None:
    with connected(servers.service(f"{protocol}-clear")) as peer:
        assert ASK[protocol](peer).startswith(REFUSED[protocol])


def test_nobody_gets_in_who_did_not_ask(servers: Servers) -> None:
    # Dovecot takes whoever comes from its own address for secure.
    with connected(servers.service("imap"), source="127.0.0.2") as peer:
        assert b" LOGINDISABLED" in peer.read_until(b"\r\n")
    server = servers.service("postgres")
    with connected(server) as peer, pytest.raises(PermissionError, match="no encryption"):
        EXCHANGES["postgres"](peer, server)


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
@pytest.mark.parametrize("name", PEERS)
def test_peers_answer_every_line(servers: Servers, pki: PKI, name: str, tls: TLSVersion) -> None:
    server = servers.peer(name, tls)
    asks = name.endswith("-asking")
    with connected(server) as peer:
        secured = peer.secure(server, pki.client if asks else None)
        for line in (b"a line", b"another"):
            secured.write(line + b"\n")
            assert secured.read_until(b"\n") == server.answer(line) + b"\n"
    for certificate in (None, pki.other_client) if asks else ():
        with connected(server) as peer, pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
            peer.secure(server, certificate).read_exactly(1)


AS_ANOTHER = ("pop3", "sieve", "xmpp-server")
"""The same program, with the same settings."""


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
@pytest.mark.parametrize("name", [name for name in EXCHANGES if name not in AS_ANOTHER])
def test_servers_show_the_certificate_and_speak_the_version_they_are_given(
    pki: PKI, name: str, tls: TLSVersion
) -> None:
    with UPGRADED[name](pki, identity=pki.chained, tls=tls) as server, connected(server) as peer:
        ASK[name](peer)
        secured = peer.secure(server).connection
        assert isinstance(secured, ssl.SSLSocket)
        leaf = pki.chained.cert_file.read_text().partition("-----END")[0] + "-----END CERTIFICATE-----\n"
        assert secured.getpeercert(binary_form=True) == ssl.PEM_cert_to_DER_cert(leaf)
