"""Transferring files, one call after another."""

from __future__ import annotations

import os

from ._errors import InvalidArgument
from ._files import check_mode, destination, seconds_of, source, suffix
from ._native import FtpCommand, FtpSession
from ._session import Session, native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from typing import Any, Literal, Unpack

    from ._diagnosis import Diagnosis
    from ._files import Content, LocalPath, OnChange, Progress, Verify, Writer
    from ._keywords import FTPOptions, MirrorOptions, OneMirrorOptions
    from ._listing import Listing
    from ._mirror import MirrorReport
    from ._native import Entry
    from ._remote_file import RemoteReader, RemoteWriter
    from ._results import CopyReceipt, Digest, Removal, Reply, TransferReceipt

    RemotePath = str | bytes | os.PathLike[str]


def join(directory: str, name: str) -> str:
    """A path on the server."""
    if not directory or directory.endswith("/"):
        return directory + name
    return f"{directory}/{name}"


def here(path: RemotePath) -> str:
    """A local path, given as text, bytes or an object."""
    return os.fsdecode(path)


class FTP(Session):
    """A session with a server that keeps files.

    ``url`` is ``ftp://`` or ``ftpes://`` (port 21, AUTH TLS and protected data connections required) or ``ftps://``
    (port 990, TLS from the first byte), with ``user`` and ``password`` in it or beside it; without a user it is
    ``anonymous``. A path in it becomes the current directory. In a ``with`` statement it connects and logs in at the
    beginning, and says good-bye at the end.

    ``tls`` is a ``TLSConfig`` or an ``ssl.SSLContext``, ``timeout`` a number of seconds for each stage or a
    ``Timeout``. ``trace`` is called with a line for each event, without secrets; ``True`` logs them to
    ``starttls.ftp``. ``account`` is for servers that ask for one. ``data_protection="clear"`` sends files and listings
    in clear text. ``verify_uploads`` compares sizes after an upload. ``accept_missing_close_notify`` takes a download
    whose end is not proven.
    ``encoding`` is how names are written, ``fallback_encoding`` how those are shown that are not written so; without
    one they have surrogate escapes. ``list_options`` such as ``-a`` list with LIST and hand them to the server;
    ``all_facts`` asks for every fact that the server can tell of an entry.
    ``active`` has the server open the data connections to us (PORT, EPRT); an ``ActiveMode`` says on which ports, and
    which address to tell the server. ``session_binding`` says whether a data connection must resume the control
    connection's TLS session (``"require"``), does so where it can, or never does (``"off"``).
    ``compression`` has files and listings compressed on the way (MODE Z) where the server offers it: for slow networks,
    and not for secrets, since how well they compress shows.
    ``danger_use_announced_host`` lets data connections go wherever the server says, and not to the server alone.
    ``auth="ssl"`` asks old servers for TLS by AUTH SSL. ``virtual_host`` is which of the server's hosts is meant
    (HOST), ``client_name`` who we say we are (CLNT), ``language`` that of replies (LANG), such as ``pt-BR``. Without
    ``pipelining`` each command waits for the answer to the one before. ``keep_alive`` is a number of seconds after
    which a sign of life (NOOP) is given during a transfer, for what is in between and forgets silent connections.
    ``max_connections`` is the most sessions that this process is to have with the server: a ``mirror`` or a download in
    ``segments`` opens no further ones then. Without it, the server's word that there are too many is believed for five
    minutes.
    ``proxy`` is the URL of a proxy to connect through, ``socks5://[USER:PASSWORD@]HOST[:1080]`` or
    ``http://[USER:PASSWORD@]HOST[:80]``; ``local_address`` an address of this machine to connect from.
    """

    __slots__ = ()

    _session: FtpSession

    def __init__(self, url: str, **options: Unpack[FTPOptions]) -> None:
        self._session = native(FtpSession, "FTP", url, options, host=None)

    def connect(self) -> None:
        """Open the session, log in, and go to the URL's directory."""
        super().connect()
        if self._session.path:
            try:
                self._session.run(FtpCommand.cwd(self._session.path))
            except BaseException:
                self.close()
                raise

    @property
    def features(self) -> dict[str, str]:
        """What the server offers: names in upper case, and their parameters."""
        return dict(self._session.offers)

    def download(
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
        """Download a file to a path, or all or a part of it into a file object: from ``offset`` on, before ``end``.

        A path has the file only when it is whole: until then it is ``NAME.part``, which is removed if the download
        fails. With ``resume`` it is kept, and a ``NAME.part`` that is there is continued, if size and time are those
        it was begun with, and its end is the same on the server; else that is ``RemoteFileChanged``, or the download
        begins anew with ``on_change="restart"``.

        ``verify`` is what must agree beyond what every transfer proves: the ``"size"``, the ``"hash"`` (an error where
        the server computes none), or the ``"best"`` there is. ``keep_times`` gives a path the remote file's time,
        ``rate_limit`` is in bytes a second. After a failure of the network, and of nothing else, the download goes on
        up to ``retries`` times, in a new session if need be. ``segments`` downloads to a path by so many sessions at
        once. A part is ended by the server where it can (RANG); elsewhere the transfer is broken off when all of it is
        there, and ``complete`` at most. ``progress`` is called with the bytes so far and the total, if that is known.
        """
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
        return self._session.run(command)

    def upload(
        self,
        local: LocalPath | Content,
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
        """Upload a path, bytes, a binary file or an iterable of bytes.

        The remote file is replaced; with ``append`` it is added to. With ``offset`` it is overwritten from there on,
        by what a path or bytes have from there on, or by all that comes of a file object or iterable. Most servers keep
        what stands behind that, and some end the file there. A local file that cannot be read is an error before
        anything is sent.

        With ``part`` the file gets its name when it is whole: until then it is ``NAME.part``, or ``NAME`` and the
        suffix given. Where the server does not rename onto a file that is there, ``replace`` deletes it before.
        ``resume`` goes on where the remote file, or its part, ends, if that is the beginning of this file; else that is
        ``RemoteFileChanged``, or the upload begins anew with ``on_change="restart"``. ``keep_times`` gives the remote
        file a path's time. ``verify``, ``rate_limit`` and ``retries`` are as in ``download``; what can be read only
        once is not tried again. With ``append`` or ``offset`` they are about what is sent; ``resume`` and ``part`` are
        for whole files.
        """
        command = FtpCommand.upload(
            source(local),
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
        return self._session.run(command)

    def open(
        self, path: RemotePath, mode: Literal["rb", "wb", "ab"] = "rb", *, offset: int = 0
    ) -> RemoteReader | RemoteWriter:
        """Open a remote file to read (``rb``), to replace (``wb``) or to add to (``ab``), in one transfer.

        The session can do nothing else until it is closed. Closing a writer raises if the upload did not succeed.
        A file is read at any place, and written from ``offset`` on. It cannot be changed in the middle (``r+b``):
        servers differ in what becomes of what stands behind. Download it, change it here, and upload it with ``part``.
        """
        from ._remote_file import open_reader, open_writer

        check_mode(mode)
        if mode == "rb":
            return open_reader(self._session, self._session.encode(path), offset)
        return open_writer(self._session, self._session.encode(path), offset, append=mode == "ab")

    def scandir(self, path: RemotePath = "") -> Listing:
        """The entries of a directory, without ``.`` and ``..``; of the current one if none is named.

        An iterator that reads them as they are asked for, and a context manager. Until its end, or until it is closed,
        the session can do nothing else; ``list(ftp.scandir())`` has them all at once.
        """
        from ._listing import Listing

        return Listing(self._session, self._session.encode(path))

    def listdir(self, path: RemotePath = "") -> list[str]:
        """The names in a directory."""
        return [entry.name for entry in self.scandir(path)]

    def walk(self, top: str = "", *, max_depth: int = 100) -> Iterator[tuple[str, list[Entry], list[Entry]]]:
        """Each directory from ``top`` down, with the directories in it and the other entries.

        Symbolic links are not followed. Taking directories out of the list keeps them from being visited.
        """
        todo = [(top, 0)]
        while todo:
            directory, depth = todo.pop()
            entries = list(self.scandir(directory))
            directories = [entry for entry in entries if entry.is_dir()]
            yield directory, directories, [entry for entry in entries if not entry.is_dir()]
            if depth < max_depth:
                # A name with a slash would lead elsewhere.
                inner = [entry.name for entry in directories if "/" not in entry.name]
                todo.extend((join(directory, name), depth + 1) for name in reversed(inner))

    def names(self, path: RemotePath = "") -> list[str]:
        """The names in a directory, from NLST: nothing else is told of them."""
        names = self._session.run(FtpCommand.names(self._session.encode(path)))
        return [self._session.decode(name) for name in names]

    def exists(self, path: RemotePath) -> bool:
        """Whether there is such a file or directory."""
        return self._session.run(FtpCommand.exists(self._session.encode(path)))

    def stat(self, path: RemotePath) -> Entry:
        """What is known about one file or directory."""
        return self._session.run(FtpCommand.stat(self._session.encode(path)))

    def remove(self, path: RemotePath) -> Reply:
        """Delete a file."""
        return self._session.run(FtpCommand.remove(self._session.encode(path)))

    def rename(self, old: RemotePath, new: RemotePath) -> Reply:
        """Rename or move a file or directory."""
        return self._session.run(FtpCommand.rename(self._session.encode(old), self._session.encode(new)))

    def mkdir(self, path: RemotePath) -> Reply:
        """Make a directory."""
        return self._session.run(FtpCommand.mkdir(self._session.encode(path)))

    def rmdir(self, path: RemotePath) -> Reply:
        """Remove an empty directory."""
        return self._session.run(FtpCommand.rmdir(self._session.encode(path)))

    def cwd(self, path: RemotePath) -> Reply:
        """Make a directory the current one."""
        return self._session.run(FtpCommand.cwd(self._session.encode(path)))

    def pwd(self) -> str:
        """The current directory."""
        return self._session.decode(self._session.run(FtpCommand.pwd()))

    def noop(self) -> Reply:
        """Ask for a sign of life."""
        return self._session.run(FtpCommand.noop())

    def login(self, user: str, password: str, *, account: str | None = None) -> None:
        """Log in as somebody else, over a new connection; the current directory is theirs then."""
        self._session.run(FtpCommand.login(user, password, account=account))

    def account(self, account: str) -> Reply:
        """Tell the account, to servers that ask for one for some operations only."""
        return self._session.run(FtpCommand.account(account))

    def status(self, path: RemotePath = "") -> Reply:
        """The state of the session, or what the server knows of a file or directory, in its own words."""
        return self._session.run(FtpCommand.status(self._session.encode(path)))

    def system(self) -> Reply:
        """The system's kind."""
        return self._session.run(FtpCommand.system())

    def help(self, topic: str = "") -> Reply:
        """What the server has to say of a command, or at large."""
        return self._session.run(FtpCommand.help(topic))

    def language(self, tag: str = "") -> Reply:
        """The language of replies from now on, also on a new connection; the server's own if none is named."""
        return self._session.run(FtpCommand.language(tag))

    def site(self, text: str | bytes) -> Reply:
        """A command of the server's own. What follows its first word is shown in traces only where it is no secret.

        What it sets (``UMASK``) holds for the connection: a session that takes this one's place is not told again.
        """
        return self._session.run(FtpCommand.site(self._session.encode(text)))

    def quote(self, command: str | bytes) -> Reply:
        """Any other command with one reply, as it is; none behind which the session would not be the same."""
        return self._session.run(FtpCommand.quote(self._session.encode(command)))

    def hash(
        self, path: RemotePath, algorithm: str | None = None, *, start: int | None = None, end: int | None = None
    ) -> Digest:
        """A file's digest as the server computes it, by the best algorithm it offers or the one named.

        With ``end``, of the bytes from ``start`` on and before ``end``.
        """
        return self._session.run(FtpCommand.hash(self._session.encode(path), algorithm, start=start, end=end))

    def copy_to(
        self, path: RemotePath, other: FTP, other_path: RemotePath, *, clear: bool = False, compare: bool = True
    ) -> CopyReceipt:
        """Copy a file to another server, without the way through here (FXP).

        ``other`` is a session with that server, open or not: one like it is opened for the copy, in the directory of
        its URL. The servers must allow this. It goes under TLS where one of them can be the other's client (SSCN,
        CPSV), and in clear text only with ``clear``. With ``compare`` digests are compared where both servers compute
        the same.
        """
        return self._session.run(
            FtpCommand.copy_to(
                self._session.encode(path),
                other._session,
                other._session.encode(other_path),
                clear=clear,
                compare=compare,
            )
        )

    def chmod(self, path: RemotePath, mode: int) -> Reply:
        """Change a file's permissions: ``0o644``."""
        return self._session.run(FtpCommand.chmod(self._session.encode(path), mode))

    def set_modified(self, path: RemotePath, time: datetime | float) -> Reply:
        """Set when a file was last modified, to the second, by whatever command the server has for it."""
        return self._session.run(FtpCommand.set_modified(self._session.encode(path), seconds_of(time)))

    def set_created(self, path: RemotePath, time: datetime | float) -> Reply:
        """Set when a file was made."""
        return self._session.run(FtpCommand.set_created(self._session.encode(path), seconds_of(time)))

    def set_facts(self, path: RemotePath, facts: Mapping[str, str]) -> Reply:
        """Set facts of a file (MFF), such as ``UNIX.mode``."""
        return self._session.run(FtpCommand.set_facts(self._session.encode(path), list(facts.items())))

    def available(self, path: RemotePath = "") -> int:
        """Bytes of room in a directory."""
        return self._session.run(FtpCommand.available(self._session.encode(path)))

    def allocate(self, size: int) -> Reply:
        """Ask for room for the upload that comes next, where a server needs to know."""
        return self._session.run(FtpCommand.allocate(size))

    def makedirs(self, path: RemotePath) -> None:
        """Make a directory and those above it; it is no error if they are there."""
        self._session.run(FtpCommand.makedirs(self._session.encode(path)))

    def rmtree(self, path: RemotePath) -> Removal:
        """Remove a directory and everything in it. Symbolic links are removed, not followed.

        It goes on after what cannot be removed; the result tells what is left, and why.
        """
        return self._session.run(FtpCommand.remove_tree(self._session.encode(path)))

    def download_text(self, path: RemotePath, local: LocalPath | Writer) -> TransferReceipt:
        """Download lines: whatever the server's line ends are, they are line feeds here.

        Sizes differ then, so that the receipt is ``complete`` at most. A local file is written as the lines come.
        """
        return self._session.run(FtpCommand.download_text(self._session.encode(path), destination(local)))

    def upload_text(self, local: LocalPath | Content, path: RemotePath) -> TransferReceipt:
        """Upload lines that end in line feeds or CRLF; the server makes its own line ends of them."""
        return self._session.run(FtpCommand.upload_text(source(local), self._session.encode(path)))

    def upload_unique(self, local: LocalPath | Content, wish: RemotePath = "") -> tuple[TransferReceipt, str | None]:
        """Upload under a name that the server chooses, which it may tell. Some servers take a wish for it."""
        receipt, name = self._session.run(FtpCommand.upload_unique(source(local), self._session.encode(wish)))
        return receipt, None if name is None else self._session.decode(name)

    def mirror(
        self,
        source: RemotePath,
        destination: RemotePath,
        *,
        direction: Literal["download", "upload"] = "download",
        **options: Unpack[MirrorOptions],
    ) -> MirrorReport:
        """Make one directory equal to another: ``destination`` gets what ``source`` has.

        The source is the server's and the destination here, or with ``direction="upload"`` the other way. Files that
        are there and as they should be are not transferred again, so a mirror that was stopped is continued by the
        same call.

        ``exclude`` and ``include`` are patterns: ``*.log``, ``/top/**``, ``cache/``. What an ``exclude`` matches is
        left out, and not deleted either; with ``include``, only what one of them matches is taken. ``rules`` come
        before both, in order, as pairs of ``"include"`` or ``"exclude"`` and a pattern: the first that matches
        decides. ``compare`` tells how to see whether a file is as it should be; ``hash`` needs a server that computes
        digests. ``symlinks`` are left out, followed inside the tree, or copied as links (downloads only). With
        ``delete``, what the source does not have is deleted at the end, unless a directory could not be listed, the
        source is empty, or it would be more than ``max_delete``. ``dry_run`` only tells. ``parallel`` is the most
        sessions at a time. Uploads are ``NAME.part`` until they are whole, unless ``in_place``. ``keep_times`` sets
        the files' times, on servers that can.

        ``on_file`` is called with each ``FileReport``, as it comes; without it they are in the report's ``files``.
        What fails is told there, and the rest goes on.
        """
        from ._mirror import command

        remote, local = (destination, source) if direction == "upload" else (source, destination)
        return self._session.run(command(remote, here(local), direction == "upload", **options))

    def doctor(self, *, write_test: bool = False) -> Diagnosis:
        """Examine the server, whether the session is open or not: versions, resumption, passive addresses, listings,
        names, checksums, clocks; what is wrong, why, and what would help.

        It takes sessions of its own, and fails at nothing: what goes wrong is what it is about. Credentials are sent
        only to a server that is trusted. With ``write_test`` a file of a few bytes is uploaded to the URL's directory,
        looked at, and deleted; without it nothing is changed.
        """
        return self._session.examine(self._session.path, write_test)


def doctor(url: str, *, write_test: bool = False, **options: Unpack[FTPOptions]) -> Diagnosis:
    """Examine a server, as ``FTP.doctor`` does; the URL's path is the directory that is looked at.

    The other arguments are those of ``FTP``.
    """
    return FTP(url, **options).doctor(write_test=write_test)


def mirror(
    source: str | os.PathLike[str], destination: str | os.PathLike[str], **options: Unpack[OneMirrorOptions]
) -> MirrorReport:
    """Make one directory equal to another, as ``FTP.mirror`` does; one of them is a URL.

    The arguments are those of ``FTP.mirror`` and ``FTP``.
    """
    from ._mirror import command

    upload = "://" in os.fspath(destination)
    if upload == ("://" in os.fspath(source)):
        raise InvalidArgument("one of the two directories is a URL, and the other one is here")
    url, local = (destination, source) if upload else (source, destination)
    given: dict[str, Any] = dict(options)
    of_mirror = {name: given.pop(name) for name in command.__kwdefaults__ or () if name in given}
    session = native(FtpSession, "mirror", os.fspath(url), given, host=None)
    wanted = command(session.path, local, upload, **of_mirror)
    session.connect()
    try:
        return session.run(wanted)
    finally:
        session.close()


def download(
    url: str,
    local: LocalPath | Writer,
    *,
    resume: bool = False,
    on_change: OnChange = "refuse",
    verify: Verify = "none",
    keep_times: bool = False,
    rate_limit: int | None = None,
    retries: int = 0,
    segments: int = 1,
    progress: Progress | None = None,
    **options: Unpack[FTPOptions],
) -> TransferReceipt:
    """Download one file in a session of its own; the URL's path is the file.

    The arguments are those of ``FTP.download`` and ``FTP``.
    """
    session = FTP(url, **options)
    with _for_one_file(session) as path:
        return session.download(
            path,
            local,
            resume=resume,
            on_change=on_change,
            verify=verify,
            keep_times=keep_times,
            rate_limit=rate_limit,
            retries=retries,
            segments=segments,
            progress=progress,
        )


def upload(
    local: LocalPath | Content,
    url: str,
    *,
    resume: bool = False,
    on_change: OnChange = "refuse",
    part: bool | str = False,
    replace: bool = False,
    verify: Verify = "none",
    keep_times: bool = False,
    rate_limit: int | None = None,
    retries: int = 0,
    progress: Progress | None = None,
    **options: Unpack[FTPOptions],
) -> TransferReceipt:
    """Upload one file in a session of its own; the URL's path is the file.

    The arguments are those of ``FTP.upload`` and ``FTP``.
    """
    session = FTP(url, **options)
    with _for_one_file(session) as path:
        return session.upload(
            local,
            path,
            resume=resume,
            on_change=on_change,
            part=part,
            replace=replace,
            verify=verify,
            keep_times=keep_times,
            rate_limit=rate_limit,
            retries=retries,
            progress=progress,
        )


class _for_one_file:
    """The session of a one-shot, connected; the path in its URL is the file's."""

    def __init__(self, session: FTP) -> None:
        self._session = session._session

    def __enter__(self) -> bytes:
        if not self._session.path:
            raise InvalidArgument("the URL names no file: ftp://host/path/of/the/file")
        self._session.connect()
        return self._session.path

    def __exit__(self, *exception: object) -> None:
        self._session.close()
