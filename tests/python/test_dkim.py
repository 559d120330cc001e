"""DKIM signatures, verified by another implementation on what a real server delivered."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path

import dkim
import pytest
import starttls
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.cli import ca
from tests.cli import starttls as cli
from tests.python.faces import Face, trusting
from tests.servers.postfix import PostfixServer

DOMAIN, SELECTOR = "example.test", "2026.key"
MESSAGE = (
    b"Received: by here\r\nFrom:  Ann <ann@example.test>\r\nTo: bob@example.test,\r\n\teve@example.test\r\n"
    b"Subject: a  \t subject \r\nDate: Sun, 22 Nov 2026 00:00:00 +0000\r\nMessage-ID: <1@example.test>\r\n"
    b"List-Id: one\r\nList-Id: two\r\n\r\n.dots\r\n..and  space \t\r\n\r\n.\r\n  indented\r\n \r\n\r\n"
)
BOB = "bob@example.test"

Key = rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@pytest.fixture(scope="module", params=["rsa", "ed25519"])
def key(request: pytest.FixtureRequest) -> Key:
    if request.param == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ed25519.Ed25519PrivateKey.generate()


def pem(key: Key, form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    return key.private_bytes(Encoding.PEM, form, NoEncryption())


def verified(message: bytes, key: Key) -> bool:
    """Another implementation's word, with the key's public half as the DNS would have it."""
    if isinstance(key, rsa.RSAPrivateKey):
        kind, public = "rsa", key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    else:
        kind, public = "ed25519", key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    record = f"v=DKIM1; k={kind}; p={base64.b64encode(public).decode()}".encode()
    zone = {f"{SELECTOR}._domainkey.{DOMAIN}.".encode(): record}
    return bool(dkim.verify(message, dnsfunc=lambda name, timeout=5: zone.get(name)))


def tags(message: bytes) -> dict[str, str]:
    field = re.match(rb"DKIM-Signature:((?:[^\r]|\r\n[ \t])*)\r\n", message)
    assert field, message[:200]
    assert all(len(line) <= 78 for line in field[0].split(b"\r\n"))
    return dict(part.split("=", 1) for part in re.sub(r"\s", "", field[1].decode()).split(";"))


def delivered(postfix: PostfixServer) -> bytes:
    [copy] = postfix.messages()
    return copy.content()


@pytest.mark.parametrize(
    "message",
    [
        MESSAGE,
        MESSAGE.replace(b"\r\n", b"\n"),
        MESSAGE.replace(b"\r\n\r\n", b"\r\n\r\n\r\n", 1).rstrip(),
        MESSAGE.replace(b"\r\nTo:", b"\r\nBcc: secret@example.test\r\nTo:"),
        MESSAGE[: MESSAGE.index(b"\r\n\r\n") + 4],
        "From: ann@example.test\nSubject: grün\n\nüber\x00\x7f\n".encode().replace(b"\x00", b""),
        b"From: ann@example.test\r\n\r\n" + b"x" * 900 + b"\r\n" + b"word  \t word \r\n" * 20_000,
    ],
    ids=["plain", "lf", "blank-and-open", "bcc", "empty", "8bit", "long"],
)
def test_what_is_delivered_verifies(face: Face, postfix: PostfixServer, key: Key, message: bytes) -> None:
    signing = starttls.DKIM(DOMAIN, SELECTOR, pem(key))
    with face.smtp(postfix.url, tls=trusting(postfix), dkim=signing) as session:
        session.send(message, sender="ann@example.test", recipients=[BOB])
    came = delivered(postfix)
    assert verified(came, key)
    assert b"secret" not in came
    told = tags(came)
    assert told["d"] == DOMAIN and told["s"] == SELECTOR and told["c"] == "relaxed/relaxed"
    assert told["a"] == ("rsa-sha256" if isinstance(key, rsa.RSAPrivateKey) else "ed25519-sha256")
    assert abs(int(told["t"]) - time.time()) < 60 and "x" not in told and "l" not in told
    # It holds for this message and no other.
    assert not verified(came.replace(b"Subject: ", b"Subject: not "), key) or b"Subject" not in came
    assert not verified(came + b"more\r\n", key)
    # From is signed once more than it is there.
    assert told["h"].lower().split(":").count("from") == 2
    assert not verified(b"From: eve@example.test\r\n" + came, key)


def test_all_kinds_of_content(face: Face, postfix: PostfixServer, key: Key, tmp_path: Path) -> None:
    file = tmp_path / "message"
    file.write_bytes(MESSAGE)
    letter = EmailMessage()
    letter["From"], letter["To"], letter["Subject"] = "Änne <ann@example.test>", BOB, "Grüße"
    letter.set_content("über alles\n.\n")
    letter.add_attachment(bytes(range(256)), "application", "octet-stream", filename="ü.bin")

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(MESSAGE), 7):
            yield MESSAGE[at : at + 7]

    messages = [file, letter, iter([MESSAGE[:50], MESSAGE[50:]])]
    if face.name == "asyncio":
        messages.append(pieces())
    signing = starttls.DKIM(DOMAIN, SELECTOR, pem(key))
    with face.smtp(postfix.url, tls=trusting(postfix), dkim=signing) as session:
        for message in messages:
            session.send(message, sender="ann@example.test", recipients=[BOB])
        batch = [MESSAGE, (letter, "ann@example.test", [BOB]), (file, None, [BOB])]
        reports = session.send_many(batch if face.name == "sync" else [*batch, pieces()])
        assert all(report.outcome == "accepted" for report in reports)
    copies = postfix.messages(len(messages) + 4)
    assert all(verified(copy.content(), key) for copy in copies)
    # A signed letter goes in 7 bits: nobody needs to re-encode it.
    assert all(copy.content().isascii() for copy in copies)


def test_one_message_in_a_session_of_its_own(postfix: PostfixServer, key: Key) -> None:
    signing = starttls.DKIM(DOMAIN, SELECTOR, pem(key))
    starttls.send(postfix.url, MESSAGE, recipients=[BOB], tls=trusting(postfix), dkim=signing)
    assert verified(delivered(postfix), key)


def test_from_the_command_line(postfix: PostfixServer, key: Key, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(pem(key))
    (tmp_path / "message").write_bytes(MESSAGE)
    words = ("send", postfix.url, *ca(postfix), "--from", "ann@example.test", "--to", BOB)
    flags = ("--dkim-key", tmp_path / "key", "--dkim-domain", DOMAIN, "--dkim-selector", SELECTOR)
    long = MESSAGE + b"a line\n" * 300_000
    assert cli(*words, *flags, "-f", tmp_path / "message").code == 0
    assert cli(*words, *flags, stdin=MESSAGE).code == 0
    assert cli(*words, *flags, stdin=long).code == 0
    assert all(verified(copy.content(), key) for copy in postfix.messages(3))
    assert cli(*words, *flags[:4], stdin=MESSAGE).code == 64
    assert cli(*words, "--dkim-key", tmp_path / "none", *flags[2:], stdin=MESSAGE).code == 66
    assert cli(*words, "--dkim-key", tmp_path / "message", *flags[2:], stdin=MESSAGE).code == 78
    done = cli(*words, *flags, stdin=b"Subject: nobody's\n\nHello.\n")
    assert done.code == 65 and "without From" in done.err
    assert len(postfix.messages(3)) == 3


def test_settings(key: Key) -> None:
    signing = starttls.DKIM(DOMAIN, SELECTOR, pem(key), fields=["subject", "X-Own"], expires_after=3600)
    message = MESSAGE.replace(b"Subject", b"X-Own: 1\r\nX-own: 2\r\nSubject")
    told = tags(signed := signing.sign(message))
    assert told["h"].lower() == "from:from:subject:x-own:x-own"
    assert int(told["x"]) - int(told["t"]) == 3600
    assert verified(signed + message, key)
    assert not verified(signed + message.replace(b"X-own: 2", b"X-own: 3"), key)
    secret = "".join(pem(key).decode().splitlines()[1:3])
    assert DOMAIN in repr(signing) and secret[:40] not in repr(signing)


def test_other_forms_of_keys(tmp_path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=3072)
    file = tmp_path / "key"
    file.write_bytes(pem(key, PrivateFormat.TraditionalOpenSSL))
    assert verified(starttls.DKIM(DOMAIN, SELECTOR, file).sign(MESSAGE) + MESSAGE, key)


def test_what_cannot_sign() -> None:
    good = pem(ed25519.Ed25519PrivateKey.generate())
    short = pem(rsa.generate_private_key(public_exponent=65537, key_size=1024))
    curve = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for bad in (b"", b"nonsense", short, curve):
        with pytest.raises(starttls.InvalidArgument, match="DKIM key"):
            starttls.DKIM(DOMAIN, SELECTOR, bad)
    with pytest.raises(starttls.InvalidArgument, match="comes as bytes"):
        starttls.DKIM(DOMAIN, SELECTOR, good.decode())
    with pytest.raises(starttls.LocalFileNotFound):
        starttls.DKIM(DOMAIN, SELECTOR, "/nowhere/key")
    for domain, selector in (
        ("", "s"),
        ("127.0.0.1", "s"),
        ("a b", "s"),
        (DOMAIN, ""),
        (DOMAIN, "a..b"),
        (DOMAIN, "a;b"),
    ):
        with pytest.raises(starttls.InvalidArgument):
            starttls.DKIM(domain, selector, good)
    for field in ("DKIM-Signature", "bcc", "a:b", "a b", ""):
        with pytest.raises(starttls.InvalidArgument):
            starttls.DKIM(DOMAIN, SELECTOR, good, fields=[field])
    for seconds in (0, -1, float("nan")):
        with pytest.raises(starttls.InvalidArgument):
            starttls.DKIM(DOMAIN, SELECTOR, good, expires_after=seconds)


@pytest.mark.parametrize(
    "message", [b"", b"Subject: x\r\n\r\nFrom: body\r\n", b"From: a@b.example\r\nno field\r\n\r\n"]
)
def test_what_is_not_signed(face: Face, postfix: PostfixServer, message: bytes) -> None:
    signing = starttls.DKIM(DOMAIN, SELECTOR, pem(ed25519.Ed25519PrivateKey.generate()))
    with face.smtp(postfix.url, tls=trusting(postfix), dkim=signing) as session:
        with pytest.raises(starttls.InvalidArgument):
            session.send(message, sender="ann@example.test", recipients=[BOB])
        # Nothing was begun: the session goes on.
        session.send(MESSAGE, sender="ann@example.test", recipients=[BOB])
    assert len(postfix.messages()) == 1
