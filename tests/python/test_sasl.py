"""Logging in with every mechanism of a real server, from both faces and the command line."""

from __future__ import annotations

import asyncio
import base64
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import starttls

from tests.cli import ca
from tests.cli import starttls as run
from tests.python.faces import trusting
from tests.python.scripted import Peer, scripted, smtp_until_ready
from tests.servers.dovecot import CLIENT, DovecotServer
from tests.servers.pki import PKI, Identity

MESSAGE = b"From: ann@example.test\r\nTo: bob@example.test\r\nSubject: hello\r\n\r\nHello.\r\n"
PASSWORDS = ["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"]
TOKENS = ["OAUTHBEARER", "XOAUTH2"]


def presenting(server: DovecotServer, identity: Identity) -> starttls.TLSConfig:
    return starttls.TLSConfig(ca_file=server.ca_file, client_cert=identity.cert_file, client_key=identity.key_file)


@pytest.mark.parametrize("mechanism", PASSWORDS)
def test_a_password_by_each_mechanism(dovecot: DovecotServer, face: Any, mechanism: str) -> None:
    options = {"user": dovecot.user, "password": dovecot.password, "tls": trusting(dovecot)}
    with face.smtp(dovecot.url, auth=mechanism.lower(), **options) as session:
        assert session.login == starttls.LoginInfo(mechanism)
        assert session.send(MESSAGE).outcome == "accepted"
    assert len(dovecot.messages(1)) == 1
    with pytest.raises(starttls.AuthenticationFailed) as refused:
        face.smtp(dovecot.url, auth=mechanism, **{**options, "password": "hunter2-hunter2"}).connect()
    assert refused.value.code == 535
    assert refused.value.advice is not None
    assert "hunter2" not in str(refused.value) + repr(refused.value.__dict__)


@pytest.mark.parametrize("dovecot", ["1.2", "1.3"], indirect=True)
def test_the_best_one_is_chosen(dovecot: DovecotServer, face: Any) -> None:
    session = face.smtp(dovecot.url, user=dovecot.user, password=dovecot.password, tls=trusting(dovecot))
    assert session.login is None
    with session:
        assert session.login == starttls.LoginInfo("SCRAM-SHA-256", None)
    assert session.login is None


@pytest.mark.parametrize("mechanism", [None, *TOKENS])
def test_a_token(dovecot: DovecotServer, face: Any, mechanism: str | None) -> None:
    asked = []

    def token() -> str:
        asked.append(dovecot.token())
        return asked[-1]

    session = face.smtp(dovecot.url, user=dovecot.user, token=token, auth=mechanism, tls=trusting(dovecot))
    assert asked == []
    for times in (1, 2):
        with session:
            assert len(asked) == times
            assert session.login.mechanism == (mechanism or "OAUTHBEARER")
    with face.smtp(dovecot.url, user=dovecot.user, token=dovecot.token(), auth=mechanism, tls=trusting(dovecot)) as it:
        assert it.send(MESSAGE).outcome == "accepted"


@pytest.mark.parametrize("mechanism", TOKENS)
def test_a_refused_token_says_why(dovecot: DovecotServer, face: Any, mechanism: str) -> None:
    expired = dovecot.token(expires=-60)
    session = face.smtp(dovecot.url, user=dovecot.user, token=expired, auth=mechanism, tls=trusting(dovecot))
    with pytest.raises(starttls.AuthenticationFailed) as refused:
        session.connect()
    error = refused.value
    assert error.code == 535
    assert error.detail is not None
    detail = json.loads(error.detail)
    assert detail["status"] in ("400", "401", "invalid_token")
    assert detail["openid-configuration"].startswith("https://id.")
    assert error.detail in str(error)
    assert error.advice is not None
    assert "token" in error.advice
    again = pickle.loads(pickle.dumps(error))
    assert (again.detail, str(again)) == (error.detail, str(error))
    assert expired not in str(error) + repr(error.__dict__)


def test_what_a_token_function_raises_is_raised(dovecot: DovecotServer, face: Any) -> None:
    class VaultError(Exception):
        pass

    def token() -> str:
        raise VaultError("shut")

    with pytest.raises(VaultError, match="shut"):
        face.smtp(dovecot.url, user=dovecot.user, token=token, tls=trusting(dovecot)).connect()
    with pytest.raises(TypeError):
        face.smtp(dovecot.url, user=dovecot.user, token=lambda: None, tls=trusting(dovecot)).connect()
    with pytest.raises(starttls.InvalidArgument):
        face.smtp(dovecot.url, user=dovecot.user, token=lambda: "", tls=trusting(dovecot)).connect()


def test_an_asynchronous_token_function(dovecot: DovecotServer) -> None:
    async def token() -> str:
        await asyncio.sleep(0)
        return dovecot.token()

    async def main() -> None:
        session = starttls.AsyncSMTP(dovecot.url, user=dovecot.user, token=token, tls=trusting(dovecot), timeout=20)
        for _ in range(2):
            async with session:
                assert session.login == starttls.LoginInfo("OAUTHBEARER")

    asyncio.run(main())


@pytest.mark.parametrize("authzid", [None, CLIENT])
def test_external(dovecot: DovecotServer, face: Any, pki: PKI, authzid: str | None) -> None:
    tls = presenting(dovecot, pki.client)
    with face.smtp(dovecot.url, auth="EXTERNAL", authzid=authzid, tls=tls) as session:
        assert session.login == starttls.LoginInfo("EXTERNAL")
        assert session.send(MESSAGE).outcome == "accepted"
    with pytest.raises((starttls.AuthenticationFailed, starttls.NotOffered, starttls.Downgraded)):
        face.smtp(dovecot.url, auth="EXTERNAL", tls=trusting(dovecot)).connect()


def test_one_shot(dovecot: DovecotServer) -> None:
    report = starttls.send(
        dovecot.url, MESSAGE, user=dovecot.user, token=dovecot.token, auth="XOAUTH2", tls=trusting(dovecot), timeout=20
    )
    assert report.outcome == "accepted"


@pytest.mark.parametrize(
    "options",
    [
        {"auth": "GSSAPI", "user": "u", "password": "p"},
        {"auth": "PLAIN"},
        {"authzid": "bob"},
        {"token": "t"},
        {"user": "u", "token": "t", "password": "p"},
        {"user": "u", "token": 7},
        {"auth": "EXTERNAL", "password": "p"},
        {"auth": "ANONYMOUS", "token": "t"},
    ],
)
def test_arguments_that_do_not_go_together(face: Any, options: dict[str, Any]) -> None:
    with pytest.raises(starttls.InvalidArgument):
        face.smtp("smtp://localhost:1", **options)


def test_arguments_that_do_not_fit_the_mechanism(dovecot: DovecotServer, face: Any) -> None:
    session = face.smtp(dovecot.url, user="u", token="t", auth="PLAIN", tls=trusting(dovecot))
    with pytest.raises(starttls.InvalidArgument):
        session.connect()
    session = face.smtp(dovecot.url, user="u", password="p", auth="CRAM-MD5", authzid="b", tls=trusting(dovecot))
    with pytest.raises(starttls.InvalidArgument):
        session.connect()


# --- the command line


@pytest.fixture
def letter(tmp_path: Path) -> Path:
    file = tmp_path / "message.eml"
    file.write_bytes(MESSAGE)
    return file


@pytest.mark.parametrize("mechanism", PASSWORDS)
def test_the_command_line_by_each_mechanism(dovecot: DovecotServer, letter: Path, mechanism: str) -> None:
    done = run("send", dovecot.url, "-f", letter, *ca(dovecot), "--auth", mechanism, "--trace")
    assert done.code == 0, done.err
    assert f"C: AUTH {mechanism}" in done.err
    assert len(dovecot.messages(1)) == 1


@pytest.mark.parametrize("mechanism", TOKENS)
def test_the_command_line_with_a_token(dovecot: DovecotServer, letter: Path, tmp_path: Path, mechanism: str) -> None:
    url = f"smtp://localhost:{dovecot.port}"
    who = ("--user", dovecot.user, "--auth", mechanism)
    done = run(
        "send", url, "-f", letter, *ca(dovecot), *who, "--token-file", "-", stdin=f"{dovecot.token()}\n".encode()
    )
    assert done.code == 0, done.err
    file = tmp_path / "token"
    file.write_text(dovecot.token(expires=-60))
    done = run("send", url, "-f", letter, *ca(dovecot), *who, "--token-file", file, "--json")
    assert done.code == 77
    assert "status" in json.loads(done.json["error"]["detail"])
    assert file.read_text() not in done.out.decode() + done.err


def test_the_command_line_with_a_certificate(dovecot: DovecotServer, letter: Path, pki: PKI) -> None:
    url = f"smtp://localhost:{dovecot.port}"
    shown = ("--client-cert", pki.client.cert_file, "--client-key", pki.client.key_file)
    done = run("send", url, "-f", letter, *ca(dovecot), *shown, "--auth", "external")
    assert done.code == 0, done.err
    assert len(dovecot.messages(1)) == 1


@pytest.mark.parametrize(
    "flags",
    [
        ("--auth", "GSSAPI"),
        ("--auth", "PLAIN"),
        ("--authzid", "bob"),
        ("--token-file", "-"),
        ("--token-file", "token", "--password-file", "password"),
        ("--token-file", "token", "--auth", "EXTERNAL"),
    ],
)
def test_flags_that_do_not_go_together(letter: Path, flags: tuple[str, ...]) -> None:
    done = run("send", "smtp://localhost:1", "-f", letter, *flags)
    assert done.code == 64, done.err


def test_flags_that_are_about_mail(tmp_path: Path) -> None:
    done = run("ls", "ftp://u:p@localhost:1", "--auth", "PLAIN")
    assert done.code == 64
    assert "about mail" in done.err


# --- what no daemon offers


def test_binding_is_told(pki: PKI, face: Any) -> None:
    """A server that does not know its part still sees what ours is bound to."""
    said = []

    def script(peer: Peer) -> None:
        smtp_until_ready(peer, pki.server, auth="SCRAM-SHA-256 SCRAM-SHA-256-PLUS")
        said.append(base64.b64decode(peer.line().split()[-1]))
        peer.say("334 " + base64.b64encode(b"e=other-error").decode())
        assert peer.line() == ""
        peer.say("535 5.7.8 no")
        peer.line()

    with scripted(script) as server:
        tls = starttls.TLSConfig(ca_file=pki.ca_file)
        with pytest.raises(starttls.AuthenticationFailed) as refused:
            face.smtp(f"smtp://localhost:{server.port}", user="u,=", password="password", tls=tls).connect()
    assert refused.value.detail == "other-error"
    assert said[0].startswith(b"p=tls-exporter,,n=u=2C=3D,r=")


def test_a_mechanism_that_is_gone(pki: PKI, face: Any) -> None:
    """What a server offered once it must offer again, unless the caller decides otherwise."""
    offers = iter(["PLAIN SCRAM-SHA-256", "PLAIN", "PLAIN", "PLAIN"])
    said = []

    def script(peer: Peer) -> None:
        smtp_until_ready(peer, pki.server, auth=next(offers))
        if line := peer.line():
            said.append(line.rpartition(" ")[0])
            peer.say("535 5.7.8 no")
            peer.line()

    with scripted(script) as server:
        url = f"smtp://localhost:{server.port}"
        options = {"user": "ann", "password": "password", "tls": starttls.TLSConfig(ca_file=pki.ca_file)}
        with pytest.raises(starttls.AuthenticationFailed):
            face.smtp(url, **options).connect()
        with pytest.raises(starttls.Downgraded, match="SCRAM-SHA-256 earlier") as refused:
            face.smtp(url, **options).connect()
        assert refused.value.phase == "authenticate"
        with pytest.raises(starttls.AuthenticationFailed):
            face.smtp(url, auth="PLAIN", **options).connect()
        starttls.forget_server(url)
        with pytest.raises(starttls.AuthenticationFailed):
            face.smtp(url, **options).connect()
    assert said == ["AUTH SCRAM-SHA-256", "AUTH PLAIN", "AUTH PLAIN"]
