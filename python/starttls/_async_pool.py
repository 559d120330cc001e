"""Sessions kept for the next message, for asyncio."""

from __future__ import annotations

import asyncio

from ._aio import SharedDriver
from ._files import is_async
from ._native import Host
from ._outcome import judged
from ._session import pool
from ._smtp import command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable
    from typing import Self, Unpack

    from ._files import Progress
    from ._keywords import SMTPPoolOptions
    from ._message import Message
    from ._native import Routes
    from ._options import SendOptions
    from ._results import DeliveryReport


class AsyncSMTPPool:
    """``SMTPPool`` for asyncio: the same arguments and methods, awaited, by any number of tasks of one event loop.

    A ``send`` that is cancelled closes its session, so that nothing half-written is delivered; the others go on.
    """

    __slots__ = ("_driver", "_places", "_pool")

    def __init__(self, url: str | Routes, **options: Unpack[SMTPPoolOptions]) -> None:
        host = Host()
        self._driver = SharedDriver(host, options.get("local_address"))
        self._pool = pool("AsyncSMTPPool", url, options, host)
        # The pool would have them wait, too, and look at each of them whenever anything happens.
        self._places = asyncio.Semaphore(options.get("connections", 4))

    async def send(
        self,
        message: Message | AsyncIterable[bytes],
        *,
        sender: str | None = None,
        recipients: Iterable[str] | None = None,
        options: SendOptions | None = None,
        progress: Progress | None = None,
    ) -> DeliveryReport:
        """Send a message in a session of the pool, as ``SMTP.send`` does.

        An asynchronous iterable of bytes is gathered in memory first: a session is not held for its sake.
        """
        if is_async(message):
            message = b"".join([piece async for piece in message])
        letter = command(message, sender, recipients, True, options, progress)  # type: ignore[arg-type] # not async any more
        async with self._places:
            return judged(await self._driver.drive(self._pool.start(letter)))

    async def close(self) -> None:
        """Say good-bye in all sessions; those that carry a message end after it. No message can be sent then."""
        await self._driver.drive(self._pool.start_close())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    @property
    def sessions(self) -> tuple[int, int]:
        """How many sessions are open: those with a message, and those without."""
        return self._pool.sessions

    def __repr__(self) -> str:
        return f"<AsyncSMTPPool {self._pool.url}>"
