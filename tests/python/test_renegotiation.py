"""A server that wants to begin anew in the middle of a TLS 1.2 connection (RFC 5246 §7.4.1.1): never a hang."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import starttls
from OpenSSL import SSL

from tests.python.faces import TIMEOUT, Face
from tests.servers.pki import PKI, Identity


@contextmanager
def renegotiating(shown: Identity) -> Iterator[tuple[int, list[bytes]]]:
    """OpenSSL, which says a line, hears one, begins a new handshake, and so on. Its port, and what it heard."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    context.use_certificate_chain_file(str(shown.cert_file))
    context.use_privatekey_file(str(shown.key_file))
    heard: list[bytes] = []

    def serve() -> None:
        accepted, _ = listener.accept()
        with accepted:
            accepted.settimeout(None)
            connection = SSL.Connection(context, accepted)
            connection.set_accept_state()
            connection.do_handshake()
            connection.sendall(b"before\n")
            heard.append(connection.recv(100))
            accepted.setblocking(False)
            assert connection.renegotiate()
            connection.do_handshake()
            try:
                while connection.renegotiate_pending():
                    assert select.select([accepted], [], [], TIMEOUT)[0]
                    try:
                        connection.recv(100)
                    except SSL.WantReadError:
                        continue
            except SSL.Error as refused:
                heard.append(str(refused.args[0][0][2]).encode())
                return
            accepted.setblocking(True)
            connection.sendall(b"after\n")
            heard.append(connection.recv(100))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(TIMEOUT)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1], heard
        finally:
            thread.join(TIMEOUT)
        assert not thread.is_alive()


def context(pki: PKI, *, refuses: bool) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=pki.ca_file)
    if refuses:
        made.options |= ssl.OP_NO_RENEGOTIATION
    return made


@pytest.mark.parametrize("engine", ["rustls", "context"])
def test_it_is_refused(face: Face, pki: PKI, engine: str) -> None:
    """With a warning, `no_renegotiation`, that OpenSSL does not take for an answer: its alert is the error."""
    trust = starttls.TLSConfig(ca_file=pki.ca_file) if engine == "rustls" else context(pki, refuses=True)
    with (
        renegotiating(pki.server) as (port, heard),
        face.connection("localhost", port, security="implicit", tls=trust) as connection,
    ):
        assert connection.read_line() == b"before"
        connection.write(b"one")
        with pytest.raises(starttls.TLSError, match=r"alert 40 \(HandshakeFailure\)") as caught:
            connection.read_line()
        assert caught.value.kind == "alert-received"
    assert heard == [b"one", b"no renegotiation"]


def test_a_context_may_allow_it(face: Face, pki: PKI) -> None:
    """OpenSSL's default in a context; nothing that is read or written is lost."""
    with (
        renegotiating(pki.server) as (port, heard),
        face.connection("localhost", port, security="implicit", tls=context(pki, refuses=False)) as connection,
    ):
        assert connection.read_line() == b"before"
        connection.write(b"one")
        assert connection.read_line() == b"after"
        connection.write(b"two")
    assert heard == [b"one", b"two"]
