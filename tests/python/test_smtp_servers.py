"""Every mail server of the harness, through every face but the component: what arrives is what was sent."""

from __future__ import annotations

from pathlib import Path

import pytest
import starttls

from tests.cli import ca
from tests.cli import starttls as program
from tests.python.faces import Face, digest, trusting
from tests.servers.mail import MailServer

SENDER = "ann@example.test"
BOB = "bob@example.test"
CAROL = "carol@example.test"
TO = {"sender": SENDER, "recipients": [BOB, CAROL]}

HEADER = b"From: ann@example.test\r\nTo: bob@example.test\r\nSubject: x\r\n"
CONTENTS = {
    "dots": HEADER + b"\r\n.\r\n..\r\n.. two\r\nend\r\n.\r\n",
    "octets": HEADER + b"\r\n\xe4\xf6\xfc \x80\xff\r\n",
    "no body": HEADER + b"\r\n",
    "long": HEADER + b"\r\n" + b"".join(b"." * (i % 3) + b"line %05d of the message\r\n" % i for i in range(20_000)),
}


def arrived(server: MailServer, count: int) -> list[bytes]:
    """What arrived, without the trace of a server in between."""
    return [content[content.index(b"From: ann") :] for content in (copy.content() for copy in server.messages(count))]


def test_the_same_bytes(face: Face, mail_server: MailServer) -> None:
    for number, content in enumerate(CONTENTS.values(), 1):
        with face.smtp(mail_server.url, tls=trusting(mail_server)) as smtp:
            report = smtp.send(content, **TO)
            assert (report.outcome, report.accepted) == ("accepted", (BOB, CAROL))
            assert report.queue_id in report.reply.text
        copies = arrived(mail_server, 2 * number)[-2:]
        assert [digest(copy) for copy in copies] == [digest(content)] * 2
    assert {copy.sender for copy in mail_server.delivered()} == {SENDER}


def test_the_same_bytes_from_the_command_line(mail_server: MailServer, tmp_path: Path) -> None:
    path = tmp_path / "message.eml"
    for number, content in enumerate(CONTENTS.values(), 1):
        path.write_bytes(content)
        done = program("send", mail_server.url, *ca(mail_server), "--from", SENDER, "--to", BOB, CAROL, "--file", path)
        assert done.code == 0, done.err
        assert arrived(mail_server, 2 * number)[-2:] == [content] * 2


def test_refusals_are_told_by_recipient(face: Face, mail_server: MailServer) -> None:
    refused = {"unknown@example.test": 550, "full@example.test": 452, "later@example.test": 450}
    with face.smtp(mail_server.implicit_url, tls=trusting(mail_server)) as smtp:
        report = smtp.send(CONTENTS["dots"], sender=SENDER, recipients=[*refused, BOB])
        assert (report.outcome, report.accepted) == ("partial", (BOB,))
        assert {address: reply.code for address, reply in report.refused.items()} == refused
        assert smtp.send(CONTENTS["dots"], sender="", recipients=[BOB]).outcome == "accepted"
    assert {copy.recipient for copy in mail_server.messages(2)} == {BOB}


def test_many_messages_in_one_session(face: Face, mail_server: MailServer) -> None:
    contents = [HEADER + b"X-Number: %d\r\n\r\nx\r\n" % number for number in range(30)]
    with face.smtp(mail_server.url, tls=trusting(mail_server)) as smtp:
        reports = list(smtp.send_many(contents))
    assert [report.outcome for report in reports] == ["accepted"] * 30
    assert sorted(arrived(mail_server, 30)) == sorted(contents)


def test_a_wrong_password(face: Face, mail_server: MailServer) -> None:
    url = f"smtp://localhost:{mail_server.port}"
    smtp = face.smtp(url, user=mail_server.user, password="wrong", tls=trusting(mail_server))
    with pytest.raises(starttls.AuthenticationFailed) as refused:
        smtp.connect()
    assert refused.value.code == 535
