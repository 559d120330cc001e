"""Data connections of every FTP server: who opens them, over which protocol, what ties them to the session."""

from __future__ import annotations

import io
import random
import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import starttls

from tests import cli
from tests.python.faces import Face, trusting
from tests.servers import proftpd as proftpd_daemon
from tests.servers import proxies
from tests.servers import pyftpd as pyftpd_daemon
from tests.servers import vsftpd as vsftpd_daemon
from tests.servers.ftp import FTPServer
from tests.servers.pki import PKI

CONTENT = random.Random(4).randbytes(300_000)


def there_and_back(ftp: Any, times: int = 1) -> list[starttls.TransferReceipt]:
    """Uploads, downloads and listings; the receipts of the transfers."""
    receipts = []
    for i in range(times):
        receipts.append(ftp.upload(CONTENT, f"{i}.bin"))
        into = io.BytesIO()
        receipts.append(ftp.download(f"{i}.bin", into))
        assert into.getvalue() == CONTENT
        assert f"{i}.bin" in ftp.listdir()
    return receipts


def test_active_mode(face: Face, ftp_server: FTPServer) -> None:
    trace: list[str] = []
    with face.ftp(ftp_server.url, tls=trusting(ftp_server), active=True, trace=trace.append) as ftp:
        receipts = there_and_back(ftp, times=3)
    assert all(receipt.status in ("verified", "complete") for receipt in receipts)
    assert sum(line.startswith("C: EPRT |1|127.0.0.1|") for line in trace) == 9
    assert not any(line.startswith(("C: EPSV", "C: PASV")) for line in trace)


def test_active_mode_on_chosen_ports(face: Face, vsftpd: FTPServer) -> None:
    trace: list[str] = []
    # The same port again and again: the last connection's end does not keep it from being used.
    mode = starttls.ActiveMode(ports=(24_001, 24_001), address="127.0.0.1")
    with face.ftp(vsftpd.url, tls=trusting(vsftpd), active=mode, trace=trace.append) as ftp:
        there_and_back(ftp, times=2)
    told = [line for line in trace if line.startswith("C: EPRT")]
    assert set(told) == {"C: EPRT |1|127.0.0.1|24001|"}


@pytest.mark.parametrize("ports", [(0, 5), (7, 6)])
def test_ports_that_are_none(face: Face, ports: tuple[int, int]) -> None:
    with pytest.raises(starttls.InvalidArgument, match="ports of active mode"):
        face.ftp("ftp://127.0.0.1", active=starttls.ActiveMode(ports=ports))
    with pytest.raises(starttls.InvalidArgument, match="IP address"):
        face.ftp("ftp://127.0.0.1", active=starttls.ActiveMode(address="me"))


def test_no_active_mode_behind_a_proxy(face: Face, vsftpd: FTPServer) -> None:
    with proxies.socks5() as proxy:
        config = starttls.TLSConfig(ca_file=vsftpd.ca_file, server_name="localhost")
        url = vsftpd.url.replace("localhost", vsftpd.host)
        session = face.ftp(url, tls=config, proxy=proxy.url, active=True)
        with session as ftp, pytest.raises(starttls.Unsupported, match="passive mode"):
            ftp.listdir()


IPV6 = ("vsftpd-ipv6", "proftpd-ipv6", "pureftpd-ipv6", "pyftpdlib-ipv6")


@pytest.mark.parametrize("active", [False, True], ids=["passive", "active"])
@pytest.mark.parametrize("daemon", IPV6)
def test_ipv6(face: Face, servers: Any, daemon: str, active: bool) -> None:
    server = servers.ftp(daemon, None)
    trace: list[str] = []
    with face.ftp(server.url, tls=trusting(server), active=active, trace=trace.append) as ftp:
        there_and_back(ftp, times=2)
    said = "C: EPRT |2|::1|" if active else "C: EPSV"
    assert any(line.startswith(said) for line in trace)
    assert sum(line.startswith("*  data connected to [::1]:") for line in trace) == 6


@pytest.mark.parametrize("tls", ["1.2", "1.3", None])
@pytest.mark.parametrize("daemon", ["vsftpd", "proftpd", "vsftpd-strict"])
def test_resumption_is_had_where_it_is_required(face: Face, servers: Any, daemon: str, tls: Any) -> None:
    server = servers.ftp(daemon, tls)
    with face.ftp(server.url, tls=trusting(server), session_binding="require") as ftp:
        receipts = there_and_back(ftp, times=10)
    assert all(receipt.tls_resumed for receipt in receipts)


def test_a_server_that_gives_no_tickets(face: Face, servers: Any) -> None:
    server = servers.ftp("pureftpd", "1.3")
    with face.ftp(server.url, tls=trusting(server), session_binding="require") as ftp:
        with pytest.raises(starttls.TLSError, match="does not resume") as failure:
            ftp.upload(CONTENT, "a.bin")
        assert failure.value.kind == "not-resumed"
        assert ftp.noop().code == 200
    assert not (server.root / "a.bin").exists()
    # With TLS 1.2 to fall back on, it can.
    server = servers.ftp("pureftpd", None)
    with face.ftp(server.url, tls=trusting(server), session_binding="require") as ftp:
        assert ftp.upload(CONTENT, "a.bin").tls_resumed
        assert ftp.tls.version == "TLSv1.2"


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
def test_no_resumption_by_choice(face: Face, servers: Any, tls: Any) -> None:
    for daemon in ("vsftpd-lenient", "proftpd-lenient", "pureftpd", "pyftpdlib"):
        server = servers.ftp(daemon, tls)
        with face.ftp(server.url, tls=trusting(server), session_binding="off") as ftp:
            assert not any(receipt.tls_resumed for receipt in there_and_back(ftp, times=2))
    for daemon in ("vsftpd", "proftpd"):
        server = servers.ftp(daemon, tls)
        with face.ftp(server.url, tls=trusting(server), session_binding="off") as ftp:
            server.put("a.bin", b"content")
            with pytest.raises((starttls.Rejected, starttls.ConnectionLost, starttls.TLSError)) as failure:
                ftp.download("a.bin", io.BytesIO())
        assert failure.value.code in (None, 425, 426, 522)


@pytest.mark.parametrize("tls", [None, "1.2", "1.3"])
@pytest.mark.parametrize("daemon", ["vsftpd", "vsftpd-strict", "proftpd", "pureftpd", "pureftpd-strict", "pyftpdlib"])
def test_a_hundred_each_way(face: Face, servers: Any, daemon: str, tls: Any) -> None:
    server = servers.ftp(daemon, tls)
    with face.ftp(server.url, tls=trusting(server)) as ftp:
        for i in range(100):
            assert ftp.upload(b"%d" % i, "one").status == "verified"
        for _ in range(100):
            into = io.BytesIO()
            ftp.download("one", into)
            assert into.getvalue() == b"99"


Serving = Callable[[PKI], AbstractContextManager[FTPServer]]

WITH_CLIENT_CERTIFICATES: dict[str, Any] = {
    "vsftpd": vsftpd_daemon.serve,
    "proftpd": proftpd_daemon.serve,
    "pyftpdlib": pyftpd_daemon.serve,
}


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
@pytest.mark.parametrize("daemon", WITH_CLIENT_CERTIFICATES)
def test_client_certificates(face: Face, pki: PKI, daemon: str, tls: Any) -> None:
    with WITH_CLIENT_CERTIFICATES[daemon](pki, tls=tls, client_ca=pki.ca_file) as server:
        shown = {"client_cert": pki.client.cert_file, "client_key": pki.client.key_file}
        for active in (False, True):
            config = starttls.TLSConfig(ca_file=server.ca_file, **shown)
            with face.ftp(server.url, tls=config, active=active) as ftp:
                there_and_back(ftp, times=2)
        with pytest.raises((starttls.TLSError, ssl.SSLError, ConnectionError)):
            face.ftp(server.url, tls=trusting(server)).connect()


@pytest.fixture(params=["passive", "active"])
def compressing(face: Face, proftpd_modules: FTPServer, request: pytest.FixtureRequest) -> Iterator[tuple[Any, Any]]:
    trace: list[str] = []
    options = {"tls": trusting(proftpd_modules), "compression": True, "active": request.param == "active"}
    with face.ftp(proftpd_modules.url, trace=trace.append, **options) as ftp:
        yield ftp, proftpd_modules
    sessions = sum(line.startswith("*  control connected") for line in trace)
    assert trace.count("C: MODE Z") == sessions


def test_compression(compressing: tuple[Any, FTPServer]) -> None:
    ftp, server = compressing
    for name, content in {
        "noise.bin": CONTENT,
        "text.txt": b"".join(b"line %d of %d\n" % (i, i * 7919 % 1013) for i in range(60_000)),
        "small": b"x",
    }.items():
        up = ftp.upload(content, name)
        assert (up.size, up.compressed) == (len(content), True)
        assert (server.root / name).read_bytes() == content
        into = io.BytesIO()
        down = ftp.download(name, into)
        assert (down.size, down.compressed, down.to_dict()["compressed"]) == (len(content), True, True)
        assert into.getvalue() == content
    assert sorted(ftp.listdir()) == ["noise.bin", "small", "text.txt"]


def test_compression_of_nothing(compressing: tuple[Any, FTPServer]) -> None:
    ftp, server = compressing
    ftp.upload(b"", "empty")
    assert (server.root / "empty").read_bytes() == b""
    into = io.BytesIO()
    ftp.download("empty", into)
    assert into.getvalue() == b""


def test_compression_is_not_asked_of_a_server_without_it(face: Face, vsftpd: FTPServer) -> None:
    trace: list[str] = []
    with face.ftp(vsftpd.url, tls=trusting(vsftpd), compression=True, trace=trace.append) as ftp:
        there_and_back(ftp)
        assert not ftp.upload(b"as it is", "plain").compressed
    assert not any(line.startswith("C: MODE") for line in trace)


def test_the_command_line_chooses(proftpd_modules: FTPServer, tmp_path: Path) -> None:
    server = proftpd_modules
    server.put("a.bin", CONTENT)
    flags = ("--active", "--active-ports", "24100-24200", "--session-binding", "require", "--compress", "--trace")
    done = cli.starttls("get", f"{server.url}/a.bin", tmp_path, *flags, *cli.ca(server))
    assert done.code == 0, done.err
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert "C: EPRT |1|127.0.0.1|24" in done.err
    assert "C: MODE Z" in done.err
    refused = cli.starttls("send", "smtp://127.0.0.1:1", "--from", "a@b.c", "--to", "a@b.c", "--compress")
    assert refused.code == 64
    assert "are about files" in refused.err
