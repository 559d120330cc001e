"""smtp-sink, Postfix's load server: takes everything, in clear text, and can be told to misbehave.

It writes down the parameters of MAIL and RCPT as they came. It speaks SMTP or LMTP with
PIPELINING, 8BITMIME, DSN, XCLIENT and an AUTH that lets anybody in; it has neither TLS nor
CHUNKING.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .process import HOST, SERVANT, Daemon, free_ports, owned_folder, program, scratch

BACKLOG = 1024
"""Connections that may wait to be accepted."""


@dataclass(frozen=True)
class Dumped:
    """One message as smtp-sink wrote it down."""

    path: Path

    @property
    def mail(self) -> str:
        """What came after ``MAIL FROM:``."""
        return self._headers("X-Mail-Args")[0]

    @property
    def recipients(self) -> list[str]:
        """What came after each ``RCPT TO:``."""
        return self._headers("X-Rcpt-Args")

    def content(self) -> bytes:
        """The message the client sent: no headers of the server's, lines ending in CRLF."""
        head, mark, rest = self.path.read_bytes().partition(b"Received: from ")
        assert mark, head
        while rest.partition(b"\n")[2].startswith(b"\t"):
            rest = rest.partition(b"\n")[2]
        return rest.partition(b"\n")[2].removesuffix(b"\n").replace(b"\n", b"\r\n")

    def _headers(self, name: str) -> list[str]:
        head = self.path.read_bytes().partition(b"Received: from ")[0].decode()
        return [line.removeprefix(f"{name}: ") for line in head.splitlines() if line.startswith(f"{name}: ")]


@dataclass(frozen=True)
class Sink:
    """A running smtp-sink."""

    port: int
    folder: Path
    """Where the messages are written, one file each."""
    log_text: Callable[[], str]
    host: str = HOST

    def dumped(self) -> list[Dumped]:
        """The messages so far, oldest first: each is there before its reply is."""
        return [Dumped(file) for _, file in sorted((file.stat().st_mtime_ns, file) for file in self.folder.iterdir())]


@contextlib.contextmanager
def serve(*options: str) -> Iterator[Sink]:
    """Run smtp-sink with these of its options, such as ``-p`` (no PIPELINING) or ``-L`` (LMTP)."""
    with scratch("sink") as folder:
        messages = owned_folder(folder / "messages")
        (port,) = free_ports(1)
        fixed = ["-u", SERVANT.pw_name, "-d", f"{messages}/%M.", f"{HOST}:{port}", str(BACKLOG)]
        daemon = Daemon(
            [program("smtp-sink"), *options, *fixed],
            ports=[port],
            log=folder / "output.log",
        )
        with daemon:
            yield Sink(port=port, folder=messages, log_text=daemon.log_text)
