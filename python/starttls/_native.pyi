"""The core, as the package uses it."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from ssl import SSLContext
from typing import Any, Generic, Literal, TypeVar, final

from ._diagnosis import Diagnosis
from ._mirror import FileReport, MirrorReport
from ._results import (
    Certificate,
    CopyReceipt,
    DeliveryReport,
    Digest,
    LoginInfo,
    Presented,
    Removal,
    Reply,
    StoredServer,
    TLSInfo,
    TransferReceipt,
)

__all__ = [
    "DKIM",
    "ConnectionCommand",
    "ConnectionSession",
    "Entry",
    "FtpCommand",
    "FtpSession",
    "HeaderReader",
    "Host",
    "Identity",
    "Operation",
    "RemoteFile",
    "Routes",
    "SessionStore",
    "SmtpCommand",
    "SmtpPool",
    "SmtpSession",
    "SmtpSetup",
    "TLSConfig",
    "Wishes",
    "envelope_of",
    "forget_server",
    "read_certificate",
    "tls_warnings",
    "with_ascii_domain",
]

_T_co = TypeVar("_T_co", covariant=True)
_T = TypeVar("_T")
_Path = str | os.PathLike[str]
_Message = bytes | _Path | Iterable[bytes]
_Progress = Callable[[int, int | None], object]
_Stages = tuple[float | None, float | None, float | None, float | None, float | None, float | None]
_Active = tuple[tuple[int, int] | None, str | None]

def forget_server(url: str) -> None: ...
def read_certificate(der: bytes) -> Certificate | None: ...
def tls_warnings(chain: Sequence[bytes], verified_by: str, mta_sts: str | None) -> list[str]: ...

@final
class Identity:
    def __new__(
        cls, certificate: _Path | bytes, key: _Path | bytes | None = None, *, passphrase: str | None = None
    ) -> Identity: ...

@final
class TLSConfig:
    def __new__(
        cls,
        *,
        ca_file: _Path | None = None,
        ca_folder: _Path | None = None,
        ca_store: str | None = None,
        ca_data: str | bytes | None = None,
        and_platform: bool = False,
        client_cert: _Path | bytes | None = None,
        client_key: _Path | bytes | None = None,
        client_passphrase: str | None = None,
        identities: Sequence[Identity] | None = None,
        pins: Sequence[str | bytes] | None = None,
        certificate_pins: Sequence[str | bytes] | None = None,
        tlsa: Sequence[str] | None = None,
        mta_sts: str | None = None,
        crls: Sequence[_Path | bytes] | None = None,
        unknown_revocation: Literal["refuse", "allow"] = "refuse",
        minimum_version: Literal["1.2", "1.3", "TLSv1.2", "TLSv1.3"] | None = None,
        maximum_version: Literal["1.2", "1.3", "TLSv1.2", "TLSv1.3"] | None = None,
        cipher_suites: Sequence[str] | None = None,
        groups: Sequence[str] | None = None,
        alpn: Sequence[str] | None = None,
        server_name: str | None = None,
        sni: bool = True,
        key_log: _Path | Callable[[str], object] | None = None,
        sessions: SessionStore | None = None,
        check: Callable[[Presented], bool | str] | None = None,
        danger_check: Callable[[Presented], bool | str] | None = None,
        danger_accept_any_certificate: bool = False,
    ) -> TLSConfig: ...

@final
class SessionStore:
    def __new__(cls, capacity: int = 100) -> SessionStore: ...
    def servers(self) -> list[StoredServer]: ...
    def remove(self, server_name: str) -> int: ...
    def clear(self) -> None: ...
    def __len__(self) -> int: ...
    def __bool__(self) -> Literal[True]: ...

@final
class DKIM:
    def __new__(
        cls,
        domain: str,
        selector: str,
        key: _Path | bytes,
        *,
        fields: Sequence[str] | None = None,
        expires_after: float | None = None,
    ) -> DKIM: ...
    def sign(self, message: bytes) -> bytes: ...

@final
class Host:
    def __new__(cls) -> Host: ...
    def take_requests(self) -> list[tuple[Any, ...]]: ...
    def connected(self, channel: int, peer: Any = None, local: Any = None) -> None: ...
    def listening(self, channel: int, address: Any) -> None: ...
    def accepted(self, channel: int, peer: Any = None) -> int | None: ...
    def slept(self, channel: int) -> None: ...
    def received(self, channel: int, data: bytes) -> bool: ...
    def wants_more(self, channel: int) -> bool: ...
    def received_eof(self, channel: int) -> None: ...
    def written(self, channel: int, count: int) -> bool: ...
    @staticmethod
    def in_order(addresses: list[str], local: str | None = None) -> list[int]: ...
    def unreached(self, channel: int, attempts: list[tuple[str, int, BaseException]]) -> None: ...
    def failed(self, channel: int, error: BaseException) -> None: ...

@final
class Operation(Generic[_T_co]):
    def poll(self) -> bool: ...
    def result(self) -> _T_co: ...
    def cancel(self) -> None: ...

@final
class HeaderReader:
    def __new__(cls) -> HeaderReader: ...
    def push(self, piece: bytes) -> int | None: ...

def envelope_of(message: bytes) -> tuple[str, list[str], bool]: ...
def with_ascii_domain(address: str) -> str: ...

@final
class SmtpCommand(Generic[_T_co]):
    @staticmethod
    def send(
        message: _Message,
        *,
        sender: str | None = None,
        recipients: Iterable[str] | None = None,
        header: bytes | None = None,
        wishes: Wishes | None = None,
        progress: _Progress | None = None,
    ) -> SmtpCommand[DeliveryReport]: ...
    @staticmethod
    def begin(
        header: HeaderReader,
        *,
        sender: str | None = None,
        recipients: Iterable[str] | None = None,
        wishes: Wishes | None = None,
    ) -> SmtpCommand[None]: ...
    @staticmethod
    def write(piece: bytes) -> SmtpCommand[None]: ...
    @staticmethod
    def finish() -> SmtpCommand[DeliveryReport]: ...
    @staticmethod
    def submit(
        messages: list[Any],
        prepare: Callable[
            [Any], tuple[bytes | _Path | Iterable[bytes], str | None, Iterable[str] | None, bytes | None]
        ],
        wishes: Wishes | None = None,
    ) -> SmtpCommand[tuple[list[DeliveryReport], bool]]: ...
    @staticmethod
    def drain() -> SmtpCommand[tuple[list[DeliveryReport], bool]]: ...
    @staticmethod
    def noop() -> SmtpCommand[Reply]: ...
    @staticmethod
    def rset() -> SmtpCommand[Reply]: ...
    @staticmethod
    def vrfy(address: str) -> SmtpCommand[Reply]: ...
    @staticmethod
    def expn(name: str) -> SmtpCommand[Reply]: ...
    @staticmethod
    def etrn(domain: str) -> SmtpCommand[Reply]: ...
    @staticmethod
    def help(topic: str | None = None) -> SmtpCommand[Reply]: ...
    @staticmethod
    def xclient(attributes: list[tuple[str, str | None]]) -> SmtpCommand[None]: ...

@final
class Wishes:
    def __new__(
        cls,
        *,
        recipient_policy: str,
        line_ends: str,
        body: str | None,
        dsn_return: str | None,
        envelope_id: str | None,
        notify: list[tuple[str | None, str]],
        original_recipients: list[tuple[str | None, str]],
        deliver_by: tuple[int, str, bool] | None,
        priority: int | None,
        hold_for: float | None,
        hold_until: float | None,
        require_tls: bool,
        submitter: str | None,
        parameters: list[tuple[str, str | None]],
        recipient_parameters: list[tuple[str | None, tuple[str, str | None]]],
        not_offered: str,
    ) -> Wishes: ...

@final
class SmtpSetup:
    def __new__(
        cls,
        url: str | Routes,
        *,
        user: str | None = None,
        password: str | None = None,
        token: str | Callable[[], str] | None = None,
        authzid: str | None = None,
        auth: str | None = None,
        tls: TLSConfig | SSLContext | None = None,
        timeout: float | _Stages | None = None,
        trace: Callable[[str], object] | None = None,
        ehlo_name: str | None = None,
        pipelining: bool = True,
        chunking: bool = True,
        chunk_size: int | None = None,
        proxy: str | None = None,
        local_address: str | None = None,
        dkim: DKIM | None = None,
    ) -> SmtpSetup: ...

@final
class SmtpSession:
    def __new__(cls, setup: SmtpSetup, *, host: Host | None = None) -> SmtpSession: ...
    @property
    def url(self) -> str: ...
    @property
    def is_open(self) -> bool: ...
    @property
    def tls(self) -> TLSInfo | None: ...
    @property
    def seven_bit(self) -> bool: ...
    @property
    def login(self) -> LoginInfo | None: ...
    @property
    def offers(self) -> list[tuple[str, str]]: ...
    def connect(self) -> None: ...
    def close(self) -> None: ...
    def run(self, command: SmtpCommand[_T]) -> _T: ...
    def run_last(self, command: SmtpCommand[_T]) -> _T: ...
    def start_connect(self) -> Operation[None]: ...
    def start_close(self) -> Operation[None]: ...
    def start(self, command: SmtpCommand[_T]) -> Operation[_T]: ...
    def start_last(self, command: SmtpCommand[_T]) -> Operation[_T]: ...

@final
class Routes:
    def __new__(cls, *urls: str) -> Routes: ...
    @staticmethod
    def from_srv(
        domain: str,
        *,
        submissions: Sequence[tuple[int, int, int, str]] = ...,
        submission: Sequence[tuple[int, int, int, str]] = ...,
        secure: bool,
    ) -> Routes: ...
    @property
    def urls(self) -> list[str]: ...
    @property
    def server_names(self) -> list[str]: ...

@final
class SmtpPool:
    def __new__(
        cls,
        setup: SmtpSetup,
        *,
        connections: int = 4,
        idle: float = 50.0,
        messages: int = 100,
        host: Host | None = None,
    ) -> SmtpPool: ...
    @property
    def url(self) -> str: ...
    @property
    def sessions(self) -> tuple[int, int]: ...
    def run(self, command: SmtpCommand[_T]) -> _T: ...
    def close(self) -> None: ...
    def start(self, command: SmtpCommand[_T]) -> Operation[_T]: ...
    def start_close(self) -> Operation[None]: ...

@final
class Entry:
    """One entry of a directory on the server: what its line in the listing tells."""

    def __new__(
        cls,
        raw_name: bytes,
        type: Literal["file", "directory", "symlink", "other"],  # noqa: A002 - the attribute's name
        size: int | None = None,
        modified: float | None = None,
        permissions: str | None = None,
        raw_target: bytes | None = None,
        *,
        owner: str | None = None,
        group: str | None = None,
        facts: Mapping[str, str] | None = None,
        time_precision: Literal["day", "minute", "second"] | None = None,
        is_time_utc: bool = False,
        dialect: str = "mlsd",
        encoding: str = "utf-8",
        fallback_encoding: str | None = None,
    ) -> Entry: ...
    @property
    def raw_name(self) -> bytes:
        """The name as the server sent it."""
    @property
    def name(self) -> str:
        """The name as text: in the session's encoding, else in its fall-back, else in UTF-8 with surrogate escapes, so
        that it can be used as a path."""
    @property
    def type(self) -> Literal["file", "directory", "symlink", "other"]:
        """What it is."""
    @property
    def size(self) -> int | None:
        """Size of a file in bytes, if told exactly."""
    @property
    def modified(self) -> datetime | None:
        """When it was last modified, in UTC, if told. Listings made for people tell it to the minute or day, in the
        server's own time zone, taken as UTC here."""
    @property
    def time_precision(self) -> Literal["day", "minute", "second"] | None:
        """How exactly ``modified`` is told."""
    @property
    def is_time_utc(self) -> bool:
        """Whether ``modified`` is in UTC for certain."""
    @property
    def permissions(self) -> str | None:
        """The permissions as the server wrote them: MLSD's ``perm`` fact, or ``rwxr-xr-x``."""
    @property
    def target(self) -> str | None:
        """Where a symbolic link points, if told."""
    @property
    def raw_target(self) -> bytes | None:
        """The same as the server sent it."""
    @property
    def owner(self) -> str | None:
        """The owner as the server names it: a name or a number."""
    @property
    def group(self) -> str | None:
        """The group as the server names it: a name or a number."""
    @property
    def mode(self) -> int | None:
        """The permission bits of Unix, if told."""
    @property
    def perm(self) -> str | None:
        """MLSD's ``perm`` fact: what the user may do with it, a letter each."""
    @property
    def unique(self) -> str | None:
        """MLSD's ``unique`` fact: two names of one file have the same."""
    @property
    def created(self) -> datetime | None:
        """MLSD's ``create`` fact: when it was made."""
    @property
    def media_type(self) -> str | None:
        """MLSD's ``media-type`` fact."""
    @property
    def charset(self) -> str | None:
        """MLSD's ``charset`` fact: the character set of the content."""
    @property
    def lang(self) -> str | None:
        """MLSD's ``lang`` fact: the language of the content."""
    @property
    def facts(self) -> dict[str, str]:
        """All facts that MLSD or MLST tell, by their names in lower case."""
    @property
    def dialect(self) -> str:
        """The form of the listing it came in: ``mlsd``, ``unix``, ``dos``, and so on."""
    def is_file(self) -> bool:
        """Whether it is a file."""
    def is_dir(self) -> bool:
        """Whether it is a directory."""
    def is_symlink(self) -> bool:
        """Whether it is a symbolic link."""
    def is_safe_name(self) -> bool:
        """Whether the name is one component of a local path and nothing else: no ``..``, no separator, no drive, no
        control character."""
    def to_dict(self) -> dict[str, Any]:
        """What is known, as dictionaries, strings, numbers and ``None``."""
    def to_json(self) -> str:
        """``to_dict`` as JSON, in one line."""
    def __hash__(self) -> int: ...

@final
class RemoteFile:
    def __new__(cls, path: bytes) -> RemoteFile: ...
    @property
    def receipt(self) -> TransferReceipt | None: ...

@final
class FtpCommand(Generic[_T_co]):
    @staticmethod
    def download(
        path: bytes,
        into: _Path | Callable[[bytes], object],
        *,
        offset: int = 0,
        end: int | None = None,
        resume: bool = False,
        on_change: str = "refuse",
        verify: str = "none",
        keep_times: bool = False,
        rate_limit: int | None = None,
        retries: int = 0,
        segments: int = 1,
        progress: _Progress | None = None,
    ) -> FtpCommand[TransferReceipt]: ...
    @staticmethod
    def upload(
        content: bytes | _Path | Iterable[bytes],
        path: bytes,
        *,
        offset: int = 0,
        append: bool = False,
        resume: bool = False,
        on_change: str = "refuse",
        part: str | None = None,
        replace: bool = False,
        verify: str = "none",
        keep_times: bool = False,
        rate_limit: int | None = None,
        retries: int = 0,
        progress: _Progress | None = None,
    ) -> FtpCommand[TransferReceipt]: ...
    @staticmethod
    def start_download(path: bytes, *, offset: int = 0) -> FtpCommand[None]: ...
    @staticmethod
    def begin_file(file: RemoteFile, *, offset: int = 0) -> FtpCommand[None]: ...
    @staticmethod
    def read_file(file: RemoteFile, offset: int, size: int) -> FtpCommand[bytes]: ...
    @staticmethod
    def file_size(file: RemoteFile) -> FtpCommand[int]: ...
    @staticmethod
    def close_file(file: RemoteFile) -> FtpCommand[None]: ...
    @staticmethod
    def receive() -> FtpCommand[bytes]: ...
    @staticmethod
    def start_upload(path: bytes, *, offset: int = 0, append: bool = False) -> FtpCommand[None]: ...
    @staticmethod
    def transmit(piece: bytes) -> FtpCommand[None]: ...
    @staticmethod
    def finish() -> FtpCommand[TransferReceipt]: ...
    @staticmethod
    def abort() -> FtpCommand[None]: ...
    @staticmethod
    def entries(path: bytes) -> FtpCommand[list[Entry]]: ...
    @staticmethod
    def start_listing(path: bytes) -> FtpCommand[None]: ...
    @staticmethod
    def next_entries() -> FtpCommand[tuple[list[Entry], int]]: ...
    @staticmethod
    def names(path: bytes) -> FtpCommand[list[bytes]]: ...
    @staticmethod
    def exists(path: bytes) -> FtpCommand[bool]: ...
    @staticmethod
    def stat(path: bytes) -> FtpCommand[Entry]: ...
    @staticmethod
    def remove(path: bytes) -> FtpCommand[Reply]: ...
    @staticmethod
    def rename(old: bytes, new: bytes) -> FtpCommand[Reply]: ...
    @staticmethod
    def mkdir(path: bytes) -> FtpCommand[Reply]: ...
    @staticmethod
    def rmdir(path: bytes) -> FtpCommand[Reply]: ...
    @staticmethod
    def cwd(path: bytes) -> FtpCommand[Reply]: ...
    @staticmethod
    def pwd() -> FtpCommand[bytes]: ...
    @staticmethod
    def mirror(
        remote: bytes,
        local: _Path,
        *,
        upload: bool,
        rules: list[tuple[bool, str]],
        compare: str,
        symlinks: str,
        delete: bool,
        max_delete: int | None,
        dry_run: bool,
        parallel: int,
        in_place: bool,
        keep_times: bool,
        on_file: Callable[[FileReport], object] | None,
    ) -> FtpCommand[MirrorReport]: ...
    @staticmethod
    def noop() -> FtpCommand[Reply]: ...
    @staticmethod
    def login(user: str, password: str, *, account: str | None = None) -> FtpCommand[None]: ...
    @staticmethod
    def account(account: str) -> FtpCommand[Reply]: ...
    @staticmethod
    def status(path: bytes) -> FtpCommand[Reply]: ...
    @staticmethod
    def system() -> FtpCommand[Reply]: ...
    @staticmethod
    def help(topic: str) -> FtpCommand[Reply]: ...
    @staticmethod
    def language(tag: str) -> FtpCommand[Reply]: ...
    @staticmethod
    def site(text: bytes) -> FtpCommand[Reply]: ...
    @staticmethod
    def quote(command: bytes) -> FtpCommand[Reply]: ...
    @staticmethod
    def chmod(path: bytes, mode: int) -> FtpCommand[Reply]: ...
    @staticmethod
    def set_modified(path: bytes, time: float) -> FtpCommand[Reply]: ...
    @staticmethod
    def set_created(path: bytes, time: float) -> FtpCommand[Reply]: ...
    @staticmethod
    def set_facts(path: bytes, facts: list[tuple[str, str]]) -> FtpCommand[Reply]: ...
    @staticmethod
    def available(path: bytes) -> FtpCommand[int]: ...
    @staticmethod
    def allocate(size: int) -> FtpCommand[Reply]: ...
    @staticmethod
    def makedirs(path: bytes) -> FtpCommand[None]: ...
    @staticmethod
    def remove_tree(path: bytes) -> FtpCommand[Removal]: ...
    @staticmethod
    def download_text(path: bytes, into: _Path | Callable[[bytes], object]) -> FtpCommand[TransferReceipt]: ...
    @staticmethod
    def upload_text(content: bytes | _Path | Iterable[bytes], path: bytes) -> FtpCommand[TransferReceipt]: ...
    @staticmethod
    def upload_unique(
        content: bytes | _Path | Iterable[bytes], wish: bytes
    ) -> FtpCommand[tuple[TransferReceipt, bytes | None]]: ...
    @staticmethod
    def copy_to(
        path: bytes, other: FtpSession, to: bytes, *, clear: bool = False, compare: bool = True
    ) -> FtpCommand[CopyReceipt]: ...
    @staticmethod
    def hash(
        path: bytes, algorithm: str | None = None, *, start: int | None = None, end: int | None = None
    ) -> FtpCommand[Digest]: ...

@final
class ConnectionCommand(Generic[_T_co]):
    @staticmethod
    def read_line(limit: int) -> ConnectionCommand[bytes | None]: ...
    @staticmethod
    def read(most: int) -> ConnectionCommand[bytes]: ...
    @staticmethod
    def read_exactly(count: int) -> ConnectionCommand[bytes]: ...
    @staticmethod
    def read_until(separator: bytes, limit: int) -> ConnectionCommand[bytes]: ...
    @staticmethod
    def write(data: bytes) -> ConnectionCommand[None]: ...
    @staticmethod
    def start_tls() -> ConnectionCommand[None]: ...
    @staticmethod
    def upgrade(protocol: str) -> ConnectionCommand[bytes]: ...
    @staticmethod
    def shutdown() -> ConnectionCommand[None]: ...

@final
class ConnectionSession:
    def __new__(
        cls,
        name: str | None,
        port: int,
        *,
        security: Literal["upgrade", "implicit", "plaintext"] = "upgrade",
        server_name: str | None = None,
        tls: TLSConfig | SSLContext | None = None,
        timeout: float | _Stages | None = None,
        trace: Callable[[str], object] | None = None,
        proxy: str | None = None,
        local_address: str | None = None,
        host: Host | None = None,
    ) -> ConnectionSession: ...
    @property
    def url(self) -> str: ...
    @property
    def is_open(self) -> bool: ...
    @property
    def tls(self) -> TLSInfo | None: ...
    @property
    def channel_binding(self) -> tuple[str, bytes] | None: ...
    @property
    def peer_address(self) -> tuple[str, int] | None: ...
    def connect(self) -> None: ...
    def close(self) -> None: ...
    def run(self, command: ConnectionCommand[_T]) -> _T: ...
    def start_connect(self) -> Operation[None]: ...
    def start_close(self) -> Operation[None]: ...
    def start(self, command: ConnectionCommand[_T]) -> Operation[_T]: ...

@final
class FtpSession:
    def __new__(
        cls,
        url: str,
        *,
        user: str | None = None,
        password: str | None = None,
        account: str | None = None,
        tls: TLSConfig | SSLContext | None = None,
        timeout: float | _Stages | None = None,
        trace: Callable[[str], object] | None = None,
        data_protection: Literal["private", "clear"] = "private",
        verify_uploads: bool = True,
        accept_missing_close_notify: bool = False,
        active: _Active | None = None,
        session_binding: Literal["require", "prefer", "off"] = "prefer",
        danger_use_announced_host: bool = False,
        compression: bool = False,
        max_connections: int | None = None,
        auth: Literal["tls", "ssl"] = "tls",
        virtual_host: str | None = None,
        client_name: str | None = None,
        language: str | None = None,
        pipelining: bool = True,
        keep_alive: float | None = None,
        proxy: str | None = None,
        local_address: str | None = None,
        encoding: str = "utf-8",
        fallback_encoding: str | None = None,
        list_options: str | None = None,
        all_facts: bool = False,
        host: Host | None = None,
    ) -> FtpSession: ...
    @property
    def url(self) -> str: ...
    @property
    def path(self) -> bytes: ...
    def abandon(self) -> None: ...
    @property
    def is_open(self) -> bool: ...
    @property
    def tls(self) -> TLSInfo | None: ...
    @property
    def offers(self) -> list[tuple[str, str]]: ...
    def encode(self, path: str | bytes | os.PathLike[str]) -> bytes: ...
    def decode(self, path: bytes) -> str: ...
    def connect(self) -> None: ...
    def close(self) -> None: ...
    def run(self, command: FtpCommand[_T]) -> _T: ...
    def start_connect(self) -> Operation[None]: ...
    def start_close(self) -> Operation[None]: ...
    def start(self, command: FtpCommand[_T]) -> Operation[_T]: ...
    def examine(self, directory: bytes, write_test: bool) -> Diagnosis: ...
    def start_examine(self, directory: bytes, write_test: bool) -> Operation[Diagnosis]: ...
