"""Servers that follow a script, for what no honest daemon does."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import starttls

from tests.servers.pki import Identity

DEADLINE = 20.0
"""Seconds after which a script gives up."""


class Peer:
    """The client, as the script sees it."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(DEADLINE)
        self._connection = connection
        self._received = b""
        self._spoke = True
        self.flights = 0
        """How often the client spoke after the script had: round trips."""

    def _receive(self) -> bytes:
        piece = self._connection.recv(65536)
        self.flights += self._spoke and bool(piece)
        self._spoke = False
        return piece

    def say(self, *lines: str) -> None:
        """Send lines."""
        self._connection.sendall("".join(f"{line}\r\n" for line in lines).encode())
        self._spoke = True

    def line(self) -> str:
        """The client's next line; empty if it is gone."""
        while b"\r\n" not in self._received:
            piece = self._receive()
            if not piece:
                return ""
            self._received += piece
        line, _, self._received = self._received.partition(b"\r\n")
        return line.decode()

    def say_bytes(self, data: bytes) -> None:
        """Send bytes."""
        self._connection.sendall(data)
        self._spoke = True

    def skip(self, count: int) -> None:
        """Take so many bytes."""
        while len(self._received) < count:
            piece = self._receive()
            if not piece:
                return
            count -= len(self._received)
            self._received = piece
        self._received = self._received[count:]

    def has_no_more(self) -> bool:
        """Whether the client waits for an answer: nothing came behind the last line, and nothing comes for a moment."""
        self._connection.settimeout(0.2)
        try:
            self._received += self._receive()
        except TimeoutError:
            pass
        finally:
            self._connection.settimeout(DEADLINE)
        return not self._received

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._connection.sendall(data)

    def secure_in_pieces(
        self,
        identity: Identity,
        first: bytes,
        *,
        maximum: ssl.TLSVersion | None = None,
        size: int | None = None,
        client_ca: Path | None = None,
    ) -> None:
        """Shake hands as the server, in segments of ``size`` bytes. ``first`` comes with the handshake's last record.

        From then on the connection is what the script makes it: it sends and reads records. With ``client_ca`` a
        client's certificate is demanded, and who has none that is good is told so.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(identity.cert_file, identity.key_file)
        if maximum is not None:
            context.maximum_version = maximum
        if client_ca is not None:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = context.wrap_bio(incoming, outgoing, server_side=True)
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        done = False
        while not done:
            try:
                server.do_handshake()
                server.write(first)
                done = True
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                done = True
            flight = outgoing.read()
            for at in range(0, len(flight), size or max(len(flight), 1)):
                self._connection.sendall(flight[at : at + (size or len(flight))])
            if not done:
                incoming.write(self._connection.recv(65536))

    def secure(self, identity: Identity, maximum: ssl.TLSVersion | None = None) -> None:
        """Shake hands as the server."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(identity.cert_file, identity.key_file)
        if maximum is not None:
            context.maximum_version = maximum
        self.secure_by(context)

    def secure_by(self, context: ssl.SSLContext) -> str | None:
        """The same with a context of the script's own; the application protocol."""
        secure = context.wrap_socket(self._connection, server_side=True)
        self._connection = secure
        self._received = b""
        # ClientHello; the client's Finished is answered by nothing that anybody waits for.
        self.flights += 1
        self._spoke = True
        return secure.selected_alpn_protocol()

    def end(self) -> None:
        """Say close_notify."""
        assert isinstance(self._connection, ssl.SSLSocket)
        with contextlib.suppress(OSError):
            self._connection.unwrap()

    def wait_for_end(self) -> None:
        """Stay silent until the client closes."""
        with contextlib.suppress(OSError):
            while self._connection.recv(65536):
                pass

    def close(self) -> None:
        """Close without a word."""
        self._connection.close()


@dataclass
class Scripted:
    """A listening script."""

    port: int
    failures: list[BaseException] = field(default_factory=list)
    connections: int = 0


@contextlib.contextmanager
def scripted(script: Callable[[Peer], None], *, buffers: int | None = None) -> Iterator[Scripted]:
    """Play the script to every client. What it raises is raised at the end. ``buffers`` is what its sockets hold."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        if buffers is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffers)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffers)
        listener.settimeout(DEADLINE)
        server = Scripted(listener.getsockname()[1])
        for host in ("localhost", "127.0.0.1"):
            # Another server may have had this port before.
            starttls.forget_server(f"smtp://{host}:{server.port}")
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                if over.is_set():
                    connection.close()
                    return
                server.connections += 1
                peer = Peer(connection)
                try:
                    script(peer)
                except (ConnectionError, ssl.SSLError):
                    pass  # the client left, which is its right
                except BaseException as error:
                    server.failures.append(error)
                finally:
                    peer.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server
        finally:
            over.set()
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", server.port), timeout=1).close()
            thread.join(DEADLINE)
            assert not thread.is_alive()
    if server.failures:
        raise server.failures[0]


def smtp_until_ready(
    peer: Peer,
    identity: Identity,
    *,
    auth: str = "PLAIN",
    offers: tuple[str, ...] = (),
    maximum: ssl.TLSVersion | None = None,
) -> None:
    """Greeting, STARTTLS, EHLO: then the client's next command is for the script."""
    peer.say("220 scripted")
    assert peer.line().startswith("EHLO ")
    peer.say("250-scripted", "250 STARTTLS")
    assert peer.line() == "STARTTLS"
    peer.say("220 go ahead")
    peer.secure(identity, maximum)
    assert peer.line().startswith("EHLO ")
    peer.say("250-scripted", "250-PIPELINING", *(f"250-{offer}" for offer in offers), f"250 AUTH {auth}")
