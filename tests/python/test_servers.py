"""The harness of real daemons, tried with the clients of the standard library."""

from __future__ import annotations

import contextlib
import ftplib
import io
import json
import os
import shutil
import smtplib
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.conftest import Servers
from tests.servers import install
from tests.servers import postfix as postfix_daemon
from tests.servers import proftpd as proftpd_daemon
from tests.servers import pureftpd as pureftpd_daemon
from tests.servers import pyftpd as pyftpd_daemon
from tests.servers import vsftpd as vsftpd_daemon
from tests.servers.catalogue import FTP, SERVERS
from tests.servers.ftp import FTPServer
from tests.servers.mail import MailServer
from tests.servers.pki import PKI, Identity
from tests.servers.postfix import PostfixServer
from tests.servers.process import ServerError, TLSVersion

Serving = AbstractContextManager[FTPServer]

TIMEOUT = 10
CONTENT = bytes(range(256)) * 300


def context(ca_file: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(ca_file))


# --- the certificates


def handshake(identity: Identity, ca_file: Path, name: str) -> None:
    """A TLS handshake in memory; raises what the client raises."""
    trust = context(ca_file)
    trust.hostname_checks_common_name = False
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(identity.cert_file, identity.key_file)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trust.wrap_bio(to_client, to_server, server_hostname=name)
    server = server_side.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(3):
        for side in (client, server):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    assert client.version() is not None


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
@pytest.mark.parametrize("label", ["server", "server_rsa", "chained"])
def test_good_certificates_are_good(pki: PKI, label: str, name: str) -> None:
    handshake(getattr(pki, label), pki.ca_file, name)


@pytest.mark.parametrize(
    ("label", "name", "reason"),
    [
        ("expired", "localhost", "certificate has expired"),
        ("not_yet_valid", "localhost", "certificate is not yet valid"),
        ("unknown_ca", "localhost", "unable to get local issuer certificate"),
        ("wrong_name", "localhost", "Hostname mismatch"),
        ("wrong_name", "127.0.0.1", "IP address mismatch"),
        ("cn_only", "localhost", "Hostname mismatch"),
        ("no_ip", "127.0.0.1", "IP address mismatch"),
        ("self_signed", "localhost", "self-signed certificate"),
        ("chain_missing", "localhost", "unable to get local issuer certificate"),
        ("client", "localhost", "unsuitable certificate purpose"),
    ],
)
def test_bad_certificates_are_bad_for_their_reason(pki: PKI, label: str, name: str, reason: str) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=reason):
        handshake(getattr(pki, label), pki.ca_file, name)


# --- Postfix


@contextlib.contextmanager
def submission(
    server: MailServer, *, implicit: bool = False, login: bool = True, certificate: Identity | None = None
) -> Iterator[smtplib.SMTP]:
    tls = context(server.ca_file)
    if certificate:
        tls.load_cert_chain(certificate.cert_file, certificate.key_file)
    client: smtplib.SMTP
    if implicit:
        client = smtplib.SMTP_SSL(server.server_name, server.implicit_port, timeout=TIMEOUT, context=tls)
    else:
        client = smtplib.SMTP(server.server_name, server.port, timeout=TIMEOUT)
        client.starttls(context=tls)
    with client:
        client.ehlo()
        if login:
            client.login(server.user, server.password)
        yield client


@pytest.mark.parametrize("postfix", ["1.2", "1.3"], indirect=True)
@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "implicit"])
def test_postfix_delivers_the_same_bytes(postfix: PostfixServer, implicit: bool) -> None:
    body = b".dot\r\n..two\r\n\r\nFrom here\r\n\xe4\xf6\r\n" + b"x" * 998 + b"\r\nlone \r end\r\n.\r\n\r\n" * 2000
    message = b"Subject: =?utf-8?q?a?=\r\nBcc: kept@example.test\r\nReceived: by client\r\n\r\n" + body
    with submission(postfix, implicit=implicit) as client:
        assert isinstance(client.sock, ssl.SSLSocket) and client.sock.version() == f"TLSv{postfix.tls}"
        for offer in ("pipelining", "chunking", "smtputf8", "dsn", "8bitmime", "size"):
            assert client.has_extn(offer), offer
        # smtplib would turn the bare CR into a line end of its own: stuff the dots here.
        client.mail("sender@example.test")
        for recipient in ("one@example.test", "two@example.test"):
            assert client.rcpt(recipient)[0] == 250
        assert client.docmd("DATA")[0] == 354
        client.send(message.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        assert client.getreply()[0] == 250
    delivered = postfix.messages(2)
    assert {copy.recipient for copy in delivered} == {"one@example.test", "two@example.test"}
    for copy in delivered:
        assert copy.sender == "sender@example.test"
        assert copy.content() == message
        assert "ESMTPSA" in copy.received


def test_postfix_takes_chunks_and_international_addresses(postfix: PostfixServer) -> None:
    message = "Subject: grüße\r\n\r\nhallo\r\n".encode()
    with submission(postfix) as client:
        assert client.docmd("MAIL", "FROM:<sender@example.test> SMTPUTF8 BODY=8BITMIME")[0] == 250
        client.send("RCPT TO:<jürgen@example.test>\r\n".encode())
        assert client.getreply()[0] == 250
        client.send(b"BDAT 5\r\n" + message[:5])
        assert client.getreply()[0] == 250
        client.send(b"BDAT %d LAST\r\n" % len(message[5:]) + message[5:])
        assert client.getreply()[0] == 250
    (copy,) = postfix.messages()
    assert (copy.content(), copy.recipient) == (message, "jürgen@example.test")


def test_postfix_refuses_each_for_its_reason(postfix: PostfixServer) -> None:
    with smtplib.SMTP(postfix.server_name, postfix.port, timeout=TIMEOUT) as client:
        client.ehlo()
        assert not client.has_extn("auth")
        assert client.docmd("MAIL FROM:<a@example.test>")[0] == 530
    with submission(postfix, login=False) as client:
        assert client.esmtp_features["auth"].split() == ["PLAIN", "LOGIN"]
        client.mail("a@example.test")
        assert client.rcpt("one@example.test")[0] == 554
        client.rset()
        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            client.login(postfix.user, "wrong")
        assert refused.value.smtp_code == 535
    with submission(postfix) as client:
        assert client.mail("a@example.test", [f"SIZE={postfix.size_limit + 1}"])[0] == 552
        client.rset()
        client.mail("a@example.test")
        answers = {name: client.rcpt(name)[0] for name in ("unknown@example.test", "full@example.test")}
        answers |= {name: client.rcpt(name)[0] for name in ("later@example.test", "one@example.org")}
        assert list(answers.values()) == [550, 452, 450, 554]
    assert postfix.delivered() == []


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_postfix_authenticates(postfix: PostfixServer, mechanism: str) -> None:
    with submission(postfix, login=False) as client:
        client.user, client.password = postfix.user, postfix.password
        method = {"PLAIN": client.auth_plain, "LOGIN": client.auth_login}[mechanism]
        assert client.auth(mechanism, method)[0] == 235


def test_postfix_can_demand_a_client_certificate(pki: PKI) -> None:
    with postfix_daemon.serve(pki, client_ca=pki.ca_file) as server:
        with submission(server, certificate=pki.client) as client:
            assert client.noop()[0] == 250
        with pytest.raises((OSError, smtplib.SMTPServerDisconnected)), submission(server):
            raise AssertionError("let in without a certificate")


# --- FTP


class FTPS(ftplib.FTP_TLS):
    """ftplib's client, with session reuse for data connections and with implicit TLS."""

    reuse = True
    resumed = 0

    def connect_implicitly(self, host: str, port: int) -> None:
        self.host = host
        plain = socket.create_connection((host, port), TIMEOUT)
        self.af = plain.family
        self.sock = self.context.wrap_socket(plain, server_hostname=host)
        self.file = self.sock.makefile("r", encoding=self.encoding)
        self.getresp()

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[socket.socket, int | None]:
        plain, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        assert isinstance(self.sock, ssl.SSLSocket)
        session = self.sock.session if self.reuse else None
        secure = self.context.wrap_socket(plain, server_hostname=self.host, session=session)
        self.resumed += bool(secure.session_reused)
        return secure, size


@contextlib.contextmanager
def transfers(
    server: FTPServer, *, implicit: bool = False, password: str | None = None, certificate: Identity | None = None
) -> Iterator[FTPS]:
    tls = context(server.ca_file)
    if certificate:
        tls.load_cert_chain(certificate.cert_file, certificate.key_file)
    client = FTPS(context=tls, timeout=TIMEOUT)
    if implicit:
        assert server.implicit_port is not None
        client.connect_implicitly(server.server_name, server.implicit_port)
    else:
        client.connect(server.server_name, server.port)
    with contextlib.closing(client):
        client.login(server.user, password or server.password, secure=not implicit)
        client.prot_p()
        yield client


def round_trip(client: FTPS, server: FTPServer) -> None:
    """Files both ways, in a folder made on the way, and a listing."""
    client.mkd(server.path("folder"))
    client.cwd(server.path("folder"))
    for number in range(4):
        client.storbinary(f"STOR up{number}.bin", io.BytesIO(CONTENT))
        assert (server.root / f"folder/up{number}.bin").read_bytes() == CONTENT
    server.put("deep/down.bin", CONTENT)
    received: list[bytes] = []
    client.retrbinary("RETR " + server.path("deep/down.bin"), received.append)
    assert b"".join(received) == CONTENT
    listing: list[str] = []
    client.retrlines("LIST", listing.append)
    assert sum("up" in line for line in listing) == 4
    client.storbinary("STOR up0.bin", io.BytesIO(CONTENT[1000:]), rest=1000)
    assert (server.root / "folder/up0.bin").read_bytes() == CONTENT[:1000] + CONTENT[1000:]
    client.rename("up0.bin", "up9.bin")
    client.delete("up9.bin")
    client.quit()


def test_ftp_servers_transfer_the_same_bytes(ftp_server: FTPServer) -> None:
    with transfers(ftp_server) as client:
        assert isinstance(client.sock, ssl.SSLSocket) and client.sock.version() == f"TLSv{ftp_server.tls}"
        round_trip(client, ftp_server)


@pytest.mark.parametrize("name", ["vsftpd", "proftpd", "pyftpdlib"])
def test_ftp_servers_have_implicit_tls(request: pytest.FixtureRequest, name: str) -> None:
    server: FTPServer = request.getfixturevalue(name)
    with transfers(server, implicit=True) as client:
        round_trip(client, server)


@pytest.mark.parametrize("name", ["vsftpd", "proftpd", "pureftpd", "pyftpdlib"])
def test_ftp_servers_refuse_a_wrong_password_and_clear_text(request: pytest.FixtureRequest, name: str) -> None:
    server: FTPServer = request.getfixturevalue(name)
    with pytest.raises(ftplib.error_perm, match=r"^530"), transfers(server, password="wrong"):
        pass
    with ftplib.FTP(timeout=TIMEOUT) as client:
        client.connect(server.server_name, server.port)
        with pytest.raises((ftplib.error_perm, ftplib.error_temp), match=r"^(530|550|421)"):
            client.login(server.user, server.password)


@pytest.mark.parametrize(("name", "reply"), [("vsftpd", "522"), ("proftpd", "425")])
@pytest.mark.parametrize("tls", ["1.2", "1.3"])
def test_ftp_servers_demand_session_reuse(servers: Servers, name: str, tls: TLSVersion, reply: str) -> None:
    server = servers.ftp(name, tls)
    with transfers(server) as client:
        client.storbinary("STOR " + server.path("reused"), io.BytesIO(CONTENT))
        assert client.resumed == 1
        client.reuse = False
        with client.transfercmd("STOR " + server.path("fresh")) as data, contextlib.suppress(OSError):
            data.sendall(CONTENT)
        with pytest.raises(ftplib.Error, match=f"^{reply}"):
            client.getresp()


ODD = ("pyftpdlib-old", "pyftpdlib-cut", "pyftpdlib-drip", "pyftpdlib-firewalled", "pyftpdlib-lines")
"""Those that the standard library's client cannot cope with."""


@pytest.mark.parametrize("name", sorted(name for name in FTP if "-" in name and name not in ODD))
def test_other_settings_transfer_the_same_bytes(servers: Servers, name: str) -> None:
    server = servers.ftp(name, None)
    with transfers(server) as client:
        assert (client.af == socket.AF_INET6) == name.endswith("-ipv6")
        round_trip(client, server)


@pytest.mark.parametrize("name", ["vsftpd-lenient", "proftpd-lenient", "pureftpd", "pyftpdlib"])
@pytest.mark.parametrize("tls", ["1.2", "1.3"])
def test_ftp_servers_that_do_not_mind_fresh_sessions(servers: Servers, name: str, tls: TLSVersion) -> None:
    server = servers.ftp(name, tls)
    with transfers(server) as client:
        client.reuse = False
        client.storbinary("STOR " + server.path("fresh"), io.BytesIO(CONTENT))
        assert client.resumed == 0
    assert (server.root / "fresh").read_bytes() == CONTENT


def test_proftpd_has_commands_of_its_modules(proftpd_modules: FTPServer) -> None:
    proftpd_modules.put("file", b"123456789")
    with transfers(proftpd_modules) as client:
        offered = client.sendcmd("FEAT")
        for feature in ("HASH ", "XCRC", "XMD5", "XSHA256", "MODE Z", "MFMT", "MLST ", "RANG STREAM"):
            assert f"\n {feature}" in offered, offered
        assert "CBF43926" in client.sendcmd("XCRC " + proftpd_modules.path("file"))
        assert client.sendcmd("MODE Z").startswith("200")


@pytest.mark.parametrize("serve", [vsftpd_daemon.serve, proftpd_daemon.serve, pyftpd_daemon.serve])
def test_ftp_servers_can_demand_a_client_certificate(pki: PKI, serve: Callable[..., Serving]) -> None:
    with serve(pki, client_ca=pki.ca_file) as server:
        with transfers(server, certificate=pki.client) as client:
            round_trip(client, server)
        with pytest.raises((OSError, EOFError)), transfers(server):
            raise AssertionError("let in without a certificate")
        with pytest.raises((OSError, EOFError)), transfers(server, certificate=pki.other_client):
            raise AssertionError("let in with a certificate nobody vouches for")


# --- any of them


@pytest.mark.parametrize("label", ["server_rsa", "chained"])
@pytest.mark.parametrize("name", ["postfix", "exim", "dovecot", "vsftpd", "proftpd", "pureftpd", "pyftpdlib"])
def test_servers_show_the_certificate_they_are_given(pki: PKI, name: str, label: str) -> None:
    identity: Identity = getattr(pki, label)
    leaf = identity.cert_file.read_text().partition("-----END")[0] + "-----END CERTIFICATE-----\n"
    with SERVERS[name](pki, identity=identity) as server, contextlib.ExitStack() as open_clients:
        client: smtplib.SMTP | FTPS
        if isinstance(server, MailServer):
            client = open_clients.enter_context(submission(server))
        else:
            client = open_clients.enter_context(transfers(server))
        assert isinstance(client.sock, ssl.SSLSocket)
        assert client.sock.getpeercert(binary_form=True) == ssl.PEM_cert_to_DER_cert(leaf)


# --- starting and stopping


def descendants(of: int) -> set[int]:
    """The process ids of everything that a process has started and that still runs."""
    found: set[int] = set()
    for file in Path(f"/proc/{of}/task").glob("*/children"):
        for child in map(int, file.read_text().split()):
            found |= {child} | descendants(child)
    return found


def ended(pids: set[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.mark.parametrize("serve", [serving.serve for serving in (vsftpd_daemon, proftpd_daemon, pureftpd_daemon)])
def test_stopping_ends_sessions_too(pki: PKI, serve: Callable[..., Serving]) -> None:
    before = descendants(os.getpid())
    with serve(pki) as server, transfers(server):
        started = descendants(os.getpid()) - before
        assert len(started) >= 3  # the supervisor, the daemon, the session
        folder = server.root.parents[1]
    assert ended(started)
    assert not folder.exists()


@pytest.mark.parametrize("name", ["postfix", "exim", "dovecot", "proftpd", "pyftpdlib"])
def test_a_killed_test_leaves_no_process(name: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.servers", name, "--tls=1.3"],
        cwd=install.ROOT.parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as tests:
        assert tests.stdout is not None
        described = json.loads(tests.stdout.readline())
        started = descendants(tests.pid)
        socket.create_connection((described["host"], described["port"]), TIMEOUT).close()
        tests.kill()
    deadline = time.monotonic() + TIMEOUT
    while not ended(started):
        assert time.monotonic() < deadline, started
        time.sleep(0.01)
    scratch = Path(described.get("mailbox") or Path(described["root"]).parent).parent
    shutil.rmtree(scratch)
    if "lmtp_boxes" in described:
        shutil.rmtree(Path(described["lmtp_boxes"]).parent)
    shutil.rmtree(Path(described["ca_file"]).parent)


def test_a_server_that_does_not_start_shows_its_log(pki: PKI) -> None:
    with (
        pytest.raises(ServerError, match="unrecognised variable in config file: no_such_option"),
        vsftpd_daemon.serve(pki, settings={"no_such_option": "1"}),
    ):
        pass


def test_a_message_that_does_not_come_is_an_error_with_the_log(postfix: PostfixServer) -> None:
    with pytest.raises(ServerError, match=r"0 of 1 messages(.|\n)*daemon started"):
        postfix.messages(1, deadline=0.05)


def test_the_daemons_are_complete_and_not_fetched_twice() -> None:
    assert install.missing_libraries(install.ROOT) == []
    script = Path(install.__file__)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True, timeout=TIMEOUT)
    assert done.stdout == f"daemons: ready in {install.ROOT}\n"
