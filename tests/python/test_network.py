"""How servers are reached: addresses, proxies, a local address, several servers, deadlines; on both faces."""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
import starttls
from starttls._race import ATTEMPT_DELAY, Race

from tests.python.faces import TIMEOUT, Face, trusting
from tests.python.scripted import Peer, scripted
from tests.servers import dovecot as dovecot_daemon
from tests.servers import proxies
from tests.servers.dovecot import DovecotServer
from tests.servers.ftp import FTPServer
from tests.servers.postfix import PostfixServer
from tests.servers.proxies import ProxyServer

KINDS = ["socks5", "socks5 with a login", "http", "http with a login"]


@pytest.fixture(scope="module")
def proxy_servers() -> Iterator[dict[str, ProxyServer]]:
    """Real proxies, with and without a login."""
    with contextlib.ExitStack() as running:
        servers = [
            running.enter_context(kind(login=login))
            for kind in (proxies.socks5, proxies.http)
            for login in (False, True)
        ]
        yield dict(zip(KINDS, servers, strict=True))


def through(proxy: ProxyServer) -> int:
    """How many connections the proxy made."""
    return len(re.findall(r"connected to 127\.0\.0\.1:|CONNECT 127\.0\.0\.1:", proxy.log_text()))


def letter(server: PostfixServer) -> bytes:
    return f"From: {server.user}\r\nTo: {server.user}\r\nSubject: hello\r\n\r\nHello.\r\n".encode()


def by_address(url: str) -> str:
    """The URL with an address for the name, which a proxy may look up in its own way."""
    return url.replace("@localhost:", "@127.0.0.1:")


def trusting_localhost(server: Any) -> starttls.TLSConfig:
    return starttls.TLSConfig(ca_file=server.ca_file, server_name="localhost")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@pytest.mark.parametrize("kind", KINDS)
def test_mail_through_a_proxy(
    face: Face, kind: str, proxy_servers: dict[str, ProxyServer], postfix: PostfixServer
) -> None:
    proxy = proxy_servers[kind]
    for url in (postfix.url, postfix.implicit_url):
        with face.smtp(by_address(url), tls=trusting_localhost(postfix), proxy=proxy.url) as smtp:
            assert smtp.send(letter(postfix)).outcome == "accepted"
    assert len(postfix.messages(2)) == 2
    assert str(postfix.implicit_port) in proxy.log_text()


@pytest.mark.parametrize("kind", KINDS)
def test_files_through_a_proxy(face: Face, kind: str, proxy_servers: dict[str, ProxyServer], vsftpd: FTPServer) -> None:
    proxy = proxy_servers[kind]
    before = through(proxy)
    with face.ftp(by_address(vsftpd.url), tls=trusting_localhost(vsftpd), proxy=proxy.url) as ftp:
        assert ftp.upload(b"content", "by-proxy").status == "verified"
        content = io.BytesIO()
        assert ftp.download("by-proxy", content).status == "verified"
    assert content.getvalue() == b"content"
    # The control connection, and each file's: all went through it.
    assert through(proxy) - before == 3


def test_a_proxy_tells_of_the_target_and_of_itself(face: Face, proxy_servers: dict[str, ProxyServer]) -> None:
    nobody = free_port()
    for kind in ("socks5", "http"):
        with pytest.raises(starttls.Error) as told:
            face.smtp(f"smtp://127.0.0.1:{nobody}", proxy=proxy_servers[kind].url).connect()
        assert "says: " in str(told.value) or "status 5" in str(told.value)
        secret = proxy_servers[f"{kind} with a login"]
        wrong = secret.url.replace(proxies.PASSWORD, "wrong-password")
        for url in (wrong, f"{secret.scheme}://127.0.0.1:{secret.port}"):
            with pytest.raises(starttls.ProxyError, match="user and") as refused:
                face.smtp(f"smtp://127.0.0.1:{nobody}", proxy=url).connect()
            assert refused.value.host == f"127.0.0.1:{secret.port}"
            assert isinstance(refused.value, ConnectionError)
            assert "wrong-password" not in str(refused.value)
    with pytest.raises(starttls.ConnectionRefused, match="the proxy") as absent:
        face.smtp("smtp://mail.invalid", proxy=f"socks5://127.0.0.1:{nobody}").connect()
    assert absent.value.host == f"127.0.0.1:{nobody}"
    with pytest.raises(starttls.InvalidArgument, match="proxy"):
        face.smtp("smtp://mail.invalid", proxy="https://127.0.0.1")


def test_a_local_address(face: Face) -> None:
    came_from: list[str] = []

    def script(peer: Peer) -> None:
        came_from.append(peer._connection.getpeername()[0])
        peer.say("554 no")

    with scripted(script) as server:
        url = f"smtp://127.0.0.1:{server.port}"
        with pytest.raises(starttls.Rejected):
            face.smtp(url, local_address="127.0.0.9").connect()
        with pytest.raises(starttls.Unreachable):
            face.smtp(url, local_address="192.0.2.1").connect()
        with pytest.raises(starttls.Unreachable):
            face.smtp(url, local_address="::1").connect()
        with pytest.raises(starttls.InvalidArgument, match="local_address"):
            face.smtp(url, local_address="localhost")
    assert came_from == ["127.0.0.9"]


class BlackHole:
    """An address that answers nothing: a listener whose backlog is full."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.2", 0), backlog=0)
        self.address = self._listener.getsockname()
        self._queued: list[socket.socket] = []
        with contextlib.suppress(TimeoutError):
            while True:
                self._queued.append(socket.create_connection(self.address, timeout=0.1))

    def close(self) -> None:
        for one in (self._listener, *self._queued):
            one.close()


def test_asyncio_races_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    async def race(*addresses: tuple[str, int], within: float = 20) -> tuple[Race, Any]:
        loop = asyncio.get_running_loop()

        async def found(*_: object, **__: object) -> list[tuple[object, ...]]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]

        monkeypatch.setattr(loop, "getaddrinfo", found)
        race = Race(loop, None)
        try:
            async with asyncio.timeout(within):
                return race, await race.reach("both.test", 25)
        except OSError as error:
            return race, error

    async def main() -> None:
        refusing = ("127.0.0.3", free_port())
        with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.closing(BlackHole()) as hole:
            began = time.monotonic()
            _, winner = await race(hole.address, listener.getsockname())
            assert winner.getpeername() == listener.getsockname()
            assert ATTEMPT_DELAY <= time.monotonic() - began < 5
            winner.close()
            began = time.monotonic()
            _, winner = await race(refusing, ("127.0.0.4", refusing[1]), listener.getsockname())
            assert winner.getpeername() == listener.getsockname()
            assert time.monotonic() - began < ATTEMPT_DELAY
            winner.close()
            lost, error = await race(hole.address, refusing, within=0.6)
            assert isinstance(error, TimeoutError)
            assert [address for address, _, _ in lost.failed] == [refusing[0], hole.address[0]]

    asyncio.run(main())


@pytest.mark.parametrize("addresses", [1, 2])
def test_a_race_that_is_cancelled_when_it_is_won_leaves_no_socket(
    monkeypatch: pytest.MonkeyPatch, addresses: int
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        reached: list[socket.socket] = []
        connect = loop.sock_connect

        async def cancelling(connecting: socket.socket, address: Any) -> None:
            await connect(connecting, address)
            reached.append(connecting)
            reaching.cancel()
            if addresses == 1:
                await asyncio.sleep(0)  # the cancellation arrives here: there is no other task that could have it

        with socket.create_server(("127.0.0.1", 0)) as listener:
            host, port = listener.getsockname()

            async def found(*_: object, **__: object) -> list[tuple[object, ...]]:
                both = ((host, port), ("127.0.0.9", port))
                return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", one) for one in both[:addresses]]

            monkeypatch.setattr(loop, "getaddrinfo", found)
            monkeypatch.setattr(loop, "sock_connect", cancelling)
            race = Race(loop, None)
            reaching = asyncio.create_task(race.reach("some.test", port))
            with pytest.raises(asyncio.CancelledError):
                await reaching
        assert reached[0].fileno() == -1

    asyncio.run(main())


def test_asyncio_asks_nobody_what_an_address_is(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def asked(*_: object, **__: object) -> list[tuple[object, ...]]:
            raise AssertionError("an address is no name")

        monkeypatch.setattr(loop, "getaddrinfo", asked)
        for address in ("127.0.0.1", "::1"):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            with socket.create_server((address, 0), family=family) as listener:
                winner = await Race(loop, None).reach(address, listener.getsockname()[1])
                assert winner.getpeername() == listener.getsockname()
                winner.close()
        port, late = free_port(), Race(loop, None)
        with pytest.raises(ConnectionRefusedError):
            await late.reach("127.0.0.1", port)
        assert [failed[:2] for failed in late.failed] == [("127.0.0.1", port)]
        with contextlib.closing(BlackHole()) as hole:
            late = Race(loop, None)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await late.reach(*hole.address)
            assert [failed[:2] for failed in late.failed] == [hole.address]

    asyncio.run(main())


def test_every_address_is_told(face: Face) -> None:
    port = free_port()
    with pytest.raises(starttls.ConnectionRefused) as refused:
        face.smtp(f"smtp://localhost:{port}").connect()
    addresses = {str(found[4][0]) for found in socket.getaddrinfo("localhost", port, type=socket.SOCK_STREAM)}
    for address in addresses:
        assert f"{f'[{address}]' if ':' in address else address}:{port} (connection refused)" in str(refused.value)


def test_several_servers(face: Face, postfix: PostfixServer) -> None:
    absent = f"smtps://localhost:{free_port()}"

    def script(peer: Peer) -> None:
        peer.say("421 4.3.2 too busy")

    with scripted(script) as busy:
        routes = starttls.Routes(
            absent, f"smtp://localhost:{busy.port}", f"smtps://{postfix.server_name}:{postfix.implicit_port}"
        )
        login = {"user": postfix.user, "password": postfix.password}
        with face.smtp(routes, tls=trusting(postfix), **login) as smtp:
            assert smtp.send(letter(postfix)).outcome == "accepted"
        with pytest.raises(starttls.Rejected, match="too busy") as told:
            face.smtp(starttls.Routes(absent, f"smtp://localhost:{busy.port}"), tls=trusting(postfix)).connect()
        assert "tried before" in str(told.value) and "connection refused" in str(told.value)
        # A certificate that nobody trusts is not passed over.
        with pytest.raises(starttls.CertificateError):
            face.smtp(starttls.Routes(postfix.implicit_url, postfix.url)).connect()


def test_a_server_of_lmtp_among_several(face: Face, dovecot: DovecotServer) -> None:
    routes = starttls.Routes(f"smtps://localhost:{free_port()}", f"lmtp://{dovecot.server_name}:{dovecot.lmtp_port}")
    one, _, _ = dovecot_daemon.RECIPIENTS
    with face.smtp(routes, tls=starttls.TLSConfig(ca_file=dovecot.ca_file)) as lmtp:
        report = lmtp.send(b"Subject: hi\r\n\r\nhi\r\n", sender="a@example.test", recipients=[one, dovecot_daemon.FULL])
    assert (report.outcome, report.accepted) == ("partial", (one,))
    assert report.refused[dovecot_daemon.FULL].code == 552


def test_service_records() -> None:
    records = [(20, 0, 465, "second.example.net."), (10, 1, 465, "first.example.net.")]
    upgrade = [(0, 0, 587, "third.example.net.")]
    routes = starttls.Routes.from_srv("example.org", submissions=records, submission=upgrade, secure=True)
    assert routes.urls == [
        "smtps://first.example.net:465",
        "smtps://second.example.net:465",
        "smtp://third.example.net:587",
    ]
    assert routes.server_names == ["first.example.net", "second.example.net", "third.example.net"]
    insecure = starttls.Routes.from_srv("example.org", submissions=records, secure=False)
    assert insecure.server_names == ["example.org"] * 2
    with pytest.raises(starttls.InvalidArgument, match="no submission service"):
        starttls.Routes.from_srv("example.org", submissions=[(0, 0, 0, ".")], secure=True)


def test_a_record_that_nobody_vouches_for_needs_the_domains_certificate(face: Face, postfix: PostfixServer) -> None:
    records = [(0, 0, postfix.implicit_port, postfix.server_name)]
    login = {"user": postfix.user, "password": postfix.password, "tls": trusting(postfix)}
    with face.smtp(starttls.Routes.from_srv("example.org", submissions=records, secure=True), **login) as smtp:
        assert smtp.noop().code == 250
    with pytest.raises(starttls.CertificateError) as error:
        face.smtp(starttls.Routes.from_srv("example.org", submissions=records, secure=False), **login).connect()
    assert error.value.kind == "name-mismatch" and "example.org" in str(error.value)


def test_a_total_time(face: Face) -> None:
    def script(peer: Peer) -> None:
        peer.say("220 ready")
        while peer.line():
            time.sleep(0.3)
            peer.say("250 ok")

    with scripted(script) as server:
        timeout = starttls.Timeout(total=1.0)
        began = time.monotonic()
        with (
            pytest.raises(starttls.TimeoutExceeded),
            face.smtp(f"smtp://127.0.0.1:{server.port}?tls=none", timeout=timeout) as smtp,
        ):
            # Each reply is in time; all of them are not.
            smtp.send(b"Subject: x\r\n\r\n", sender="a@b.c", recipients=[f"{i}@b.c" for i in range(50)])
        assert 1 <= time.monotonic() - began < 12


def test_the_url_that_would_work(face: Face, postfix: PostfixServer, vsftpd: FTPServer) -> None:
    name = postfix.server_name
    mail, files = (
        {"tls": trusting(server), "timeout": TIMEOUT} | ({"timeout": 1} if quick else {})
        for server, quick in ((postfix, True), (vsftpd, True))
    )
    for session, advice in [
        (face.smtp(f"smtps://{name}:{postfix.port}", **mail), f"try smtp://{name}:{postfix.port}"),
        (face.smtp(f"smtp://{name}:{postfix.implicit_port}", **mail), f"try smtps://{name}:{postfix.implicit_port}"),
        (face.ftp(f"ftps://{name}:{vsftpd.port}", **files), f"try ftp://{name}:{vsftpd.port}"),
        (face.ftp(f"ftp://{name}:{vsftpd.implicit_port}", **files), f"try ftps://{name}:{vsftpd.implicit_port}"),
        (
            face.smtp(f"smtp://{name}:{vsftpd.port}", **mail),
            f"an FTP server is on this port: its URL is ftp://{name}:{vsftpd.port}",
        ),
        (
            face.ftp(f"ftp://{name}:{postfix.port}", **files),
            f"an SMTP server is on this port: its URL is smtp://{name}:{postfix.port}",
        ),
    ]:
        with pytest.raises(starttls.Error) as error:
            session.connect()
        assert error.value.advice is not None and advice in error.value.advice
        assert advice in str(error.value)
