"""What is said in each protocol once its connection is under TLS, by whoever moves the bytes."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Mapping
from typing import Protocol

from tests.servers.service import Service


class Stream(Protocol):
    """A connection that is under TLS."""

    def write(self, data: bytes, /) -> object: ...

    def read_until(self, separator: bytes, /) -> bytes: ...

    def read_exactly(self, count: int, /) -> bytes: ...


def line(stream: Stream, said: str) -> bytes:
    """Say a line and hear one."""
    stream.write(f"{said}\r\n".encode())
    return stream.read_until(b"\r\n")


def plain(server: Service) -> str:
    """The response of SASL PLAIN."""
    return base64.b64encode(f"\0{server.user}\0{server.password}".encode()).decode()


def imap(stream: Stream, server: Service) -> None:
    """Log in, do nothing, log out."""
    stream.write(f'a LOGIN "{server.user}" "{server.password}"\r\n'.encode())
    assert b"a OK" in stream.read_until(b"Logged in\r\n")
    assert line(stream, "b NOOP").startswith(b"b OK")
    assert line(stream, "c LOGOUT").startswith(b"* BYE")
    assert stream.read_until(b"\r\n").startswith(b"c OK")


def pop3(stream: Stream, server: Service) -> None:
    """Capabilities, log in, quit."""
    assert line(stream, "CAPA").startswith(b"+OK")
    assert b"USER\r\n" in stream.read_until(b"\r\n.\r\n") + b"\r\n"
    assert line(stream, f"USER {server.user}").startswith(b"+OK")
    assert line(stream, f"PASS {server.password}").startswith(b"+OK Logged in")
    assert line(stream, "QUIT").startswith(b"+OK")


def sieve(stream: Stream, server: Service) -> None:
    """The capabilities, which the server says again unasked (RFC 5804, section 2.2); log in, log out."""
    capabilities = b""
    while not (said := stream.read_until(b"\r\n")).startswith(b"OK"):
        capabilities += said
    assert b'"SASL" "PLAIN' in capabilities and b"STARTTLS" not in capabilities
    assert line(stream, f'AUTHENTICATE "PLAIN" "{plain(server)}"').startswith(b"OK")
    assert line(stream, "LOGOUT").startswith(b"OK")


def nntp(stream: Stream, server: Service) -> None:
    """Capabilities, log in, quit."""
    assert line(stream, "CAPABILITIES").startswith(b"101")
    capabilities = stream.read_until(b"\r\n.\r\n")
    assert b"AUTHINFO USER" in capabilities and b"STARTTLS" not in capabilities
    assert line(stream, f"AUTHINFO USER {server.user}").startswith(b"381")
    assert line(stream, f"AUTHINFO PASS {server.password}").startswith(b"281")
    assert line(stream, "QUIT").startswith(b"205")


def stream_header(whose: str) -> bytes:
    """How a stream of XMPP begins, of a ``client`` or a ``server``."""
    return (
        f"<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xmlns='jabber:{whose}' "
        "xmlns:stream='http://etherx.jabber.org/streams'>"
    ).encode()


def new_stream(stream: Stream, whose: str, feature: bytes) -> None:
    """The stream begins anew, and its features are those of a secure one."""
    stream.write(stream_header(whose))
    features = stream.read_until(b"</stream:features>")
    assert feature in features and b"<starttls" not in features
    stream.write(b"</stream:stream>")
    assert b"</stream:stream" in stream.read_until(b">")


def xmpp(stream: Stream, _: Service) -> None:
    """As far as a client who has an account could log in."""
    new_stream(stream, "client", b"<mechanism>PLAIN<")


def xmpp_server(stream: Stream, _: Service) -> None:
    """As far as another server would have to say who it is."""
    new_stream(stream, "server", b"<dialback ")


def ber(tag: int, *parts: bytes) -> bytes:
    """An element of BER, short."""
    content = b"".join(parts)
    assert len(content) < 128
    return bytes([tag, len(content)]) + content


def ldap(stream: Stream, server: Service) -> None:
    """A simple bind, which the server takes under TLS only."""
    bind = ber(0x60, ber(2, b"\3"), ber(4, server.user.encode()), ber(0x80, server.password.encode()))
    stream.write(ber(0x30, ber(2, b"\7"), bind))
    [tag, length] = stream.read_exactly(2)
    answer = stream.read_exactly(length)
    assert tag == 0x30 and answer == ber(2, b"\7") + ber(0x61, ber(0xA, b"\0"), ber(4), ber(4))
    stream.write(ber(0x30, ber(2, b"\x08"), ber(0x42)))


def postgres(stream: Stream, server: Service) -> None:
    """As far as the server asks who it is."""
    startup = struct.pack("!I", 0x30000) + f"user\0{server.user}\0database\0postgres\0\0".encode()
    stream.write(struct.pack("!I", 4 + len(startup)) + startup)
    kind, length = struct.unpack("!cI", stream.read_exactly(5))
    answer = stream.read_exactly(length - 4)
    if kind == b"E":
        raise PermissionError(answer.decode())
    assert (kind, answer) == (b"R", b"\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"), answer
    stream.write(b"X" + struct.pack("!I", 4))


def mysql(stream: Stream, server: Service) -> None:
    """Log in and ping. The upgrade used up the greeting's number and the next."""
    # PROTOCOL_41, SSL, SECURE_CONNECTION and PLUGIN_AUTH; no password.
    login = struct.pack("<IIB23x", 0x88A00, 1 << 24, 33) + server.user.encode() + b"\0\0mysql_native_password\0"
    for number, said in ((2, login), (0, b"\x0e")):
        stream.write(struct.pack("<I", len(said))[:3] + bytes([number]) + said)
        head = stream.read_exactly(4)
        answer = stream.read_exactly(int.from_bytes(head[:3], "little"))
        assert answer.startswith(b"\0"), answer
    stream.write(b"\1\0\0\0\1")


EXCHANGES: Mapping[str, Callable[[Stream, Service], None]] = {
    exchange.__name__.replace("_", "-"): exchange
    for exchange in (imap, pop3, sieve, nntp, xmpp, xmpp_server, ldap, postgres, mysql)
}
