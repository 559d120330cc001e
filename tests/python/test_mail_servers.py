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
from tests.servers import exim as exim_daemon
from tests.servers import postfix as postfix_daemon
from tests.servers import sink
from tests.servers.dovecot import DovecotServer
from tests.servers.exim import EximServer
from tests.servers.mail import MailServer
from tests.servers.pki import PKI, Identity
from tests.servers.postfix import PostfixServer

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
    for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5"):
        with session(dovecot, login=False) as client:
            client.esmtp_features["auth"] = mechanism
            assert client.login(dovecot.user, dovecot.password)[0] == 235
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


def test_postfix_answers_questions_about_addresses_and_queues(postfix: PostfixServer) -> None:
    with session(postfix) as client:
        for offer in ("etrn", "vrfy"):
            assert client.has_extn(offer), offer
        assert client.docmd("VRFY", "one@example.test")[0] == 252
        assert client.docmd("VRFY", "unknown@example.test")[0] == 550
        assert client.docmd("EXPN", "list")[0] == 500  # unknown to it
        assert client.docmd("ETRN", "example.test")[0] == 250
        assert client.docmd("ETRN", "elsewhere.example")[0] == 459


def test_postfix_can_be_told_of_another_client(pki: PKI) -> None:
    with postfix_daemon.serve(pki, settings={"smtpd_authorized_xclient_hosts": "127.0.0.1"}) as server:
        with session(server, login=False) as client:
            assert "ADDR" in client.esmtp_features["xclient"].split()
            assert client.docmd("XCLIENT", "ADDR=192.0.2.7 NAME=mail.elsewhere.example")[0] == 220
            client.ehlo()
            client.login(server.user, server.password)
            assert send(client, "sender@example.test", ["one@example.test"])[0] == 250
        (copy,) = server.messages()
        assert "mail.elsewhere.example [192.0.2.7]" in copy.received


def test_postfix_can_limit_recipients(pki: PKI) -> None:
    # The real limit is 1000 a transaction; what is beyond it gets 452.
    with postfix_daemon.serve(pki, settings={"smtpd_recipient_limit": "3"}) as server, session(server) as client:
        client.mail("sender@example.test")
        answers = [client.rcpt(f"{number}@example.test")[0] for number in range(5)]
        assert answers == [250, 250, 250, 452, 452]


# --- Exim


@pytest.mark.parametrize("exim", ["1.2", "1.3"], indirect=True)
@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "implicit"])
def test_exim_delivers_the_same_bytes(exim: EximServer, implicit: bool) -> None:
    offers = "size 8bitmime dsn etrn vrfy expn pipelining chunking prdr smtputf8 help".split()
    with session(exim, implicit=implicit) as client:
        assert isinstance(client.sock, ssl.SSLSocket) and client.sock.version() == f"TLSv{exim.tls}"
        for offer in offers:
            assert client.has_extn(offer), offer
        assert send(client, "sender@example.test", ["one@example.test", "two@example.test"])[0] == 250
    copies = exim.messages(2)
    assert {copy.recipient for copy in copies} == {"one@example.test", "two@example.test"}
    for copy in copies:
        assert (copy.content(), copy.sender) == (MESSAGE, "sender@example.test")


def test_exim_takes_chunks_and_international_addresses(exim: EximServer) -> None:
    with session(exim) as client:
        assert client.docmd("MAIL", "FROM:<sender@example.test> SMTPUTF8 BODY=8BITMIME")[0] == 250
        client.send("RCPT TO:<jürgen@example.test>\r\n".encode())
        assert client.getreply()[0] == 250
        client.send(b"BDAT 5\r\n" + MESSAGE[:5])
        assert client.getreply()[0] == 250
        client.send(b"BDAT %d LAST\r\n" % len(MESSAGE[5:]) + MESSAGE[5:])
        assert client.getreply()[0] == 250
    (copy,) = exim.messages()
    assert (copy.content(), copy.recipient) == (MESSAGE, "jürgen@example.test")


def test_exim_has_a_verdict_for_each_recipient_where_asked(exim: EximServer) -> None:
    names = ("one@example.test", "spammed@example.test", "busy@example.test", "two@example.test")
    with session(exim) as client:
        for body in ("DATA", "BDAT"):
            assert client.mail("sender@example.test", ["PRDR"])[0] == 250
            assert [client.rcpt(name)[0] for name in (*names, "unknown@example.test")] == [250] * 4 + [550]
            if body == "DATA":
                assert client.docmd("DATA")[0] == 354
                client.send(STUFFED)
            else:
                client.send(b"BDAT %d LAST\r\n" % len(MESSAGE) + MESSAGE)
            assert [client.getreply()[0] for _ in range(6)] == [353, 250, 550, 450, 250, 250]
        # Without PRDR there is one verdict for all.
        assert send(client, "sender@example.test", ["spammed@example.test"])[0] == 250
    assert sorted(copy.recipient for copy in exim.messages(5)) == sorted([*names[::3] * 2, names[1]])


def test_exim_refuses_each_for_its_reason(exim: EximServer) -> None:
    with smtplib.SMTP(exim.server_name, exim.port, timeout=TIMEOUT) as client:
        client.ehlo()
        assert not client.has_extn("auth")
        assert client.docmd("MAIL FROM:<a@example.test>")[0] == 530
    with session(exim, login=False) as client:
        assert client.esmtp_features["auth"].split() == ["PLAIN", "LOGIN", "CRAM-MD5"]
        assert authenticate(client, "PLAIN", f"\0{exim.user}\0wrong")[0] == 535
        client.mail("a@example.test")
        assert client.rcpt("one@example.test")[0] == 554
        client.rset()
        client.user, client.password = exim.user, exim.password
        assert client.auth("LOGIN", client.auth_login)[0] == 235
        assert client.mail("a@example.test", [f"SIZE={exim.size_limit + 1}"])[0] == 552
        client.rset()
        client.mail("a@example.test")
        names = ("unknown@example.test", "full@example.test", "later@example.test", "one@example.org")
        assert [client.rcpt(name)[0] for name in names] == [550, 452, 450, 554]
        client.rset()
        code, members = client.expn(exim_daemon.LIST)
        assert code == 250
        assert b"one@example.test" in members and b"two@example.test" in members
        assert client.docmd("VRFY", "one@example.test")[0] == 250
        assert client.docmd("ETRN", "#example.test")[0] == 250
    assert exim.delivered() == []


@pytest.mark.parametrize(("reject", "code"), [(False, 452), (True, 552)])
def test_exim_can_limit_recipients(pki: PKI, reject: bool, code: int) -> None:
    with exim_daemon.serve(pki, recipients_max=2, recipients_max_reject=reject) as server, session(server) as client:
        client.mail("sender@example.test")
        assert [client.rcpt(f"{number}@example.test")[0] for number in range(4)] == [250, 250, code, code]
        assert client.docmd("DATA")[0] == (554 if reject else 354)


# --- smtp-sink


def test_sink_writes_down_what_came() -> None:
    with sink.serve() as server:
        with smtplib.SMTP(server.host, server.port, timeout=TIMEOUT) as client:
            client.ehlo()
            for offer in ("pipelining", "8bitmime", "dsn", "xclient", "auth"):
                assert client.has_extn(offer), offer
            assert not client.has_extn("starttls") and not client.has_extn("chunking")
            parameters = ["RET=HDRS", "ENVID=x+2By"]
            client.sendmail("a@example.test", ["b@example.test"], MESSAGE, parameters, ["NOTIFY=NEVER"])
        (message,) = server.dumped()
        assert message.mail == "<a@example.test> RET=HDRS ENVID=x+2By"
        assert message.recipients == ["<b@example.test> NOTIFY=NEVER"]
        assert message.content() == MESSAGE


def test_sink_can_misbehave_and_speak_lmtp() -> None:
    with sink.serve("-p", "-r", "RCPT") as server, smtplib.SMTP(server.host, server.port, timeout=TIMEOUT) as client:
        client.ehlo()
        assert not client.has_extn("pipelining")
        client.mail("a@example.test")
        assert client.rcpt("b@example.test")[0] == 450
    with sink.serve("-L") as server, smtplib.LMTP(server.host, server.port) as client:
        client.ehlo()
        client.mail("a@example.test")
        client.rcpt("b@example.test")
        client.rcpt("c@example.test")
        client.docmd("DATA")
        client.send(STUFFED)
        assert [client.getreply()[0] for _ in range(2)] == [250, 250]
