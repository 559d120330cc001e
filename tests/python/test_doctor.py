"""Examinations of servers, from both faces."""

from __future__ import annotations

import json
import pickle
import signal
import socket
import subprocess
import sys
import threading
from urllib.parse import quote

import pytest
import starttls

from tests.conftest import Servers
from tests.python.faces import Face, trusting
from tests.servers.ftp import FTPServer


def test_what_is_found(face: Face, ftp_server: FTPServer) -> None:
    ftp = face.ftp(ftp_server.url, tls=trusting(ftp_server))
    found = ftp.doctor(write_test=True)
    assert isinstance(found, starttls.Diagnosis)
    assert found.error is None and found.state == "notice"
    assert found.greeting.code == 220 and found.tls.version == f"TLSv{ftp_server.tls}"
    topics = [finding.topic for finding in found.findings]
    assert len(set(topics)) == len(topics) >= 17
    reuse = found.about("session-reuse")
    assert isinstance(reuse, starttls.Finding)
    assert reuse.state == ("notice" if ftp_server.daemon in ("vsftpd", "proftpd") else "good")
    assert found.about("writing").seen.endswith("the file is deleted")
    assert "agrees" in found.about("clock").seen
    assert found.about("nothing") is None
    assert str(found).splitlines()[0].startswith("connection: good: ")
    assert pickle.loads(pickle.dumps(found)) == found
    plain = json.loads(found.to_json())
    assert plain["state"] == "notice" and plain["findings"][0]["topic"] == "connection"
    assert list(ftp_server.root.iterdir()) == []


def test_a_session_that_is_open_goes_on(face: Face, vsftpd: FTPServer) -> None:
    with face.ftp(vsftpd.url, tls=trusting(vsftpd)) as ftp:
        found = ftp.doctor()
        assert found.about("writing") is None and found.about("data-end").state == "good"
        assert ftp.noop().code == 200


def test_in_one_call(servers: Servers) -> None:
    server = servers.ftp("pyftpdlib-nat", None)
    found = starttls.doctor(server.url, tls=trusting(server))
    passive = found.about("passive-mode")
    assert passive is not None and passive.state == "notice" and "10.1.2.3" in passive.seen
    assert passive.cause is not None and "NAT" in passive.cause
    assert passive.remedy is not None and "connections go to 127.0.0.1" in passive.remedy


def test_what_goes_wrong_is_what_it_is_about(face: Face, proftpd: FTPServer) -> None:
    distrusted = face.ftp(proftpd.url, tls=starttls.TLSConfig(pins=[bytes(32)])).doctor()
    assert isinstance(distrusted.error, starttls.CertificateError)
    assert distrusted.state == "problem" and distrusted.about("login") is None
    refused = face.ftp(proftpd.url, password="wrong-password", tls=trusting(proftpd)).doctor()
    assert isinstance(refused.error, starttls.AuthenticationFailed)
    assert refused.about("login").state == "problem" and "wrong-password" not in repr(refused)
    nobody = face.ftp("ftp://localhost:1", timeout=2).doctor()
    assert isinstance(nobody.error, ConnectionRefusedError)
    assert [finding.topic for finding in nobody.findings] == ["connection"]


def test_problems(face: Face, servers: Servers) -> None:
    for name, topic, words in (
        ("pyftpdlib-cut", "data-end", "without close_notify"),
        ("pyftpdlib-firewalled", "data-connection", "connection refused"),
        ("pyftpdlib-lines", "listings", "0 of 1 lines"),
    ):
        server = servers.ftp(name, None)
        server.put("file", b"x")
        found = face.ftp(server.url, tls=trusting(server)).doctor()
        finding = found.about(topic)
        assert finding.state == found.state == "problem" and words in finding.seen, finding
        assert finding.cause and finding.remedy


INTERRUPTED = """
import starttls, sys
try:
    starttls.doctor(sys.argv[1], timeout=30)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_ctrl_c_ends_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"ftp://127.0.0.1:{server.getsockname()[1]}"
        command = [sys.executable, "-c", INTERRUPTED, url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            too_late = threading.Timer(20, child.kill)
            too_late.start()
            connection, _ = server.accept()
            child.send_signal(signal.SIGINT)
            with connection:
                assert child.stdout.read() == "interrupted\n"
            too_late.cancel()


def test_it_ends_with_a_server_that_says_nothing(face: Face) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"ftp://127.0.0.1:{server.getsockname()[1]}"
        found = face.ftp(url, timeout=0.5).doctor()
    assert isinstance(found.error, TimeoutError)
    assert "ftps://" in found.about("connection").remedy


@pytest.mark.parametrize("path", ["a\r\nDELE b", "a\0b"])
def test_the_directory_cannot_carry_a_command(proftpd: FTPServer, path: str) -> None:
    url = f"{proftpd.url}/{quote(path)}"
    try:
        found = starttls.doctor(url, tls=trusting(proftpd))
    except starttls.InvalidArgument:
        return
    assert isinstance(found.error, starttls.InvalidArgument)
