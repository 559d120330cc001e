"""What goes wrong. Every exception is an ``Error``, and also the builtin that people already catch.

Those whose builtin base belongs to a module that costs time to import are in ``_foreign_errors``.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._results import DeliveryReport, Reply


class Error(Exception):
    """The base of everything this package raises.

    Its text says what was tried, in which phase, with whom, what the server said, and what to try.
    """

    kind: str = "other"
    """What went wrong, in one word: ``timed-out``, ``unknown-issuer`` …; finer than the class for TLS and protocol."""
    phase: str | None
    """Where in the session: ``resolve``, ``connect``, ``greeting``, ``upgrade``, ``handshake``, ``authenticate``,
    ``command``, ``data`` or ``close``; ``None`` if it was found before."""
    host: str | None
    """The server, ``host:port``, if one was involved."""
    advice: str | None
    """What to try, where it is known."""
    detail: str | None
    """What a login mechanism said beside the reply: OAuth's JSON object (``status``, ``scope``,
    ``openid-configuration``), SCRAM's error value."""
    transient: bool
    """Whether the same call may succeed later without a change."""
    reply: Reply | None
    """The server's words, if it said any."""

    def __init__(
        self,
        message: str = "",
        *,
        kind: str | None = None,
        phase: str | None = None,
        host: str | None = None,
        advice: str | None = None,
        detail: str | None = None,
        transient: bool = False,
        reply: Reply | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        if kind is not None:
            self.kind = kind
        self.phase = phase
        self.host = host
        self.advice = advice
        self.detail = detail
        self.transient = transient
        self.reply = reply

    @property
    def code(self) -> int | None:
        """The reply's three-digit code."""
        return None if self.reply is None else self.reply.code

    @property
    def enhanced_code(self) -> str | None:
        """The reply's enhanced status code, such as ``5.1.1`` (RFC 3463)."""
        return None if self.reply is None else self.reply.enhanced_code

    @property
    def text(self) -> str | None:
        """The reply's text."""
        return None if self.reply is None else self.reply.text

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.message, dict(self.__dict__))


def _restore(kind: type[Error], message: str, attributes: dict[str, Any]) -> Error:
    error = kind(message)
    error.__dict__.update(attributes)
    return error


class InvalidArgument(Error, ValueError):
    """An argument that cannot be used; nothing was sent."""

    kind = "invalid-argument"


class Unsupported(Error, NotImplementedError):
    """What this session connects through cannot do this: wait for connections, as active mode would."""

    kind = "unsupported"


class InvalidState(Error, RuntimeError):
    """The session cannot do this now: closed, cancelled in the middle, busy, or too open for a secret."""

    kind = "invalid-state"


class NotOffered(Error):
    """The server does not offer what was asked for: an extension, a login mechanism. Nothing was sent."""

    kind = "not-offered"


class Downgraded(Error):
    """The server offered protection earlier in this process and does not now: STARTTLS, or a login as strong.

    Somebody in between may be stripping it. ``forget_server`` forgets what it offered.
    """

    kind = "downgraded"


class TimeoutExceeded(Error, TimeoutError):
    """A deadline passed."""

    kind = "timed-out"


class ConnectionRefused(Error, ConnectionRefusedError):
    """Nobody listens on that port."""

    kind = "connection-refused"


class ConnectionLost(Error, ConnectionResetError):
    """The server closed the connection while an answer was due."""

    kind = "closed-by-peer"


class Unreachable(Error, OSError):
    """No route to the host."""

    kind = "unreachable"


class AccessDenied(Error, PermissionError):
    """This machine's policy forbids the connection."""

    kind = "access-denied"


class ProxyError(Error, ConnectionError):
    """The proxy refused, or does not speak its protocol; ``host`` is the proxy's."""

    kind = "proxy"


class TransportError(Error, OSError):
    """The connection failed in another way."""


class ProtocolError(Error):
    """The server breaks the protocol."""

    kind = "protocol-violation"


class LimitExceeded(Error):
    """A reply, a listing or a message is larger than agreed."""

    kind = "limit-exceeded"


class SizeMismatch(Error):
    """A transfer's size is not what the server says it should be."""

    kind = "size-mismatch"


class DigestMismatch(Error):
    """A transfer's digest is not the one that the server computes."""

    kind = "digest-mismatch"


class RemoteFileChanged(Error):
    """What there is of a file is not the beginning of the file as it is now: nothing was added to it."""

    kind = "file-changed"


class Rejected(Error):
    """The server said no; ``reply`` has its words."""

    kind = "rejected"


class AuthenticationFailed(Rejected, PermissionError):
    """The server did not accept the credentials."""


class RemoteFileNotFound(Rejected, FileNotFoundError):
    """The server has no such file or directory."""


class RemoteFileExists(Rejected, FileExistsError):
    """The server has a file or directory of that name already."""


class RemotePermissionDenied(Rejected, PermissionError):
    """The server does not allow it."""


class MessageRefused(Rejected):
    """The server refused a message for all its recipients; ``report`` says why for each."""

    report: DeliveryReport


class OutcomeUnknown(Error, ConnectionError):
    """The connection was lost after a message was sent and before the server's answer: it may have been accepted.

    Sending it again may deliver it twice. ``report`` names the recipients.
    """

    kind = "outcome-unknown"

    report: DeliveryReport


class LocalError(Error, OSError):
    """A file on this side cannot be read or written."""

    kind = "local"

    def __init__(
        self, message: str = "", *, errno: int | None = None, filename: str | None = None, **details: Any
    ) -> None:
        super().__init__(message, **details)
        self.errno = errno
        self.filename = filename

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore_local, (type(self), self.message, self.errno, self.filename, dict(self.__dict__))


def _restore_local(
    kind: type[LocalError], message: str, errno: int | None, filename: str | None, attributes: dict[str, Any]
) -> LocalError:
    error = kind(message, errno=errno, filename=filename)
    error.__dict__.update(attributes)
    return error


class LocalFileNotFound(LocalError, FileNotFoundError):
    """There is no such file on this side."""


class LocalPermissionDenied(LocalError, PermissionError):
    """A file on this side may not be read or written."""
