"""The command line's flags about the network: a proxy, a local address, a time for everything."""

from __future__ import annotations

import time

from tests.cli import ca, starttls
from tests.python.scripted import Peer, scripted
from tests.servers import proxies
from tests.servers.ftp import FTPServer
from tests.servers.postfix import PostfixServer
from tests.servers.process import free_ports

MESSAGE = b"From: ann@example.test\nTo: bob@example.test\nSubject: hello\n\nHello.\n"


def test_through_a_proxy(postfix: PostfixServer, vsftpd: FTPServer) -> None:
    name = ("--server-name", "localhost")
    with proxies.http(login=True) as http, proxies.socks5(login=True) as socks5:
        url = postfix.url.replace("@localhost:", "@127.0.0.1:")
        done = starttls("send", url, "--proxy", http.url, *name, *ca(postfix), stdin=MESSAGE)
        assert done.code == 0, done.err
        assert len(postfix.messages()) == 1
        url = vsftpd.url.replace("@localhost:", "@127.0.0.1:")
        done = starttls("put", "-", f"{url}/by-proxy", "--proxy", socks5.url, *name, *ca(vsftpd), stdin=b"content")
        assert done.code == 0, done.err
        done = starttls("get", f"{url}/by-proxy", "-", "--proxy", socks5.url, *name, *ca(vsftpd))
        assert (done.code, done.out) == (0, b"content"), done.err
        wrong = http.url.replace(proxies.PASSWORD, "wrong-password")
        done = starttls("probe", "smtp://127.0.0.1:25", "--proxy", wrong, "--json")
        assert done.code == 69 and done.json["error"]["kind"] == "proxy"
        assert "wrong-password" not in done.err and b"wrong-password" not in done.out
    done = starttls("probe", "smtp://127.0.0.1:25", "--proxy", "https://ann:hunter2@127.0.0.1")
    assert done.code == 64 and "socks5://" in done.err


def test_a_local_address() -> None:
    came_from: list[str] = []

    def script(peer: Peer) -> None:
        came_from.append(peer._connection.getpeername()[0])
        peer.say("554 no")

    with scripted(script) as server:
        assert starttls("probe", f"smtp://127.0.0.1:{server.port}", "--local-address", "127.0.0.9").code == 69
    assert came_from == ["127.0.0.9"]


def test_a_time_for_everything() -> None:
    def script(peer: Peer) -> None:
        peer.say("220 ready")
        while peer.line():
            time.sleep(0.3)
            peer.say("250 ok")

    with scripted(script) as server:
        began = time.monotonic()
        recipients = [f"--to={i}@example.test" for i in range(50)]
        url = f"smtp://127.0.0.1:{server.port}?tls=none"
        # Each reply is in time; all of them are not.
        done = starttls("send", url, "--from=", *recipients, "--max-time", "1.5", stdin=MESSAGE)
        assert done.code == 75 and "timed out" in done.err
        assert time.monotonic() - began < 6


def test_a_server_in_reserve(postfix: PostfixServer) -> None:
    def busy(peer: Peer) -> None:
        peer.say("421 4.3.2 too busy")

    [dead] = free_ports(1)
    with scripted(busy) as server:
        first = postfix.url.replace(f":{postfix.port}", f":{dead}")
        others = [f"smtp://localhost:{server.port}", f"smtp://localhost:{postfix.port}"]
        flags = [word for other in others for word in ("--fallback", other)]
        done = starttls("send", first, *flags, "--from=", "--to=bob@example.test", *ca(postfix), stdin=MESSAGE)
        assert done.code == 0, done.err
        assert len(postfix.messages()) == 1
        # All of them are named, and a certificate that is not believed is not passed over.
        done = starttls("send", first, *flags[:2], "--from=", "--to=bob@example.test", *ca(postfix), stdin=MESSAGE)
        assert done.code == 75 and "421" in done.err and f":{dead}" in done.err
        done = starttls("send", first, *flags[2:], *flags[2:], "--from=", "--to=bob@example.test", stdin=MESSAGE)
        assert done.code == 76 and "--ca-file" in done.err
    assert len(postfix.messages()) == 1


def test_a_server_in_reserve_is_one_of_the_kind() -> None:
    for reserve in ("smtp://ann@mail.example.test", "lmtp://mail.example.test", "ftp://mail.example.test", "mail"):
        done = starttls("send", "smtp://localhost", "--fallback", reserve, stdin=MESSAGE)
        assert done.code == 64, reserve
