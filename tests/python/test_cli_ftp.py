"""The command line's verbs for what servers can do beside moving files, and how FTP sessions speak."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.cli import ca, starttls
from tests.conftest import Servers
from tests.python.scripted import Peer, scripted
from tests.servers.ftp import PASSWORD, FTPServer
from tests.servers.pki import PKI


@pytest.fixture
def copying(servers: Servers) -> FTPServer:
    """A server that can be the client of another one's TLS, and trusts it."""
    return servers.ftp("proftpd-copying", None)


def commands(trace: str) -> list[str]:
    return [line.removeprefix("C: ") for line in trace.splitlines() if line.startswith("C: ")]


# --- chmod, hash, site, quote


def test_chmod(ftp_server: FTPServer) -> None:
    file = ftp_server.put("a b.txt", b"content")
    url = f"{ftp_server.url}/a%20b.txt"
    people = starttls("chmod", "640", url, *ca(ftp_server))
    if ftp_server.daemon == "vsftpd":  # as it is set up here: anonymous
        assert people.code == 66 and "SITE CHMOD" not in people.err
        return
    assert (people.code, people.out, people.err) == (0, b"", "starttls: files/a b.txt: 0640\n")
    assert file.stat().st_mode & 0o7777 == 0o640
    programs = starttls("chmod", "0600", url, "--json", *ca(ftp_server)).json
    assert (programs["changed"], programs["mode"], programs["error"]) == ("files/a b.txt", "0600", None)
    assert file.stat().st_mode & 0o7777 == 0o600
    assert starttls("chmod", "600", f"{ftp_server.url}/missing", *ca(ftp_server)).code == 66
    for bad in ("u+x", "8", "0o640"):
        assert starttls("chmod", bad, url, *ca(ftp_server)).code == 64


@pytest.mark.parametrize(
    ("words", "name", "program"),
    [
        ((), "SHA256", "sha256sum"),
        (("-a", "sha-512"), "SHA512", "sha512sum"),
        (("--algorithm", "md5"), "MD5", "md5sum"),
    ],
)
def test_hash_is_read_by_who_reads_such_lines(
    proftpd_modules: FTPServer, tmp_path: Path, words: tuple[str, ...], name: str, program: str
) -> None:
    content = os.urandom(100_000)
    proftpd_modules.put("some where/a b.bin", content)
    url = f"{proftpd_modules.url}/some%20where/a%20b.bin"
    done = starttls("hash", url, *words, *ca(proftpd_modules))
    assert (done.code, done.err) == (0, "") and done.out.startswith(f"{name} (a b.bin) = ".encode())
    (tmp_path / "a b.bin").write_bytes(content)
    check = subprocess.run([program, "--check"], input=done.out, cwd=tmp_path, capture_output=True, check=False)
    assert (check.returncode, check.stdout) == (0, b"a b.bin: OK\n"), check.stderr
    report = starttls("hash", url, *words, "--json", *ca(proftpd_modules)).json
    assert report["algorithm"].replace("-", "") == name and report["value"].encode() in done.out
    assert (report["range"], report["path"], report["exit_code"]) == (None, "files/some where/a b.bin", 0)


def test_hash_of_nothing_and_where_there_is_none(proftpd_modules: FTPServer, vsftpd: FTPServer) -> None:
    assert starttls("hash", f"{proftpd_modules.url}/missing", *ca(proftpd_modules)).code == 66
    assert starttls("hash", proftpd_modules.url, "-a", "sha3", *ca(proftpd_modules)).code == 64
    vsftpd.put("a.bin", b"content")
    done = starttls("hash", f"{vsftpd.url}/a.bin", *ca(vsftpd))
    assert done.code == 69 and "does not offer to compute digests" in done.err and "`get`" in done.err


def test_site_and_quote_print_what_the_server_says(proftpd: FTPServer) -> None:
    file = proftpd.put("folder/a.txt", b"content")
    folder = f"{proftpd.url}/folder"
    done = starttls("site", folder, "CHMOD", "604", "a.txt", *ca(proftpd))
    assert (done.code, done.out) == (0, b"SITE CHMOD command successful\n"), done.err
    assert file.stat().st_mode & 0o777 == 0o604
    done = starttls("quote", folder, "MDTM a.txt", "--trace", *ca(proftpd))
    assert re.fullmatch(rb"\d{14}\n", done.out) and "CWD files/folder" in commands(done.err)
    assert starttls("quote", folder, "syst", "--json", *ca(proftpd)).json["reply"]["code"] == 215
    refused = starttls("quote", folder, "NONSENSE", *ca(proftpd))
    assert (refused.code, refused.out) == (69, b"") and "500" in refused.err
    assert starttls("site", f"{proftpd.url}/missing", "HELP", *ca(proftpd)).code == 66
    # What may be a secret is not shown.
    assert "tops3cret" not in starttls("site", folder, "PSWD", "tops3cret", "--trace", *ca(proftpd)).err


@pytest.mark.parametrize("command", ["RETR a.txt", "list", "PASV", "USER ann", "prot C", "TYPE A", "QUIT", "REST 5"])
def test_quote_is_for_nothing_that_makes_it_another_session(proftpd: FTPServer, command: str) -> None:
    verb = command.split()[0].upper()
    done = starttls("quote", proftpd.url, command, "--trace", *ca(proftpd))
    assert done.code == 64 and f"{verb} is not sent as it is" in done.err and "see --help" in done.err
    assert command not in commands(done.err)


def test_quote_carries_one_command(proftpd: FTPServer) -> None:
    done = starttls("quote", proftpd.url, "NOOP\r\nDELE a.txt", "--trace", *ca(proftpd))
    assert done.code == 64 and not any("DELE" in line for line in commands(done.err))


# --- rm -r, mkdir -p


def test_trees_are_made_and_removed(ftp_server: FTPServer) -> None:
    url = ftp_server.url
    for _ in range(2):  # what is there already is no error
        done = starttls("mkdir", "-p", f"{url}/a/b/c", *ca(ftp_server))
        assert (done.code, done.err) == (0, "starttls: files/a/b/c: made\n")
    assert starttls("mkdir", f"{url}/a", *ca(ftp_server)).code == 73
    ftp_server.put("a/b/file.txt", b"content")
    (ftp_server.root / "a" / "link").symlink_to("b")
    assert starttls("rm", "-d", f"{url}/a", *ca(ftp_server)).code != 0
    report = starttls("rm", "-r", f"{url}/a", "--json", *ca(ftp_server)).json
    assert (report["removed"], report["complete"], report["left"]) == ("files/a", True, [])
    assert (report["files"], report["directories"], report["exit_code"]) == (2, 3, 0)
    assert list(ftp_server.root.iterdir()) == []
    assert starttls("rm", "-r", f"{url}/a", *ca(ftp_server)).code == 66


def test_a_tree_that_cannot_be_removed_whole(proftpd: FTPServer) -> None:
    proftpd.put("a/locked/file.txt", b"content")
    proftpd.put("a/free.txt", b"content")
    locked = proftpd.root / "a" / "locked"
    os.chown(locked, 0, 0)
    locked.chmod(0o755)
    done = starttls("rm", "--recursive", f"{proftpd.url}/a", *ca(proftpd))
    assert done.code == 79 and "a/locked/file.txt: " in done.err and "1 files and 0 directories deleted" in done.err
    assert sorted(path.name for path in proftpd.root.rglob("*")) == ["a", "file.txt", "locked"]


@pytest.mark.parametrize("path", ["", "/.", "/folder/.."])
def test_the_root_is_not_removed(proftpd: FTPServer, path: str) -> None:
    root = proftpd.url.removesuffix(proftpd.directory)
    assert starttls("rm", "-r", f"{root}{path}", *ca(proftpd)).code == 64


# --- parts of files


@pytest.mark.parametrize(
    ("part", "begin", "end"),
    [
        ("0-0", 0, 1),
        ("10-99", 10, 100),
        ("10-299999", 10, 300_000),
        ("399990-500000", 399_990, 400_000),
        ("399990-", 399_990, 400_000),
        ("-7", 399_993, 400_000),
        ("-500000", 0, 400_000),
    ],
)
def test_a_part_of_a_file(ftp_server: FTPServer, tmp_path: Path, part: str, begin: int, end: int) -> None:
    content = os.urandom(400_000)
    ftp_server.put("a.bin", content)
    done = starttls("get", f"{ftp_server.url}/a.bin", "-r", part, *ca(ftp_server), folder=tmp_path)
    assert done.code == 0 and done.out == content[begin:end], done.err
    assert list(tmp_path.iterdir()) == []


def test_a_part_is_no_file_of_that_name(proftpd: FTPServer, tmp_path: Path) -> None:
    proftpd.put("a.bin", b"0123456789")
    url = f"{proftpd.url}/a.bin"
    for words in ((tmp_path / "a.bin",), (tmp_path,)):
        done = starttls("get", url, *words, "--range", "2-4", *ca(proftpd))
        assert done.code == 64 and "all of it or nothing" in done.err and not list(tmp_path.iterdir())
    report = starttls("get", url, "/dev/null", "--range=2-4", "--json", *ca(proftpd)).json
    assert (report["offset"], report["size"], report["exit_code"]) == (2, 3, 0)
    for words in (("--continue",), ("--segments", "2"), ("--keep-times",), ("--verify", "hash")):
        assert starttls("get", url, "-", "--range", "2-4", *words, *ca(proftpd)).code == 64, words
    for bad in ("", "5", "4-2", "-", "-0", "a-b"):
        assert starttls("get", url, f"--range={bad}", *ca(proftpd)).code == 64, bad
    assert starttls("get", f"{proftpd.url}/missing", "-r", "2-4", *ca(proftpd)).code == 66
    assert starttls("get", f"{proftpd.url}/missing", "-r", "-4", *ca(proftpd)).code == 66


# --- fxp


def test_fxp_copies_from_server_to_server(copying: FTPServer) -> None:
    content = os.urandom(300_000)
    copying.put("here.bin", content)
    env = {"STARTTLS_TARGET_PASSWORD": PASSWORD}
    target = copying.url.replace(":pa%3Ass%40w%2Frd%2541@", "@")
    assert target != copying.url
    done = starttls("fxp", f"{copying.url}/here.bin", f"{target}/there.bin", "--trace", *ca(copying), env=env)
    assert done.code == 0, done.err
    assert (copying.root / "there.bin").read_bytes() == content
    assert "PROT C" not in commands(done.err) and "SSCN ON" in commands(done.err)
    assert done.err.splitlines()[-1].endswith("300.0 kB, verified by SHA-256")
    (copying.root / "folder").mkdir()
    os.chown(copying.root / "folder", (copying.root / "here.bin").stat().st_uid, -1)
    report = starttls("fxp", f"{copying.url}/here.bin", f"{copying.url}/folder/", "--json", *ca(copying)).json
    assert (report["status"], report["size"], report["protected"]) == ("verified", 300_000, True)
    assert report["source"]["code"] == report["target"]["code"] == 226 and report["exit_code"] == 0
    assert (copying.root / "folder" / "here.bin").read_bytes() == content
    plain = starttls("fxp", f"{copying.url}/here.bin", f"{copying.url}/x", "--no-compare", "--json", *ca(copying)).json
    assert plain["digest"] is None
    missing = starttls("fxp", f"{copying.url}/missing", f"{copying.url}/never", *ca(copying))
    assert missing.code == 66 and not (copying.root / "never").exists()


def test_fxp_in_clear_text_is_asked_for_by_name(servers: Servers) -> None:
    server = servers.ftp("pureftpd", None)
    server.put("here.bin", b"x" * 70_000)
    words = ("fxp", f"{server.url}/here.bin", f"{server.url}/there.bin", *ca(server))
    refused = starttls(*words)
    assert refused.code == 69 and "see --clear" in refused.err and not (server.root / "there.bin").exists()
    done = starttls(*words, "--clear")
    assert done.code == 0 and "WARNING: --clear: " in done.err
    assert (server.root / "there.bin").read_bytes() == b"x" * 70_000


def test_the_password_of_one_server_is_not_told_to_the_other(copying: FTPServer, tmp_path: Path) -> None:
    copying.put("here.bin", b"content")
    password = tmp_path / "password"
    password.write_text(PASSWORD + "\n")
    bare = copying.url.replace(":pa%3Ass%40w%2Frd%2541@", "@")
    words = ("fxp", f"{bare}/here.bin", f"{bare}/there.bin", *ca(copying))
    given = ("--password-file", password)
    # This user is anonymous to whom no password is told.
    done = starttls(*words, *given, env={"STARTTLS_PASSWORD": PASSWORD})
    assert done.code == 77 and "530" in done.err
    other = [str(word).replace("ftp://ftp@", "ftp://ann@") for word in words]
    done = starttls(words[0], words[1], *other[2:], *given)
    assert done.code == 64 and "no password for ann at the target; give --target-password-file" in done.err
    assert starttls(*words, "--target-password-file", password, env={"STARTTLS_PASSWORD": PASSWORD}).code == 0
    assert (copying.root / "there.bin").read_bytes() == b"content"
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine localhost login ftp password {PASSWORD}\n")
    assert starttls(*words, "--netrc", netrc).code == 0


# --- how sessions speak


def test_what_is_said_at_a_login(servers: Servers, tmp_path: Path) -> None:
    server = servers.ftp("proftpd-virtual", None)
    words = ("--virtual-host", "localhost", "--client-name", "some client", "--language", "en-US")
    done = starttls("ls", server.url, *words, "--trace", *ca(server))
    said = commands(done.err)
    assert done.code == 0 and said.index("HOST localhost") < said.index("USER ftp"), done.err
    assert "CLNT some client" in said and "LANG en-US" in said
    # Where it is another one's, no password is told.
    done = starttls("ls", server.url, "--virtual-host", "files.test", "--trace", *ca(server))
    assert done.code == 77 and "does not know this virtual host" in done.err
    assert not any(line.startswith("USER") for line in commands(done.err))
    for bad in (("--virtual-host", "a b"), ("--language", "en_US"), ("--client-name", "a\nb"), ("--keep-alive", "0")):
        assert starttls("ls", server.url, *bad, *ca(server)).code == 64, bad


def test_an_account(pki: PKI, tmp_path: Path) -> None:
    def script(peer: Peer) -> None:
        peer.say("220 hello")
        assert peer.line() == "AUTH TLS"
        peer.say("234 go on")
        peer.secure(pki.server)
        assert peer.line() == "USER ann"
        peer.say("332 whose?")
        assert peer.line() == "ACCT dep4rtment"
        peer.say("530 no")
        peer.wait_for_end()

    file = tmp_path / "account"
    file.write_text("dep4rtment\nmore\n")
    with scripted(script) as server:
        words = ("--ca-file", pki.ca_file, "--account-file", file, "--timeout", "5", "--trace")
        done = starttls("ls", f"ftp://ann:secret@localhost:{server.port}", *words)
    assert done.code == 77 and "C: ACCT ***" in done.err and "dep4rtment" not in done.err
    words = ("--password-file", "-", "--account-file", "-")
    done = starttls("ls", "ftp://a@localhost:1", *words, stdin=b"secret\n")
    assert done.code == 64 and "one secret" in done.err


def test_auth_ssl() -> None:
    def script(peer: Peer) -> None:
        peer.say("220 old")
        assert peer.line() == "AUTH SSL"
        peer.say("534 no")
        peer.wait_for_end()

    with scripted(script) as server:
        done = starttls("ls", f"ftp://localhost:{server.port}", "--auth-ssl", "--timeout", "5")
    assert done.code == 76 and "534" in done.err


def test_one_command_at_a_time(proftpd: FTPServer) -> None:
    done = starttls("ls", proftpd.url, "--no-pipelining", "--trace", *ca(proftpd))
    lines = [line for line in done.err.splitlines() if line[:3] in ("C: ", "S: ")]
    together = [first for first, second in itertools.pairwise(lines) if first[0] == second[0] == "C"]
    assert done.code == 0 and len(lines) > 10 and not together, together


def test_data_in_clear_text_is_asked_for_by_name(servers: Servers, tmp_path: Path) -> None:
    server = servers.ftp("pureftpd", None)
    server.put("a.txt", b"content")
    done = starttls("get", f"{server.url}/a.txt", tmp_path, "--clear-data", "--trace", *ca(server))
    assert done.code == 0 and "WARNING: --clear-data: " in done.err and "PROT C" in commands(done.err)
    assert (tmp_path / "a.txt").read_bytes() == b"content"


def test_signs_of_life_during_a_transfer(ftp_server: FTPServer, tmp_path: Path) -> None:
    content = os.urandom(400_000)
    ftp_server.put("a.bin", content)
    words = ("--limit-rate", "200k", "--trace", *ca(ftp_server))
    for flag, least, most in (((), 0, 0), (("--keep-alive", "0.2"), 2, 10)):
        done = starttls("get", f"{ftp_server.url}/a.bin", tmp_path, *words, *flag)
        assert done.code == 0 and (tmp_path / "a.bin").read_bytes() == content, done.err
        said = commands(done.err)
        assert least <= said[said.index("RETR files/a.bin") :].count("NOOP") <= most, said
        # Their answers are nobody else's.
        assert done.err.splitlines()[-1].endswith("verified"), done.err
    done = starttls("put", tmp_path / "a.bin", f"{ftp_server.url}/b.bin", *words, "--keep-alive", "0.2")
    assert done.code == 0 and (ftp_server.root / "b.bin").read_bytes() == content
    said = commands(done.err)
    assert "NOOP" in said[said.index("STOR files/b.bin") :]


def test_an_end_without_close_notify_is_believed_by_choice(servers: Servers, tmp_path: Path) -> None:
    server = servers.ftp("pyftpdlib-cut", None)
    content = os.urandom(100_000)
    server.put("a.bin", content)
    url, flag = f"{server.url}/a.bin", "--accept-missing-close-notify"
    refused = starttls("get", url, tmp_path, *ca(server))
    assert refused.code == 69 and "close_notify" in refused.err and not (tmp_path / "a.bin").exists()
    done = starttls("get", url, tmp_path, flag, *ca(server))
    assert done.code == 0 and f"WARNING: {flag}: " in done.err and "unproven" in done.err, done.err
    assert (tmp_path / "a.bin").read_bytes() == content
    report = starttls("get", url, tmp_path, flag, "--json", *ca(server)).json
    assert (report["status"], report["size"], report["close_notify"]) == ("unproven", 100_000, False)
    assert starttls("ls", server.url, *ca(server)).code == 69
    listed = starttls("ls", server.url, flag, *ca(server))
    assert listed.code == 0 and b"a.bin" in listed.out


@pytest.mark.parametrize(
    "flag",
    [
        "--auth-ssl",
        "--virtual-host=a",
        "--account-file=a",
        "--client-name=a",
        "--language=en",
        "--keep-alive=5",
        "--max-connections=2",
        "--clear-data",
        "--accept-missing-close-notify",
    ],
)
def test_flags_about_files_are_not_for_mail(flag: str) -> None:
    done = starttls("send", "smtp://localhost:1", "--from", "", "--to", "a@b.test", flag, stdin=b"\n")
    assert done.code == 64 and f"{flag.split('=')[0]} is about files" in done.err
