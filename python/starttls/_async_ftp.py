"""Transferring files, awaited."""

from __future__ import annotations

from ._aio import Driver
from ._errors import InvalidArgument, InvalidState
from ._files import PIECE, check_mode, destination, is_async, seconds_of, source, suffix
from ._ftp import here, join
from ._native import FtpCommand, FtpSession, Host, RemoteFile
from ._session import AsyncSession, native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Mapping
    from datetime import datetime
    from typing import Literal, Self, TypeVar, Unpack

    from ._diagnosis import Diagnosis
    from ._files import Content, LocalPath, OnChange, Progress, Verify, Writer
    from ._ftp import RemotePath
    from ._keywords import FTPOptions, MirrorOptions
    from ._listing import AsyncListing
    from ._mirror import MirrorReport
    from ._native import Entry
    from ._results import CopyReceipt, Digest, Removal, Reply, TransferReceipt

    T = TypeVar("T")


class AsyncFTP(AsyncSession):
    """``FTP`` for asyncio: the same arguments and methods, awaited.

    An operation that is cancelled, by ``asyncio.timeout`` for one, leaves a session that can be used: the next one
    first makes sure that no reply is still to come, or replaces the session by a new one in the same directory,
    with the same account and language; what ``site`` and ``quote`` set is not set there.
    """

    __slots__ = ()

    _session: FtpSession

    def __init__(self, url: str, **options: Unpack[FTPOptions]) -> None:
        host = Host()
        self._driver = Driver(host, options.get("local_address"), resumes=True)
        self._session = native(FtpSession, "AsyncFTP", url, options, host=host)

    async def _run(self, command: FtpCommand[T]) -> T:
        return await self._driver.drive(self._session.start(command))

    async def connect(self) -> None:
        """Open the session, log in, and go to the URL's directory."""
        await super().connect()
        if self._session.path:
            try:
                await self._run(FtpCommand.cwd(self._session.path))
            except BaseException:
                await self.close()
                raise

    @property
    def features(self) -> dict[str, str]:
        """What the server offers: names in upper case, and their parameters."""
        return dict(self._session.offers)

    async def download(
        self,
        path: RemotePath,
        local: LocalPath | Writer,
        *,
        offset: int = 0,
        end: int | None = None,
        resume: bool = False,
        on_change: OnChange = "refuse",
        verify: Verify = "none",
        keep_times: bool = False,
        rate_limit: int | None = None,
        retries: int = 0,
        segments: int = 1,
        progress: Progress | None = None,
    ) -> TransferReceipt:
        """Download a file to a path or into a file object, as ``FTP.download`` does."""
        command = FtpCommand.download(
            self._session.encode(path),
            destination(local),
            offset=offset,
            end=end,
            resume=resume,
            on_change=on_change,
            verify=verify,
            keep_times=keep_times,
            rate_limit=rate_limit,
            retries=retries,
            segments=segments,
            progress=progress,
        )
        return await self._run(command)

    async def upload(
        self,
        local: LocalPath | Content | AsyncIterable[bytes],
        path: RemotePath,
        *,
        offset: int = 0,
        append: bool = False,
        resume: bool = False,
        on_change: OnChange = "refuse",
        part: bool | str = False,
        replace: bool = False,
        verify: Verify = "none",
        keep_times: bool = False,
        rate_limit: int | None = None,
        retries: int = 0,
        progress: Progress | None = None,
    ) -> TransferReceipt:
        """Upload content, as ``FTP.upload`` does; it may be an asynchronous iterable of bytes too.

        Of one of those, nothing can be asked but ``offset``, ``append`` and ``progress``.
        """
        if is_async(local):
            if resume or part or replace or keep_times or rate_limit or retries or verify != "none":
                raise InvalidArgument(
                    "what is awaited goes up as it comes: of options, it has offset, append and progress"
                )
            return await self._upload_pieces(local, path, offset, append, progress)
        content = source(local)  # type: ignore[arg-type] # not asynchronous
        command = FtpCommand.upload(
            content,
            self._session.encode(path),
            offset=offset,
            append=append,
            resume=resume,
            on_change=on_change,
            part=suffix(part),
            replace=replace,
            verify=verify,
            keep_times=keep_times,
            rate_limit=rate_limit,
            retries=retries,
            progress=progress,
        )
        return await self._run(command)

    async def _upload_pieces(
        self,
        pieces: AsyncIterable[bytes],
        path: RemotePath,
        offset: int,
        append: bool,
        progress: Progress | None,
    ) -> TransferReceipt:
        async with await self.open(path, "ab" if append else "wb", offset=offset) as file:
            done = offset
            async for piece in pieces:
                await file.write(piece)
                done += len(piece)
                if progress is not None:
                    progress(done, None)
            return await file.finish()

    async def open(
        self, path: RemotePath, mode: Literal["rb", "wb", "ab"] = "rb", *, offset: int = 0
    ) -> AsyncRemoteFile:
        """Open a remote file to read (``rb``), to replace (``wb``) or to add to (``ab``), in one transfer.

        The session can do nothing else until it is closed. See ``FTP.open``.
        """
        check_mode(mode)
        if mode == "rb":
            file = RemoteFile(self._session.encode(path))
            await self._run(FtpCommand.begin_file(file, offset=offset))
            return AsyncRemoteFile(self, file, offset)
        await self._run(FtpCommand.start_upload(self._session.encode(path), offset=offset, append=mode == "ab"))
        return AsyncRemoteFile(self, None, offset)

    def scandir(self, path: RemotePath = "") -> AsyncListing:
        """The entries of a directory, without ``.`` and ``..``, for ``async for``; the current one if none is named.

        Until its end, or until it is closed, the session can do nothing else: leave the loop early inside of an
        ``async with`` statement.
        """
        from ._listing import AsyncListing

        return AsyncListing(self, self._session.encode(path))

    async def listdir(self, path: RemotePath = "") -> list[str]:
        """The names in a directory."""
        return [entry.name async for entry in self.scandir(path)]

    async def walk(self, top: str = "", *, max_depth: int = 100) -> AsyncIterator[tuple[str, list[Entry], list[Entry]]]:
        """Each directory from ``top`` down, as ``FTP.walk`` does: ``async for``."""
        todo = [(top, 0)]
        while todo:
            directory, depth = todo.pop()
            entries = [entry async for entry in self.scandir(directory)]
            directories = [entry for entry in entries if entry.is_dir()]
            yield directory, directories, [entry for entry in entries if not entry.is_dir()]
            if depth < max_depth:
                inner = [entry.name for entry in directories if "/" not in entry.name]
                todo.extend((join(directory, name), depth + 1) for name in reversed(inner))

    async def names(self, path: RemotePath = "") -> list[str]:
        """The names in a directory, as ``FTP.names`` has them."""
        names = await self._run(FtpCommand.names(self._session.encode(path)))
        return [self._session.decode(name) for name in names]

    async def exists(self, path: RemotePath) -> bool:
        """Whether there is such a file or directory."""
        return await self._run(FtpCommand.exists(self._session.encode(path)))

    async def stat(self, path: RemotePath) -> Entry:
        """What is known about one file or directory."""
        return await self._run(FtpCommand.stat(self._session.encode(path)))

    async def remove(self, path: RemotePath) -> Reply:
        """Delete a file."""
        return await self._run(FtpCommand.remove(self._session.encode(path)))

    async def rename(self, old: RemotePath, new: RemotePath) -> Reply:
        """Rename or move a file or directory."""
        return await self._run(FtpCommand.rename(self._session.encode(old), self._session.encode(new)))

    async def mkdir(self, path: RemotePath) -> Reply:
        """Make a directory."""
        return await self._run(FtpCommand.mkdir(self._session.encode(path)))

    async def rmdir(self, path: RemotePath) -> Reply:
        """Remove an empty directory."""
        return await self._run(FtpCommand.rmdir(self._session.encode(path)))

    async def cwd(self, path: RemotePath) -> Reply:
        """Make a directory the current one."""
        return await self._run(FtpCommand.cwd(self._session.encode(path)))

    async def pwd(self) -> str:
        """The current directory."""
        return self._session.decode(await self._run(FtpCommand.pwd()))

    async def noop(self) -> Reply:
        """Ask for a sign of life."""
        return await self._run(FtpCommand.noop())

    async def login(self, user: str, password: str, *, account: str | None = None) -> None:
        """Log in as somebody else, over a new connection; the current directory is theirs then."""
        await self._run(FtpCommand.login(user, password, account=account))

    async def account(self, account: str) -> Reply:
        """Tell the account, to servers that ask for one for some operations only."""
        return await self._run(FtpCommand.account(account))

    async def status(self, path: RemotePath = "") -> Reply:
        """The state of the session, or what the server knows of a file or directory, in its own words."""
        return await self._run(FtpCommand.status(self._session.encode(path)))

    async def system(self) -> Reply:
        """The system's kind."""
        return await self._run(FtpCommand.system())

    async def help(self, topic: str = "") -> Reply:
        """What the server has to say of a command, or at large."""
        return await self._run(FtpCommand.help(topic))

    async def language(self, tag: str = "") -> Reply:
        """The language of replies from now on, also on a new connection; the server's own if none is named."""
        return await self._run(FtpCommand.language(tag))

    async def site(self, text: str | bytes) -> Reply:
        """A command of the server's own. What follows its first word is shown in traces only where it is no secret.

        What it sets (``UMASK``) holds for the connection: a session that takes this one's place is not told again.
        """
        return await self._run(FtpCommand.site(self._session.encode(text)))

    async def quote(self, command: str | bytes) -> Reply:
        """Any other command with one reply, as it is; none behind which the session would not be the same."""
        return await self._run(FtpCommand.quote(self._session.encode(command)))

    async def hash(
        self, path: RemotePath, algorithm: str | None = None, *, start: int | None = None, end: int | None = None
    ) -> Digest:
        """A file's digest as the server computes it, by the best algorithm it offers or the one named.

        With ``end``, of the bytes from ``start`` on and before ``end``.
        """
        return await self._run(FtpCommand.hash(self._session.encode(path), algorithm, start=start, end=end))

    async def copy_to(
        self, path: RemotePath, other: AsyncFTP, other_path: RemotePath, *, clear: bool = False, compare: bool = True
    ) -> CopyReceipt:
        """Copy a file to another server, without the way through here (FXP).

        ``other`` is a session with that server, open or not: one like it is opened for the copy. The servers must allow
        this. It goes under TLS where one of them can be the other's client (SSCN, CPSV), and in clear text only with
        ``clear``. With ``compare`` digests are compared where both servers compute the same.
        """
        return await self._run(
            FtpCommand.copy_to(
                self._session.encode(path),
                other._session,
                other._session.encode(other_path),
                clear=clear,
                compare=compare,
            )
        )

    async def chmod(self, path: RemotePath, mode: int) -> Reply:
        """Change a file's permissions: ``0o644``."""
        return await self._run(FtpCommand.chmod(self._session.encode(path), mode))

    async def set_modified(self, path: RemotePath, time: datetime | float) -> Reply:
        """Set when a file was last modified, to the second, by whatever command the server has for it."""
        return await self._run(FtpCommand.set_modified(self._session.encode(path), seconds_of(time)))

    async def set_created(self, path: RemotePath, time: datetime | float) -> Reply:
        """Set when a file was made."""
        return await self._run(FtpCommand.set_created(self._session.encode(path), seconds_of(time)))

    async def set_facts(self, path: RemotePath, facts: Mapping[str, str]) -> Reply:
        """Set facts of a file (MFF), such as ``UNIX.mode``."""
        return await self._run(FtpCommand.set_facts(self._session.encode(path), list(facts.items())))

    async def available(self, path: RemotePath = "") -> int:
        """Bytes of room in a directory."""
        return await self._run(FtpCommand.available(self._session.encode(path)))

    async def allocate(self, size: int) -> Reply:
        """Ask for room for the upload that comes next, where a server needs to know."""
        return await self._run(FtpCommand.allocate(size))

    async def makedirs(self, path: RemotePath) -> None:
        """Make a directory and those above it; it is no error if they are there."""
        await self._run(FtpCommand.makedirs(self._session.encode(path)))

    async def rmtree(self, path: RemotePath) -> Removal:
        """Remove a directory and everything in it. Symbolic links are removed, not followed.

        It goes on after what cannot be removed; the result tells what is left, and why.
        """
        return await self._run(FtpCommand.remove_tree(self._session.encode(path)))

    async def download_text(self, path: RemotePath, local: LocalPath | Writer) -> TransferReceipt:
        """Download lines: whatever the server's line ends are, they are line feeds here.

        Sizes differ then, so that the receipt is ``complete`` at most. A local file is written as the lines come.
        """
        return await self._run(FtpCommand.download_text(self._session.encode(path), destination(local)))

    async def upload_text(self, local: LocalPath | Content, path: RemotePath) -> TransferReceipt:
        """Upload lines that end in line feeds or CRLF; the server makes its own line ends of them."""
        return await self._run(FtpCommand.upload_text(source(local), self._session.encode(path)))

    async def upload_unique(
        self, local: LocalPath | Content, wish: RemotePath = ""
    ) -> tuple[TransferReceipt, str | None]:
        """Upload under a name that the server chooses, which it may tell. Some servers take a wish for it."""
        receipt, name = await self._run(FtpCommand.upload_unique(source(local), self._session.encode(wish)))
        return receipt, None if name is None else self._session.decode(name)

    async def mirror(
        self,
        source: RemotePath,
        destination: RemotePath,
        *,
        direction: Literal["download", "upload"] = "download",
        **options: Unpack[MirrorOptions],
    ) -> MirrorReport:
        """Make one directory equal to another, as ``FTP.mirror`` does."""
        from ._mirror import command

        remote, local = (destination, source) if direction == "upload" else (source, destination)
        return await self._run(command(remote, here(local), direction == "upload", **options))

    async def doctor(self, *, write_test: bool = False) -> Diagnosis:
        """Examine the server, as ``FTP.doctor`` does."""
        return await self._driver.drive(self._session.start_examine(self._session.path, write_test))


class AsyncRemoteFile:
    """A remote file: read it at any place, or piece by piece with ``async for``; or write to it, in one transfer.

    At the end of an ``async with`` statement it is finished, or given up if that failed or did not read it all.
    """

    def __init__(self, session: AsyncFTP, file: RemoteFile | None, at: int) -> None:
        self._ftp = session
        self._file = file
        self._at = at
        self._ended = False
        self._receipt: TransferReceipt | None = None

    def __del__(self) -> None:
        if not self._ended:
            self._ftp._session.abandon()

    @property
    def receipt(self) -> TransferReceipt | None:
        """The receipt, once it was read to its end or finished."""
        return self._receipt if self._file is None else self._file.receipt

    def _readable(self) -> RemoteFile:
        if self._file is None:
            raise InvalidState("this remote file was opened to write")
        if self._ended:
            raise InvalidState("this remote file is closed")
        return self._file

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._at

    async def seek(self, offset: int, whence: int = 0) -> int:
        """Read on elsewhere: from the beginning, from here (1) or from the end (2) on."""
        file = self._readable()
        if whence == 1:
            offset += self._at
        elif whence == 2:
            offset += await self._ftp._run(FtpCommand.file_size(file))
        if offset < 0:
            raise ValueError("no file begins before its beginning")
        self._at = offset
        return offset

    async def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes, all that are left if it is negative; none at the end."""
        pieces = []
        left = size
        while left:
            piece = await self._piece(PIECE if left < 0 else min(left, PIECE))
            if not piece:
                break
            pieces.append(piece)
            left = left if left < 0 else left - len(piece)
        return b"".join(pieces)

    async def _piece(self, size: int) -> bytes:
        piece = await self._ftp._run(FtpCommand.read_file(self._readable(), self._at, size))
        self._at += len(piece)
        return piece

    async def write(self, data: bytes) -> None:
        """Send these bytes."""
        if self._ended or self._file is not None:
            raise InvalidState("this transfer is over" if self._ended else "this remote file was opened to read")
        await self._ftp._run(FtpCommand.transmit(bytes(data)))

    async def finish(self) -> TransferReceipt:
        """End the transfer and judge it; a file that is read must be at its end."""
        if self._file is not None:
            if self._file.receipt is None:
                raise InvalidState("the download is not at its end yet: read the rest, or close it")
            self._ended = True
            return self._file.receipt
        if self._receipt is None:
            self._ended = True
            self._receipt = await self._ftp._run(FtpCommand.finish())
        return self._receipt

    async def close(self) -> None:
        """Give the transfer up, unless it was finished."""
        if not self._ended:
            self._ended = True
            if self._ftp._session.is_open:
                await self._ftp._run(FtpCommand.abort() if self._file is None else FtpCommand.close_file(self._file))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        piece = await self._piece(PIECE)
        if not piece:
            raise StopAsyncIteration
        return piece

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None and self._file is None:
            await self.finish()
        else:
            await self.close()
