"""``tls=`` an ``ssl.SSLContext``: Python's own OpenSSL under the same sessions, on both faces.

The corpus is played with contexts too (``test_transcripts``).
"""

from __future__ import annotations

import asyncio
import base64
import io
import random
import socket
import ssl
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import starttls
import truststore
from scramp import ScramMechanism

from tests.conftest import Servers
from tests.python.faces import TIMEOUT, Asyncio, Awaited, Face
from tests.python.scripted import Peer, scripted, smtp_until_ready
from tests.servers import postfix as postfix_daemon
from tests.servers import vsftpd as vsftpd_daemon
from tests.servers.ftp import FTPServer
from tests.servers.mail import MailServer
from tests.servers.pki import PKI
from tests.servers.postfix import PostfixServer

MESSAGE = b"From: ann@example.test\r\nTo: bob@example.test\r\nSubject: hello\r\n\r\nHello.\r\n"
CONTENT = random.Random(6).randbytes(300_000)

VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])


def context(trusted: PKI | FTPServer | MailServer) -> ssl.SSLContext:
    """Trust in the tests' authority, as programs have it."""
    return ssl.create_default_context(cafile=str(trusted.ca_file))


# --- mail


@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "implicit"])
@pytest.mark.parametrize("postfix", ["1.2", "1.3"], indirect=True)
def test_mail(face: Face, postfix: PostfixServer, implicit: bool) -> None:
    with face.smtp(postfix.implicit_url if implicit else postfix.url, tls=context(postfix)) as session:
        report = session.send(MESSAGE)
        tls = session.tls
    assert report.tls == tls
    assert tls.version == f"TLSv{postfix.tls}"
    assert tls.cipher_suite.startswith("TLS_ECDHE_ECDSA_WITH_" if postfix.tls == "1.2" else "TLS_AES_")
    assert (tls.server_name, tls.verified_by, tls.name_checked) == ("localhost", "authorities", True)
    # The tests' certificates live for days.
    assert (tls.resumed, tls.alpn, tls.warnings) == (False, None, ("expires-soon",))
    assert tls.certificates[0].names == ("localhost", "127.0.0.1", "::1")
    assert "Hello." in postfix.messages()[0].content().decode()


def test_contexts_of_another_make(
    face: Face, postfix: PostfixServer, vsftpd: FTPServer, pki: PKI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(pki.ca_file))
    with face.smtp(postfix.url, tls=truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)) as session:
        assert session.send(MESSAGE).tls.version == "TLSv1.3"
    with face.ftp(vsftpd.url, tls=truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT), session_binding="require") as ftp:
        assert ftp.upload(CONTENT, "theirs.bin").tls_resumed
    assert (vsftpd.root / "theirs.bin").read_bytes() == CONTENT
    monkeypatch.setenv("SSL_CERT_FILE", str(pki.other_ca_file))
    with pytest.raises(starttls.TLSError) as refused:
        face.smtp(postfix.url, tls=truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)).__enter__()
    assert refused.value.kind == "unknown-issuer"


def test_one_shots_and_pools(face: Face, postfix: PostfixServer) -> None:
    options: dict[str, Any] = {"tls": context(postfix), "timeout": TIMEOUT}
    starttls.send(postfix.url, MESSAGE, **options)
    pool: Any
    if isinstance(face, Asyncio):
        pool = Awaited(face._runner, starttls.AsyncSMTPPool(postfix.url, **options))
    else:
        pool = starttls.SMTPPool(postfix.url, **options)
    with pool:
        assert all(pool.send(MESSAGE).tls.version == "TLSv1.3" for _ in range(3))
    assert len(postfix.messages(4)) == 4


def test_the_chain_is_whole(face: Face, pki: PKI) -> None:
    with (
        postfix_daemon.serve(pki, identity=pki.chained) as server,
        face.smtp(server.url, tls=context(pki)) as session,
    ):
        assert [it.subject for it in session.tls.certificates] == ["CN=starttls test", "CN=starttls test intermediate"]


@VERSIONS
@pytest.mark.parametrize("name", ["SCRAM-SHA-1", "SCRAM-SHA-256"])
def test_logins_are_bound_to_the_certificate(face: Any, pki: PKI, name: str, version: ssl.TLSVersion) -> None:
    mechanism = ScramMechanism(f"{name}-PLUS")

    def script(peer: Peer) -> None:
        smtp_until_ready(peer, pki.server, auth=mechanism.name, maximum=version)
        binding = ("tls-server-end-point", pki.server.cert_file.read_text())
        known = mechanism.make_auth_info("pencil", iteration_count=4096)
        server = mechanism.make_server(lambda user: known, channel_binding=binding)
        server.set_client_first(base64.b64decode(peer.line().removeprefix(f"AUTH {mechanism.name} ")).decode())
        peer.say(f"334 {base64.b64encode(server.get_server_first().encode()).decode()}")
        server.set_client_final(base64.b64decode(peer.line()).decode())
        peer.say(f"334 {base64.b64encode(server.get_server_final().encode()).decode()}")
        assert peer.line() == ""
        peer.say("235 2.7.0 ok")
        assert peer.line() == "QUIT"
        peer.say("221 bye")

    with scripted(script) as server:
        url = f"smtp://localhost:{server.port}"
        with face.smtp(url, user="ada", password="pencil", tls=context(pki)) as session:
            assert session.login == starttls.LoginInfo(mechanism.name, "tls-server-end-point")


# --- files


@pytest.mark.parametrize("tls", ["1.2", "1.3", None])
@pytest.mark.parametrize("daemon", ["vsftpd", "proftpd", "vsftpd-strict"])
def test_data_connections_resume_where_it_is_required(face: Face, servers: Any, daemon: str, tls: Any) -> None:
    server = servers.ftp(daemon, tls)
    with face.ftp(server.url, tls=context(server), session_binding="require") as ftp:
        for i in range(20):
            assert ftp.upload(CONTENT, f"{i}.bin").tls_resumed
            into = io.BytesIO()
            assert ftp.download(f"{i}.bin", into).tls_resumed
            assert into.getvalue() == CONTENT
        # No version of the context's is left out when tickets are used up.
        assert ftp.tls.version == f"TLSv{tls or '1.3'}"
        assert len(ftp.listdir()) == 20
    assert all((server.root / f"{i}.bin").read_bytes() == CONTENT for i in range(20))


def test_uploads_alone_resume_too(face: Face, servers: Any) -> None:
    for daemon in ("vsftpd", "proftpd"):
        server = servers.ftp(daemon, "1.3")
        with face.ftp(server.url, tls=context(server), session_binding="require") as ftp:
            for i in range(20):
                assert ftp.upload(CONTENT, f"{i}.bin").tls_resumed
        assert all((server.root / f"{i}.bin").read_bytes() == CONTENT for i in range(20))


def test_every_file_server(face: Face, ftp_server: FTPServer) -> None:
    with face.ftp(ftp_server.url, tls=context(ftp_server)) as ftp:
        for _ in range(3):
            ftp.upload(CONTENT, "a.bin")
            into = io.BytesIO()
            ftp.download("a.bin", into)
            assert into.getvalue() == CONTENT
            assert ftp.listdir() == ["a.bin"]


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
def test_what_cannot_be_resumed_is_told(face: Face, servers: Any, tls: Any) -> None:
    server = servers.ftp("vsftpd-lenient", tls)
    with face.ftp(server.url, tls=context(server), session_binding="off") as ftp:
        assert not any(ftp.upload(CONTENT, "a.bin").tls_resumed for _ in range(2))
    # It gives no tickets. A context has no other version to be brought back to.
    server = servers.ftp("pureftpd", "1.3")
    with face.ftp(server.url, tls=context(server), session_binding="require") as ftp:
        with pytest.raises(starttls.TLSError, match="does not resume") as failure:
            ftp.upload(CONTENT, "a.bin")
        assert failure.value.kind == "not-resumed"
        assert ftp.noop().code == 200


def test_implicit_tls_and_a_large_file(face: Face, vsftpd: FTPServer, large_file: Path, tmp_path: Path) -> None:
    with face.ftp(vsftpd.implicit_url, tls=context(vsftpd)) as ftp:
        ftp.upload(large_file, "large")
        ftp.download("large", tmp_path / "large")
    assert (tmp_path / "large").read_bytes() == large_file.read_bytes()


def test_a_diagnosis(face: Face, vsftpd: FTPServer, pki: PKI) -> None:
    def states(tls: ssl.SSLContext) -> dict[str, str]:
        session = face.ftp(vsftpd.url, tls=tls)
        return {finding.topic: finding.state for finding in session.doctor().findings}

    good = states(context(pki))
    assert (good["certificate"], good["tls-versions"], good["login"]) == ("notice", "good", "good")
    other = ssl.create_default_context(cafile=str(pki.other_ca_file))
    assert states(other)["certificate"] == "problem"


# --- connections on their own


@VERSIONS
@pytest.mark.parametrize("over", ["host", "socket"])
def test_connections(face: Face, pki: PKI, version: ssl.TLSVersion, over: str) -> None:
    def script(peer: Peer) -> None:
        peer.say("hello")
        assert peer.line() == "begin"
        peer.say("yes")
        peer.secure(pki.server, version)
        peer.say("early", "words")
        while (line := peer.line()) not in ("", "bye"):
            peer.say(line)
        peer.say("last words")
        peer.end()

    with scripted(script) as server:
        if over == "socket":
            sock = socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT)
            made = face.connection(sock=sock, server_name="localhost", tls=context(pki))
        else:
            made = face.connection("localhost", server.port, tls=context(pki))
        with made as connection:
            assert connection.read_line() == b"hello"
            connection.write(b"begin\r\n")
            assert connection.read_line() == b"yes"
            connection.start_tls()
            assert [connection.read_line(), connection.read_line()] == [b"early", b"words"]
            assert (connection.tls.version, connection.tls.name_checked) == (version.name.replace("v1_", "v1."), True)
            assert connection.channel_binding[0] == "tls-server-end-point"
            long = b"x" * 50_000
            connection.write(long + b"\r\nbye\r\n")
            assert connection.read_line() == long
            assert connection.read_line() == b"last words"
            assert connection.read_line() is None


# --- what is wrong with certificates and peers


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        ("expired", "certificate-expired"),
        ("not_yet_valid", "certificate-not-yet-valid"),
        ("unknown_ca", "unknown-issuer"),
        ("self_signed", "unknown-issuer"),
        ("chain_missing", "unknown-issuer"),
        ("wrong_name", "name-mismatch"),
        ("cn_only", "name-mismatch"),
        ("client", "wrong-usage"),
    ],
)
def test_certificates_are_refused_for_their_reasons(face: Face, pki: PKI, label: str, kind: str) -> None:
    def script(peer: Peer) -> None:
        peer.secure(getattr(pki, label))

    tls = context(pki)
    tls.hostname_checks_common_name = False
    # One with rustls: the same kind, the same class.
    with scripted(script) as server:
        for given in (tls, starttls.TLSConfig(ca_file=pki.ca_file)):
            session = face.smtp(f"smtps://localhost:{server.port}", tls=given)
            with pytest.raises(starttls.CertificateError) as caught:
                session.connect()
            assert isinstance(caught.value, ssl.SSLCertVerificationError)
            assert (caught.value.kind, caught.value.phase) == (kind, "handshake"), given
            if label == "wrong_name":
                assert "not for localhost but for elsewhere.example, 192.0.2.1" in str(caught.value)
            if kind == "unknown-issuer":
                word = "load_verify_locations" if given is tls else "ca_file"
                assert word in (caught.value.advice or "")


def test_addresses_are_names_too(face: Face, pki: PKI, postfix: PostfixServer) -> None:
    url = postfix.url.replace("localhost", "127.0.0.1")
    with face.smtp(url, tls=context(pki)) as session:
        assert (session.tls.server_name, session.tls.name_checked) == ("127.0.0.1", True)
    with postfix_daemon.serve(pki, identity=pki.no_ip) as server:
        session = face.smtp(server.url.replace("localhost", "127.0.0.1"), tls=context(pki))
        with pytest.raises(starttls.CertificateError, match=r"not for 127\.0\.0\.1 but for localhost"):
            session.connect()


@pytest.mark.parametrize(
    "settings", [("check_hostname",), ("check_hostname", "verify_mode")], ids=["no name", "nobody"]
)
def test_contexts_that_believe_anybody_are_told_of(face: Face, pki: PKI, settings: tuple[str, ...]) -> None:
    tls = context(pki)
    for name in settings:
        setattr(tls, name, False if name == "check_hostname" else ssl.CERT_NONE)
    with postfix_daemon.serve(pki, identity=pki.wrong_name) as server, face.smtp(server.url, tls=tls) as session:
        assert session.send(MESSAGE).tls.verified_by == "nobody"
        assert session.tls.name_checked is False
        assert "not-verified" in session.tls.warnings
        assert session.tls.certificates[0].names == ("elsewhere.example", "192.0.2.1")


def test_a_client_certificate_in_the_context(face: Face, pki: PKI) -> None:
    known, unknown, without = context(pki), context(pki), context(pki)
    known.load_cert_chain(pki.client.cert_file, pki.client.key_file)
    unknown.load_cert_chain(pki.other_client.cert_file, pki.other_client.key_file)
    ours = starttls.TLSConfig(ca_file=pki.ca_file)
    with postfix_daemon.serve(pki, client_ca=pki.ca_file) as mail, face.smtp(mail.url, tls=known) as session:
        assert session.noop().code == 250
    with vsftpd_daemon.serve(pki, client_ca=pki.ca_file, tls="1.3") as files, face.ftp(files.url, tls=known) as ftp:
        for _ in range(3):
            assert ftp.upload(CONTENT, "a.bin").tls_resumed

    def script(peer: Peer) -> None:
        peer.secure_in_pieces(pki.server, b"220 ready\r\n", client_ca=pki.ca_file)
        peer.wait_for_end()

    with scripted(script) as server:
        kinds = []
        for tls in (unknown, without, ours):
            session = face.smtp(f"smtps://localhost:{server.port}", tls=tls)
            with pytest.raises(starttls.TLSError) as caught:
                session.connect()
            kinds.append(caught.value.kind)
    assert kinds == ["alert-received", "client-certificate-required", "client-certificate-required"]


def test_versions_and_ciphers_of_the_context(face: Face, servers: Servers, pki: PKI) -> None:
    old = context(pki)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    old.set_ciphers("ECDHE+CHACHA20")
    with face.smtp(servers.postfix(None).url, tls=old) as session:
        assert session.tls.version == "TLSv1.2"
        assert session.tls.cipher_suite == "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"
    session = face.smtp(servers.postfix("1.3").url, tls=old)
    with pytest.raises(starttls.TLSError) as caught:
        session.connect()
    assert caught.value.kind == "nothing-in-common"
    # Nothing at all is offered.
    none = context(pki)
    none.minimum_version = ssl.TLSVersion.TLSv1_3
    none.maximum_version = ssl.TLSVersion.TLSv1_2
    session = face.smtp(servers.postfix(None).url, tls=none)
    with pytest.raises(starttls.TLSError) as caught:
        session.connect()
    assert caught.value.kind == "configuration"


@pytest.mark.parametrize(
    ("theirs", "registered"),
    [
        ("ECDHE-RSA-AES128-GCM-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
        ("ECDHE-RSA-AES256-SHA384", "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384"),
        ("ECDHE-RSA-CHACHA20-POLY1305", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
        ("CAMELLIA128-SHA256", "TLS_RSA_WITH_CAMELLIA_128_CBC_SHA256"),
        ("ECDHE-ARIA256-GCM-SHA384", "TLS_ECDHE_RSA_WITH_ARIA_256_GCM_SHA384"),
        ("AES256-CCM8", "TLS_RSA_WITH_AES_256_CCM_8"),
        ("AES128-SHA", "TLS_RSA_WITH_AES_128_CBC_SHA"),
    ],
)
def test_suites_have_their_registered_names(pki: PKI, theirs: str, registered: str) -> None:
    def script(peer: Peer) -> None:
        offered = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        offered.load_cert_chain(pki.server_rsa.cert_file, pki.server_rsa.key_file)
        offered.maximum_version = ssl.TLSVersion.TLSv1_2
        offered.set_ciphers(f"{theirs}:@SECLEVEL=0")
        peer.secure_by(offered)
        peer.wait_for_end()

    tls = context(pki)
    tls.set_ciphers(f"{theirs}:@SECLEVEL=0")
    with scripted(script) as server:
        connection = starttls.Connection("localhost", server.port, security="implicit", tls=tls)
        with connection:
            assert connection.tls is not None
            assert connection.tls.cipher_suite == registered


@VERSIONS
@pytest.mark.parametrize("size", [None, 1, 7])
def test_the_greeting_that_comes_with_the_handshake(
    face: Face, pki: PKI, version: ssl.TLSVersion, size: int | None
) -> None:
    """With its last record in one segment, and every record in pieces."""

    def script(peer: Peer) -> None:
        peer.secure_in_pieces(pki.server, b"220-early\r\n220 bird\r\n", maximum=version, size=size)
        peer.wait_for_end()

    with scripted(script) as server:
        trace: list[str] = []
        # Nothing comes behind the greeting.
        session = face.smtp(f"smtps://localhost:{server.port}", tls=context(pki), timeout=2, trace=trace.append)
        with pytest.raises(starttls.TimeoutExceeded):
            session.connect()
        assert "S: 220 bird" in trace


def test_ends_in_order_and_cuts_are_told_apart(face: Face, pki: PKI) -> None:
    for orderly, expected in ((True, starttls.ConnectionLost), (False, starttls.Truncated)):

        def script(peer: Peer, orderly: bool = orderly) -> None:
            peer.secure(pki.server)
            if orderly:
                peer.end()

        with scripted(script) as server:
            session = face.smtp(f"smtps://localhost:{server.port}", tls=context(pki))
            with pytest.raises(expected) as caught:
                session.connect()
            assert type(caught.value) is expected


@pytest.mark.parametrize(
    ("sent", "kind", "words"),
    [
        (b"421 too busy\r\n", "plaintext-inside-tls", "421 too busy"),
        (b"\x17\x03\x03\xff\xff" + b"?" * 100, "peer-misbehaved", ""),
        (b"\x17\x03\x03\x00\x20" + b"?" * 32, "peer-misbehaved", ""),
        (b"\x15\x03\x03\x00\x02\x02\x28", "peer-misbehaved", ""),
    ],
    ids=["clear text", "a record that is too long", "a record of another key", "an alert in the clear"],
)
def test_what_is_no_record(face: Face, pki: PKI, sent: bytes, kind: str, words: str) -> None:
    def script(peer: Peer) -> None:
        peer.secure_in_pieces(pki.server, b"220 ready\r\n")
        peer.send(sent)
        peer.wait_for_end()

    with scripted(script) as server:
        for tls in (context(pki), starttls.TLSConfig(ca_file=pki.ca_file)):
            session = face.smtp(f"smtps://localhost:{server.port}", tls=tls, timeout=5)
            with pytest.raises(starttls.TLSError) as caught:
                session.connect()
            assert caught.value.kind == kind
            assert words in str(caught.value)


# --- contexts of all kinds


def test_contexts_for_servers_and_what_is_none(face: Face) -> None:
    url = "smtp://localhost"
    for it in (face.smtp, face.ftp):
        with pytest.raises(starttls.InvalidArgument, match="for servers"):
            it(url if it == face.smtp else "ftp://localhost", tls=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    with pytest.raises(TypeError, match=r"tls= is a TLSConfig or an ssl\.SSLContext, not object"):
        face.smtp(url, tls=object())


def test_the_module_ssl_is_not_imported_for_it() -> None:
    code = """
import starttls, sys
try:
    starttls.SMTP("smtp://localhost", tls=object())
except TypeError:
    print("ssl" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "False\n"


class Unlucky(Exception):
    pass


class WithOpinion(ssl.SSLObject):
    """Verifies by itself, as contexts over the system's own store do."""

    verdict: BaseException

    def do_handshake(self) -> None:
        super().do_handshake()
        raise type(self).verdict


class AskedOnce(ssl.SSLContext):
    """Fails in the middle of something."""

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        raise Unlucky("no token in the reader")


def test_exceptions_of_the_callers_own_code(face: Face, postfix: PostfixServer, pki: PKI) -> None:
    for verdict in (Unlucky("not today"), KeyboardInterrupt("now")):
        tls = context(pki)
        tls.sslobject_class = type("Opinion", (WithOpinion,), {"verdict": verdict})
        session = face.smtp(postfix.url, tls=tls)
        with pytest.raises(type(verdict)) as caught:
            session.connect()
        assert caught.value is verdict
        with pytest.raises(starttls.InvalidState):
            session.noop()
    tls = AskedOnce(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.raises(Unlucky, match="no token"):
        face.smtp(postfix.url, tls=tls).connect()


def test_verdicts_of_the_callers_own_code(face: Face, postfix: PostfixServer, pki: PKI) -> None:
    verdict = ssl.SSLCertVerificationError("the system does not like it")
    tls = context(pki)
    tls.sslobject_class = type("Opinion", (WithOpinion,), {"verdict": verdict})
    session = face.smtp(postfix.url, tls=tls)
    with pytest.raises(starttls.CertificateError, match="the system does not like it") as caught:
        session.connect()
    assert caught.value.kind == "bad-certificate"


def test_keys_are_logged_where_the_context_says_so(face: Face, postfix: PostfixServer, tmp_path: Path) -> None:
    tls = context(postfix)
    tls.keylog_filename = str(tmp_path / "keys")
    with face.smtp(postfix.url, tls=tls) as session:
        session.noop()
    assert "CLIENT_TRAFFIC_SECRET_0 " in (tmp_path / "keys").read_text()


def test_application_protocols(face: Face, pki: PKI) -> None:
    tls = context(pki)
    tls.set_alpn_protocols(["smtp"])
    chosen: list[str | None] = []

    def script(peer: Peer) -> None:
        offered = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        offered.load_cert_chain(pki.server.cert_file, pki.server.key_file)
        offered.set_alpn_protocols(["smtp"])
        chosen.append(peer.secure_by(offered))
        peer.say("220 ready")
        while line := peer.line():
            peer.say("250 ok" if line.startswith("EHLO") else "221 bye")

    with (
        scripted(script) as server,
        face.smtp(f"smtps://localhost:{server.port}", tls=tls) as session,
    ):
        assert session.tls.alpn == "smtp"
    assert chosen == ["smtp"]


# --- at once


def test_many_threads_with_one_context(vsftpd: FTPServer) -> None:
    vsftpd.put("file", CONTENT * 10)
    tls = context(vsftpd)

    def run(number: int) -> bool:
        with starttls.FTP(vsftpd.url, tls=tls, timeout=TIMEOUT) as ftp:
            pieces: list[bytes] = []

            class Into:
                def write(self, data: bytes) -> int:
                    pieces.append(bytes(data))
                    return len(data)

            ftp.download("file", Into())
            ftp.upload(CONTENT, f"{number}.bin")
        return b"".join(pieces) == CONTENT * 10

    with ThreadPoolExecutor(6) as threads:
        assert all(threads.map(run, range(18)))


def test_many_tasks_with_one_context(vsftpd: FTPServer) -> None:
    vsftpd.put("file", CONTENT * 10)
    tls = context(vsftpd)

    async def run(number: int, into: io.BytesIO) -> None:
        async with starttls.AsyncFTP(vsftpd.url, tls=tls, timeout=TIMEOUT) as ftp:
            await ftp.download("file", into)
            await ftp.upload(CONTENT, f"{number}.bin")

    async def main() -> None:
        into = [io.BytesIO() for _ in range(12)]
        await asyncio.gather(*(run(number, it) for number, it in enumerate(into)))
        assert all(it.getvalue() == CONTENT * 10 for it in into)

    asyncio.run(main())


@pytest.mark.parametrize("vsftpd", ["1.2", "1.3"], indirect=True)
def test_cancelled_wherever_it_is(vsftpd: FTPServer) -> None:
    """After each number of turns of the event loop, the session is one that can be used."""
    vsftpd.put("file", CONTENT)

    async def main() -> None:
        async with starttls.AsyncFTP(vsftpd.url, tls=context(vsftpd), timeout=TIMEOUT) as ftp:
            for turns in range(0, 40, 4):
                for doing in (ftp.download("file", io.BytesIO()), ftp.upload(CONTENT, "up")):
                    task = asyncio.create_task(doing)
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    task.cancel()
                    await asyncio.wait([task])
                    into = io.BytesIO()
                    await ftp.download("file", into)
                    assert into.getvalue() == CONTENT

    asyncio.run(main())
