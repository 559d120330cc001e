"""The corpus of dialogues on the package's two faces: the same results and events as everywhere else.

``tests/transcripts/README.md`` describes the files. The peer is ``starttls-player``, a process for each session.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
import select
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import starttls

from tests.python import corpus_connection, corpus_files, corpus_mail
from tests.python.corpus_connection import escaped

TESTS = Path(__file__).parent.parent
OURS_ALONE = re.compile(r"^tlsa:|SCRAM", re.MULTILINE)
"""What a context does not know: DANE, and channel binding by keying material."""
CORPUS = sorted([*(TESTS / "transcripts").glob("*.txt"), *(TESTS / "hostile").glob("*.txt")])
TICKETS = ("ftp-ahead-ends-transfer",)
"""Where a ticket is lost with a connection. OpenSSL keeps the last one of a record, and this peer's come in one."""
FOR_CONTEXTS = [path for path in CORPUS if path.stem not in TICKETS and not OURS_ALONE.search(path.read_text())]
"""Those that are the same with an ``ssl.SSLContext``."""
PLAYER = Path(os.environ.get("CARGO_TARGET_DIR", TESTS.parent / "target")) / "debug" / "starttls-player"

CLASSES: dict[str, type[starttls.Error]] = {
    "access-denied": starttls.AccessDenied,
    "bytes-before-handshake": starttls.BytesBeforeHandshake,
    "closed-by-peer": starttls.ConnectionLost,
    "invalid-argument": starttls.InvalidArgument,
    "invalid-state": starttls.InvalidState,
    "not-offered": starttls.NotOffered,
    "limit-exceeded": starttls.LimitExceeded,
    "protocol-violation": starttls.ProtocolError,
    "rejected": starttls.Rejected,
    "size-mismatch": starttls.SizeMismatch,
    "timed-out": starttls.TimeoutExceeded,
    "tls/alert-received": starttls.TLSError,
    "tls/certificate-expired": starttls.CertificateError,
    "tls/certificate-not-yet-valid": starttls.CertificateError,
    "tls/name-mismatch": starttls.CertificateError,
    "tls/not-resumed": starttls.TLSError,
    "tls/other": starttls.CertificateError,
    "tls/peer-misbehaved": starttls.TLSError,
    "tls/plaintext-inside-tls": starttls.TLSError,
    "tls/tlsa-mismatch": starttls.CertificateError,
    "tls/unknown-issuer": starttls.CertificateError,
    "tls/wrong-usage": starttls.CertificateError,
    "truncated": starttls.Truncated,
    "unsolicited": starttls.ProtocolError,
    "unsupported": starttls.Unsupported,
    "upgrade-not-offered": starttls.UpgradeNotOffered,
}
"""The class for each kind of error in the corpus."""


class Peer:
    """The server's side of one session."""

    def __init__(self, script: Path, pieces: str) -> None:
        assert PLAYER.is_file(), f"{PLAYER} is not there: `make native` builds it"
        command = [PLAYER, "serve", script, *(["--bytes"] if pieces == "bytes" else [])]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self.facts: dict[str, Any] = self._line(20)

    def _line(self, within: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        # The peer writes whole lines, so one that has begun comes to its end.
        ready, _, _ = select.select([self._process.stdout], [], [], within)
        assert ready, "the peer says nothing"
        line: dict[str, Any] = json.loads(self._process.stdout.readline())
        return line

    def verdict(self) -> list[str]:
        failures: list[str] = self._line(60)["failures"]
        return failures

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture
def peer(script: Path, pieces: str) -> Iterator[Peer]:
    serving = Peer(script, pieces)
    yield serving
    serving.stop()


def entry(found: starttls.Entry) -> str:
    size = "" if found.size is None else f" {found.size}"
    return f"{found.type} {escaped(found.raw_name)}{size}"


Result = str | starttls.Error | list[str | starttls.Error]
"""Of one operation; several for several messages."""


def settings(facts: dict[str, Any], *, context: bool) -> ssl.SSLContext | starttls.TLSConfig:
    """What of TLS a session is given: the authority, records and application protocols."""
    alpn = corpus_connection.alpn(facts["settings"])
    if not context:
        return starttls.TLSConfig(ca_data=facts["ca_pem"], tlsa=facts["tlsa"], alpn=alpn)
    made = ssl.create_default_context(cadata=facts["ca_pem"])
    if alpn:
        made.set_alpn_protocols(alpn)
    return made


class Session:
    """A session that does what the corpus asks, in the corpus' words."""

    def __init__(self, face: Any, facts: dict[str, Any], trace: list[str], *, context: bool = False) -> None:
        self.tasks = [(task["verb"], task["arguments"]) for task in facts["tasks"]]
        self._client = facts["client"]
        options: dict[str, Any] = {
            "tls": settings(facts, context=context),
            "timeout": facts["timeout"],
            "trace": trace.append,
        }
        for verb, arguments in self.tasks:
            if verb in ("login", "login-account"):
                options["user"], options["password"] = (text(word) for word in arguments[:2])
            if verb == "login-token":
                options["user"], options["token"] = (text(word) for word in arguments[:2])
            if verb in ("login", "login-token"):
                options.update(zip(("auth", "authzid"), map(text, arguments[2:]), strict=False))
            if verb == "login-external":
                options |= {"auth": "EXTERNAL"} | dict(zip(["authzid"], map(text, arguments), strict=False))
            if verb == "login-anonymous":
                options |= {"auth": "ANONYMOUS"} | dict(zip(["user"], map(text, arguments), strict=False))
            if verb == "login-account":
                options["account"] = text(arguments[2])
            if verb == "clear-data":
                options["data_protection"] = "clear"
            if verb == "accept-missing-close-notify":
                options["accept_missing_close_notify"] = True
        if self._client == "connection":
            options |= corpus_connection.settings(facts["settings"])
            self._session = face.connection("127.0.0.1", facts["ports"][0], security=facts["security"], **options)
            return
        starttls.forget_server(facts["url"])  # another peer may have had this port before
        self._is_ftp = self._client == "files"
        options |= (corpus_files if self._is_ftp else corpus_mail).settings(facts["settings"])
        open_session = face.ftp if self._is_ftp else face.smtp
        self._session = open_session(facts["url"], **options)

    def open(self) -> None:
        self._session.connect()

    def close(self) -> None:
        self._session.close()

    def do(self, verb: str, arguments: list[str]) -> Result:
        session = self._session
        data = [word.encode("latin-1") for word in arguments]
        if self._client == "connection":
            return corpus_connection.ask(session, verb, data)
        match verb:
            case "quit":
                session.close()
            case "login-info":
                login = session.login
                return "none" if login is None else " ".join(filter(None, (login.mechanism, login.binding)))
            case "noop":
                session.noop()
            case "rset":
                session.rset()
            case "send":
                return self.send(text(arguments[0]), text(arguments[1]).split(","), data[2], arguments[3:])
            case "send-many":
                return corpus_mail.send_many(session, list(map(text, arguments)), data)
            case "vrfy" | "expn" | "help" | "etrn" if not self._is_ftp:
                return corpus_mail.answer(getattr(session, verb)(*map(text, arguments)))
            case "xclient":
                pairs = [text(word).partition("=") for word in arguments]
                session.xclient({name: value or None for name, _, value in pairs})
            case "get" | "get-from":
                into = io.BytesIO()
                offset = int(data[1]) if verb == "get-from" else 0
                receipt = session.download(data[0], into, offset=offset)
                wrong = "" if into.getvalue() == data[-1] else " with wrong content"
                return f"{receipt.status} {receipt.size}{wrong}"
            case "get-part":
                into = io.BytesIO()
                receipt = session.download(data[0], into, offset=int(data[1]), end=int(data[2]))
                wrong = "" if into.getvalue() == data[3] else " with wrong content"
                return f"{receipt.status} {receipt.size}{wrong}"
            case "put":
                receipt = session.upload(data[1], data[0])
                return f"{receipt.status} {receipt.size}"
            case "put-from":
                offset = int(data[1])
                receipt = session.upload(b"?" * offset + data[2], data[0], offset=offset)
                return f"{receipt.status} {receipt.size}"
            case "names":
                names = [name.encode("utf-8", "surrogateescape") for name in session.names(data[0])]
                return ", ".join(map(escaped, names)) or "empty"
            case "exists":
                return "yes" if session.exists(data[0]) else "no"
            case "count":
                return corpus_files.count(session, data[0])
            case "list":
                return ", ".join(map(entry, session.scandir(data[0]))) or "empty"
            case "stat":
                return entry(session.stat(data[0]))
            case "pwd":
                path: str = session.pwd()
                return escaped(path.encode("utf-8", "surrogateescape"))
            case "cwd" | "mkdir" | "rmdir" | "remove" | "rename":
                getattr(session, verb)(*data)
            case _:
                return corpus_files.ask(session, verb, data)
        return "ok"

    def send(self, sender: str, recipients: list[str], message: bytes, words: list[str]) -> str | starttls.Error:
        options = corpus_mail.options(map(text, words), recipients)
        try:
            report = self._session.send(message, sender=sender, recipients=recipients, options=options)
        except (starttls.MessageRefused, starttls.OutcomeUnknown) as failure:
            report = failure.report
        return corpus_mail.delivery(report)


def text(word: str) -> str:
    return word.encode("latin-1").decode()


def fits(error: starttls.Error, expected: str) -> bool:
    """Whether an exception is what the corpus calls ``error KIND at PHASE CODE``."""
    words = expected.split()
    if words[0] != "error" or not isinstance(error, CLASSES[words[1]]):
        return False
    rest = words[2:]
    phase = rest[1] if rest[:1] == ["at"] else None
    code = next((int(word) for word in rest if word.isdigit()), None)
    return error.phase == phase and error.code == code


def agrees(result: Result, expected: str) -> bool:
    if isinstance(result, list):
        parts = expected.split(" ; ")
        return len(parts) == len(result) and all(map(agrees, result, parts))
    if isinstance(result, starttls.Error):
        return fits(result, expected)
    words = expected.split()
    if words[0] == "unknown":
        return result == f"unknown {CLASSES[words[1]].__name__}"
    return result == expected


ACTIVE = {
    "C: EPRT |1|127.0.0.1|": "{listener}|",
    "C: PORT 127,0,0,1,": "{listener/256}",
    "*  data connected to 127.0.0.1:": "{port}",
    "*  data turned away 127.0.0.2:": "{port}",
}
"""What stands before a port that the system chose for one connection, and the port's role."""


def normalised(trace: list[str], ports: list[int]) -> list[str]:
    """Events with ports by their role instead of their number, and what holds a nonce by its."""
    control, data = ports
    roles = {
        f"127.0.0.1:{control}": "{server}",
        f"127.0.0.1:{data}": "{data server}",
        f"|{data}|": "|{data}|",
        f",{data >> 8},{data & 255}": ",{data/256}",
    }
    lines = []
    for line in trace:
        for number, role in roles.items():
            line = line.replace(number, role)
        for beginning, role in ACTIVE.items():
            if line.startswith(beginning) and line[len(beginning) : len(beginning) + 1].isdigit():
                line = beginning + role
        lines.append("S: 334 {server-first}" if has_nonces(line) else line)
    return lines


def has_nonces(event: str) -> bool:
    """Whether it is the message of SCRAM that is another one each time."""
    challenge = event.removeprefix("S: 334 ")
    try:
        return challenge != event and b",s=" in base64.b64decode(challenge, validate=True)
    except ValueError:
        return False


def attempt(operation: Callable[[], object]) -> object:
    """What an operation gives, or the package's exception."""
    try:
        return operation()
    except starttls.Error as error:
        return error


def views(error: starttls.Error) -> list[str]:
    """All that an exception shows of itself."""
    return [str(error), repr(error), repr(error.__dict__)]


@pytest.mark.parametrize("pieces", ["whole", "bytes"])
@pytest.mark.parametrize("script", CORPUS, ids=lambda path: path.stem)
def test_a_session_of_the_corpus(script: Path, pieces: str, peer: Peer, face: Any) -> None:
    play(script, pieces, peer, face)


@pytest.mark.parametrize("pieces", ["bytes"])
@pytest.mark.parametrize("script", FOR_CONTEXTS, ids=lambda path: path.stem)
def test_a_session_of_the_corpus_by_an_ssl_context(script: Path, pieces: str, peer: Peer, face: Any) -> None:
    for at, line in enumerate(peer.facts["trace"]):
        peer.facts["trace"][at] = CIPHER.sub("", line)
    play(script, pieces, peer, face, context=True)


CIPHER = re.compile(r"(?<=secured: TLSv1\..), \w+")
"""What every implementation prefers for itself."""


def play(script: Path, pieces: str, peer: Peer, face: Any, *, context: bool = False) -> None:
    facts = peer.facts
    trace: list[str] = []
    shown: list[str] = []
    loose = facts["timing"] and pieces == "bytes"
    session = Session(face, facts, trace, context=context)
    expected = {verb: task["expected"] for task in facts["tasks"] if (verb := task["verb"]) in OPENING}
    failure = attempt(session.open)
    if isinstance(failure, starttls.Error):
        shown.extend(views(failure))
        right = [result for results in expected.values() for result in results if result != "ok"]
        assert any(fits(failure, result) for result in right), f"{failure!r}, not {right}"
    else:
        assert all("ok" in results for results in expected.values()), f"opened, not {expected}"
        for task in facts["tasks"]:
            if task["verb"] in OPENING:
                continue
            outcome = attempt(lambda task=task: session.do(task["verb"], task["arguments"]))
            if isinstance(outcome, starttls.Error):
                shown.extend(views(outcome))
                assert any(fits(outcome, result) for result in task["expected"]), f"{task}: {outcome!r}"
            else:
                shown.append(str(outcome))
                assert any(agrees(outcome, right) for right in task["expected"]), f"{task}: {outcome}"
        session.close()
    failures = peer.verdict()
    events = normalised([CIPHER.sub("", line) if context else line for line in trace], facts["ports"])
    if failure is not None:
        # A session that did not come about is closed here: what others go on to say is not said.
        failures = [why for why in failures if not why.startswith("the session ended at step")]
        rest = facts["trace"][len(events) :]
        assert loose or not rest or rest[0].startswith(("C: ", "*  control closed"))
        facts["trace"] = facts["trace"][: len(events)]
    assert failures == []
    if not loose:
        assert events == facts["trace"]
    for secret in facts["secrets"]:
        assert not any(secret in line for line in [*trace, *shown])


OPENING = (
    "connect",
    "login",
    "login-account",
    "login-token",
    "login-external",
    "login-anonymous",
    "clear-data",
    "accept-missing-close-notify",
)
"""What is one call here."""


def test_the_corpus_is_there() -> None:
    assert len(CORPUS) >= 250
    assert "starttls" in sys.modules
