"""SMTP and FTP clients whose connections become TLS in place, verified and required by default.

>>> import starttls
>>> with starttls.SMTP("smtp://ann@mail.example.org", password=...) as smtp:  # doctest: +SKIP
...     smtp.send(message)
>>> with starttls.FTP("ftp://ann@files.example.org/reports", password=...) as ftp:  # doctest: +SKIP
...     ftp.download("july.pdf", "july.pdf")

Nothing is imported before it is used: ``import starttls`` costs next to nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._async_connection import AsyncConnection
    from ._async_ftp import AsyncFTP
    from ._async_pool import AsyncSMTPPool
    from ._async_smtp import AsyncSMTP
    from ._connection import Connection
    from ._diagnosis import Diagnosis, Finding
    from ._errors import (
        AccessDenied,
        AuthenticationFailed,
        ConnectionLost,
        ConnectionRefused,
        Downgraded,
        Error,
        InvalidArgument,
        InvalidState,
        LimitExceeded,
        LocalError,
        LocalFileNotFound,
        LocalPermissionDenied,
        MessageRefused,
        NotOffered,
        OutcomeUnknown,
        ProtocolError,
        ProxyError,
        Rejected,
        RemoteFileChanged,
        RemoteFileExists,
        RemoteFileNotFound,
        RemotePermissionDenied,
        SizeMismatch,
        TimeoutExceeded,
        TransportError,
        Unreachable,
        Unsupported,
    )
    from ._foreign_errors import (
        BytesBeforeHandshake,
        CertificateError,
        NameUnresolvable,
        TLSError,
        Truncated,
        UpgradeNotOffered,
    )
    from ._ftp import FTP, doctor, download, mirror, upload
    from ._keywords import AsyncSMTPOptions, FTPOptions, MirrorOptions, SMTPOptions, SMTPPoolOptions
    from ._mirror import FileReport, MirrorReport
    from ._native import DKIM, Entry, Identity, Routes, SessionStore, TLSConfig, forget_server
    from ._options import DeliverBy, SendOptions
    from ._pool import SMTPPool
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
        StoredSession,
        TLSInfo,
        TransferReceipt,
    )
    from ._settings import ActiveMode, Timeout
    from ._smtp import SMTP, send

__all__ = [
    "DKIM",
    "FTP",
    "SMTP",
    "AccessDenied",
    "ActiveMode",
    "AsyncConnection",
    "AsyncFTP",
    "AsyncSMTP",
    "AsyncSMTPOptions",
    "AsyncSMTPPool",
    "AuthenticationFailed",
    "BytesBeforeHandshake",
    "Certificate",
    "CertificateError",
    "Connection",
    "ConnectionLost",
    "ConnectionRefused",
    "CopyReceipt",
    "DeliverBy",
    "DeliveryReport",
    "Diagnosis",
    "Digest",
    "DigestMismatch",
    "Downgraded",
    "Entry",
    "Error",
    "FTPOptions",
    "FileReport",
    "Finding",
    "Identity",
    "InvalidArgument",
    "InvalidState",
    "LimitExceeded",
    "LocalError",
    "LocalFileNotFound",
    "LocalPermissionDenied",
    "LoginInfo",
    "MessageRefused",
    "MirrorOptions",
    "MirrorReport",
    "NameUnresolvable",
    "NotOffered",
    "OutcomeUnknown",
    "Presented",
    "ProtocolError",
    "ProxyError",
    "Rejected",
    "RemoteFileChanged",
    "RemoteFileExists",
    "RemoteFileNotFound",
    "RemotePermissionDenied",
    "Removal",
    "Reply",
    "Routes",
    "SMTPOptions",
    "SMTPPool",
    "SMTPPoolOptions",
    "SendOptions",
    "SessionStore",
    "SizeMismatch",
    "StoredServer",
    "StoredSession",
    "TLSConfig",
    "TLSError",
    "TLSInfo",
    "Timeout",
    "TimeoutExceeded",
    "TransferReceipt",
    "TransportError",
    "Truncated",
    "Unreachable",
    "Unsupported",
    "UpgradeNotOffered",
    "doctor",
    "download",
    "forget_server",
    "mirror",
    "send",
    "upload",
]

_ELSEWHERE = {
    "_async_connection": ("AsyncConnection",),
    "_async_ftp": ("AsyncFTP",),
    "_async_pool": ("AsyncSMTPPool",),
    "_async_smtp": ("AsyncSMTP",),
    "_foreign_errors": (
        "BytesBeforeHandshake",
        "CertificateError",
        "NameUnresolvable",
        "TLSError",
        "Truncated",
        "UpgradeNotOffered",
    ),
    "_connection": ("Connection",),
    "_diagnosis": ("Diagnosis", "Finding"),
    "_keywords": ("AsyncSMTPOptions", "FTPOptions", "MirrorOptions", "SMTPOptions", "SMTPPoolOptions"),
    "_mirror": ("FileReport", "MirrorReport"),
    "_ftp": ("FTP", "doctor", "download", "mirror", "upload"),
    "_native": ("DKIM", "Entry", "Identity", "Routes", "SessionStore", "TLSConfig", "forget_server"),
    "_pool": ("SMTPPool",),
    "_results": (
        "Certificate",
        "CopyReceipt",
        "DeliveryReport",
        "Digest",
        "LoginInfo",
        "Presented",
        "Removal",
        "Reply",
        "StoredServer",
        "StoredSession",
        "TLSInfo",
        "TransferReceipt",
    ),
    "_options": ("DeliverBy", "SendOptions"),
    "_settings": ("ActiveMode", "Timeout"),
    "_smtp": ("SMTP", "send"),
}
"""Where a name is, if it is not among the errors."""


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module = next((module for module, names in _ELSEWHERE.items() if name in names), "_errors")
    value: object = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
