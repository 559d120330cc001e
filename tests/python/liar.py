"""A server that says whatever it is told to say of its directories."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterable

from tests.python.scripted import DEADLINE, Peer
from tests.servers.pki import PKI

Listing = Callable[[str], str | Iterable[bytes]]
"""What the server says is in a directory, by its path."""


def liar(
    pki: PKI, listing: Listing, *, machine: bool = True, content: Iterable[bytes] = (b"evil",)
) -> Callable[[Peer], None]:
    """A server whose every file is the same, and whose directories are what ``listing`` makes them.

    Without ``machine`` it has LIST alone, and not MLSD.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.server.cert_file, pki.server.key_file)

    def send(peer: Peer, listener: socket.socket, pieces: Iterable[bytes]) -> None:
        peer.say("150 here it comes")
        connection, _ = listener.accept()
        connection.settimeout(DEADLINE)
        with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as secure:
            for piece in pieces:
                secure.sendall(piece)
            secure.unwrap().close()
        peer.say("226 done")

    def script(peer: Peer) -> None:
        peer.say("220 ready")
        with contextlib.ExitStack() as running:
            listener = running.enter_context(socket.create_server(("127.0.0.1", 0)))
            while line := peer.line():
                verb, _, argument = line.partition(" ")
                if verb == "AUTH":
                    peer.say("234 go on")
                    peer.secure(pki.server)
                elif verb == "FEAT":
                    peer.say("211-Features", *[" MLST type*;size*;modify*;"] * machine, " UTF8", "211 End")
                elif verb == "USER":
                    peer.say("331 password")
                elif verb == "PWD":
                    peer.say('257 "/"')
                elif verb == "EPSV":
                    listener = running.enter_context(socket.create_server(("127.0.0.1", 0)))
                    listener.settimeout(DEADLINE)
                    peer.say(f"229 here (|||{listener.getsockname()[1]}|)")
                elif verb in ("MLSD", "LIST", "NLST"):
                    lines = listing(argument)
                    pieces = [lines.encode("utf-8", "surrogateescape")] if isinstance(lines, str) else lines
                    send(peer, listener, pieces)
                elif verb == "RETR":
                    send(peer, listener, content)
                elif verb == "QUIT":
                    peer.say("221 bye")
                elif verb in ("MLST", "SIZE", "MDTM"):
                    peer.say("550 no")
                else:
                    peer.say("230 fine" if verb == "PASS" else "200 fine")

    return script
