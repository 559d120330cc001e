"""What goes wrong, as the command line tells it: exit code, one line, nothing half done."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import resource
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli import PROGRAM, ca, environment, starttls
from tests.conftest import Servers
from tests.python.scripted import Peer, scripted
from tests.servers.ftp import FTPServer
from tests.servers.pki import PKI
from tests.servers.postfix import PostfixServer
from tests.servers.process import free_ports

FROM_TO = ("--from", "ann@example.test", "--to", "bob@example.test")
MESSAGE = b"Subject: hello\r\n\r\nHello.\r\n"


def with_password(url: str, password: str) -> str:
    scheme, _, rest = url.partition("://")
    user = rest.split(":")[0]
    return f"{scheme}://{user}:{password}@{rest.split('@')[-1]}"


# --- the command line itself


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("fly",),
        ("ls",),
        ("ls", "ftp://h/", "--nonsense"),
        ("ls", "localhost"),
        ("ls", "http://h/"),
        ("ls", "smtp://h"),
        ("ls", "ftp://h:99999/"),
        ("ls", "ftp://h/?tls=maybe"),
        ("send", "ftp://h/", *FROM_TO),
        ("send", "smtp://h", "--from", "ann"),
        ("send", "smtp://h", "--to", "bob"),
        ("send", "smtp://h", "--from", "ann", "--to", "bob@example.test"),
        ("send", "smtp://h", "--from", "a@b", "--to", "bob@example.test>\r\nRSET"),
        ("send", "smtp://u@h", *FROM_TO, "--password-file", "-"),
        ("send", "smtp://u@h", *FROM_TO, "--user", "v"),
        ("send", "smtp://u@h", *FROM_TO),
        ("send", "smtp://h", *FROM_TO, "--timeout", "0"),
        ("send", "smtp://h", *FROM_TO, "--pin", "abc"),
        ("send", "smtp://h", *FROM_TO, "--client-key", "k"),
        ("get", "ftp://h/"),
        ("get", "ftp://h/a", "-", "--json"),
        ("get", "ftp://h/a", "-", "--continue"),
        ("put", "-", "ftp://h/"),
        ("put", "-", "ftp://u@h/a", "--password-file", "-"),
    ],
    ids=" ".join,
)
def test_usage(words: tuple[str, ...]) -> None:
    done = starttls(*words, stdin=b"x")
    assert (done.code, done.out) == (64, b"") or (done.code == 64 and "--json" in words)
    assert done.err.startswith("starttls: " if words else "Mail and files over"), done.err


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (b"Subject: x\n\n", "no From: its sender must be given"),
        (b"From: ann@example.test\n\nTo: bob@example.test\n", "no To, Cc or Bcc"),
        (b"From: ann@example.test\nTo: bob\n", 'To has something that is no address: "bob"'),
        (b'From: ann@example.test\nTo: "bob\0"@example.test\n', "control character"),
        (b'From: ann@example.test\nTo: "bob\rRSET"@example.test\n', "no field"),
        (b"From: ann@example.test\nTo: =?utf-8?q?bob?=@example.test\n", "encoded word"),
        (b"From: ann@example.test\nTo: <bob@example.test> <eve@example.test>\n", "something else than a comma"),
        (b"A: b\n" * 300_000, "header is longer than 1048576 bytes"),
    ],
)
def test_a_header_that_says_nothing_clear(message: bytes, why: str) -> None:
    # Nobody is asked: there is no such server.
    done = starttls("send", "smtp://server.invalid", stdin=message)
    assert (done.code, done.out) == (65, b"")
    assert why in done.err


@pytest.mark.parametrize("words", [("ls", "ftp://u:hunter2@h/", "ftp://u:hunter2@h/"), ("ls", "ftp://u:hunter2@h:x/")])
def test_usage_errors_do_not_repeat_a_password(words: tuple[str, ...]) -> None:
    done = starttls(*words)
    assert done.code == 64 and "hunter2" not in done.err


def test_help_tells_the_exit_codes() -> None:
    done = starttls("--help")
    assert done.code == 0 and done.err == ""
    for line in ("  79  send: accepted for some", "  80  send: the connection was lost", "  64  the command line"):
        assert line in done.out.decode()


def test_version() -> None:
    assert starttls("--version").out.startswith(b"starttls 0.")


# --- the server is not there, or not what it should be


def test_server_down() -> None:
    [port] = free_ports(1)
    done = starttls("ls", f"ftp://localhost:{port}/", "--json")
    error = done.json["error"]
    assert done.code == done.json["exit_code"] == 69
    assert (error["kind"], error["phase"], error["peer"]) == ("connection_refused", "connect", f"localhost:{port}")
    assert error["transient"] is True and "check the port" in error["advice"] and error["message"] in done.err


def test_no_such_host() -> None:
    # A label this long is refused by the resolver itself: no question leaves this machine.
    done = starttls("ls", f"ftp://{'a' * 64}.test/?tls=none")
    assert done.code == 68 and "cannot be resolved" in done.err
    assert "WARNING: clear text" in done.err


@pytest.mark.parametrize("daemon", ["vsftpd", "proftpd", "pureftpd"])
def test_clear_text_where_tls_was_expected(servers: Servers, daemon: str) -> None:
    server = servers.ftp(daemon, None)
    done = starttls("ls", server.url.replace("ftp:", "ftps:", 1), *ca(server))
    assert done.code == 76 and f"try ftp://{server.user}@localhost:{server.port}/files\n" in done.err


def test_smtp_clear_text_where_tls_was_expected(postfix: PostfixServer) -> None:
    done = starttls("send", postfix.url.replace("smtp:", "smtps:", 1), *FROM_TO, *ca(postfix), stdin=MESSAGE)
    assert done.code == 76 and f"@localhost:{postfix.port}\n" in done.err and "try smtp://" in done.err


@pytest.mark.parametrize("daemon", ["vsftpd", "proftpd"])
def test_tls_where_clear_text_was_expected(servers: Servers, daemon: str) -> None:
    server = servers.ftp(daemon, None)
    url = server.implicit_url.replace("ftps:", "ftp:", 1)
    done = starttls("ls", url, "--timeout", "1", *ca(server))
    assert done.code in (75, 76) and f"try ftps://{server.user}@localhost:{server.implicit_port}/files\n" in done.err


def test_smtp_tls_where_clear_text_was_expected(postfix: PostfixServer) -> None:
    url = postfix.implicit_url.replace("smtps:", "smtp:", 1)
    done = starttls("send", url, *FROM_TO, "--timeout", "1", *ca(postfix), stdin=MESSAGE)
    assert done.code == 75 and "try smtps://" in done.err


def test_a_server_that_says_nothing() -> None:
    with scripted(Peer.wait_for_end) as server:
        done = starttls("ls", f"ftp://localhost:{server.port}/?tls=none", "--timeout", "0.3", "--json")
    assert done.code == 75 and done.json["error"]["kind"] == "timed_out"


def test_a_server_without_starttls() -> None:
    def script(peer: Peer) -> None:
        peer.say("220 here")
        assert peer.line().startswith("EHLO")
        peer.say("250-here", "250 AUTH PLAIN")
        peer.wait_for_end()

    with scripted(script) as server:
        done = starttls("send", f"smtp://u:pw@localhost:{server.port}", *FROM_TO, "--trace", stdin=MESSAGE)
    assert done.code == 76 and "C: AUTH" not in done.err and "smtps://" in done.err


def test_injected_bytes() -> None:
    def script(peer: Peer) -> None:
        peer.say("220 here")
        assert peer.line().startswith("EHLO")
        peer.say("250-here", "250 STARTTLS")
        assert peer.line().startswith("STARTTLS")
        peer.say("220 go", "250 injected")
        peer.wait_for_end()

    with scripted(script) as server:
        done = starttls("send", f"smtp://localhost:{server.port}", *FROM_TO, "--json", stdin=MESSAGE)
    assert done.code == 76 and done.json["error"]["kind"] == "bytes_before_handshake"


@pytest.mark.parametrize(("answer", "code"), [("454 not now", 75), ("501 never", 76)])
def test_the_upgrade_is_refused(answer: str, code: int) -> None:
    def script(peer: Peer) -> None:
        peer.say("220 here")
        assert peer.line().startswith("EHLO")
        peer.say("250-here", "250 STARTTLS")
        assert peer.line().startswith("STARTTLS")
        peer.say(answer)
        peer.wait_for_end()

    with scripted(script) as server:
        done = starttls("send", f"smtp://localhost:{server.port}", *FROM_TO, "--json", stdin=MESSAGE)
    error = done.json["error"]
    assert (done.code, error["kind"], error["phase"]) == (code, "rejected", "upgrade")
    assert error["reply"]["code"] == int(answer[:3])


def test_unknown_authority_and_wrong_name(postfix: PostfixServer, pki: PKI) -> None:
    words = ("send", postfix.url, *FROM_TO, "--json", "--trace")
    unknown = starttls(*words, "--ca-file", pki.other_ca_file, stdin=MESSAGE)
    assert unknown.code == 76 and unknown.json["error"]["kind"] == "tls_unknown_issuer"
    wrong = starttls(*words, *ca(postfix), "--server-name", "elsewhere.example", stdin=MESSAGE)
    assert wrong.code == 76 and wrong.json["error"]["kind"] == "tls_name_mismatch"
    assert "localhost, 127.0.0.1, ::1" in wrong.err
    for done in (unknown, wrong):
        assert "C: AUTH" not in done.err and "C: MAIL" not in done.err


def test_authorities_that_cannot_be_read(tmp_path: Path) -> None:
    done = starttls("ls", "ftp://localhost:1/", "--ca-file", tmp_path / "missing.pem")
    assert done.code == 66 and "missing.pem" in done.err
    (tmp_path / "empty.pem").write_text("nothing")
    assert starttls("ls", "ftp://localhost:1/", "--ca-file", tmp_path / "empty.pem").code == 78


# --- logging in


def test_wrong_password(postfix: PostfixServer, ftp_server: FTPServer) -> None:
    for done in (
        starttls("send", with_password(postfix.url, "hunter22"), *FROM_TO, "--trace", *ca(postfix), stdin=MESSAGE),
        starttls("ls", with_password(ftp_server.url, "hunter22"), "--trace", *ca(ftp_server)),
    ):
        assert done.code == 77 and "check user and password" in done.err
        assert "hunter22" not in done.err and "***" in done.err
    assert postfix.delivered() == []


def test_no_password_goes_out_in_clear_text() -> None:
    def script(peer: Peer) -> None:
        peer.say("220 here")
        peer.wait_for_end()

    with scripted(script) as server:
        done = starttls("ls", f"ftp://u:pw@localhost:{server.port}/?tls=none", "--trace")
    assert done.code == 77 and "not sent in clear text" in done.err and "C: USER" not in done.err


def test_sending_without_a_login(postfix: PostfixServer) -> None:
    url = f"smtp://localhost:{postfix.port}"
    done = starttls("send", url, *FROM_TO, *ca(postfix), stdin=MESSAGE)
    assert done.code == 69 and "refused" in done.err
    assert postfix.delivered() == []


def test_a_server_that_wants_a_login(pki: PKI) -> None:
    def script(peer: Peer) -> None:
        peer.secure(pki.server)
        peer.say("220 here")
        for said in ("250 here", "530 5.7.0 log in first", "250 ok"):
            assert peer.line()
            peer.say(said)
        peer.wait_for_end()
        peer.close()

    with scripted(script) as server:
        url = f"smtps://localhost:{server.port}"
        done = starttls("send", url, *FROM_TO, "--ca-file", pki.ca_file, "--timeout", "5", stdin=MESSAGE)
    assert done.code == 77 and "log in first" in done.err


# --- what becomes of a message


@pytest.mark.parametrize(
    ("recipients", "code"),
    [
        (["bob@example.test", "unknown@example.test"], 79),
        (["bob@example.test", "later@example.test"], 79),
        (["unknown@example.test", "forbidden@example.test"], 69),
        (["unknown@example.test", "later@example.test"], 69),
        (["later@example.test", "full@example.test"], 75),
    ],
)
def test_refused_recipients(postfix: PostfixServer, recipients: list[str], code: int) -> None:
    to = [word for recipient in recipients for word in ("--to", recipient)]
    done = starttls("send", postfix.url, "--from", "ann@example.test", *to, "-q", *ca(postfix), stdin=MESSAGE)
    assert done.code == code
    for recipient in recipients:
        assert (f"starttls: {recipient} refused: the server said" in done.err) == (not recipient.startswith("bob"))
    assert ("send again to the refused ones only" in done.err) == (code == 79)
    assert len(postfix.messages(1 if code == 79 else 0)) == (1 if code == 79 else 0)


def test_all_or_none(postfix: PostfixServer) -> None:
    to = ("--to", "bob@example.test", "--to", "eve@elsewhere.example")
    sender = ("--from", "ann@example.test")
    done = starttls("send", postfix.url, *sender, *to, "--all-or-none", "--json", *ca(postfix), stdin=MESSAGE)
    assert (done.code, done.json["outcome"]) == (69, "refused")
    assert [verdict["accepted"] for verdict in done.json["recipients"]] == [False, False]
    assert len(postfix.messages(0)) == 0
    done = starttls("send", postfix.url, *sender, *to[:2], "--all-or-none", "--json", *ca(postfix), stdin=MESSAGE)
    assert (done.code, done.json["outcome"]) == (0, "accepted")
    assert len(postfix.messages()) == 1


def test_outcome_unknown(pki: PKI) -> None:
    got: list[list[str]] = []

    def script(peer: Peer) -> None:
        peer.secure(pki.server)
        peer.say("220 here")
        for heard, said in (("EHLO", "250 here"), ("MAIL", "250 ok"), ("RCPT", "250 ok"), ("DATA", "354 go")):
            assert peer.line().startswith(heard)
            peer.say(said)
        got.append(list(iter(peer.line, ".")))
        peer.close()

    with scripted(script) as server:
        done = starttls("send", f"smtps://localhost:{server.port}", *FROM_TO, "--ca-file", pki.ca_file, stdin=MESSAGE)
    assert got == [MESSAGE.decode().splitlines()]
    assert done.code == 80 and "may have been accepted" in done.err and "deliver it twice" in done.err
    with scripted(script) as server:
        url = f"smtps://localhost:{server.port}"
        report = starttls("send", url, *FROM_TO, "--json", "--ca-file", pki.ca_file, stdin=MESSAGE).json
    assert (report["outcome"], report["exit_code"], report["reply"]) == ("unknown", 80, None)
    assert report["error"]["kind"] == "closed_by_peer" or report["error"]["kind"] == "truncated"


def test_a_message_above_the_limit_is_not_sent(pki: PKI) -> None:
    def script(peer: Peer) -> None:
        peer.secure(pki.server)
        peer.say("220 here")
        assert peer.line().startswith("EHLO")
        peer.say("250-here", "250 SIZE 10")
        peer.wait_for_end()
        peer.close()

    with scripted(script) as server:
        url = f"smtps://localhost:{server.port}"
        done = starttls("send", url, *FROM_TO, "--trace", "--ca-file", pki.ca_file, stdin=MESSAGE)
    assert done.code == 65 and "26 bytes" in done.err and "C: MAIL" not in done.err


def test_unreadable_message(tmp_path: Path) -> None:
    for file in (tmp_path / "missing", tmp_path):
        done = starttls("send", "smtp://localhost:1", *FROM_TO, "-f", file)
        assert done.code == 66 and str(file) in done.err


# --- files


def test_unreadable_upload_leaves_the_remote_file(proftpd: FTPServer, tmp_path: Path) -> None:
    remote = proftpd.put("a.bin", b"as it was")
    for file in (tmp_path / "missing", tmp_path):
        done = starttls("put", file, f"{proftpd.url}/a.bin", "--trace", *ca(proftpd))
        assert done.code == 66 and "connected" not in done.err and str(file) in done.err
    assert remote.read_bytes() == b"as it was"


def test_what_the_server_does_not_have_or_not_take(ftp_server: FTPServer, tmp_path: Path) -> None:
    local = tmp_path / "local"
    local.write_bytes(b"x")
    ftp_server.put("there", b"x")
    url, options = ftp_server.url, ca(ftp_server)
    for words, code in (
        (("get", f"{url}/missing", tmp_path / "new"), 66),
        (("rm", f"{url}/missing"), 66),
        (("mv", f"{url}/missing", "/files/other"), 66),
        (("rm", "--dir", f"{url}/missing"), 66),
        (("put", local, f"{url}/no/such/folder"), 73),
        (("mkdir", f"{url}/there"), 73),
    ):
        done = starttls(*words, *options)
        assert done.code == code and "the server said" in done.err, (words, done)
    assert [path.name for path in tmp_path.iterdir()] == ["local"]


def test_local_file_cannot_be_created(proftpd: FTPServer, tmp_path: Path) -> None:
    proftpd.put("a.bin", b"x")
    done = starttls("get", f"{proftpd.url}/a.bin", tmp_path / "no" / "folder", *ca(proftpd))
    assert done.code == 73


def test_a_full_device(vsftpd: FTPServer) -> None:
    vsftpd.put("a.bin", bytes(1_000_000))
    done = starttls("get", f"{vsftpd.url}/a.bin", "/dev/full", *ca(vsftpd))
    assert done.code == 74 and "No space left" in done.err
    assert not Path("/dev/full.part").exists()


def test_a_full_disk(ftp_server: FTPServer, tmp_path: Path) -> None:
    content = bytes(range(256)) * 8000
    ftp_server.put("a.bin", content)
    local = tmp_path / "a.bin"
    local.write_bytes(b"as it was")

    def no_large_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))

    url = f"{ftp_server.url}/a.bin"
    done = starttls("get", url, local, *ca(ftp_server), before=no_large_files)
    assert done.code == 74 and "a.bin.part: see --continue" in done.err
    assert local.read_bytes() == b"as it was"
    part = tmp_path / "a.bin.part"
    assert part.read_bytes() == content[:600_000]
    assert starttls("get", url, local, "--continue", *ca(ftp_server)).code == 0
    assert local.read_bytes() == content and not part.exists()


def test_failure_leaves_an_earlier_part(proftpd: FTPServer, tmp_path: Path) -> None:
    part = tmp_path / "a.bin.part"
    part.write_bytes(b"half of it")
    words = ("get", with_password(proftpd.url, "hunter22") + "/a.bin", tmp_path, *ca(proftpd))
    assert starttls(*words).code == 77
    assert part.read_bytes() == b"half of it"


def test_progress_is_for_terminals(proftpd: FTPServer, tmp_path: Path) -> None:
    proftpd.put("a.bin", bytes(3_000_000))
    words = [str(PROGRAM), "get", f"{proftpd.url}/a.bin", str(tmp_path), *map(str, ca(proftpd))]
    ours, theirs = pty.openpty()
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=theirs, env=environment()) as process:
        os.close(theirs)
        seen = b""
        # The end of a terminal is an error on Linux.
        with contextlib.suppress(OSError):
            while piece := os.read(ours, 65536):
                seen += piece
        assert process.wait(60) == 0
    os.close(ours)
    assert re.search(rb"\r[\d.]+ k?B of 3\.0 MB, [\d.]+ .?B/s", seen), seen
    assert b"a.bin: 3.0 MB, " in seen
    assert "\r" not in starttls(*words[1:]).err


def test_output_that_nobody_reads(proftpd: FTPServer) -> None:
    proftpd.put("a.bin", bytes(3_000_000))
    for words in (["get", f"{proftpd.url}/a.bin", "-"], ["ls", proftpd.url]):
        with subprocess.Popen(
            [PROGRAM, *words, *map(str, ca(proftpd))], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
        ) as process:
            assert process.stdout is not None and process.stderr is not None
            process.stdout.close()
            assert (process.stderr.read(), process.wait(60)) == (b"", 74)
