"""Local content: files, file objects, bytes and iterables, and files that appear only when they are whole."""

from __future__ import annotations

import io
import os
from contextlib import suppress

from ._errors import InvalidArgument, LocalError, LocalFileNotFound, LocalPermissionDenied

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Iterable, Iterator
    from typing import BinaryIO, Protocol, TypeGuard

    class Reader(Protocol):
        """A file object to read from."""

        def read(self, size: int, /) -> bytes:
            """Up to so many bytes; none at the end."""

    class Writer(Protocol):
        """A file object to write to."""

        def write(self, data: bytes, /) -> object:
            """Take some or all of these bytes."""

    LocalPath = str | os.PathLike[str]
    Content = bytes | bytearray | memoryview | os.PathLike[str] | Reader | Iterable[bytes]
    Progress = Callable[[int, int | None], object]

PIECE = 256 * 1024
"""Bytes taken from a file object at once."""


def is_async(it: object) -> TypeGuard[AsyncIterable[bytes]]:
    """Whether its pieces are to be awaited."""
    return hasattr(it, "__aiter__")


def chunks(content: object, size: int = PIECE) -> Iterator[bytes]:
    """The pieces of something that is not a path."""
    read = getattr(content, "read", None)
    if read is not None:
        if isinstance(content, io.TextIOBase):
            raise TypeError("content comes as bytes, not as text: open files in binary")
        return _read(read, size)
    try:
        view = memoryview(content)  # type: ignore[arg-type]
    except TypeError:
        return iter(content)  # type: ignore[call-overload,no-any-return]
    return _slices(view.cast("B"), size)


def _read(read: Callable[[int], bytes], size: int) -> Iterator[bytes]:
    while piece := read(size):
        yield piece


def _slices(view: memoryview, size: int) -> Iterator[bytes]:
    for at in range(0, len(view), size):
        yield bytes(view[at : at + size])


def source(content: LocalPath | Content) -> bytes | LocalPath | Iterator[bytes]:
    """Content as the native module takes it."""
    if isinstance(content, bytes | str | os.PathLike):
        return content
    return chunks(content)


def opened(path: LocalPath) -> BinaryIO:
    """A file to read, or a typed error."""
    try:
        return open(path, "rb")  # noqa: PTH123 - the caller closes it
    except OSError as error:
        raise local_error(error, path) from None


def local_error(error: OSError, path: LocalPath) -> LocalError:
    """This package's exception for a local file."""
    kind = LocalError
    if isinstance(error, FileNotFoundError):
        kind = LocalFileNotFound
    elif isinstance(error, PermissionError):
        kind = LocalPermissionDenied
    message = f"the local file {os.fspath(path)} cannot be used: {error.strerror}"
    return kind(message, errno=error.errno, filename=os.fspath(path))


class Partial:
    """``NAME.part`` beside ``NAME``: what was downloaded so far. ``NAME`` itself appears when all of it is there."""

    def __init__(self, name: LocalPath, *, resume: bool) -> None:
        self.name = os.fspath(name)
        self.path = f"{self.name}.part"
        self.resume = resume
        self.offset = 0
        if os.path.isdir(self.name):  # noqa: PTH112 - pathlib costs time to import
            raise InvalidArgument(f"{self.name} is a directory: name the file in it")
        if resume:
            try:
                self.offset = os.stat(self.path).st_size  # noqa: PTH116
            except FileNotFoundError:
                pass
            except OSError as error:
                raise local_error(error, self.path) from None

    def __enter__(self) -> Partial:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None:
            try:
                os.replace(self.path, self.name)  # noqa: PTH105
            except OSError as failed:
                self._discard()
                raise local_error(failed, self.name) from None
        elif not self.resume or not self._size():
            self._discard()

    def _size(self) -> int:
        try:
            return os.stat(self.path).st_size  # noqa: PTH116
        except OSError:
            return 0

    def _discard(self) -> None:
        # It was never made, or cannot be removed: the first error is the one to tell.
        with suppress(OSError):
            os.unlink(self.path)  # noqa: PTH108


def remote(path: str | bytes | os.PathLike[str]) -> bytes:
    """A path on the server as bytes: text is UTF-8, with surrogate escapes for what is not."""
    path = os.fspath(path)
    return path if isinstance(path, bytes) else path.encode("utf-8", "surrogateescape")
