"""Remote files as file objects."""

from __future__ import annotations

import io
from contextlib import suppress

from ._errors import InvalidState
from ._native import FtpCommand, RemoteFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing_extensions import Buffer

    from ._native import FtpSession
    from ._results import TransferReceipt

BUFFER = 256 * 1024
"""Bytes a writer gathers."""


class _RawReader(io.RawIOBase):
    """A remote file to read. What is read elsewhere than where the download is begins another one."""

    def __init__(self, session: FtpSession, file: RemoteFile, at: int) -> None:
        self._session = session
        self._file = file
        self._at = at

    @property
    def receipt(self) -> TransferReceipt | None:
        return self._file.receipt

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if whence == io.SEEK_CUR:
            offset += self._at
        elif whence == io.SEEK_END:
            offset += self._session.run(FtpCommand.file_size(self._file))
        if offset < 0:
            raise ValueError("no file begins before its beginning")
        self._at = offset
        return offset

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        piece = self._session.run(FtpCommand.read_file(self._file, self._at, len(buffer)))
        count = len(piece)
        buffer[:count] = piece
        self._at += count
        return count

    def close(self) -> None:
        if not self.closed:
            super().close()
            if self._session.is_open:
                self._session.run(FtpCommand.close_file(self._file))


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
    """A remote file, read from the server as it is asked for, at any place. Closing it early ends the download."""

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
    file = RemoteFile(path)
    session.run(FtpCommand.begin_file(file, offset=offset))
    return RemoteReader(_RawReader(session, file, offset), BUFFER)


def open_writer(session: FtpSession, path: bytes, offset: int, *, append: bool) -> RemoteWriter:
    """Begin an upload."""
    session.run(FtpCommand.start_upload(path, offset=offset, append=append))
    return RemoteWriter(_RawWriter(session), BUFFER)
