"""The mail servers of the harness that offer more than plain submission, tried with the standard library's client."""

from __future__ import annotations

import base64
import contextlib
import json
import smtplib
import ssl
from collections.abc import Iterator

import pytest

from tests.servers import dovecot as dovecot_daemon
from tests.servers import postfix as postfix_daemon
from tests.servers.dovecot import DovecotServer
from tests.servers.mail import MailServer
from tests.servers.pki import PKI, Identity

TIMEOUT = 10
MESSAGE = b"Subject: x\r\n\r\n.dot\r\n..two\r\n\xe4\xf6\r\n.\r\n"
STUFFED = MESSAGE.replace(b"\r\n.", b"\r\n..") + b".\r\n"


@contextlib.contextmanager
def session(
    server: MailServer, *, implicit: bool = False, login: bool = True, certificate: Identity | None = None
) -> Iterator[smtplib.SMTP]:
    """A session under TLS; logged in with CRAM-MD5 or PLAIN unless told otherwise."""
    tls = ssl.create_default_context(cafile=str(server.ca_file))
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
            client.ehlo()
        yield client


def send(client: smtplib.SMTP, sender: str, recipients: list[str]) -> tuple[int, bytes]:
    assert client.mail(sender)[0] == 250
    for recipient in recipients:
        assert client.rcpt(recipient)[0] == 250
    assert client.docmd("DATA")[0] == 354
    client.send(STUFFED)
    return client.getreply()


def encoded(response: str) -> str:
    return base64.b64encode(response.encode()).decode() or "="


# --- Dovecot


@pytest.mark.parametrize("dovecot", ["1.2", "1.3"], indirect=True)
@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "implicit"])
def test_dovecot_hands_on_the_same_bytes(dovecot: DovecotServer, implicit: bool) -> None:
    with session(dovecot, implicit=implicit) as client:
        assert isinstance(client.sock, ssl.SSLSocket) and client.sock.version() == f"TLSv{dovecot.tls}"
        for offer in ("pipelining", "chunking", "dsn", "8bitmime", "size", "vrfy", "burl"):
            assert client.has_extn(offer), offer
        assert send(client, "sender@example.test", ["one@example.test", "two@example.test"])[0] == 250
    copies = dovecot.messages(2)
    assert {copy.recipient for copy in copies} == {"one@example.test", "two@example.test"}
    for copy in copies:
        received, _, rest = copy.content().partition(b"Subject:")
        assert received.startswith(b"Received: from ")  # Dovecot's own
        assert b"Subject:" + rest == MESSAGE


def test_dovecot_offers_mechanisms_before_login_and_more_extensions_after_it(dovecot: DovecotServer) -> None:
    with session(dovecot, login=False) as client:
        assert tuple(client.esmtp_features["auth"].split()) == dovecot.mechanisms
        assert not client.has_extn("dsn")
        client.login(dovecot.user, dovecot.password)
        client.ehlo()
        assert client.has_extn("dsn")


def authenticate(client: smtplib.SMTP, mechanism: str, response: str) -> tuple[int, bytes]:
    return client.docmd("AUTH", f"{mechanism} {encoded(response)}")


def test_dovecot_authenticates_by_password(dovecot: DovecotServer) -> None:
    for method in ("PLAIN", "LOGIN", "CRAM-MD5"):
        with session(dovecot, login=False) as client:
            client.user, client.password = dovecot.user, dovecot.password
            answer = {"PLAIN": client.auth_plain, "LOGIN": client.auth_login, "CRAM-MD5": client.auth_cram_md5}[method]
            assert client.auth(method, answer)[0] == 235
    with session(dovecot, login=False) as client:
        assert authenticate(client, "PLAIN", f"\0{dovecot.user}\0wrong")[0] == 535
        assert authenticate(client, "PLAIN", f"\0{dovecot.user}\0")[0] == 535
        for mechanism in ("SCRAM-SHA-1", "SCRAM-SHA-256"):
            code, challenge = authenticate(client, mechanism, f"n,,n={dovecot.user},r=nonce")
            assert code == 334
            assert base64.b64decode(challenge).startswith(b"r=nonce")
            assert client.docmd("*")[0] == 501


def oauth(mechanism: str, user: str, token: str) -> str:
    return (
        f"user={user}\1auth=Bearer {token}\1\1" if mechanism == "XOAUTH2" else f"n,a={user},\1auth=Bearer {token}\1\1"
    )


@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_dovecot_authenticates_by_token(dovecot: DovecotServer, mechanism: str) -> None:
    with session(dovecot, login=False) as client:
        for token, status in (
            (dovecot.token(expires=-1), {"XOAUTH2": "401", "OAUTHBEARER": "invalid_token"}),
            (dovecot.token() + "x", {"XOAUTH2": "401", "OAUTHBEARER": "invalid_token"}),
        ):
            code, challenge = authenticate(client, mechanism, oauth(mechanism, dovecot.user, token))
            assert code == 334
            assert json.loads(base64.b64decode(challenge))["status"] == status[mechanism]
            assert client.docmd("AQ==")[0] == 535
        assert authenticate(client, mechanism, oauth(mechanism, dovecot.user, dovecot.token()))[0] == 235


def test_dovecot_authenticates_by_certificate(dovecot: DovecotServer, pki: PKI) -> None:
    for authorization in ("", dovecot_daemon.CLIENT):
        with session(dovecot, login=False, certificate=pki.client) as client:
            assert authenticate(client, "EXTERNAL", authorization)[0] == 235
    with session(dovecot, login=False) as client:
        assert authenticate(client, "EXTERNAL", "")[0] == 535
    with session(dovecot, login=False, certificate=pki.other_client) as client:
        assert authenticate(client, "EXTERNAL", "")[0] == 535


def test_dovecot_has_a_verdict_for_each_lmtp_recipient(dovecot: DovecotServer) -> None:
    one, two, _ = dovecot_daemon.RECIPIENTS
    with smtplib.LMTP(dovecot.server_name, dovecot.lmtp_port) as client:
        client.starttls(context=ssl.create_default_context(cafile=str(dovecot.ca_file)))
        client.ehlo()
        assert client.has_extn("chunking") and client.has_extn("pipelining")
        client.mail("sender@example.test")
        answers = [client.rcpt(name)[0] for name in (one, dovecot_daemon.FULL, "nobody@example.test", two)]
        assert answers == [250, 250, 550, 250]
        assert client.docmd("DATA")[0] == 354
        client.send(STUFFED)
        assert [client.getreply()[0] for _ in range(3)] == [250, 552, 250]
    for recipient in (one, two):
        (copy,) = dovecot.lmtp_box(recipient).messages()
        assert (copy.content(), copy.sender) == (MESSAGE, "sender@example.test")


# --- Postfix


def test_postfix_offers_the_mechanisms_it_is_told_to(pki: PKI) -> None:
    with postfix_daemon.serve(pki, mechanisms=postfix_daemon.SASL_MECHANISMS) as server:
        with session(server, login=False) as client:
            assert set(client.esmtp_features["auth"].split()) == set(postfix_daemon.SASL_MECHANISMS.split())
            for mechanism in ("SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"):
                code, challenge = authenticate(client, mechanism, f"n,,n={server.user},r=nonce")
                assert code == 334
                assert base64.b64decode(challenge).startswith(b"r=nonce")
                assert client.docmd("*")[0] == 501
            assert authenticate(client, "ANONYMOUS", "trace")[0] == 235
        with session(server, login=False) as client:
            client.user, client.password = server.user, server.password
            assert client.auth("CRAM-MD5", client.auth_cram_md5)[0] == 235
