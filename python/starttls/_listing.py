"""Listings as they come in."""

from __future__ import annotations

from contextlib import suppress

from ._native import FtpCommand

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from ._async_ftp import AsyncFTP
    from ._native import Entry, FtpSession


class Listing:
    """The entries of a directory: an iterator that reads them as they are asked for.

    Until it comes to its end or is closed, the session can do nothing else. ``close``, a ``with`` statement, or
    nobody's having it any more gives the rest up.
    """

    __slots__ = ("_batch", "_over", "_session", "unparsed")

    unparsed: int
    """How many lines so far nothing could be made of: they are of a form that is not known."""

    def __init__(self, session: FtpSession, path: bytes) -> None:
        self._over = True
        self._batch: Iterator[Entry] = iter(())
        self._session = session
        self.unparsed = 0
        session.run(FtpCommand.start_listing(path))
        self._over = False

    def _more(self) -> bool:
        if self._over:
            return False
        self._over = True  # unless this succeeds, and there is more
        entries, self.unparsed = self._session.run(FtpCommand.next_entries())
        self._batch = iter(entries)
        self._over = not entries
        return not self._over

    def __iter__(self) -> Iterator[Entry]:
        # The loop over a batch is the interpreter's own.
        yield from self._batch
        while self._more():
            yield from self._batch

    def __next__(self) -> Entry:
        for entry in self._batch:
            return entry
        if self._more():
            return next(self._batch)
        raise StopIteration

    def close(self) -> None:
        """Give the rest up, if there is any. The session can be used again."""
        self._batch = iter(())
        if not self._over:
            self._over = True
            if self._session.is_open:
                self._session.run(FtpCommand.abort())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __del__(self) -> None:
        with suppress(Exception):
            self.close()


class AsyncListing:
    """The entries of a directory, with ``async for``. It begins with the first one that is asked for.

    Until it comes to its end or is closed, the session can do nothing else. ``aclose``, an ``async with`` statement, or
    nobody's having it any more gives the rest up.
    """

    __slots__ = ("_batch", "_ftp", "_over", "_path", "unparsed")

    unparsed: int
    """How many lines so far nothing could be made of: they are of a form that is not known."""

    def __init__(self, ftp: AsyncFTP, path: bytes) -> None:
        self._ftp = ftp
        self._path: bytes | None = path
        self._batch: Iterator[Entry] = iter(())
        self._over = False
        self.unparsed = 0

    async def _more(self) -> bool:
        if self._over:
            return False
        self._over = True  # unless this succeeds, and there is more
        if self._path is not None:
            path, self._path = self._path, None
            await self._ftp._run(FtpCommand.start_listing(path))
        entries, self.unparsed = await self._ftp._run(FtpCommand.next_entries())
        self._batch = iter(entries)
        self._over = not entries
        return not self._over

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Entry:
        for entry in self._batch:
            return entry
        if await self._more():
            return next(self._batch)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Give the rest up, if there is any. The session can be used again."""
        self._batch = iter(())
        begun, self._path = self._path is None, None
        if begun and not self._over and self._ftp._session.is_open:
            await self._ftp._run(FtpCommand.abort())
        self._over = True

    def __del__(self) -> None:
        if self._path is None and not self._over:
            self._ftp._session.abandon()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.aclose()
