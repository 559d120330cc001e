"""Which address of a host is tried, and when the next one (RFC 8305): asyncio's sockets, the core's order."""

from __future__ import annotations

import asyncio
import errno
import socket

from ._native import Host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ATTEMPT_DELAY = 0.25
"""How long an attempt is alone before the next address joins it. One that fails makes room at once."""

KEEPALIVE = 60
"""Seconds of silence after which the system asks whether the peer is still there."""


def keep_alive(connection: socket.socket) -> None:
    """Have the system ask."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE)


def literal(host: str, port: int) -> list[tuple[Any, ...]]:
    """What an address stands for, which need not be asked of another thread; nothing if it is a name."""
    if not host.isascii():
        return []
    try:
        return [*socket.getaddrinfo(host.encode(), port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)]
    except socket.gaierror:
        return []


class Race:
    """One connection attempt to a host, whatever number of addresses it has."""

    def __init__(self, loop: asyncio.AbstractEventLoop, local_address: str | None) -> None:
        self._loop = loop
        self._local_address = local_address
        self.failed: list[tuple[str, int, BaseException]] = []
        """The addresses that failed, and why."""

    async def reach(self, host: str, port: int) -> socket.socket:
        """A connected socket. If there is none, ``failed`` says why."""
        found = literal(host, port) or await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        order = Host.in_order([str(address[0]) for _, _, _, _, address in found], self._local_address)
        if not order:
            raise OSError(errno.EADDRNOTAVAIL, "the local address reaches none of the host's")
        waiting = [(found[i][0], found[i][4]) for i in reversed(order)]
        if len(waiting) == 1:
            return await self._alone(*waiting[0])
        running: dict[asyncio.Task[socket.socket], Any] = {}
        try:
            while True:
                if waiting:
                    family, address = waiting.pop()
                    running[self._loop.create_task(self._attempt(family, address))] = address
                done, _ = await asyncio.wait(
                    running, timeout=ATTEMPT_DELAY if waiting else None, return_when=asyncio.FIRST_COMPLETED
                )
                winner = None
                for task in done:
                    address = running.pop(task)
                    error = task.exception()
                    if error is not None:
                        self.failed.append((str(address[0]), port, error))
                    elif winner is None:
                        winner = task.result()
                    else:
                        task.result().close()
                if winner is not None:
                    return winner
                if not running and not waiting:
                    raise self.failed[-1][2]
        except asyncio.CancelledError:
            late = TimeoutError("timed out")
            self.failed += [(str(address[0]), port, late) for address in running.values()]
            raise
        finally:
            for task in running:
                if not task.cancel() and not task.cancelled() and task.exception() is None:
                    # It got there in the very moment in which nobody wanted it any more.
                    task.result().close()

    async def _alone(self, family: int, address: Any) -> socket.socket:
        """Nobody to race with: no task, and nothing to wait for beside it."""
        try:
            return await self._attempt(family, address)
        except BaseException as error:
            why = TimeoutError("timed out") if isinstance(error, asyncio.CancelledError) else error
            self.failed.append((str(address[0]), address[1], why))
            raise

    async def _attempt(self, family: int, address: Any) -> socket.socket:
        attempt = socket.socket(family, socket.SOCK_STREAM)
        try:
            attempt.setblocking(False)
            if self._local_address is not None:
                attempt.bind((self._local_address, 0))
            await self._loop.sock_connect(attempt, address)
            # A flight is one write: without this, it waits for the last one's acknowledgement.
            attempt.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            keep_alive(attempt)
        except BaseException:
            attempt.close()
            raise
        return attempt
