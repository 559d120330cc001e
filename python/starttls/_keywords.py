"""The keyword arguments of sessions, once for each protocol: ``**options: Unpack[FTPOptions]``.

Imported for its types alone, and when a call has a keyword that there is not.
"""

from __future__ import annotations

from typing import TypedDict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from ssl import SSLContext
    from typing import Literal

    from ._mirror import FileReport
    from ._native import DKIM, TLSConfig
    from ._settings import ActiveMode, Timeout, Trace


class ConnectionOptions(TypedDict, total=False):
    """What every session can be told, and a connection on its own."""

    tls: TLSConfig | SSLContext | None
    """Whom to trust, and as whom to appear; or an ``ssl.SSLContext``, by which Python's own OpenSSL does TLS."""
    timeout: float | Timeout | None
    """Seconds for each stage, or a ``Timeout``."""
    trace: Trace
    """Called with a line for each event, without secrets; ``True`` logs them."""
    proxy: str | None
    """The URL of a proxy to connect through: ``socks5://`` or ``http://``."""
    local_address: str | None
    """An address of this machine to connect from."""


class SessionOptions(ConnectionOptions, total=False):
    """What every session can be told."""

    user: str | None
    """Who logs in, if the URL does not say it."""
    password: str | None
    """The password, if the URL does not say it."""


class MailOptions(SessionOptions, total=False):
    """What every session with a mail server can be told."""

    authzid: str | None
    """Whom to act as."""
    auth: str | None
    """The mechanism to log in by; the best that is offered, if there is none."""
    ehlo_name: str | None
    """How we introduce ourselves."""
    pipelining: bool
    """Whether commands go out together where the server takes that (``True``)."""
    chunking: bool
    """Whether bodies go in chunks where the server takes them (``True``)."""
    chunk_size: int | None
    """Bytes of a chunk (512 KiB)."""
    dkim: DKIM | None
    """What signs every message."""


class SMTPOptions(MailOptions, total=False):
    """The keyword arguments of ``SMTP`` and ``send``; ``SMTP`` says more about them."""

    token: str | Callable[[], str] | None
    """An OAuth 2.0 access token instead of a password, or what gives one."""


class AsyncSMTPOptions(MailOptions, total=False):
    """The keyword arguments of ``AsyncSMTP``; ``SMTP`` says more about them."""

    token: str | Callable[[], str | Awaitable[str]] | None
    """An OAuth 2.0 access token instead of a password, or what gives one, perhaps awaited."""


class SMTPPoolOptions(SMTPOptions, total=False):
    """The keyword arguments of ``SMTPPool`` and ``AsyncSMTPPool``."""

    connections: int
    """The most sessions at a time (4)."""
    idle: float
    """How many seconds a session may have been idle and still be used (50)."""
    messages: int
    """The most messages in one session (100)."""


class FTPOptions(SessionOptions, total=False):
    """The keyword arguments of ``FTP`` and ``AsyncFTP``; ``FTP`` says more about them."""

    account: str | None
    """The account, for servers that ask for one."""
    data_protection: Literal["private", "clear"]
    """Whether files and listings are protected (``"private"``)."""
    verify_uploads: bool
    """Whether sizes are compared after an upload (``True``)."""
    accept_missing_close_notify: bool
    """Whether a download is taken whose end is not proven (``False``)."""
    active: bool | ActiveMode
    """Whether the server opens the data connections (``False``), and where to."""
    session_binding: Literal["require", "prefer", "off"]
    """Whether data connections resume the control connection's TLS session (``"prefer"``)."""
    danger_use_announced_host: bool
    """Whether data connections go to whatever host the server names (``False``)."""
    max_connections: int | None
    """The most sessions that this process is to have with the server, further ones counted (no limit)."""
    compression: bool
    """Whether files and listings are compressed on the way where the server offers it (``False``)."""
    auth: Literal["tls", "ssl"]
    """The word of AUTH (``"tls"``)."""
    virtual_host: str | None
    """Which of the server's hosts is meant."""
    client_name: str | None
    """Who we say we are."""
    language: str | None
    """The language of replies."""
    pipelining: bool
    """Whether commands go out together where the server takes that (``True``)."""
    keep_alive: float | None
    """Seconds between signs of life during a transfer (none)."""
    encoding: str
    """How names are written (``"utf-8"``)."""
    fallback_encoding: str | None
    """How names are read that are not written so."""
    list_options: str | None
    """What LIST is told."""
    all_facts: bool
    """Whether every fact is asked for that the server can tell of an entry (``False``)."""


class MirrorOptions(TypedDict, total=False):
    """How a tree is made equal to another one: the keyword arguments of ``FTP.mirror``, which says more about them."""

    include: Iterable[str]
    """Patterns: only what one of them matches is taken."""
    exclude: Iterable[str]
    """Patterns of what is left out."""
    rules: Iterable[tuple[Literal["include", "exclude"], str]]
    """Both, in the order in which they are looked at."""
    compare: Literal["size+time", "size", "newer", "hash", "always"]
    """How to see whether a file is as it should be (``"size+time"``)."""
    symlinks: Literal["skip", "follow", "copy"]
    """What becomes of symbolic links (``"skip"``)."""
    delete: bool
    """Whether what the source does not have is deleted (``False``)."""
    max_delete: int | None
    """More than so many deletions are none."""
    dry_run: bool
    """Whether it is only told what would be done (``False``)."""
    parallel: int
    """The most sessions at a time (4)."""
    in_place: bool
    """Whether uploads have their names before they are whole (``False``)."""
    keep_times: bool
    """Whether the files' times are set (``True``)."""
    on_file: Callable[[FileReport], object] | None
    """Called with what became of each file."""


class OneMirrorOptions(FTPOptions, MirrorOptions, total=False):
    """The keyword arguments of ``mirror``: the session's and the mirror's."""


def check(function: str, given: Mapping[str, object]) -> None:
    """Raise the error for a keyword that a class or function of the package does not have, if there is one."""
    options = OneMirrorOptions if function == "mirror" else globals()[f"{function.removeprefix('Async')}Options"]
    known: Iterable[str] = options.__annotations__
    for name in given:
        if name not in known:
            from difflib import get_close_matches

            close = get_close_matches(name, known, n=1)
            advice = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(sorted(known))}"
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}: {advice}") from None
