"""What the mail servers share: how to reach them, and what they delivered, to be read back byte for byte."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from .process import HOST, ServerError, TLSVersion

DOMAIN = "example.test"
"""The domain the servers take mail for; addresses elsewhere are refused."""
USER = f"user@{DOMAIN}"
PASSWORD = "pa:ss@w/rd%41"
"""The characters are those that a URL must escape."""

REFUSALS = {
    "unknown": "550 5.1.1 no such user here",
    "full": "452 4.2.2 mailbox full",
    "later": "450 4.2.0 try again later",
    "forbidden": "554 5.7.1 not for you",
}
"""Replies to RCPT for addresses whose local part begins with one of these words."""

TRACE_HEADERS = ("return-path", "x-original-to", "delivered-to", "envelope-to", "received")
"""What servers put on top of a message at final delivery, the last of them ``Received``."""
RECIPIENT_HEADERS = ("delivered-to", "envelope-to")
"""Which of them names the recipient; which one depends on the server."""


@dataclass(frozen=True)
class Delivered:
    """One message as it was delivered to one recipient."""

    path: Path

    def raw(self) -> bytes:
        """The file as it is: trace headers first, lines ending in LF."""
        return self.path.read_bytes()

    def content(self) -> bytes:
        """The message the client sent, byte for byte: no trace headers, lines ending in CRLF.

        The server ends every line with LF in its file, so the way back is unambiguous. What
        cannot be told apart is a message whose last line had no end: the server gave it one.
        """
        return self._split()[1].replace(b"\n", b"\r\n")

    @property
    def sender(self) -> str:
        """The envelope's sender; empty for the null sender."""
        return self._trace("return-path").strip("<>")

    @property
    def recipient(self) -> str:
        """The envelope's recipient this copy was delivered to."""
        return self._trace(*RECIPIENT_HEADERS).strip("<>")

    @property
    def received(self) -> str:
        """The topmost ``Received`` header, which says how the message came in."""
        return self._trace("received")

    def _trace(self, *names: str) -> str:
        for name, value in self._split()[0]:
            if name in names:
                return value
        raise ServerError(f"{self.path} has no {names[0]} header")

    def _split(self) -> tuple[list[tuple[str, str]], bytes]:
        """The trace headers the server put on top, up to its ``Received``, and the rest."""
        rest = self.raw()
        headers: list[tuple[str, str]] = []
        while True:
            name = rest.partition(b":")[0].decode("latin-1").lower()
            if name not in TRACE_HEADERS:
                break
            end = rest.index(b"\n") + 1
            while rest[end : end + 1] in (b" ", b"\t"):
                end = rest.index(b"\n", end) + 1
            headers.append((name, rest[len(name) + 1 : end].strip().decode()))
            rest = rest[end:]
            if name == "received":
                break  # what follows is the client's, whatever it is called
        return headers, rest


@dataclass(frozen=True, kw_only=True)
class Mailbox:
    """A server's Maildir, for the tests to read."""

    mailbox: Path
    """The folder that holds ``new``."""
    log_text: Callable[[], str]
    """What the server logged so far."""

    def delivered(self) -> list[Delivered]:
        """What has been delivered since the start or the last ``clear``, oldest first.

        One entry a recipient. Delivery goes on behind the client's back: see ``messages``.
        """
        files = [(file.stat().st_mtime_ns, file) for file in (self.mailbox / "new").glob("*")]
        return [Delivered(file) for _, file in sorted(files)]

    def messages(self, count: int = 1, *, deadline: float = 30.0) -> list[Delivered]:
        """Wait until ``count`` copies have been delivered, and return all there are.

        Raises ``ServerError`` with the log after ``deadline`` seconds.
        """
        until = time.monotonic() + deadline
        while len(found := self.delivered()) < count:
            if time.monotonic() > until:
                raise ServerError(f"{len(found)} of {count} messages after {deadline} s:\n{self.log_text()}")
            time.sleep(0.01)
        return found

    def clear(self) -> None:
        """Forget what was delivered."""
        for message in self.delivered():
            message.path.unlink()


@dataclass(frozen=True, kw_only=True)
class MailServer(Mailbox):
    """A running mail server whose messages, whoever they are for, arrive in one Maildir."""

    port: int
    """Submission: STARTTLS and AUTH required."""
    implicit_port: int
    """Submission over implicit TLS: AUTH required."""
    tls: TLSVersion | None
    """The one TLS version spoken, or ``None`` for 1.2 and 1.3."""
    ca_file: Path
    size_limit: int
    """The largest message it takes, in bytes."""
    user: str = USER
    password: str = PASSWORD
    domain: str = DOMAIN
    host: str = HOST
    server_name: str = "localhost"
    """The name in the certificate, which also resolves to ``host``."""

    @property
    def url(self) -> str:
        """``smtp://`` with user, password, name and the submission port."""
        return f"smtp://{quote(self.user, '')}:{quote(self.password, '')}@{self.server_name}:{self.port}"

    @property
    def implicit_url(self) -> str:
        """``smtps://`` with user, password, name and the implicit port."""
        return f"smtps://{quote(self.user, '')}:{quote(self.password, '')}@{self.server_name}:{self.implicit_port}"
