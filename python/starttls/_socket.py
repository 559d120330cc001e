"""A socket of the caller's moves the bytes, the core says which."""

from __future__ import annotations

import socket
import time
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol, TypeVar

    from ._native import Host, Operation

    T = TypeVar("T")

    class Socket(Protocol):
        """What is used of a socket: those of proxies and of other event loops have it, too."""

        def recv(self, bufsize: int, /) -> bytes: ...
        def sendall(self, data: bytes, /) -> None: ...
        def settimeout(self, value: float | None, /) -> None: ...
        def gettimeout(self) -> float | None: ...
        def shutdown(self, how: int, /) -> None: ...
        def close(self) -> None: ...


PIECE = 128 * 1024
"""How much is asked of the socket at once."""


def name(sock: Socket, which: str) -> tuple[str, int] | None:
    """What the socket tells of an address, if it is one of the internet's."""
    with suppress(OSError, AttributeError):
        told = getattr(sock, which)()
        if isinstance(told, tuple):
            return told
    return None


class SocketDriver:
    """A connected socket, and the operation under way on it."""

    def __init__(self, host: Host, sock: Socket) -> None:
        self._host = host
        self._sock = sock
        self._channel = 0
        self._until: float | None = None
        self._given_up = False

    def drive(self, operation: Operation[T]) -> T:
        """Run an operation to its end."""
        before = self._sock.gettimeout()
        try:
            while not operation.poll():
                if not self._perform():
                    self._receive()
            self._perform()
        except BaseException:
            operation.cancel()
            self._perform()
            raise
        finally:
            if not self._given_up:
                self._sock.settimeout(before)
        return operation.result()

    def _perform(self) -> bool:
        """Do what is asked for; whether the operation may go on without anything that is to come."""
        has_news = False
        for what, *details in self._host.take_requests():
            match what, details:
                case "connect", [number, *_] if self._given_up:
                    has_news = True
                    self._host.failed(number, OSError("the socket was the connection's, which was closed"))
                case "connect", [number, *_]:
                    self._channel = number
                    self._host.connected(number, name(self._sock, "getpeername"), name(self._sock, "getsockname"))
                    has_news = True
                case "deadline", [_, within]:
                    self._until = time.monotonic() + within
                case "write", [_, data]:
                    has_news = True
                    try:
                        self._wait_at_most()
                        self._sock.sendall(data)
                    except OSError as error:
                        self._host.failed(self._channel, error)
                    else:
                        self._host.written(self._channel, len(data))
                case "shutdown", _:
                    # If the peer was quicker, our direction is closed all the same.
                    with suppress(OSError):
                        self._sock.shutdown(socket.SHUT_WR)
                case "close", _:
                    self._given_up = True
                    self._sock.close()
        return has_news

    def _wait_at_most(self) -> None:
        """What is left of the deadline; ``TimeoutError`` if that is nothing."""
        left = None if self._until is None else self._until - time.monotonic()
        if left is not None and left <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left)

    def _receive(self) -> None:
        try:
            self._wait_at_most()
            data = self._sock.recv(PIECE)
        except OSError as error:
            self._host.failed(self._channel, error)
            return
        if data:
            self._host.received(self._channel, data)
        else:
            self._host.received_eof(self._channel)
