"""A connection on its own: over a host and port, a socket, a stream; in clear text, then under TLS when we say so."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import pickle
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import starttls

from tests.python.faces import Face
from tests.python.scripted import Peer, scripted
from tests.servers.pki import PKI, Identity


def asks(*, greeting: tuple[str, ...] = (), identity: Identity) -> Callable[[Peer], None]:
    """A server that says hello, becomes TLS when it is asked to, and repeats lines until it is told ``bye``."""

    def script(peer: Peer) -> None:
        peer.say("hello")
        if peer.line() != "begin":
            return
        peer.say("yes")
        peer.secure(identity)
        peer.say(*greeting)
        while (line := peer.line()) not in ("", "bye"):
            peer.say(line)

    return script


def trusting(pki: PKI) -> starttls.TLSConfig:
    return starttls.TLSConfig(ca_file=pki.ca_file)


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def test_three_calls_make_it_tls(face: Face, pki: PKI) -> None:
    with (
        scripted(asks(identity=pki.server, greeting=("early", "words"))) as server,
        face.connection("localhost", server.port, tls=trusting(pki)) as connection,
    ):
        assert connection.read_line() == b"hello"
        assert connection.tls is None
        assert connection.channel_binding is None
        connection.write(b"begin\r\n")
        assert connection.read_until(b"s\r\n") == b"yes\r\n"
        connection.start_tls()
        # What a fast server says at once, behind its handshake.
        assert connection.read_line() == b"early"
        assert connection.read_exactly(5) == b"words"
        assert connection.read() == b"\r\n"
        assert connection.tls.version == "TLSv1.3"
        assert connection.tls.server_name == "localhost"
        kind, value = connection.channel_binding
        assert (kind, len(value)) == ("tls-exporter", 32)
        assert connection.peer_address[1] == server.port
        connection.write(memoryview(b"ping\r\n"))
        assert connection.read_line() == b"ping"
    assert "closed" in repr(connection)


def test_the_callers_socket(face: Face, pki: PKI) -> None:
    """The caller has talked on it before, and goes on here."""
    with scripted(asks(identity=pki.server)) as server:
        sock = connected(server.port)
        with sock.makefile("rwb") as file:
            assert file.readline() == b"hello\r\n"
            file.write(b"begin\r\n")
            file.flush()
            assert file.readline() == b"yes\r\n"
        with face.connection(sock=sock, server_name="localhost", tls=trusting(pki)) as connection:
            connection.start_tls()
            connection.write(b"ping\r\n")
            assert connection.read_line() == b"ping"
            assert connection.tls.server_name == "localhost"
        assert sock.fileno() == -1  # it belonged to the connection
        with pytest.raises(starttls.TransportError):
            connection.connect()


def test_a_socket_of_any_kind(face: Face, pki: PKI) -> None:
    ours, theirs = socket.socketpair()
    failures = []

    def serve() -> None:
        try:
            peer = Peer(theirs)
            peer.say("go")
            peer.secure(pki.server)
            peer.say(peer.line())
            peer.wait_for_end()
            peer.close()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    with face.connection(sock=ours, tls=starttls.TLSConfig(ca_file=pki.ca_file, server_name="localhost")) as connection:
        assert connection.read_line() == b"go"
        connection.start_tls()
        connection.write(b"over a pair\r\n")
        assert connection.read_line() == b"over a pair"
        assert connection.peer_address is None
    thread.join(20)
    assert not failures


def test_a_stream_of_asyncio(pki: PKI) -> None:
    """What the reader has received already is not lost."""

    async def talk(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.readline() == b"hello\r\n"
        writer.write(b"begin\r\n")
        assert await reader.readexactly(1) == b"y"
        # The rest of the line waits in the reader, or is on its way.
        async with starttls.AsyncConnection(
            "localhost", stream=(reader, writer), tls=trusting(pki), timeout=20
        ) as connection:
            assert await connection.read_line() == b"es"
            await connection.start_tls()
            await connection.write(b"ping\r\n")
            assert await connection.read_line() == b"ping"

    with scripted(asks(identity=pki.server)) as server:
        asyncio.run(talk(server.port))


def test_tls_from_the_first_byte_and_never(face: Face, pki: PKI) -> None:
    def implicit(peer: Peer) -> None:
        peer.secure(pki.server)
        peer.say("hello")
        peer.wait_for_end()

    with (
        scripted(implicit) as server,
        face.connection("localhost", server.port, security="implicit", tls=trusting(pki)) as connection,
    ):
        assert connection.tls.version == "TLSv1.3"
        assert connection.read_line() == b"hello"
        with pytest.raises(starttls.InvalidState, match="under TLS already"):
            connection.start_tls()
    with (
        scripted(asks(identity=pki.server)) as server,
        face.connection("localhost", server.port, security="plaintext") as connection,
    ):
        with pytest.raises(starttls.InvalidState, match="stay in clear text"):
            connection.start_tls()
        assert connection.read_line() == b"hello"


def test_an_upgrade_in_one_call(face: Face, pki: PKI) -> None:
    def pop3(peer: Peer) -> None:
        peer.say("+OK ready <1.2@localhost>")
        assert peer.line() == "STLS"
        peer.say("+OK begin")
        peer.secure(pki.server)
        assert peer.line() == "CAPA"
        peer.say("+OK", "USER", ".")
        peer.wait_for_end()

    with (
        scripted(pop3) as server,
        face.connection("localhost", server.port, tls=trusting(pki)) as connection,
    ):
        assert connection.upgrade("pop3") == b"+OK ready <1.2@localhost>"
        connection.write(b"CAPA\r\n")
        assert connection.read_until(b"\r\n.\r\n") == b"+OK\r\nUSER\r\n.\r\n"


def test_a_refusal_is_told_in_the_servers_words(face: Face, pki: PKI) -> None:
    def imap(peer: Peer) -> None:
        peer.say("* OK ready")
        assert peer.line() == "A1 STARTTLS"
        peer.say("A1 NO not today")
        peer.wait_for_end()

    with scripted(imap) as server, face.connection("localhost", server.port, tls=trusting(pki)) as connection:
        with pytest.raises(starttls.UpgradeNotOffered, match="not today") as raised:
            connection.upgrade("imap")
        assert raised.value.phase == "upgrade"
        with pytest.raises(starttls.InvalidState, match="open a new one"):
            connection.write(b"A2 LOGIN ann secret\r\n")


def test_what_was_slipped_in_is_an_error(face: Face, pki: PKI) -> None:
    def script(peer: Peer) -> None:
        peer.say("+OK ready")
        assert peer.line() == "STLS"
        peer.say("+OK begin", "+OK injected")
        peer.wait_for_end()

    with (
        scripted(script) as server,
        face.connection("localhost", server.port, tls=trusting(pki)) as connection,
        pytest.raises(starttls.BytesBeforeHandshake, match="injected"),
    ):
        connection.upgrade("pop3")


@contextlib.contextmanager
def offering(identity: Identity, *, implicit: bool) -> Iterator[Any]:
    """A server with this certificate."""

    def script(peer: Peer) -> None:
        if not implicit:
            peer.say("+OK ready")
            assert peer.line() == "STLS"
            peer.say("+OK begin")
        peer.secure(identity)
        peer.wait_for_end()

    with scripted(script) as server:
        yield server


FAULTS = {
    "expired": "certificate-expired",
    "not_yet_valid": "certificate-not-yet-valid",
    "unknown_ca": "unknown-issuer",
    "self_signed": "unknown-issuer",
    "chain_missing": "unknown-issuer",
    "wrong_name": "name-mismatch",
    "cn_only": "name-mismatch",
    "client": "wrong-usage",
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("implicit", [False, True], ids=["upgrade", "implicit"])
def test_every_fault_of_a_certificate(face: Face, pki: PKI, fault: str, implicit: bool) -> None:
    with offering(getattr(pki, fault), implicit=implicit) as server:
        security = "implicit" if implicit else "upgrade"
        connection = face.connection("localhost", server.port, security=security, tls=trusting(pki))
        with pytest.raises(starttls.CertificateError) as raised, connection:
            connection.upgrade("pop3")
    assert raised.value.kind == FAULTS[fault]
    assert raised.value.phase == "handshake"


def test_an_address_needs_its_own_name(face: Face, pki: PKI) -> None:
    with (
        offering(pki.no_ip, implicit=False) as server,
        face.connection("127.0.0.1", server.port, tls=trusting(pki)) as connection,
        pytest.raises(starttls.CertificateError) as raised,
    ):
        connection.upgrade("pop3")
    assert raised.value.kind == "name-mismatch"


def test_ends_are_told_apart(face: Face, pki: PKI) -> None:
    def cut(peer: Peer) -> None:
        peer.secure(pki.server)
        peer.say("part")

    def orderly(peer: Peer) -> None:
        peer.secure(pki.server)
        peer.say("all")
        with contextlib.suppress(ssl.SSLError, OSError):
            peer._connection.unwrap()  # type: ignore[attr-defined]

    with (
        scripted(orderly) as server,
        face.connection("localhost", server.port, security="implicit", tls=trusting(pki)) as connection,
    ):
        assert connection.read_line() == b"all"
        assert connection.read_line() is None
        assert connection.read() == b""
        with pytest.raises(starttls.ConnectionLost):
            connection.read_exactly(1)
    with (
        scripted(cut) as server,
        face.connection("localhost", server.port, security="implicit", tls=trusting(pki)) as connection,
    ):
        assert connection.read_line() == b"part"
        with pytest.raises(starttls.Truncated):
            connection.read()


def halting(go_on: threading.Event) -> Callable[[Peer], None]:
    """A line in two halves, the second one when it is time."""

    def script(peer: Peer) -> None:
        peer.say_bytes(b"first ha")
        assert go_on.wait(20)
        peer.say("lf")
        peer.wait_for_end()

    return script


@pytest.mark.parametrize("own_socket", [False, True])
def test_a_read_that_runs_out_of_time_loses_nothing(face: Face, pki: PKI, own_socket: bool) -> None:
    go_on = threading.Event()
    with scripted(halting(go_on)) as server:
        how: dict[str, Any] = {"security": "plaintext", "timeout": starttls.Timeout(reply=0.3)}
        if own_socket:
            connection = face.connection(sock=connected(server.port), **how)
        else:
            connection = face.connection("localhost", server.port, **how)
        with connection:
            with pytest.raises(starttls.TimeoutExceeded):
                connection.read_line()
            go_on.set()
            # The server's part may take its time on a busy machine.
            for _ in range(100):
                try:
                    line = connection.read_line()
                    break
                except starttls.TimeoutExceeded:
                    pass
            assert line == b"first half"


@pytest.mark.parametrize("own_socket", [False, True])
def test_a_write_that_ended_in_the_middle_is_the_last(face: Face, own_socket: bool) -> None:
    over = threading.Event()

    def deaf(peer: Peer) -> None:
        assert over.wait(30)

    with scripted(deaf) as server:
        how: dict[str, Any] = {"security": "plaintext", "timeout": starttls.Timeout(stall=0.3)}
        if own_socket:
            connection = face.connection(sock=connected(server.port), **how)
        else:
            connection = face.connection("localhost", server.port, **how)
        with connection:
            with pytest.raises(starttls.TimeoutExceeded):
                connection.write(bytes(64 << 20))
            # Neither more words nor an end in order may hide the hole.
            with pytest.raises(starttls.InvalidState, match="given up"):
                connection.write(b"more")
            with pytest.raises(starttls.InvalidState, match="given up"):
                connection.shutdown()
        over.set()


def test_a_read_that_is_cancelled_loses_nothing(pki: PKI) -> None:
    async def talk(port: int, go_on: threading.Event) -> None:
        async with starttls.AsyncConnection("localhost", port, security="plaintext", timeout=20) as connection:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await connection.read_line()
            go_on.set()
            assert await connection.read_line() == b"first half"

    go_on = threading.Event()
    with scripted(halting(go_on)) as server:
        asyncio.run(talk(server.port, go_on))


def test_an_upgrade_that_is_cancelled_is_over(pki: PKI) -> None:
    async def talk(port: int) -> None:
        async with starttls.AsyncConnection("localhost", port, tls=trusting(pki), timeout=20) as connection:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await connection.upgrade("pop3")
            with pytest.raises(starttls.InvalidState, match="given up in the middle"):
                await connection.write(b"PASS secret\r\n")

    def silent(peer: Peer) -> None:
        peer.say("+OK ready")
        assert peer.line() == "STLS"
        assert peer.line() == ""  # and no password

    with scripted(silent) as server:
        asyncio.run(talk(server.port))


def test_our_end_and_theirs(face: Face, pki: PKI) -> None:
    def script(peer: Peer) -> None:
        peer.secure(pki.server)
        assert peer.line() == "last"
        assert peer.line() == ""  # close_notify, or it would be an error
        peer.say("and mine")

    with (
        scripted(script) as server,
        face.connection("localhost", server.port, security="implicit", tls=trusting(pki)) as connection,
    ):
        connection.write(b"last\r\n")
        connection.shutdown()
        with pytest.raises(starttls.InvalidState, match="has ended"):
            connection.write(b"more")
        assert connection.read_line() == b"and mine"


def test_a_megabyte_each_way(face: Face, pki: PKI) -> None:
    noise = bytes(range(256)) * 4096

    def script(peer: Peer) -> None:
        peer.secure(pki.server)
        peer.skip(len(noise))
        peer.say_bytes(noise)
        peer.wait_for_end()

    with (
        scripted(script) as server,
        connected(server.port) as sock,
        face.connection("localhost", sock=sock, security="implicit", tls=trusting(pki)) as connection,
    ):
        connection.write(noise)
        assert connection.read_exactly(len(noise)) == noise


def test_limits(face: Face) -> None:
    def babble(peer: Peer) -> None:
        peer.say_bytes(b"x" * 100_000)
        peer.wait_for_end()

    with (
        scripted(babble) as server,
        face.connection("localhost", server.port, security="plaintext") as connection,
    ):
        with pytest.raises(starttls.LimitExceeded):
            connection.read_line()
        with pytest.raises(starttls.LimitExceeded):
            connection.read_until(b"y", limit=1000)
        assert connection.read_exactly(100_000) == b"x" * 100_000


def test_arguments_that_cannot_be_used(face: Face, pki: PKI) -> None:
    for options, said in [
        ({}, "a host and a port"),
        ({"security": "maybe"}, "security is"),
        ({"sock": socket.socket(), "proxy": "socks5://localhost"}, "still to be opened"),
        ({"sock": socket.socket()}, "whose certificate"),
    ]:
        to = ("localhost", 1) if "security" in options else ()
        with pytest.raises(starttls.InvalidArgument, match=said):
            face.connection(*to, **options)
        for it in options.values():
            if isinstance(it, socket.socket):
                it.close()
    with pytest.raises(TypeError, match="did you mean 'timeout'"):
        face.connection("localhost", 1, timout=1)
    with (
        scripted(asks(identity=pki.server)) as server,
        face.connection("localhost", server.port) as connection,
        pytest.raises(starttls.InvalidArgument, match="there are smtp, lmtp"),
    ):
        connection.upgrade("gopher")


def test_before_and_after(face: Face, pki: PKI) -> None:
    with scripted(asks(identity=pki.server)) as server:
        connection = face.connection("localhost", server.port, tls=trusting(pki))
        with pytest.raises(starttls.InvalidState, match="not connected"):
            connection.read()
        with connection:
            assert connection.read_line() == b"hello"
        connection.close()  # once more
        with pytest.raises(starttls.InvalidState, match="closed"):
            connection.read()
        with pytest.raises(TypeError):
            pickle.dumps(connection)


def test_a_connection_that_is_forgotten_closes_its_socket(face: Face) -> None:
    def script(peer: Peer) -> None:
        assert peer.line() == ""

    with scripted(script) as server:
        sock = connected(server.port)
        connection = face.connection(sock=sock, security="plaintext")
        connection.connect()
        connection.close()
        del connection
        gc.collect()
        assert sock.fileno() == -1


def test_events_are_told_without_what_is_said(face: Face, pki: PKI) -> None:
    events: list[str] = []
    with (
        scripted(asks(identity=pki.server)) as server,
        face.connection("localhost", server.port, tls=trusting(pki), trace=events.append) as connection,
    ):
        connection.read_line()
        connection.write(b"begin\r\n")
        connection.read_line()
        connection.start_tls()
        connection.write(b"LOGIN ann hunter2\r\n")
        connection.read_line()
    told = "\n".join(events)
    assert "TLSv1.3" in told
    assert "hunter2" not in told
