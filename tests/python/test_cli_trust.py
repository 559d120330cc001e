"""Who logs in from the command line, and whom it believes, against real daemons."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli import ca, starttls
from tests.servers import postfix as postfix_daemon
from tests.servers.ftp import PASSWORD, FTPServer
from tests.servers.pki import PKI
from tests.servers.postfix import PostfixServer

FROM = ("--from", "ann@example.test")
BOB = "bob@example.test"
MESSAGE = b"Subject: hello\r\n\r\nHello.\r\n"


def without_password(url: str) -> str:
    return re.sub(r":[^:@/]+@", "@", url)


@contextlib.contextmanager
def secret_file(folder: Path, text: str) -> Iterator[Path]:
    file = folder / "secret"
    file.touch(0o600)
    file.write_text(text)
    yield file


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\nsecond line\n"])
def test_password_file(proftpd: FTPServer, tmp_path: Path, ending: str) -> None:
    url = without_password(proftpd.url)
    with secret_file(tmp_path, PASSWORD + ending) as file:
        assert starttls("ls", url, "--password-file", file, *ca(proftpd)).code == 0
    done = starttls("ls", url, "--password-file", "-", *ca(proftpd), stdin=(PASSWORD + ending).encode())
    assert done.code == 0, done.err


def test_password_from_the_environment_comes_after_a_file(postfix: PostfixServer, tmp_path: Path) -> None:
    words = ("send", without_password(postfix.url), *FROM, "--to", BOB, *ca(postfix))
    assert starttls(*words, stdin=MESSAGE, env={"STARTTLS_PASSWORD": PASSWORD}).code == 0
    with secret_file(tmp_path, "wrong") as file:
        more = ("--password-file", file)
        assert starttls(*words, *more, stdin=MESSAGE, env={"STARTTLS_PASSWORD": PASSWORD}).code == 77
    assert starttls("send", postfix.url, *words[2:], stdin=MESSAGE, env={"STARTTLS_PASSWORD": "wrong"}).code == 0
    assert len(postfix.messages(2)) == 2


def test_netrc(proftpd: FTPServer, tmp_path: Path) -> None:
    url = re.sub(r"//[^@]+@", "//", proftpd.url)
    entry = f'machine other login x password y\nmachine localhost login {proftpd.user} password "{PASSWORD}"\n'
    with secret_file(tmp_path, entry) as file:
        assert starttls("ls", url, "--netrc", file, *ca(proftpd)).code == 0
        assert starttls("ls", url, "--user", proftpd.user, "--netrc", file, *ca(proftpd)).code == 0
        nobody = starttls("ls", url, "--user", "somebody", "--netrc", file, *ca(proftpd))
    assert nobody.code == 64 and "no password for somebody" in nobody.err
    with secret_file(tmp_path, f"machine localhost {PASSWORD}") as file:
        broken = starttls("ls", url, "--netrc", file, *ca(proftpd))
    assert broken.code == 65 and "line 1" in broken.err


# --- TLS


def pin_of(server: PostfixServer) -> str:
    pin = starttls("probe", server.url, "--json", *ca(server)).json["certificates"][0]["pin"]
    assert isinstance(pin, str)
    return pin


def test_pins(postfix: PostfixServer, pki: PKI) -> None:
    good, bad = pin_of(postfix), "00" * 32
    words = ("send", postfix.url, *FROM, "--to", BOB)
    assert starttls(*words, "--pin", bad, "--pin", good, *ca(postfix), stdin=MESSAGE).code == 0
    done = starttls(*words, "--pin", bad, *ca(postfix), stdin=MESSAGE)
    assert done.code == 76 and "no pin matches" in done.err
    # A pin makes up for a certificate that nobody vouches for; --insecure alone is told aloud.
    other = ("--ca-file", pki.other_ca_file)
    assert starttls(*words, "--insecure", "--pin", good, *other, stdin=MESSAGE).code == 0
    assert starttls(*words, "--insecure", "--pin", bad, *other, stdin=MESSAGE).code == 76
    assert len(postfix.messages(2)) == 2


def test_insecure_is_loud(postfix: PostfixServer) -> None:
    done = starttls("send", postfix.url, *FROM, "--to", BOB, "--insecure", "-q", "--json", stdin=MESSAGE)
    assert done.code == 0 and done.err.startswith("starttls: WARNING: --insecure: ")
    assert len(postfix.messages()) == 1
    probed = starttls("probe", postfix.url, "--insecure", "--json")
    assert probed.json["trusted"] is False


@pytest.mark.parametrize("postfix", ["1.3"], indirect=True)
def test_versions(postfix: PostfixServer) -> None:
    assert starttls("probe", postfix.url, "--tls-min", "1.3", *ca(postfix)).code == 0
    assert starttls("probe", postfix.url, "--tls-max", "1.2", *ca(postfix)).code == 76
    assert starttls("probe", postfix.url, "--tls-max", "1.2", "--tls-min", "1.3", *ca(postfix)).code == 78


def test_client_certificate(pki: PKI) -> None:
    with postfix_daemon.serve(pki, client_ca=pki.ca_file) as server:
        words = ("send", server.url, *FROM, "--to", BOB, *ca(server))
        identity = ("--client-cert", pki.client.cert_file, "--client-key", pki.client.key_file)
        with_one = starttls(*words, *identity, stdin=MESSAGE)
        without = starttls(*words, stdin=MESSAGE)
    assert with_one.code == 0, with_one.err
    assert without.code != 0
    wrong_key = ("--client-cert", pki.client.cert_file, "--client-key", pki.server.key_file)
    assert starttls(*words, *wrong_key, stdin=MESSAGE).code == 78
