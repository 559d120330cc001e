"""Messages through Postfix, from both faces."""

from __future__ import annotations

import io
import pickle
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import starttls

from tests.python.faces import Face, digest, trusting
from tests.servers.postfix import PostfixServer

SENDER = "ann@example.test"
BOB = "bob@example.test"
CAROL = "carol@example.test"
ELSEWHERE = "dora@elsewhere.invalid"


def body(size: int) -> bytes:
    """A message of that size, in lines, some of which begin with dots."""
    lines = b"".join(b"." * (i % 3) + b"line %07d of the message\r\n" % i for i in range(size // 25 + 1))
    return lines[: size - 2].removesuffix(b"\r").ljust(size - 2, b"x") + b"\r\n" if size else b""


@pytest.fixture
def message() -> EmailMessage:
    made = EmailMessage()
    made["From"] = "Ann <ann@example.test>"
    made["To"] = "Bob <bob@example.test>, Carol <carol@example.test>"
    made["Subject"] = "Grüße"
    made.set_content("Hello.\n.\n..two dots\nfrom here\n")
    return made


@pytest.mark.parametrize("postfix", ["1.2", "1.3"], indirect=True)
@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "implicit"])
def test_email_message(face: Face, postfix: PostfixServer, message: EmailMessage, implicit: bool) -> None:
    url = postfix.implicit_url if implicit else postfix.url
    with face.smtp(url, tls=trusting(postfix)) as smtp:
        assert smtp.tls.version == f"TLSv{postfix.tls}"
        assert "PIPELINING" in smtp.extensions
        report = smtp.send(message)
    assert report.outcome == "accepted"
    assert report.accepted == (BOB, CAROL)
    assert report.refused == {}
    assert report.reply.code == 250
    assert report.queue_id in report.reply.text
    assert report.tls.server_name == "localhost"
    copies = postfix.messages(2)
    assert sorted(copy.recipient for copy in copies) == [BOB, CAROL]
    assert {copy.sender for copy in copies} == {SENDER}
    expected = message.as_bytes(policy=policy.SMTP)
    assert [digest(copy.content()) for copy in copies] == [digest(expected)] * 2
    assert pickle.loads(pickle.dumps(report)) == report


@pytest.mark.parametrize("size", [0, 2, 16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 300_000])
def test_bytes_arrive_as_sent(face: Face, postfix: PostfixServer, size: int) -> None:
    content = b"Subject: bytes\r\n\r\n" + body(size)
    with face.smtp(postfix.url, tls=trusting(postfix)) as smtp:
        report = smtp.send(content, sender=SENDER, recipients=[BOB])
    assert report.outcome == "accepted"
    (copy,) = postfix.messages()
    assert digest(copy.content()) == digest(content)


def test_100_megabytes_from_a_path(face: Face, postfix: PostfixServer, tmp_path: Path) -> None:
    size = min(100_000_000, postfix.size_limit - 1000)
    path = tmp_path / "large.eml"
    content = b"From: ann@example.test\r\nTo: bob@example.test\r\n\r\n" + body(size)
    path.write_bytes(content)
    seen: list[tuple[int, int | None]] = []
    with face.smtp(postfix.url, tls=trusting(postfix)) as smtp:
        report = smtp.send(path, progress=lambda done, total: seen.append((done, total)))
    assert report.outcome == "accepted"
    assert seen[-1] == (len(content), len(content))
    assert seen == sorted(seen)
    (copy,) = postfix.messages(deadline=60)
    assert digest(copy.content()) == digest(content)


FRUGAL = """
import resource, sys
import starttls

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

url, ca_file, path, kind = sys.argv[1:]
with starttls.SMTP(url, tls=starttls.TLSConfig(ca_file=ca_file)) as smtp:
    to = {"sender": "ann@example.test", "recipients": ["bob@example.test"]}
    smtp.send(b"Subject: small\\r\\n\\r\\nx\\r\\n", **to)
    before = peak()
    with open(path, "rb") as file:
        import pathlib
        smtp.send(file if kind == "file" else pathlib.Path(path), **to)
    print(peak() - before)
"""


@pytest.mark.parametrize("kind", ["path", "file"])
def test_a_large_message_is_never_held_whole(postfix: PostfixServer, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "large.eml"
    path.write_bytes(b"Subject: large\r\n\r\n" + body(50_000_000))
    command = [sys.executable, "-c", FRUGAL, postfix.url, str(postfix.ca_file), str(path), kind]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert int(done.stdout) < 8_000  # KiB
    assert len(postfix.messages(2)) == 2


async def asynchronously(content: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(content), 7):
        yield content[at : at + 7]


SOURCES: dict[str, Callable[[bytes], Any]] = {
    "bytearray": bytearray,
    "memoryview": memoryview,
    "file": io.BytesIO,
    "generator": lambda content: (content[at : at + 5] for at in range(0, len(content), 5)),
    "async generator": asynchronously,
}


@pytest.mark.parametrize("kind", SOURCES)
def test_every_kind_of_source_loses_its_bcc(face: Face, postfix: PostfixServer, kind: str) -> None:
    if kind == "async generator" and face.name == "sync":
        with face.smtp(postfix.url, tls=trusting(postfix)) as smtp, pytest.raises(TypeError):
            smtp.send(asynchronously(b"Subject: x\r\n\r\n"), sender=SENDER, recipients=[BOB])
        return
    head = b"From: ann@example.test\r\nTo: bob@example.test\r\nBcc: carol@example.test,\r\n dora@example.test\r\n"
    rest = b"Subject: x\r\n\r\nBcc: this line is content\r\n" + body(500)
    with face.smtp(postfix.url, tls=trusting(postfix)) as smtp:
        report = smtp.send(SOURCES[kind](head + rest))
    assert report.accepted == (BOB, CAROL, "dora@example.test")
    copies = postfix.messages(3)
    shown = b"From: ann@example.test\r\nTo: bob@example.test\r\n" + rest
    assert {copy.content() for copy in copies} == {shown}


def test_bcc_of_a_message_object_stays_with_the_caller(
    face: Face, postfix: PostfixServer, message: EmailMessage
) -> None:
    message["Bcc"] = "eve@example.test"
    with face.smtp(postfix.url, tls=trusting(postfix)) as smtp:
        report = smtp.send(message)
    assert report.accepted == (BOB, CAROL, "eve@example.test")
    assert message["Bcc"] == "eve@example.test"
    assert all(b"eve@" not in copy.content() for copy in postfix.messages(3))


def test_bare_line_ends_are_made_whole(face: Face, postfix: PostfixServer) -> None:
    sly = b"Subject: x\n\none\rtwo\n.\nMAIL FROM:<evil@example.test>\r\n.\rthree\n"
    with face.smtp(postfix.url, tls=trusting(postfix)) as smtp:
        smtp.send(sly, sender=SENDER, recipients=[BOB])
    (copy,) = postfix.messages()
    assert copy.content() == b"Subject: x\r\n\r\none\r\ntwo\r\n.\r\nMAIL FROM:<evil@example.test>\r\n.\r\nthree\r\n"


def test_some_recipients_are_refused(face: Face, postfix: PostfixServer) -> None:
    with face.smtp(postfix.url, tls=trusting(postfix)) as smtp:
        report = smtp.send(b"Subject: x\r\n\r\nx\r\n", sender=SENDER, recipients=[BOB, ELSEWHERE])
        assert report.outcome == "partial"
        assert report.accepted == (BOB,)
        assert report.refused[ELSEWHERE].code >= 500
        assert report.refused[ELSEWHERE].enhanced_code
        with pytest.raises(starttls.MessageRefused) as caught:
            smtp.send(b"Subject: x\r\n\r\nx\r\n", sender=SENDER, recipients=[ELSEWHERE])
        error = caught.value
        assert error.report.outcome == "refused"
        assert (error.code, error.enhanced_code) == (error.reply.code, error.reply.enhanced_code)
        assert not error.transient
        assert pickle.loads(pickle.dumps(error)).report == error.report
        # The session goes on.
        assert smtp.send(b"Subject: y\r\n\r\ny\r\n", sender=SENDER, recipients=[CAROL]).outcome == "accepted"
    assert sorted(copy.recipient for copy in postfix.messages(2)) == [BOB, CAROL]


def test_many_messages_in_one_session(face: Face, postfix: PostfixServer) -> None:
    def message(i: int) -> bytes:
        to = ELSEWHERE if i == 3 else BOB
        return b"From: ann@example.test\r\nTo: %s\r\nSubject: %d\r\n\r\nx\r\n" % (to.encode(), i)

    with face.smtp(postfix.url, tls=trusting(postfix)) as smtp:
        reports = list(smtp.send_many(map(message, range(6))))
    assert [report.outcome for report in reports] == ["accepted"] * 3 + ["refused"] + ["accepted"] * 2
    assert len(postfix.messages(5)) == 5


def test_a_source_that_fails_sends_nothing(face: Face, postfix: PostfixServer) -> None:
    def failing() -> Any:
        yield b"Subject: x\r\n\r\nhalf of\r\n"
        raise LookupError("no more")

    smtp = face.smtp(postfix.url, tls=trusting(postfix))
    smtp.connect()
    with pytest.raises(LookupError, match="no more"):
        smtp.send(failing(), sender=SENDER, recipients=[BOB])
    # In chunks a message can be given up, and the session goes on.
    assert smtp.noop().code == 250
    assert smtp.send(b"Subject: whole\r\n\r\n", sender=SENDER, recipients=[BOB]).outcome == "accepted"
    smtp.close()
    (copy,) = postfix.messages()
    assert b"Subject: whole" in copy.content()


def test_one_shot(postfix: PostfixServer, message: EmailMessage) -> None:
    assert starttls.send(postfix.url, message, tls=trusting(postfix)).outcome == "accepted"
    assert len(postfix.messages(2)) == 2


def test_a_size_above_the_limit_is_not_sent(face: Face, postfix: PostfixServer) -> None:
    noise = random.Random(0).randbytes(1000).hex().encode() + b"\r\n"
    content = b"Subject: x\r\n\r\n" + noise * (postfix.size_limit // len(noise) + 1)
    with face.smtp(postfix.url, tls=trusting(postfix)) as smtp:
        with pytest.raises(starttls.LimitExceeded, match=str(postfix.size_limit)):
            smtp.send(content, sender=SENDER, recipients=[BOB])
        assert smtp.noop().code == 250


@pytest.mark.parametrize("sender", ["ann@example.test> SIZE=1", "ann@example.test\r\nRSET", "ann"])
def test_an_address_that_is_none(face: Face, postfix: PostfixServer, sender: str) -> None:
    with face.smtp(postfix.url, tls=trusting(postfix)) as smtp:
        with pytest.raises(starttls.InvalidArgument):
            smtp.send(b"Subject: x\r\n\r\n", sender=sender, recipients=[BOB])
        assert smtp.noop().code == 250
