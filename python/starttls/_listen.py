"""Waiting for connections on an event loop: the data connections of FTP's active mode."""

from __future__ import annotations

import errno
import socket

from ._aio import Channel
from ._race import keep_alive

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio

    from ._aio import Driver

BACKLOG = 16
"""How many may knock while nobody looks: one is expected."""


class Listener(Channel):
    """A listening socket. Who may come in is for the core to say."""

    def __init__(self, driver: Driver, number: int) -> None:
        super().__init__(driver, number)
        self.server: asyncio.Server | None = None

    async def open(self, address: str, zone: int, ports: list[int]) -> None:
        """Listen on the first port that can be had."""
        try:
            listening = bound(address, zone, ports)
            self.server = await self.driver.loop.create_server(self._guest, sock=listening, backlog=BACKLOG)
            self.driver.host.listening(self.number, listening.getsockname())
        except Exception as error:
            self.driver.host.failed(self.number, error)
        finally:
            self.connecting = None
            self.driver.wake()

    def _guest(self) -> Channel:
        return Guest(self.driver, self.number)

    def close(self, *, at_once: bool = False) -> None:
        """Listen no more; connections that were taken go on."""
        super().close(at_once=at_once)
        if self.server is not None:
            self.server.close()


class Guest(Channel):
    """A connection that somebody opened to a listener: its number is the listener's until it has one of its own."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.attach(transport)
        guest = transport.get_extra_info("socket")
        if guest is not None:
            keep_alive(guest)
        number = self.driver.host.accepted(self.number, transport.get_extra_info("peername"))
        if number is None or self.transport is None:
            transport.close()
            self.transport = None
            return
        self.number = number
        self.driver.channels[number] = self
        self.driver.wake()


def bound(address: str, zone: int, ports: list[int]) -> socket.socket:
    """A socket with the first of the ports that can be had."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    failed = OSError(errno.EINVAL, "the range of ports is empty")
    for port in ports:
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setblocking(False)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((address, port, 0, zone) if family == socket.AF_INET6 else (address, port))
        except OSError as error:
            listening.close()
            failed = error
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                break
        else:
            return listening
    raise failed
