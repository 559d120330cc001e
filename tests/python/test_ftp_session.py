"""What a session can do beside transfers, with real servers, from both faces."""

from __future__ import annotations

import hashlib
import io
import os
import zlib
from pathlib import Path
from typing import Any

import pytest
import starttls

from tests.python.faces import Face, trusting
from tests.python.scripted import Peer, scripted
from tests.servers import proftpd
from tests.servers.ftp import PASSWORD, FTPServer
from tests.servers.pki import PKI

MOMENT = 1_767_323_045
"""A time to set, in seconds since 1970."""


def open_with_trace(face: Face, server: FTPServer, **options: Any) -> tuple[Any, list[str]]:
    trace: list[str] = []
    return face.ftp(server.url, tls=trusting(server), trace=trace.append, **options), trace


def said(trace: list[str]) -> list[str]:
    return [line[3:] for line in trace if line.startswith("C: ")]


def test_a_login_takes_three_flights(face: Face, ftp_server: FTPServer) -> None:
    session, trace = open_with_trace(face, ftp_server)
    with session:
        at = trace.index("C: FEAT")
        together = ["C: FEAT", "C: OPTS UTF8 ON", "C: PBSZ 0", "C: PROT P", "C: TYPE I"]
        assert trace[at : at + 5] == together
        assert session.noop().code == 200
        assert session.upload(b"hello", "a.bin").status == "verified"
    assert (ftp_server.root / "a.bin").read_bytes() == b"hello"


def test_auth_ssl(face: Face, servers: Any) -> None:
    for daemon in ("vsftpd", "proftpd"):
        server = servers.ftp(daemon, None)
        session, trace = open_with_trace(face, server, auth="ssl")
        with session:
            assert "AUTH SSL" in said(trace)
            assert session.upload(b"hello", "a.bin").status == "verified"
        assert "PROT P" in said(trace)


def test_queries(face: Face, ftp_server: FTPServer) -> None:
    with face.ftp(ftp_server.url, tls=trusting(ftp_server)) as ftp:
        assert ftp.status().code in (211, 212)
        assert ftp.system().text.startswith("UNIX")
        assert ftp.help().code in (211, 214)
        with pytest.raises(starttls.Rejected):
            ftp.quote("XYZZY")
        with pytest.raises(starttls.InvalidArgument):
            ftp.quote("PROT C")
        assert ftp.quote("NOOP").code == 200
        assert ftp.upload(b"still here", "b").status == "verified"


def test_another_user_is_another_connection(face: Face, ftp_server: FTPServer) -> None:
    session, trace = open_with_trace(face, ftp_server)
    with session:
        with pytest.raises(starttls.AuthenticationFailed):
            session.login(ftp_server.user, "wrong")
        session.login(ftp_server.user, PASSWORD)
        session.cwd(ftp_server.directory)
        assert session.upload(b"again", "c").status == "verified"
    assert "REIN" not in said(trace)
    assert sum("control secured" in line for line in trace) >= 2


def test_modes_and_times(face: Face, ftp_server: FTPServer) -> None:
    path = ftp_server.put("a-b", b"x")
    with face.ftp(ftp_server.url, tls=trusting(ftp_server)) as ftp:
        if ftp_server.daemon != "vsftpd":  # its anonymous user may not
            ftp.chmod("a-b", 0o640)
            assert path.stat().st_mode & 0o7777 == 0o640
        if ftp_server.daemon == "pyftpdlib":  # over TLS it hangs up at MFMT
            return
        ftp.set_modified("a-b", MOMENT)
        assert int(path.stat().st_mtime) == MOMENT
        with pytest.raises(starttls.Rejected):
            ftp.set_modified("nothing", MOMENT)
        if ftp_server.daemon == "proftpd":
            ftp.set_facts("a-b", {"UNIX.mode": "0600"})
            assert path.stat().st_mode & 0o7777 == 0o600


def test_trees_are_made_and_removed(face: Face, ftp_server: FTPServer, tmp_path: Path) -> None:
    keep = ftp_server.put("keep/precious", b"!")
    with face.ftp(ftp_server.url, tls=trusting(ftp_server)) as ftp:
        ftp.makedirs("t/a/b c/ü")
        ftp.makedirs("t/a/b c/ü")
        ftp.makedirs("t/a")
        assert (ftp_server.root / "t/a/b c/ü").is_dir()
        for name in ("t/x", "t/a/y", "t/a/b c/ü/z"):
            ftp_server.put(name, b"x")
        (ftp_server.root / "t/link").symlink_to("../keep")
        (ftp_server.root / "t/file").symlink_to("../keep/precious")
        gone = ftp.rmtree("t/")
        assert gone.is_complete, gone.left
        assert (gone.files, gone.directories) == (5, 4)
        assert not (ftp_server.root / "t").exists()
        assert keep.read_bytes() == b"!"
        with pytest.raises(starttls.Rejected):
            ftp.rmtree("t")
        for root in ("", "/", ".", "keep/.."):
            with pytest.raises(starttls.InvalidArgument):
                ftp.rmtree(root)
        ftp_server.put("stuck/in/file", b"x")
        os.chown(ftp_server.root / "stuck/in", 0, 0)
        gone = ftp.rmtree("stuck")
        assert not gone.is_complete
        assert set(gone.left) == {"stuck/in/file", "stuck/in", "stuck"}
        assert ftp.noop().code == 200
    assert keep.read_bytes() == b"!"


def test_lines(face: Face, ftp_server: FTPServer, tmp_path: Path) -> None:
    with face.ftp(ftp_server.url, tls=trusting(ftp_server)) as ftp:
        # Some servers take lines as bytes (vsftpd does by default): then CRLF is what they keep.
        receipt = ftp.upload_text(b"one\ntwo\r\nthree", "lines")
        assert (receipt.status, receipt.size) == ("complete", 15)
        assert (ftp_server.root / "lines").read_bytes().replace(b"\r\n", b"\n") == b"one\ntwo\nthree"
        into = io.BytesIO()
        assert ftp.download_text("lines", into).status == "complete"
        assert into.getvalue() == b"one\ntwo\nthree"
        ftp.download_text("lines", tmp_path / "lines")
        assert (tmp_path / "lines").read_bytes() == b"one\ntwo\nthree"
        content = os.urandom(100_000)
        assert ftp.upload(content, "bytes").status == "verified"
        assert (ftp_server.root / "bytes").read_bytes() == content


def test_a_name_that_the_server_chooses(face: Face, ftp_server: FTPServer) -> None:
    with face.ftp(ftp_server.url, tls=trusting(ftp_server)) as ftp:
        try:
            receipt, name = ftp.upload_unique(b"hello")
        except starttls.Rejected:
            assert ftp_server.daemon in ("vsftpd", "pure-ftpd", "pyftpdlib")
            return
        assert receipt.size == 5
        (file,) = ftp_server.root.iterdir()
        assert file.read_bytes() == b"hello"
        assert name is None or name.rsplit("/")[-1] == file.name


def test_digests_of_proftpd(face: Face, proftpd_modules: FTPServer) -> None:
    content = os.urandom(100_000)
    proftpd_modules.put("a b", content)
    with face.ftp(proftpd_modules.url, tls=trusting(proftpd_modules)) as ftp:
        assert ftp.hash("a b").hexdigest() == hashlib.sha256(content).hexdigest()
        for name in ("sha1", "md5", "sha512", "sha-1"):
            assert ftp.hash("a b", name).value == hashlib.new(name.replace("-", ""), content).digest()
        assert ftp.hash("a b", "crc32").value == zlib.crc32(content).to_bytes(4, "big")
        part = ftp.hash("a b", "sha256", start=100, end=5_000)
        assert part.hexdigest() == hashlib.sha256(content[100:5_000]).hexdigest()
        assert (part.start, part.end) == (100, 5_000)
        with pytest.raises(starttls.InvalidArgument):
            ftp.hash("a b", "sha256", start=5, end=5)
        with pytest.raises(starttls.Rejected):
            ftp.hash("nothing")
        into = io.BytesIO()
        ftp.download("a b", into)
        assert into.getvalue() == content


def test_a_server_that_takes_one_command_at_a_time(face: Face, pki: PKI) -> None:
    """It throws away what comes together, and closes: the session begins again, and asks one by one."""
    lines: list[str] = []

    def script(peer: Peer) -> None:
        peer.say("220 ready")
        assert peer.line() == "AUTH TLS"
        peer.say("234 go on")
        peer.secure(pki.server)
        answers = {"USER": "331 password", "PASS": "230 in", "FEAT": "500 what?", "OPTS": "501 no", "QUIT": "221 bye"}
        while line := peer.line():
            lines.append(line)
            if line == "FEAT" and not peer.has_no_more():
                peer.say("500 what?")
                return
            peer.say(answers.get(line.split()[0], "200 ok"))

    with scripted(script) as server:
        url = f"ftp://ada:pencil-secret@localhost:{server.port}"
        starttls.forget_server(url)
        tls = starttls.TLSConfig(ca_file=pki.ca_file)
        for _ in range(2):
            with face.ftp(url, tls=tls) as ftp:
                assert ftp.noop().code == 200
        # Two for the first session; the next one knows.
        assert server.connections == 3
    assert lines.count("PASS pencil-secret") == 3
    assert lines.count("PROT P") == 2


def test_a_copy_from_server_to_server_under_tls(face: Face, pki: PKI) -> None:
    # As the client of the other, this server checks the certificate.
    settings = f"  TLSCACertificateFile {pki.ca_file}\n"
    content = os.urandom(300_000)
    with proftpd.serve(pki, tls_options="NoSessionReuseRequired", settings=settings) as server:
        server.put("here", content)
        there = face.ftp(server.url, tls=trusting(server))
        other = getattr(there, "session", there)
        session, trace = open_with_trace(face, server)
        with session:
            receipt = session.copy_to("here", other, f"{server.directory}/there")
            assert (receipt.status, receipt.size, receipt.protected) == ("verified", len(content), True)
            assert (server.root / "there").read_bytes() == content
            with pytest.raises(starttls.Rejected):
                session.copy_to("nothing", other, f"{server.directory}/never")
            assert not (server.root / "never").exists()
            # Ordinary transfers are as before.
            assert session.upload(b"after", "after").status == "verified"
        assert "PROT C" not in said(trace)


def test_a_copy_in_clear_text_is_asked_for_by_name(face: Face, servers: Any) -> None:
    server = servers.ftp("pureftpd", None)
    server.put("here", b"x" * 70_000)
    session, trace = open_with_trace(face, server)
    there = face.ftp(server.url, tls=trusting(server))
    other = getattr(there, "session", there)
    with session:
        with pytest.raises(starttls.InvalidState):
            session.copy_to("here", other, f"{server.directory}/there")
        assert "PROT C" not in said(trace)
        receipt = session.copy_to("here", other, f"{server.directory}/there", clear=True)
        assert (receipt.status, receipt.size, receipt.protected) == ("verified", 70_000, False)
        assert (server.root / "there").read_bytes() == b"x" * 70_000
        assert said(trace).count("PROT P") == said(trace).count("PROT C") + 1
        assert session.upload(b"after", "after").status == "verified"
    assert any("data secured" in line for line in trace)
