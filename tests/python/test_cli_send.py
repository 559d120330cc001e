"""What the command line asks of a mail server, and several messages at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli import ca, starttls
from tests.python.scripted import Peer, scripted
from tests.servers.postfix import PostfixServer

FROM = ("--from", "ann@example.test")
TO = ("--to", "bob@example.test")
MESSAGE = b"Subject: hello\r\n\r\nHello.\r\n"
EXTENSIONS = (
    *("PIPELINING", "CHUNKING", "DSN", "DELIVERBY", "MT-PRIORITY", "FUTURERELEASE 9000000000 3000-01-01T00:00:00Z"),
    *("BINARYMIME", "8BITMIME", "AUTH PLAIN", "SIZE"),
)


def heard(*words: str, extensions: tuple[str, ...] = EXTENSIONS, message: bytes = MESSAGE) -> list[str]:
    """The lines of one message that a server hears."""
    lines: list[str] = []

    def script(peer: Peer) -> None:
        peer.say("220 mail.test")
        assert peer.line().startswith("EHLO")
        peer.say("250-mail.test", *(f"250-{word}" for word in extensions), "250 HELP")
        for _ in range(40):  # an empty line is one of the message
            lines.append(line := peer.line())
            if line == "DATA":
                peer.say("354 go on")
            elif line.startswith(("MAIL", "RCPT", "RSET", "BDAT")) or line == ".":
                peer.say("250 2.0.0 ok")
            elif line == "QUIT":
                peer.say("221 bye")
                return

    with scripted(script) as server:
        url = f"smtp://127.0.0.1:{server.port}?tls=none"
        done = starttls("send", url, *FROM, *TO, *words, "-q", stdin=message)
        assert done.code == 0, done.err
    return lines


@pytest.mark.parametrize(
    ("words", "mail", "rcpt"),
    [
        (
            ["--notify", "success,delay", "--ret", "full", "--envid", "a+b"],
            "RET=FULL ENVID=a+2Bb",
            "NOTIFY=SUCCESS,DELAY",
        ),
        (["--notify", "never", "--ret", "headers"], "RET=HDRS", "NOTIFY=NEVER"),
        (["--deliver-by", "120,trace"], "BY=120;RT", ""),
        (["--deliver-by", "-5,notify"], "BY=-5;N", ""),
        (["--priority", "-3"], "MT-PRIORITY=-3", ""),
        (["--hold-for", "3600"], "HOLDFOR=3600", ""),
        (["--hold-until", "2099-01-01T00:00:00Z"], "HOLDUNTIL=2099-01-01T00:00:00Z", ""),
        (["--submitter", ""], "AUTH=<>", ""),
        (["--submitter", "zoe@example.test"], "AUTH=zoe@example.test", ""),
        (["--param", "XONE=1", "--param", "xtwo", "--rcpt-param", "XR=a"], "XONE=1 XTWO", "XR=a"),
    ],
)
def test_what_is_asked_is_said(words: list[str], mail: str, rcpt: str) -> None:
    lines = heard(*words)
    assert lines[0] == f"MAIL FROM:<ann@example.test> SIZE=26 {mail}"
    assert lines[1] == f"RCPT TO:<bob@example.test> {rcpt}".rstrip()
    assert lines[2] == "BDAT 26 LAST"


def test_what_is_not_offered_is_refused_or_dropped() -> None:
    words = ["--notify", "success", "--priority", "3", "--deliver-by", "60", "--submitter", ""]
    assert heard(*words, "--drop-unsupported", extensions=("SIZE",))[0] == "MAIL FROM:<ann@example.test> SIZE=26"

    def script(peer: Peer) -> None:
        peer.say("220 mail.test")
        peer.line()
        peer.say("250 mail.test")
        assert peer.line() in ("QUIT", "")
        peer.say("221 bye")

    for word in (["--notify", "success"], ["--require-tls", "--drop-unsupported"], ["--hold-for", "60"]):
        with scripted(script) as server:
            done = starttls("send", f"smtp://127.0.0.1:{server.port}?tls=none", *FROM, *TO, *word, stdin=MESSAGE)
        assert done.code != 0 and "does not offer it" in done.err


def test_how_the_body_goes() -> None:
    message = b"A: b\r\n\r\na\nb\r\n"
    assert heard("--no-chunking")[2] == "DATA"
    assert heard("--chunk-size", "18")[2:5] == ["BDAT 18", "Subject: hello", ""]
    assert heard("--line-ends", "preserve", message=message)[2:] == ["BDAT 13 LAST", "A: b", "", "a\nb", "QUIT"]
    binary = heard("--binary", message=message)
    assert binary[0] == "MAIL FROM:<ann@example.test> SIZE=13 BODY=BINARYMIME" and binary[2] == "BDAT 13 LAST"
    assert heard(message=message)[2] == "BDAT 14 LAST"


@pytest.mark.parametrize(
    "words",
    [
        ["--notify", "sometimes"],
        ["--hold-until", "tomorrow"],
        ["--hold-until", "2026-02-30T00:00:00Z"],
        ["--hold-for", "1", "--hold-until", "2099-01-01T00:00:00Z"],
        ["--param", "SIZE=1"],
        ["--param", "X=1 Y=2"],
        ["--deliver-by", "soon"],
        ["--chunk-size", "0"],
        ["--submitter", "nobody"],
    ],
    ids=" ".join,
)
def test_what_cannot_be_said_is_a_usage_error(words: list[str]) -> None:
    # Nobody listens there, and nobody is asked.
    done = starttls("send", "smtp://127.0.0.1:1?tls=none", *FROM, *TO, *words, stdin=MESSAGE)
    assert done.code == 64, done.err


def test_several_messages_in_one_session(postfix: PostfixServer, tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.eml" for number in range(5)]
    for number, file in enumerate(files):
        to = "unknown" if number == 3 else "bob"
        header = f"From: ann@example.test\r\nTo: {to}@example.test\r\nSubject: {number}\r\n"
        file.write_bytes(f"{header}\r\nNumber {number}.\r\n".encode())
    files[1].write_bytes(b"no header at all")
    done = starttls("send", postfix.url, "--json", "-f", *files, *ca(postfix))
    report = done.json
    assert done.code == report["exit_code"] == 79 and report["error"] is None
    told = [(one["file"], one["outcome"], one["exit_code"]) for one in report["messages"]]
    outcomes = [("accepted", 0), ("not-sent", 65), ("accepted", 0), ("refused", 69), ("accepted", 0)]
    assert told == [(str(file), *outcome) for file, outcome in zip(files, outcomes, strict=True)]
    assert report["messages"][1]["error"]["kind"] == "local"
    copies = postfix.messages(3)
    assert {copy.content() for copy in copies} == {files[number].read_bytes() for number in (0, 2, 4)}

    done = starttls("send", postfix.url, "-f", files[0], files[2], "--trace", *ca(postfix))
    assert done.code == 0
    lines = [line for line in done.err.splitlines() if line.startswith("starttls: ")]
    assert [line.split(": ")[1] for line in lines] == [str(files[0]), str(files[2])]
    # The second one's envelope did not wait for the first one's verdict.
    wire = done.err.splitlines()
    second = [at for at, line in enumerate(wire) if line.startswith("C: MAIL")][1]
    assert second < next(at for at, line in enumerate(wire) if "queued as" in line)


def test_a_server_that_takes_no_more_gets_another_session(tmp_path: Path) -> None:
    sessions: list[list[str]] = []

    def script(peer: Peer) -> None:
        sessions.append(subjects := [])
        if len(sessions) == 3:
            return peer.say("554 5.3.2 not now")
        peer.say("220 mail.test")
        peer.line()
        peer.say("250-mail.test", "250-PIPELINING", "250 LIMITS MAILMAX=2")
        for _ in range(40):  # an empty line is one of the message
            if (line := peer.line()) == "QUIT":
                return peer.say("221 bye")
            if line.startswith("Subject: "):
                subjects.append(line.removeprefix("Subject: "))
            elif line == "DATA":
                peer.say("354 go on")
            elif line.startswith(("MAIL", "RCPT")) or line == ".":
                peer.say("250 2.0.0 ok")
        return None

    files = [tmp_path / f"{number}.eml" for number in range(5)]
    for number, file in enumerate(files):
        file.write_text(f"Subject: {number}\n\nHello.\n")
    with scripted(script) as server:
        url = f"smtp://127.0.0.1:{server.port}?tls=none"
        done = starttls("send", url, *FROM, *TO, "--json", "-f", *files)
    assert [one["outcome"] for one in done.json["messages"]] == ["accepted"] * 4 + ["not-sent"]
    assert "not now" in done.json["messages"][4]["error"]["message"]
    assert sessions == [["0", "1"], ["2", "3"], []]


def test_a_file_that_is_missing_is_known_before_anything_is_sent(tmp_path: Path) -> None:
    here = tmp_path / "here.eml"
    here.write_bytes(MESSAGE)
    done = starttls("send", "smtp://127.0.0.1:1?tls=none", *FROM, *TO, "-f", here, tmp_path / "missing.eml")
    assert done.code == 66 and "missing.eml" in done.err


def test_questions(postfix: PostfixServer) -> None:
    done = starttls("ask", postfix.url, "vrfy", "bob@example.test", *ca(postfix))
    assert (done.code, done.err) == (0, "") and b"bob@example.test" in done.out
    done = starttls("ask", postfix.url, "expn", "staff", "--json", *ca(postfix))
    assert done.code == done.json["exit_code"] == 69 and done.json["error"]["reply"]["code"] in (500, 502)
    assert starttls("ask", postfix.url, "vrfy", *ca(postfix)).code == 64
