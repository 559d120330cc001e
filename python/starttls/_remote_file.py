"""Remote files as file objects, each over one transfer."""

from __future__ import annotations

import io
from contextlib import suppress

from ._errors import InvalidState
from ._native import FtpCommand

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing_extensions import Buffer

    from ._native import FtpSession
    from ._results import TransferReceipt

BUFFER = 256 * 1024
"""Bytes a writer gathers."""


class _RawReader(io.RawIOBase):
    """A download under way."""

    def __init__(self, session: FtpSession) -> None:
        self._session = session
        self._piece = memoryview(b"")
        self.receipt: TransferReceipt | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self._piece and self.receipt is None:
            self._piece = memoryview(self._session.run(FtpCommand.receive()))
            if not self._piece:
                self.receipt = self._session.run(FtpCommand.finish())
        count = min(len(self._piece), len(buffer))
        buffer[:count] = self._piece[:count]
        self._piece = self._piece[count:]
        return count

    def close(self) -> None:
        if not self.closed:
            super().close()
            if self.receipt is None and self._session.is_open:
                give_up(self._session)


class _RawWriter(io.RawIOBase):
    """An upload under way."""

    def __init__(self, session: FtpSession) -> None:
        self._session = session
        self._over = False
        self.receipt: TransferReceipt | None = None

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer, /) -> int:
        if self._over:
            raise InvalidState("this upload is over")
        piece = bytes(data)
        try:
            self._session.run(FtpCommand.transmit(piece))
        except BaseException:
            self._over = True
            raise
        return len(piece)

    def give_up(self) -> None:
        if not self._over:
            self._over = True
            give_up(self._session)

    def close(self) -> None:
        if not self.closed:
            super().close()
            if not self._over:
                self._over = True
                self.receipt = self._session.run(FtpCommand.finish())


def give_up(session: FtpSession) -> None:
    """Abort the transfer under way; the error that led here is the one to tell."""
    session.run(FtpCommand.abort())


class RemoteReader(io.BufferedReader):
    """A remote file, read from the server as it is asked for. Closing it early ends the download."""

    raw: _RawReader

    @property
    def receipt(self) -> TransferReceipt | None:
        """The receipt, once everything was read."""
        return self.raw.receipt


class RemoteWriter(io.BufferedWriter):
    """A remote file, sent to the server as it is written. If a ``with`` statement fails, the upload is given up."""

    raw: _RawWriter

    @property
    def receipt(self) -> TransferReceipt | None:
        """The receipt, once it is closed."""
        return self.raw.receipt

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self.close()
            return
        self.raw.give_up()
        # What was gathered and not sent goes nowhere.
        with suppress(InvalidState):
            self.close()


def open_reader(session: FtpSession, path: bytes, offset: int) -> RemoteReader:
    """Begin a download."""
    session.run(FtpCommand.start_download(path, offset=offset))
    return RemoteReader(_RawReader(session), BUFFER)


def open_writer(session: FtpSession, path: bytes, offset: int, *, append: bool) -> RemoteWriter:
    """Begin an upload."""
    session.run(FtpCommand.start_upload(path, offset=offset, append=append))
    return RemoteWriter(_RawWriter(session), BUFFER)
