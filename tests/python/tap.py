"""What stands between a client and a server and writes down what both say."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

DEADLINE = 20.0
"""Seconds until everything must be over."""


class Tap:
    """One connection after the other, handed on; what the server says, in pieces of a size."""

    def __init__(self, target: tuple[str, int], piece: int) -> None:
        self.port = 0
        self.sent = b""
        """What the client said."""
        self.said = b""
        """What the server said."""
        self._target = target
        self._piece = piece

    def serve(self, client: socket.socket) -> None:
        """Hand on one connection, to its end."""
        with client, socket.create_connection(self._target, DEADLINE) as server:
            for end in (client, server):
                end.settimeout(DEADLINE)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=self._to_client, args=(server, client))
            back.start()
            with contextlib.suppress(OSError):
                while piece := client.recv(65_536):
                    self.sent += piece
                    server.sendall(piece)
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_WR)
            back.join(DEADLINE)

    def _to_client(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while came := server.recv(65_536):
                self.said += came
                for start in range(0, len(came), self._piece):
                    client.sendall(came[start : start + self._piece])
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def tapped(host: str, port: int, *, piece: int = 65_536) -> Iterator[Tap]:
    """Listen in on connections to that port, one at a time; all has been written down when this is over."""
    tap = Tap((host, port), piece)
    over = threading.Event()

    def listen(listener: socket.socket) -> None:
        while True:
            client, _ = listener.accept()
            if over.is_set():
                client.close()
                return
            tap.serve(client)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        tap.port = listener.getsockname()[1]
        serving = threading.Thread(target=listen, args=(listener,))
        serving.start()
        try:
            yield tap
        finally:
            over.set()
            socket.create_connection(("127.0.0.1", tap.port)).close()
            serving.join(DEADLINE)
            assert not serving.is_alive()
