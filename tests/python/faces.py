"""The package's two faces, so that one test tries both: ``starttls.SMTP`` and ``starttls.AsyncSMTP``, and so on."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import starttls

from tests.servers.ftp import FTPServer
from tests.servers.mail import MailServer

TIMEOUT = 20
"""Seconds any one stage may take, unless a test is about time."""


class Sync:
    """The blocking face."""

    name = "sync"

    def smtp(self, url: str, **options: Any) -> Any:
        return starttls.SMTP(url, **{"timeout": TIMEOUT, **options})

    def ftp(self, url: str, **options: Any) -> Any:
        return starttls.FTP(url, **{"timeout": TIMEOUT, **options})

    def connection(self, *to: Any, **options: Any) -> Any:
        return starttls.Connection(*to, **{"timeout": TIMEOUT, **options})


class Awaited:
    """A session of the asyncio face, used like one of the other: each call runs the loop until it is done."""

    def __init__(self, runner: asyncio.Runner, session: Any) -> None:
        self.session = session
        self._runner = runner

    def run(self, it: Any) -> Any:
        """The result of a coroutine, or what an asynchronous iterator yields."""
        if hasattr(it, "__aiter__"):

            async def collect() -> list[Any]:
                return [item async for item in it]

            return self._runner.run(collect())
        return self._runner.run(it)

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self.session, name)
        if not callable(attribute):
            return attribute
        return lambda *arguments, **options: self.run(attribute(*arguments, **options))

    def __enter__(self) -> Awaited:
        self.run(self.session.__aenter__())
        return self

    def __exit__(self, *exception: object) -> None:
        self.run(self.session.__aexit__(*exception))

    def __repr__(self) -> str:
        return repr(self.session)


class Asyncio:
    """The asyncio face."""

    name = "asyncio"

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner

    def smtp(self, url: str, **options: Any) -> Any:
        return Awaited(self._runner, starttls.AsyncSMTP(url, **{"timeout": TIMEOUT, **options}))

    def ftp(self, url: str, **options: Any) -> Any:
        return Awaited(self._runner, starttls.AsyncFTP(url, **{"timeout": TIMEOUT, **options}))

    def connection(self, *to: Any, **options: Any) -> Any:
        return Awaited(self._runner, starttls.AsyncConnection(*to, **{"timeout": TIMEOUT, **options}))


Face = Sync | Asyncio


def settled(session: Any) -> None:
    """After a transfer that was given up the session goes on, or says that it is over; then it is opened again."""
    try:
        session.noop()
    except starttls.InvalidState:
        session.close()
        session.connect()
        assert session.noop().code == 200


def trusting(server: FTPServer | MailServer) -> starttls.TLSConfig:
    """Trust in the server's authority and no other."""
    return starttls.TLSConfig(ca_file=server.ca_file)


def digest(content: bytes | Path) -> str:
    """SHA-256 of bytes or of a file."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
