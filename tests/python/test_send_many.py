"""Many messages on one session, from both faces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import starttls

from tests.python.faces import Awaited, Face, trusting
from tests.python.scripted import Peer, scripted, smtp_until_ready
from tests.servers.pki import PKI
from tests.servers.postfix import PostfixServer

SENDER = "ann@example.test"
BOB = "bob@example.test"
CAROL = "carol@example.test"
ELSEWHERE = "dora@elsewhere.invalid"


def numbered(i: int, to: str = BOB) -> bytes:
    return f"From: {SENDER}\r\nTo: {to}\r\nSubject: {i}\r\n\r\nx\r\n".encode()


def collect(smtp: Any, messages: Any, into: list[Any], most: int | None = None) -> None:
    """The reports as they come, up to so many."""
    if not isinstance(smtp, Awaited):
        reports = smtp.send_many(messages)
        for report in reports:
            into.append(report)
            if len(into) == most:
                break
        reports.close()
        return

    async def run() -> None:
        reports = smtp.session.send_many(messages)
        async for report in reports:
            into.append(report)
            if len(into) == most:
                break
        await reports.aclose()

    smtp.run(run())


async def asynchronously(content: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(content), 7):
        yield content[at : at + 7]


def test_every_kind_of_message(face: Face, postfix: PostfixServer, tmp_path: Path) -> None:
    made = EmailMessage()
    made["From"], made["To"], made["Bcc"] = SENDER, BOB, CAROL
    made.set_content("Grüße\n")
    path = tmp_path / "message.eml"
    path.write_bytes(numbered(1))
    kinds: list[Any] = [made, path, path.open("rb"), numbered(2), bytearray(numbered(3)), iter([numbered(4)])]
    kinds += [
        (numbered(5), None, [CAROL]),
        (numbered(6), "", None),
        (numbered(7), "eve@example.test", CAROL),
        (made, None, [BOB]),
        (path, SENDER, (CAROL, BOB)),
    ]
    if face.name == "asyncio":
        kinds.insert(3, asynchronously(numbered(8)))
        kinds.append((asynchronously(numbered(9)), "", [CAROL]))
    with face.smtp(postfix.url, tls=trusting(postfix)) as smtp:
        reports = list(smtp.send_many(kinds))
    assert [report.outcome for report in reports] == ["accepted"] * len(kinds)
    expected = [(BOB, CAROL), *[(BOB,)] * 5, (CAROL,), (BOB,), (CAROL,), (BOB,), (CAROL, BOB)]
    if face.name == "asyncio":
        expected.insert(3, (BOB,))
        expected.append((CAROL,))
    assert [report.accepted for report in reports] == expected
    copies = postfix.messages(sum(map(len, expected)))
    assert {copy.sender for copy in copies} == {SENDER, "", "eve@example.test"}
    assert not any(b"carol" in copy.content().lower() for copy in copies)
    kinds[2].close()


def test_verdicts_belong_to_their_messages(face: Face, postfix: PostfixServer) -> None:
    kinds = [
        (numbered(0), ["accepted"]),
        (numbered(1, ELSEWHERE), ["refused"]),
        (numbered(2, "nobody"), ["not-sent", starttls.InvalidArgument]),
        ("text", ["not-sent", starttls.InvalidArgument]),
        (Path("/nowhere/message.eml"), ["not-sent", FileNotFoundError]),
        ([], ["not-sent", starttls.InvalidArgument]),
        (7, ["not-sent", TypeError]),
        ((numbered(3), None), ["not-sent", ValueError]),
        ((numbered(4), "a@b\r\nRSET", None), ["not-sent", starttls.InvalidArgument]),
        ((numbered(5), None, []), ["not-sent", starttls.InvalidArgument]),
        ((numbered(6), None, [BOB, ELSEWHERE]), ["partial"]),
        (b"A: b\r\n" * 200_000, ["not-sent", starttls.LimitExceeded]),
        (numbered(7), ["accepted"]),
    ] * 3
    with face.smtp(postfix.url, tls=trusting(postfix)) as smtp:
        reports = list(smtp.send_many(message for message, _ in kinds))
        assert smtp.noop().code == 250
    for report, (message, [outcome, *error]) in zip(reports, kinds, strict=True):
        assert report.outcome == outcome, (message, report)
        if error:
            assert isinstance(report.error, error[0]), (message, report.error)
            assert (report.accepted, report.refused, report.reply) == ((), {}, None)
    assert len(postfix.messages(9)) == 9


@pytest.mark.parametrize("count", [0, 1, 5, 200])
def test_messages_that_fail_to_come(face: Face, postfix: PostfixServer, count: int) -> None:
    def failing() -> Iterator[bytes]:
        for i in range(count):
            yield numbered(i)
        raise LookupError("no more")

    reports: list[Any] = []
    with face.smtp(postfix.url, tls=trusting(postfix)) as smtp:
        with pytest.raises(LookupError, match="no more"):
            collect(smtp, failing(), reports)
        assert [report.outcome for report in reports] == ["accepted"] * count
        assert smtp.send(numbered(count)).outcome == "accepted"
    assert len(postfix.messages(count + 1)) == count + 1


def test_they_are_taken_as_there_is_room(face: Face, postfix: PostfixServer) -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield numbered(taken)

    with face.smtp(postfix.url, tls=trusting(postfix)) as smtp:
        reports: list[Any] = []
        collect(smtp, endless(), reports, 40)
        assert [report.outcome for report in reports] == ["accepted"] * 40
        assert taken <= 40 + 128
        # Who stops early can go on with the session.
        assert smtp.send(numbered(0)).outcome == "accepted"


def test_a_lost_connection_is_told_after_the_reports(face: Face, pki: PKI) -> None:
    def script(peer: Peer) -> None:
        smtp_until_ready(peer, pki.server)
        for answer in ("250 ok", "421 closing"):
            while not (line := peer.line()).startswith("DATA"):
                peer.say("250 ok")
                assert line
            peer.say("354 go ahead")
            while peer.line() != ".":
                pass
            peer.say(answer)

    taken = []

    def messages() -> Iterator[bytes]:
        for i in range(1_000):
            taken.append(i)
            yield numbered(i)

    reports: list[Any] = []
    with scripted(script) as server:
        smtp = face.smtp(f"smtp://localhost:{server.port}", tls=starttls.TLSConfig(ca_file=pki.ca_file))
        smtp.connect()
        with pytest.raises(starttls.Error):
            collect(smtp, messages(), reports)
        with pytest.raises(starttls.InvalidState):
            smtp.noop()
        smtp.close()
    assert reports[0].outcome == "accepted"
    assert len(reports) == len(taken) < 200
    assert {report.outcome for report in reports[1:]} <= {"refused", "unknown", "not-sent"}


@pytest.mark.parametrize(("lines", "letters", "size"), [(20, 300, 30_000), (300, 3, 8_000_000)])
def test_neither_side_waits_for_the_other_to_read(face: Face, pki: PKI, lines: int, letters: int, size: int) -> None:
    """A server that reads nothing while it speaks, has more to say than sockets hold, and small ones itself."""
    words = ["250-" + "x" * 200] * lines + ["250 ok"]

    def script(peer: Peer) -> None:
        smtp_until_ready(peer, pki.server, offers=("CHUNKING",))
        ends = 0
        while (line := peer.line()) != "QUIT":
            if line.startswith("BDAT"):
                peer.skip(int(line.split()[1]))
                ends += line.endswith(" LAST")
            peer.say(*words)
        assert ends == letters

    letter = numbered(0) + b"a line of a large message\r\n" * (size // 27)
    with scripted(script, buffers=65_536) as server:
        url, trust = f"smtp://localhost:{server.port}", starttls.TLSConfig(ca_file=pki.ca_file)
        with face.smtp(url, tls=trust) as smtp:
            outcomes = [report.outcome for report in smtp.send_many(letter for _ in range(letters))]
    assert outcomes == ["accepted"] * letters


def test_messages_may_be_awaited(postfix: PostfixServer) -> None:
    async def arriving() -> AsyncIterator[bytes]:
        for i in range(10):
            await asyncio.sleep(0.002 if i % 3 == 0 else 0)
            yield numbered(i)
        raise LookupError("no more")

    outcomes = []

    async def run() -> None:
        async with starttls.AsyncSMTP(postfix.url, tls=trusting(postfix), timeout=20) as smtp:
            async for report in smtp.send_many(arriving()):
                outcomes.append(report.outcome)

    with pytest.raises(LookupError, match="no more"):
        asyncio.run(run())
    assert outcomes == ["accepted"] * 10
    assert len(postfix.messages(10)) == 10


@pytest.mark.parametrize(
    "field",
    [
        '"bob\0"@example.test',
        "bob\0@example.test",
        '"bob\rRSET"@example.test',
        '"bob\n"@example.test',
        "bob@example.test\0",
        "=?utf-8?q?bob=0D=0ARSET?=@example.test",
        "=?utf-8?q?eve=40example.test=2C?=@example.test",
        "bob@example.test> NOTIFY=NEVER",
        "eve@example.test <bob@example.test>",
        "<eve@example.test> <bob@example.test>",
    ],
)
def test_an_address_in_a_header_is_one_address(face: Face, postfix: PostfixServer, tmp_path: Path, field: str) -> None:
    content = f"From: ann@example.test\r\nTo: {field}\r\n\r\nx\r\n".encode()
    path = tmp_path / "message.eml"
    path.write_bytes(content)
    with face.smtp(postfix.url, tls=trusting(postfix)) as smtp:
        for kind in (content, path, iter([content[:30], content[30:]])):
            with pytest.raises(starttls.InvalidArgument):
                smtp.send(kind)
        assert smtp.noop().code == 250
        assert smtp.send(numbered(0)).accepted == (BOB,)
    assert len(postfix.messages()) == 1
