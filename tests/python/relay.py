"""What stands between a client and a server, and ends a connection in the middle."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

from tests.servers.ftp import FTPServer

DEADLINE = 20.0
"""Seconds until everything that was relayed must be over."""


class Relay:
    """An HTTP proxy; one of the connections by it ends too early."""

    def __init__(self, server: FTPServer, control: int | None, data: int | None, uploaded: int | None) -> None:
        self.url = ""
        self.cut = threading.Event()
        """The connection has ended."""
        self.elsewhere: int | None = None
        """The port that control connections go to once that has happened, if it is another one."""
        self.sessions = 0
        """Control connections so far."""
        self._server = server
        self._after = {True: control, False: data}
        self._uploaded = uploaded

    def serve(self, client: socket.socket) -> None:
        """Relay one connection."""
        with contextlib.suppress(OSError), client:
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            port = int(head.split()[1].rpartition(b":")[2])
            is_control = port == self._server.port
            self.sessions += is_control
            if is_control and self.elsewhere is not None and self.cut.is_set():
                port = self.elsewhere
            with socket.create_connection((self._server.host, port)) as target:
                client.sendall(b"HTTP/1.1 200 go on\r\n\r\n")
                back = threading.Thread(target=self._one_way, args=(target, client, self._after[is_control]))
                back.start()
                self._one_way(client, target, None if is_control else self._uploaded)
                back.join()

    def _one_way(self, source: socket.socket, target: socket.socket, left: int | None) -> None:
        """Hand on what comes, up to its end, or for as long as it is allowed."""
        with contextlib.suppress(OSError):
            while piece := source.recv(65_536):
                target.sendall(piece)
                if left is not None and not self.cut.is_set():
                    left -= len(piece)
                    if left <= 0:
                        self.cut.set()
                        for end in (source, target):
                            end.shutdown(socket.SHUT_RDWR)
                        return
        for end, how in ((source, socket.SHUT_RD), (target, socket.SHUT_WR)):
            with contextlib.suppress(OSError):
                end.shutdown(how)


@contextlib.contextmanager
def relayed(
    server: FTPServer, *, control: int | None = None, data: int | None = None, uploaded: int | None = None
) -> Iterator[Relay]:
    """Relay connections to the server.

    The first of its kind that brought so many bytes to the client, or of data that took so many ``uploaded`` from it,
    ends there.
    """
    relay = Relay(server, control, data, uploaded)
    over = threading.Event()
    running: list[threading.Thread] = []

    def listen(listener: socket.socket) -> None:
        while True:
            client, _ = listener.accept()
            if over.is_set():
                client.close()
                return
            running.append(threading.Thread(target=relay.serve, args=(client,)))
            running[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        relay.url = f"http://127.0.0.1:{port}"
        accepting = threading.Thread(target=listen, args=(listener,))
        accepting.start()
        try:
            yield relay
        finally:
            over.set()
            socket.create_connection(("127.0.0.1", port)).close()
            for thread in [accepting, *running]:
                thread.join(DEADLINE)
                assert not thread.is_alive()
