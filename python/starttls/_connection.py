"""A connection that becomes TLS when the caller says so, one call after another."""

from __future__ import annotations

from ._errors import InvalidArgument
from ._native import ConnectionCommand, ConnectionSession, Host
from ._session import Session, native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Literal, TypeVar, Unpack

    from ._keywords import ConnectionOptions
    from ._socket import Socket

    T = TypeVar("T")

    Protocol = Literal[
        "smtp",
        "lmtp",
        "ftp",
        "imap",
        "pop3",
        "sieve",
        "nntp",
        "xmpp",
        "xmpp-server",
        "ldap",
        "postgres",
        "mysql",
    ]
    Security = Literal["upgrade", "implicit", "plaintext"]

LINE = 64 * 1024
"""The most bytes of a line, unless another limit is given."""
SEPARATED = 1024 * 1024
"""The same before a separator."""


def session(
    face: str,
    to: tuple[str | None, int | None],
    options: Mapping[str, Any],
    host: Host | None = None,
    *,
    is_connected: bool = False,
) -> ConnectionSession:
    """What is behind a connection."""
    name, port = to
    if is_connected:
        if options.get("proxy") or options.get("local_address"):
            raise InvalidArgument("proxy= and local_address= are for connections that are still to be opened")
    elif name is None or port is None:
        raise InvalidArgument("a host and a port are needed, or a socket that is connected: sock=")
    return native(ConnectionSession, face, name, {**options, "port": port or 0}, host=host)


class Connection(Session):
    """A connection in clear text that becomes TLS, verified, at the moment of your choice.

    To ``host`` and ``port``, or over ``sock``: a socket that is connected, or anything with its ``recv``, ``sendall``,
    ``settimeout`` and ``close``, on which you may have talked before. It belongs to the connection then. In a ``with``
    statement it connects at the beginning and closes at the end.

    ``security`` is ``"upgrade"`` (nothing happens before ``start_tls`` or ``upgrade``), ``"implicit"`` (TLS from the
    first byte) or ``"plaintext"`` (never). ``server_name`` is the name in the server's certificate, where it is not the
    host. ``tls`` and ``timeout``, ``trace``, ``proxy`` and ``local_address`` are those of ``SMTP`` and ``FTP``.

    >>> with starttls.Connection("mail.example.org", 143) as imap:  # doctest: +SKIP
    ...     imap.upgrade("imap")
    ...     imap.write(b"1 LOGIN ann secret\\r\\n")
    ...     imap.read_line()
    """

    __slots__ = ("_driver",)

    _session: ConnectionSession

    def __init__(
        self,
        host: str | None = None,
        port: int | None = None,
        *,
        sock: Socket | None = None,
        security: Security = "upgrade",
        server_name: str | None = None,
        **options: Unpack[ConnectionOptions],
    ) -> None:
        self._driver = None
        hosted = None
        if sock is not None:
            from ._socket import SocketDriver

            hosted = Host()
            self._driver = SocketDriver(hosted, sock)
        given = {**options, "security": security, "server_name": server_name}
        self._session = session("Connection", (host, port), given, hosted, is_connected=sock is not None)

    def _run(self, command: ConnectionCommand[T]) -> T:
        if self._driver is None:
            return self._session.run(command)
        return self._driver.drive(self._session.start(command))

    def connect(self) -> None:
        """Connect, and shake hands if TLS comes first."""
        if self._driver is None:
            self._session.connect()
        else:
            self._driver.drive(self._session.start_connect())

    def close(self) -> None:
        """End our direction, with close_notify under TLS, and close. It is no error if it is closed already."""
        if self._driver is None:
            self._session.close()
        else:
            self._driver.drive(self._session.start_close())

    def start_tls(self) -> None:
        """Make this connection TLS: the server has just agreed to it.

        What was received and not read is an error (``BytesBeforeHandshake``), and the connection is gone: somebody may
        have slipped it in.
        """
        self._run(ConnectionCommand.start_tls())

    def upgrade(self, protocol: Protocol) -> bytes:
        """Say what a protocol says before TLS, until the server agrees, and make this connection TLS.

        Nothing may have been read or written before. What the server said first is returned; it came in clear text, so
        it is not to be believed. What is registered for the protocol (ALPN) is offered, unless the configuration's
        ``alpn`` says otherwise.
        """
        return self._run(ConnectionCommand.upgrade(protocol))

    def read_line(self, limit: int = LINE) -> bytes | None:
        """Read a line of at most ``limit`` bytes, without its end; ``None`` at the orderly end of the stream."""
        return self._run(ConnectionCommand.read_line(limit))

    def read(self, most: int = LINE) -> bytes:
        """Read what comes next, up to so many bytes and at least one; none at the orderly end of the stream."""
        return self._run(ConnectionCommand.read(most))

    def read_exactly(self, count: int) -> bytes:
        """Read so many bytes."""
        return self._run(ConnectionCommand.read_exactly(count))

    def read_until(self, separator: bytes, limit: int = SEPARATED) -> bytes:
        """Read everything up to and with ``separator``, of at most ``limit`` bytes."""
        return self._run(ConnectionCommand.read_until(separator, limit))

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send ``data``."""
        self._run(ConnectionCommand.write(bytes(data)))

    def shutdown(self) -> None:
        """End our direction, with close_notify under TLS; what the peer still sends can be read."""
        self._run(ConnectionCommand.shutdown())

    @property
    def peer_address(self) -> tuple[str, int] | None:
        """The peer's address and port, where they are known."""
        return self._session.peer_address

    @property
    def channel_binding(self) -> tuple[str, bytes] | None:
        """What ties a login to this TLS connection: ``tls-exporter`` or ``tls-server-end-point``, and its value."""
        return self._session.channel_binding
