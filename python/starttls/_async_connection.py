"""A connection that becomes TLS when the caller says so, awaited."""

from __future__ import annotations

from ._aio import Channel, Driver
from ._connection import LINE, SEPARATED, session
from ._errors import InvalidArgument
from ._native import ConnectionCommand, ConnectionSession, Host
from ._session import AsyncSession

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    import socket
    from typing import TypeVar, Unpack

    from ._connection import Protocol, Security
    from ._keywords import ConnectionOptions

    T = TypeVar("T")


class ConnectedDriver(Driver):
    """The connection is there, and only has to be taken over."""

    def __init__(self, host: Host) -> None:
        super().__init__(host, resumes=True)

    async def _take_over(self, channel: Channel) -> None:
        raise NotImplementedError

    async def _open(self, channel: Channel, host: str, port: int, within: float) -> None:
        try:
            await self._take_over(channel)
        except Exception as error:
            self.host.failed(channel.number, error)
            self.wake()
        finally:
            channel.connecting = None


class SocketDriver(ConnectedDriver):
    """It is a socket."""

    def __init__(self, host: Host, sock: socket.socket) -> None:
        super().__init__(host)
        self._sock = sock

    async def _take_over(self, channel: Channel) -> None:
        self._sock.setblocking(False)
        await self.loop.create_connection(lambda: channel, sock=self._sock)


class StreamDriver(ConnectedDriver):
    """It is what ``asyncio.open_connection`` gave."""

    def __init__(self, host: Host, stream: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        super().__init__(host)
        self._stream = stream

    async def _take_over(self, channel: Channel) -> None:
        reader, writer = self._stream
        transport = writer.transport
        # From here on what comes is ours; what came before, and nobody read, is ours, too.
        transport.pause_reading()  # type: ignore[attr-defined]
        transport.set_protocol(channel)
        ended = reader.at_eof()
        reader.feed_eof()
        waiting = await reader.read()
        channel.connection_made(transport)
        if waiting:
            channel.data_received(waiting)
        if ended:
            channel.eof_received()
        elif not channel.resting:
            transport.resume_reading()  # type: ignore[attr-defined]


class AsyncConnection(AsyncSession):
    """``Connection`` for asyncio: the same arguments and methods, awaited.

    Instead of ``sock`` it may also be made over ``stream``, the reader and writer of ``asyncio.open_connection``: they
    are not to be used any more then.

    A read that is cancelled, by ``asyncio.timeout`` for one, loses nothing. After an upgrade that is cancelled, the
    connection is gone.
    """

    __slots__ = ()

    _session: ConnectionSession

    def __init__(
        self,
        host: str | None = None,
        port: int | None = None,
        *,
        sock: socket.socket | None = None,
        stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None,
        security: Security = "upgrade",
        server_name: str | None = None,
        **options: Unpack[ConnectionOptions],
    ) -> None:
        hosted = Host()
        if sock is not None and stream is not None:
            raise InvalidArgument("sock= or stream=, not both")
        if sock is not None:
            self._driver = SocketDriver(hosted, sock)
        elif stream is not None:
            self._driver = StreamDriver(hosted, stream)
        else:
            self._driver = Driver(hosted, options.get("local_address"), resumes=True)
        given = {**options, "security": security, "server_name": server_name}
        is_connected = sock is not None or stream is not None
        self._session = session("AsyncConnection", (host, port), given, hosted, is_connected=is_connected)

    async def _run(self, command: ConnectionCommand[T]) -> T:
        return await self._driver.drive(self._session.start(command))

    async def start_tls(self) -> None:
        """Make this connection TLS: see ``Connection.start_tls``."""
        await self._run(ConnectionCommand.start_tls())

    async def upgrade(self, protocol: Protocol) -> bytes:
        """Say what a protocol says before TLS, and make this connection TLS: see ``Connection.upgrade``."""
        return await self._run(ConnectionCommand.upgrade(protocol))

    async def read_line(self, limit: int = LINE) -> bytes | None:
        """Read a line of at most ``limit`` bytes, without its end; ``None`` at the orderly end of the stream."""
        return await self._run(ConnectionCommand.read_line(limit))

    async def read(self, most: int = LINE) -> bytes:
        """Read what comes next, up to so many bytes and at least one; none at the orderly end of the stream."""
        return await self._run(ConnectionCommand.read(most))

    async def read_exactly(self, count: int) -> bytes:
        """Read so many bytes."""
        return await self._run(ConnectionCommand.read_exactly(count))

    async def read_until(self, separator: bytes, limit: int = SEPARATED) -> bytes:
        """Read everything up to and with ``separator``, of at most ``limit`` bytes."""
        return await self._run(ConnectionCommand.read_until(separator, limit))

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send ``data``."""
        await self._run(ConnectionCommand.write(bytes(data)))

    async def shutdown(self) -> None:
        """End our direction, with close_notify under TLS; what the peer still sends can be read."""
        await self._run(ConnectionCommand.shutdown())

    @property
    def peer_address(self) -> tuple[str, int] | None:
        """The peer's address and port, where they are known."""
        return self._session.peer_address

    @property
    def channel_binding(self) -> tuple[str, bytes] | None:
        """What ties a login to this TLS connection: ``tls-exporter`` or ``tls-server-end-point``, and its value."""
        return self._session.channel_binding
