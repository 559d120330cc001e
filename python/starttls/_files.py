"""Local content: files, file objects, bytes and iterables, and files that appear only when they are whole."""

from __future__ import annotations

import io
import os

from ._errors import InvalidArgument, LocalError, LocalFileNotFound, LocalPermissionDenied

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Iterable, Iterator
    from datetime import datetime
    from typing import BinaryIO, Literal, Protocol, TypeGuard

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
    Verify = Literal["none", "size", "hash", "best"]
    OnChange = Literal["refuse", "restart"]

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


def destination(local: LocalPath | Writer) -> LocalPath | Callable[[bytes], object]:
    """Where a download goes, as the native module takes it."""
    return local if isinstance(local, str | os.PathLike) else local.write


def suffix(part: bool | str) -> str | None:
    """What comes behind an upload's name until it is whole."""
    return (".part" if part else None) if isinstance(part, bool) else part or None


def check_mode(mode: str) -> None:
    """Whether remote files are opened so: a file is written from somewhere on, and never changed in the middle."""
    if mode in ("rb", "wb", "ab"):
        return
    if "+" in mode:
        raise InvalidArgument(
            f"no server promises to keep what stands behind what is written over, so there is no {mode}: download the "
            "file, change it here, and upload it with part=True; or overwrite it from an offset to its end"
        )
    raise InvalidArgument(f"a remote file is opened with rb, wb or ab and not with {mode}; io.TextIOWrapper reads text")


def remote(path: str | bytes | os.PathLike[str]) -> bytes:
    """A path on the server as bytes: text is UTF-8, with surrogate escapes for what is not."""
    path = os.fspath(path)
    return path if isinstance(path, bytes) else path.encode("utf-8", "surrogateescape")


def seconds_of(time: datetime | float) -> float:
    """A moment as seconds since 1970; one without a time zone is local time, as ``datetime`` has it."""
    return time if isinstance(time, int | float) else time.timestamp()
