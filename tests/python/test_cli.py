"""The command line's verbs, against real daemons."""

from __future__ import annotations

import hashlib
import os
import random
import re
from pathlib import Path

import pytest

from tests.cli import ca, starttls
from tests.conftest import Servers
from tests.python.scripted import Peer, scripted
from tests.servers import postfix as postfix_daemon
from tests.servers.ftp import FTPServer
from tests.servers.pki import PKI
from tests.servers.postfix import PostfixServer

FROM = ("--from", "ann@example.test")
BOB = "bob@example.test"
MESSAGE = b"From: ann@example.test\r\nTo: bob@example.test\r\nSubject: hello\r\n\r\nHello.\r\n.\r\n..two\r\n"


def some_bytes(size: int) -> bytes:
    return random.Random(size).randbytes(size)


# --- send


@pytest.mark.parametrize("postfix", ["1.2", "1.3"], indirect=True)
@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "implicit"])
def test_send_delivers_the_same_bytes(postfix: PostfixServer, tmp_path: Path, implicit: bool) -> None:
    file = tmp_path / "message.eml"
    file.write_bytes(MESSAGE)
    url = postfix.implicit_url if implicit else postfix.url
    done = starttls("send", url, *FROM, "--to", BOB, "--to", "eve@example.test", "-f", file, *ca(postfix))
    assert (done.code, done.out) == (0, b"")
    assert re.fullmatch(r"starttls: accepted for 2 recipients, queue id \w+\n", done.err)
    copies = postfix.messages(2)
    assert {copy.recipient for copy in copies} == {BOB, "eve@example.test"}
    assert {copy.content() for copy in copies} == {MESSAGE}
    assert {copy.sender for copy in copies} == {"ann@example.test"}


def test_send_from_standard_input_makes_line_ends_and_leaves_bcc_out(postfix: PostfixServer) -> None:
    message = b"To: bob@example.test\nBcc: secret@example.test,\n more@example.test\nSubject: hello\n\nBcc: stays\n"
    done = starttls("send", postfix.url, *FROM, "--to", BOB, "-q", *ca(postfix), stdin=message)
    assert (done.code, done.out, done.err) == (0, b"", "")
    [copy] = postfix.messages()
    assert copy.content() == b"To: bob@example.test\r\nSubject: hello\r\n\r\nBcc: stays\r\n"


def test_send_to_whom_the_header_says(postfix: PostfixServer) -> None:
    message = (
        b"From ann@example.test Sat Jan  1 00:00:00 2000\nFrom: Ann <ann@example.test>\n"
        b"To: Us: Bob\n <bob@example.test>;\nBcc: eve@example.test\nSubject: hello\n\nHello.\n"
    )
    shown = b"From: Ann <ann@example.test>\r\nTo: Us: Bob\r\n <bob@example.test>;\r\nSubject: hello\r\n\r\nHello.\r\n"
    done = starttls("send", postfix.url, "-q", *ca(postfix), stdin=message)
    assert (done.code, done.err) == (0, "")
    copies = postfix.messages(2)
    assert {(copy.sender, copy.recipient) for copy in copies} == {
        ("ann@example.test", BOB),
        ("ann@example.test", "eve@example.test"),
    }
    assert {copy.content() for copy in copies} == {shown}
    # Who is given takes their place.
    done = starttls("send", postfix.url, "-q", "--from", "", "--to", "carol@example.test", *ca(postfix), stdin=message)
    copies = postfix.messages(3)
    assert [copy.sender for copy in copies if copy.recipient == "carol@example.test"] == [""]


@pytest.mark.parametrize("source", ["file", "pipe"])
def test_send_streams_a_long_message(postfix: PostfixServer, tmp_path: Path, source: str) -> None:
    body = b"".join(b"%060d\r\n.%d\r\n" % (i, i) for i in range(60_000))
    file = tmp_path / "message.eml"
    file.write_bytes(MESSAGE + body)
    name, stdin = ("-", MESSAGE + body) if source == "pipe" else (str(file), b"")
    done = starttls("send", postfix.url, *FROM, "--to", BOB, "-f", name, "--trace", *ca(postfix), stdin=stdin)
    assert done.code == 0, done.err
    told = re.search(r"SIZE=(\d+)", done.err)
    # A long pipe's size cannot be known beforehand.
    assert (told and int(told[1])) == (len(MESSAGE + body) if source == "file" else None)
    [copy] = postfix.messages()
    assert hashlib.sha256(copy.content()).digest() == hashlib.sha256(MESSAGE + body).digest()


@pytest.mark.parametrize(
    ("message", "declared"),
    [
        (b"Subject: a\r\n\r\nb\r\n", ""),
        ("Subject: a\r\n\r\nü\r\n".encode(), " BODY=8BITMIME"),
        ("Subject: ü\r\n\r\nb\r\n".encode(), " BODY=8BITMIME SMTPUTF8"),
        (b"Subject: \xfc\r\n\r\nb\r\n", " BODY=8BITMIME"),
    ],
    ids=["ascii", "body", "header", "latin-1"],
)
def test_send_declares_what_the_message_is(postfix: PostfixServer, message: bytes, declared: str) -> None:
    done = starttls("send", postfix.url, *FROM, "--to", BOB, "--trace", *ca(postfix), stdin=message)
    assert done.code == 0
    assert f"C: MAIL FROM:<ann@example.test> SIZE={len(message)}{declared}\n" in done.err
    [copy] = postfix.messages()
    assert copy.content() == message


def test_send_with_the_null_sender_and_a_name_of_its_own(postfix: PostfixServer) -> None:
    words = ("--from", "", "--to", BOB, "--ehlo", "client.example.test")
    done = starttls("send", postfix.url, *words, "--trace", *ca(postfix), stdin=MESSAGE)
    assert done.code == 0
    assert done.err.count("C: EHLO client.example.test\n") == 2
    [copy] = postfix.messages()
    assert copy.sender == ""


def test_send_tells_programs_everything(postfix: PostfixServer) -> None:
    to = ("--to", BOB, "--to", "unknown@example.test")
    done = starttls("send", postfix.url, *FROM, *to, "--json", *ca(postfix), stdin=MESSAGE)
    report = done.json
    assert done.code == report["exit_code"] == 79
    assert report["outcome"] == "partial" and report["error"] is None
    assert [(one["recipient"], one["accepted"]) for one in report["recipients"]] == [
        (BOB, True),
        ("unknown@example.test", False),
    ]
    refusal = report["recipients"][1]["reply"]
    assert (refusal["code"], refusal["enhanced"]) == (550, "5.1.1") and "no such user" in refusal["lines"][0]
    assert report["reply"]["code"] == 250 and report["queue_id"] in report["reply"]["lines"][0]
    assert report["tls"]["version"] == "TLSv1.3" and report["tls"]["server_name"] == "localhost"
    assert [copy.recipient for copy in postfix.messages()] == [BOB]


# --- get, put, ls, mv, rm, mkdir


@pytest.mark.parametrize("size", [0, 1, 16_383, 16_384, 16_385, 1_000_000])
def test_files_come_back_as_they_went(ftp_server: FTPServer, tmp_path: Path, size: int) -> None:
    content, local, back = some_bytes(size), tmp_path / "local file.bin", tmp_path / "back.bin"
    local.write_bytes(content)
    url = f"{ftp_server.url}/a%20file.bin"
    put = starttls("put", local, url, *ca(ftp_server))
    assert (put.code, put.out) == (0, b"") and put.err.endswith(", verified\n")
    assert (ftp_server.root / "a file.bin").read_bytes() == content
    get = starttls("get", url, back, "--json", *ca(ftp_server))
    receipt = get.json
    assert (get.code, get.err, receipt["exit_code"], receipt["size"]) == (0, "", 0, size)
    assert receipt["status"] in ("verified", "complete") and receipt["close_notify"] is True
    assert receipt["reply"]["code"] == 226 and receipt["local"] == str(back)
    assert receipt["tls"]["version"] == f"TLSv{ftp_server.tls}"
    assert back.read_bytes() == content
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back.bin", "local file.bin"]


@pytest.mark.parametrize("daemon", ["vsftpd", "proftpd"])
def test_implicit_tls(servers: Servers, tmp_path: Path, daemon: str) -> None:
    server = servers.ftp(daemon, None)
    server.put("a.bin", some_bytes(70_000))
    done = starttls("get", f"{server.implicit_url}/a.bin", tmp_path, *ca(server))
    assert done.code == 0, done.err
    assert (tmp_path / "a.bin").read_bytes() == some_bytes(70_000)


def test_get_chooses_the_name_and_replaces_a_file(proftpd: FTPServer, tmp_path: Path) -> None:
    proftpd.put("deep/a b.txt", b"new")
    (tmp_path / "a b.txt").write_bytes(b"something older and longer")
    assert starttls("get", f"{proftpd.url}/deep/a%20b.txt", *ca(proftpd), folder=tmp_path).code == 0
    assert (tmp_path / "a b.txt").read_bytes() == b"new"


def test_streams(proftpd: FTPServer) -> None:
    content = some_bytes(300_000)
    assert starttls("put", "-", f"{proftpd.url}/piped", *ca(proftpd), stdin=content).code == 0
    done = starttls("get", f"{proftpd.url}/piped", "-", *ca(proftpd))
    assert (done.code, done.out) == (0, content)


def test_get_goes_on_where_it_ended(ftp_server: FTPServer, tmp_path: Path) -> None:
    content = some_bytes(500_000)
    ftp_server.put("a.bin", content)
    part = tmp_path / "a.bin.part"
    part.write_bytes(content[:200_001])
    done = starttls("get", f"{ftp_server.url}/a.bin", tmp_path, "--continue", "--json", "--trace", *ca(ftp_server))
    assert done.code == 0 and "C: REST 134465\n" in done.err  # 64 KiB are compared
    assert (done.json["offset"], done.json["size"]) == (200_001, 299_999)
    assert (tmp_path / "a.bin").read_bytes() == content
    assert not part.exists()


def test_get_begins_anew_unless_told_to_go_on(proftpd: FTPServer, tmp_path: Path) -> None:
    proftpd.put("a.bin", b"right")
    (tmp_path / "a.bin.part").write_bytes(b"something else entirely")
    assert starttls("get", f"{proftpd.url}/a.bin", tmp_path, *ca(proftpd)).code == 0
    assert (tmp_path / "a.bin").read_bytes() == b"right"


def test_get_does_not_go_on_with_what_is_longer(proftpd: FTPServer, tmp_path: Path) -> None:
    proftpd.put("a.bin", b"short")
    (tmp_path / "a.bin.part").write_bytes(b"longer than that")
    done = starttls("get", f"{proftpd.url}/a.bin", tmp_path, "-c", *ca(proftpd))
    assert done.code == 65 and "it has 5 bytes, and 16 are there already" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin.part"]
    assert (tmp_path / "a.bin.part").read_bytes() == b"longer than that"


def test_folders_and_names(ftp_server: FTPServer, tmp_path: Path) -> None:
    local = tmp_path / "local.txt"
    local.write_bytes(b"content")
    url, options = ftp_server.url, ca(ftp_server)
    for words in (
        ("mkdir", f"{url}/folder"),
        ("put", local, f"{url}/folder/"),
        ("mv", f"{url}/folder/local.txt", ftp_server.path("moved.txt")),
        ("mv", f"{url}/moved.txt", ftp_server.path("folder/")),
    ):
        done = starttls(*words, *options)
        assert (done.code, done.out) == (0, b""), done.err
    assert (ftp_server.root / "folder" / "moved.txt").read_bytes() == b"content"
    removed = starttls("rm", f"{url}/folder/moved.txt", "--json", *options).json
    assert removed["removed"] == "files/folder/moved.txt" and 200 <= removed["reply"]["code"] < 300
    assert starttls("rm", "-d", f"{url}/folder", *options).code == 0
    assert list(ftp_server.root.iterdir()) == []


def test_ls(ftp_server: FTPServer) -> None:
    for name in ("b.txt", "a b.txt"):
        os.utime(ftp_server.put(name, b"x" * 1234), (1_600_000_000, 1_600_000_000))
    ftp_server.put("folder/inside", b"")
    people = starttls("ls", ftp_server.url, *ca(ftp_server))
    assert people.code == 0
    lines = sorted(people.out.decode().splitlines(), key=lambda line: line.split(None, 4)[-1])
    assert [line.split(None, 4)[-1] for line in lines] == ["a b.txt", "b.txt", "folder"]
    assert re.fullmatch(r"- +1234 2020-09-13 \d\d:\d\d a b\.txt", lines[0])
    assert lines[2].startswith("d ")
    programs = {entry["name"]: entry for entry in starttls("ls", f"{ftp_server.url}/", "--json", *ca(ftp_server)).json}
    assert (programs["a b.txt"]["type"], programs["a b.txt"]["size"]) == ("file", 1234)
    assert programs["a b.txt"]["url_name"] == "a%20b.txt"
    assert programs["a b.txt"]["modified"].startswith("2020-09-13T")
    assert programs["folder"]["type"] == "directory"
    assert starttls("ls", f"{ftp_server.url}/folder", *ca(ftp_server)).out.decode().split()[-1] == "inside"


def test_ls_of_one_file_and_of_nothing(ftp_server: FTPServer) -> None:
    ftp_server.put("one.txt", b"12345")
    [entry] = starttls("ls", f"{ftp_server.url}/one.txt", "--json", *ca(ftp_server)).json
    assert (entry["name"].rsplit("/")[-1], entry["size"]) == ("one.txt", 5)
    done = starttls("ls", f"{ftp_server.url}/missing", *ca(ftp_server))
    assert (done.code, done.out) == (66, b"")
    (ftp_server.root / "one.txt").unlink()
    assert starttls("ls", ftp_server.url, "--json", *ca(ftp_server)).json == []


def test_names_are_bytes_and_not_commands_to_a_terminal(proftpd: FTPServer) -> None:
    name = b"\xff\x1b[31m.txt"
    proftpd.put(name, b"content")
    assert starttls("ls", proftpd.url, *ca(proftpd)).out.decode().rstrip().endswith(" \ufffd\\u{1b}[31m.txt")
    [entry] = starttls("ls", proftpd.url, "--json", *ca(proftpd)).json
    assert entry["url_name"] == "%FF%1B%5B31m.txt"
    assert starttls("get", f"{proftpd.url}/{entry['url_name']}", "-", *ca(proftpd)).out == b"content"


# --- probe


def test_probe_smtp(postfix: PostfixServer) -> None:
    people = starttls("probe", postfix.url, "--trace", *ca(postfix))
    text = people.out.decode()
    assert people.code == 0 and "AUTH PLAIN" not in people.err.replace("250-AUTH PLAIN LOGIN", "")
    assert "verdict        trusted for localhost (authorities)\n" in text
    assert re.search(r"  for +localhost, 127\.0\.0\.1, ::1\n", text) and re.search(r"\((4|5) days left\)\n", text)
    report = starttls("probe", postfix.url, "--json", *ca(postfix)).json
    before, after = ([one["name"] for one in report[key]] for key in ("offered_in_clear", "offered"))
    assert "STARTTLS" in before and "AUTH" not in before
    assert "STARTTLS" not in after and {"name": "AUTH", "parameters": "PLAIN LOGIN"} in report["offered"]
    assert report["greeting"]["code"] == 220 and report["trusted"] is True and "findings" not in report
    assert starttls("probe", postfix.url, "--write-test", *ca(postfix)).code == 64
    assert (
        re.fullmatch(r"TLSv1\.3", report["tls"]["version"]) and report["tls"]["cipher_suite"] and report["tls"]["group"]
    )
    [certificate] = report["certificates"]
    assert certificate["subject"] == "CN=starttls test" and certificate["issuer"] == "CN=starttls test root"
    assert certificate["not_before"] < certificate["not_after"]


def anonymous(server: FTPServer) -> str:
    return f"ftp://{server.server_name}:{server.port}{server.directory}"


def test_probe_ftp(ftp_server: FTPServer) -> None:
    done = starttls("probe", anonymous(ftp_server), "--json", "--trace", *ca(ftp_server))
    assert done.code == 0 and "C: USER" not in done.err and "C: PASS" not in done.err
    report = done.json
    assert {one["name"] for one in report["offered_in_clear"]} >= {"AUTH", "SIZE"}
    assert {one["name"] for one in report["offered"]} >= {"SIZE", "REST"}
    assert report["tls"]["version"] == f"TLSv{ftp_server.tls}" and report["trusted"] is True
    assert report["certificates"][0]["names"] == ["localhost", "127.0.0.1", "::1"]
    found = {finding["topic"]: finding for finding in report["findings"]}
    assert found["tls-versions"]["seen"].startswith(f"TLS {ftp_server.tls} is accepted")
    assert report["state"] == "notice" and "login" not in found


def test_probe_ftp_with_a_login(ftp_server: FTPServer) -> None:
    done = starttls("probe", ftp_server.url, "--write-test", "--trace", *ca(ftp_server))
    text = done.out.decode()
    assert done.code == 0 and "C: PASS ***" in done.err
    assert re.search(r"^login +logged in as ftp; data connections are protected", text, re.MULTILINE)
    assert re.search(r"^writing +38 bytes were uploaded \(verified\); the file is deleted$", text, re.MULTILINE)
    demands = ftp_server.daemon in ("vsftpd", "proftpd")
    assert ("\nsession-reuse     NOTICE: data connections must resume" in text) == demands
    assert ("\n  because         the server is set to demand it" in text) == demands
    assert list(ftp_server.root.iterdir()) == []


def test_probe_tells_a_problem_by_its_exit_code(servers: Servers) -> None:
    server = servers.ftp("pyftpdlib-firewalled", None)
    people = starttls("probe", server.url, *ca(server))
    assert people.code == 69 and b"data-connection   PROBLEM: connection refused" in people.out
    assert b"\n  remedy          the server's administrator should set a range of passive ports" in people.out
    report = starttls("probe", server.url, "--json", *ca(server)).json
    assert report["state"] == "problem" and report["error"] is None


def test_probe_without_a_password_looks_at_what_there_is(vsftpd: FTPServer) -> None:
    url = anonymous(vsftpd).replace("://", "://ann@")
    done = starttls("probe", url, *ca(vsftpd))
    assert done.code == 0 and "no password" in done.err and b"\nlogin " not in done.out
    assert starttls("probe", url, "--write-test", *ca(vsftpd)).code == 64
    assert starttls("probe", anonymous(vsftpd), "--write-test", *ca(vsftpd)).code == 64
    refused = starttls("probe", vsftpd.url.replace("pa%3Ass", "wrong"), *ca(vsftpd))
    assert refused.code == 77 and b"\nlogin             PROBLEM: the server refused" in refused.out


@pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
def test_probe_shows_what_it_does_not_trust(vsftpd: FTPServer, pki: PKI, implicit: bool) -> None:
    url = vsftpd.implicit_url if implicit else vsftpd.url
    done = starttls("probe", url, "--ca-file", pki.other_ca_file)
    assert done.code == 76 and "--ca-file" in done.err
    assert (
        b"certificate    CN=starttls test\n" in done.out and b"verdict        NOT TRUSTED for localhost\n" in done.out
    )
    report = starttls("probe", url, "--ca-file", pki.other_ca_file, "--json").json
    assert report["trusted"] is False and report["error"]["kind"] == "tls_unknown_issuer"
    assert report["certificates"][0]["issuer"] == "CN=starttls test root"


@pytest.mark.parametrize(
    ("label", "kind", "said"),
    [
        ("expired", "tls_certificate_expired", r"EXPIRED \d+ days ago"),
        ("not_yet_valid", "tls_certificate_not_yet_valid", "NOT YET VALID"),
        ("wrong_name", "tls_name_mismatch", r"for +elsewhere\.example, 192\.0\.2\.1"),
        ("self_signed", "tls_unknown_issuer", "issuer +CN=starttls test\n"),
    ],
)
def test_probe_tells_what_is_wrong_with_a_certificate(pki: PKI, label: str, kind: str, said: str) -> None:
    with postfix_daemon.serve(pki, identity=getattr(pki, label)) as server:
        people = starttls("probe", server.url, *ca(server))
        programs = starttls("probe", server.url, "--json", *ca(server))
    assert people.code == programs.code == 76
    assert re.search(said, people.out.decode()), people.out
    assert programs.json["error"]["kind"] == kind and programs.json["offered"]


def test_probe_of_a_server_without_tls_shows_its_clear_side() -> None:
    def script(peer: Peer) -> None:
        peer.say("220 old.example ESMTP")
        assert peer.line().startswith("EHLO")
        peer.say("250-old.example", "250 SIZE 1000")
        peer.wait_for_end()

    with scripted(script) as server:
        done = starttls("probe", f"smtp://localhost:{server.port}", "--json", "--timeout", "5")
    report = done.json
    assert done.code == 76 and report["error"]["kind"] == "upgrade_not_offered"
    assert report["offered_in_clear"] == [{"name": "SIZE", "parameters": "1000"}]
    assert report["greeting"]["lines"] == ["old.example ESMTP"] and report["trusted"] is None
