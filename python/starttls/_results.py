"""What operations give: frozen, comparable, and safe to show and to pickle."""

from __future__ import annotations

from ._value import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Literal

    from ._foreign_errors import TLSError

    VerifiedBy = Literal["platform", "web-pki-roots", "authorities", "dane-ta", "dane-ee", "check", "pin", "nobody"]


class Reply(Frozen):
    """A server's complete reply."""

    __slots__ = ("code", "lines", "enhanced_code")  # noqa: RUF023 - the constructor's order

    code: int
    """The three-digit code."""
    lines: tuple[str, ...]
    """The text of each line, without the code; invalid UTF-8 is replaced."""
    enhanced_code: str | None
    """The enhanced status code, such as ``5.1.1`` (RFC 3463), if the server gave one."""

    def __init__(self, code: int, lines: tuple[str, ...], enhanced_code: str | None = None) -> None:
        set_code(self, code)
        set_lines(self, lines)
        set_enhanced_code(self, enhanced_code)

    @property
    def text(self) -> str:
        """All lines, joined by line feeds."""
        return "\n".join(self.lines)

    def __str__(self) -> str:
        return f"{self.code} {' / '.join(self.lines)}"


class TLSInfo(Frozen):
    """What a TLS connection agreed on."""

    __slots__ = (  # noqa: RUF023
        "version",
        "cipher_suite",
        "group",
        "alpn",
        "resumed",
        "server_name",
        "chain",
        "verified_by",
        "mta_sts",
        "pinned",
        "binding",
        "ocsp_response",
    )

    version: str
    """``TLSv1.3`` or ``TLSv1.2``."""
    cipher_suite: str
    """The cipher suite's IANA name."""
    group: str
    """The key exchange group; empty if the session was resumed without one."""
    alpn: str | None
    """The application protocol (ALPN), if one was negotiated."""
    resumed: bool
    """Whether an earlier session was resumed instead of a full handshake."""
    server_name: str
    """The name the server was asked for by, and its certificate checked for (see ``name_checked``)."""
    chain: tuple[bytes, ...]
    """The server's certificate chain in DER, its own certificate first."""
    verified_by: VerifiedBy
    """What made the certificate believed: an authority (``platform``, ``web-pki-roots``, or ``authorities``, those you
    gave), a TLSA record (``dane-ta``, ``dane-ee``), your own ``check``, which accepted what was refused, a ``pin``
    alone, or ``nobody``."""
    mta_sts: Literal["satisfied", "violated"] | None
    """The verdict of the MTA-STS policy, if one was given that asks for anything; ``violated`` in testing
    only."""
    pinned: bool
    """Whether pins were given, of which the server's certificate or its key has one."""
    binding: Literal["tls-exporter", "tls-server-end-point"] | None
    """What could tie a login to this connection (RFC 5056)."""
    ocsp_response: bytes | None
    """The OCSP response that came with the certificate, in DER, as it came: nobody has checked it."""

    def __init__(
        self,
        version: str,
        cipher_suite: str,
        group: str,
        alpn: str | None,
        resumed: bool,
        server_name: str,
        chain: tuple[bytes, ...],
        verified_by: VerifiedBy = "nobody",
        mta_sts: Literal["satisfied", "violated"] | None = None,
        pinned: bool = False,
        binding: Literal["tls-exporter", "tls-server-end-point"] | None = None,
        ocsp_response: bytes | None = None,
    ) -> None:
        agreed = (version, cipher_suite, group, alpn, resumed, server_name, chain)
        self._set(*agreed, verified_by, mta_sts, pinned, binding, ocsp_response)

    @property
    def name_checked(self) -> bool:
        """Whether the certificate had to be for ``server_name``, and valid at the time."""
        return self.verified_by in ("platform", "web-pki-roots", "authorities", "dane-ta")

    @property
    def certificates(self) -> tuple[Certificate | None, ...]:
        """The chain, to be read; ``None`` for what is no certificate."""
        from ._native import read_certificate

        return tuple(read_certificate(der) for der in self.chain)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What somebody should look at, as of now.

        ``not-verified``, ``mta-sts-violated``, ``expired`` (and believed all the same), ``expires-soon`` (within 14
        days).
        """
        from ._native import tls_warnings

        return tuple(tls_warnings(self.chain, self.verified_by, self.mta_sts))

    def _shown(self) -> tuple[str, ...]:
        # What the chain says, instead of its bytes.
        told = (name for name in self.__slots__ if name not in ("chain", "ocsp_response"))
        return (*told, "name_checked", "warnings", "certificates")

    def __repr__(self) -> str:
        resumed = ", resumed" if self.resumed else ""
        return f"<TLSInfo {self.version}, {self.cipher_suite}, {self.server_name}{resumed}>"


class Presented(Frozen):
    """What a server showed, and what was thought of it, for a ``check`` of your own."""

    __slots__ = ("chain", "server_name", "verified_by", "refusal", "ocsp_response")  # noqa: RUF023

    chain: tuple[bytes, ...]
    """The server's certificate chain in DER, its own certificate first."""
    server_name: str
    """The name that the certificate must be for."""
    verified_by: VerifiedBy | None
    """What makes it believed; ``None`` if it is refused."""
    refusal: TLSError | None
    """Why it is refused; ``None`` if it is believed."""
    ocsp_response: bytes | None
    """The OCSP response that came with it, in DER, as it came: nobody has checked it."""

    def __init__(
        self,
        chain: tuple[bytes, ...],
        server_name: str,
        verified_by: VerifiedBy | None,
        refusal: TLSError | None,
        ocsp_response: bytes | None,
    ) -> None:
        self._set(chain, server_name, verified_by, refusal, ocsp_response)

    @property
    def certificates(self) -> tuple[Certificate | None, ...]:
        """The chain, to be read; ``None`` for what is no certificate."""
        from ._native import read_certificate

        return tuple(read_certificate(der) for der in self.chain)


class StoredSession(Frozen):
    """A TLS session that can be resumed."""

    __slots__ = ("version", "cipher_suite", "_received")  # noqa: RUF023

    version: str
    """``TLSv1.3`` or ``TLSv1.2``."""
    cipher_suite: str | None
    """The cipher suite's IANA name, once the handshake that it came from is over."""
    _received: float

    def __init__(self, version: str, cipher_suite: str | None, received: float) -> None:
        self._set(version, cipher_suite, received)

    @property
    def received(self) -> datetime:
        """When it came. How long it lasts is the server's affair."""
        return _utc(self._received)


class StoredServer(Frozen):
    """What a ``SessionStore`` has of one server under one configuration."""

    __slots__ = ("host", "port", "server_name", "sessions", "resumed")  # noqa: RUF023

    host: str
    """The host that was connected to."""
    port: int
    """Its port."""
    server_name: str
    """The name that its certificate was checked for."""
    sessions: tuple[StoredSession, ...]
    """What can be resumed, the oldest first: tickets of TLS 1.3, each for once, and at most one session of TLS 1.2."""
    resumed: int
    """How many connections resumed one."""

    def __init__(
        self, host: str, port: int, server_name: str, sessions: tuple[StoredSession, ...], resumed: int
    ) -> None:
        self._set(host, port, server_name, sessions, resumed)


class Certificate(Frozen):
    """The readable facts of one certificate."""

    __slots__ = ("subject", "issuer", "names", "_not_before", "_not_after", "serial", "public_key_sha256")  # noqa: RUF023

    subject: str
    """The subject's distinguished name."""
    issuer: str
    """The issuer's distinguished name."""
    names: tuple[str, ...]
    """DNS names and IP addresses it is for (subjectAltName)."""
    serial: str
    """The serial number in hexadecimal."""
    public_key_sha256: bytes
    """SHA-256 of its SubjectPublicKeyInfo: what a pin is made of."""
    _not_before: float
    _not_after: float

    def __init__(
        self,
        subject: str,
        issuer: str,
        names: tuple[str, ...],
        not_before: float,
        not_after: float,
        serial: str,
        public_key_sha256: bytes,
    ) -> None:
        self._set(subject, issuer, names, not_before, not_after, serial, public_key_sha256)

    @property
    def not_before(self) -> datetime:
        """Valid from."""
        return _utc(self._not_before)

    @property
    def not_after(self) -> datetime:
        """Valid until."""
        return _utc(self._not_after)


def _utc(timestamp: float) -> datetime:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(timestamp, UTC)


class LoginInfo(Frozen):
    """How a session logged in."""

    __slots__ = ("mechanism", "binding")  # noqa: RUF023 - the constructor's order

    mechanism: str
    """The SASL mechanism, such as ``SCRAM-SHA-256-PLUS``."""
    binding: str | None
    """What tied it to the TLS connection: ``tls-exporter``, ``tls-server-end-point``, or nothing."""

    def __init__(self, mechanism: str, binding: str | None = None) -> None:
        self._set(mechanism, binding)


class DeliveryReport(Frozen):
    """The whole story of one message."""

    __slots__ = ("outcome", "accepted", "refused", "reply", "queue_id", "tls", "error")  # noqa: RUF023

    outcome: Literal["accepted", "partial", "refused", "unknown", "not-sent"]
    """``accepted`` for every recipient, ``partial``, ``refused`` for all, or ``unknown``: the connection was lost after
    the message was sent and before the server's answer, so sending again may deliver it twice. ``not-sent``, in
    ``send_many``: it cannot be sent, or the connection was lost before all of it was, and nobody got it."""
    accepted: tuple[str, ...]
    """The recipients the server took responsibility for; if the outcome is ``unknown``, those it may have."""
    refused: dict[str, Reply]
    """The recipients it refused, each with its reply."""
    reply: Reply | None
    """The server's last word on the message, if there was one."""
    queue_id: str | None
    """The server's own name for the message, if it told one."""
    tls: TLSInfo | None
    """What TLS agreed on the connection that carried it; ``None`` in clear text."""
    error: Exception | None
    """Why the outcome is ``unknown`` or ``not-sent``, or a refusal with what to do about it, where that is known."""

    def __init__(
        self,
        outcome: Literal["accepted", "partial", "refused", "unknown", "not-sent"],
        accepted: tuple[str, ...],
        refused: dict[str, Reply],
        reply: Reply | None = None,
        queue_id: str | None = None,
        tls: TLSInfo | None = None,
        error: Exception | None = None,
    ) -> None:
        set_outcome(self, outcome)
        set_accepted(self, accepted)
        set_refused(self, refused)
        set_reply(self, reply)
        set_queue_id(self, queue_id)
        set_tls(self, tls)
        set_error(self, error)

    __hash__ = None  # type: ignore[assignment] # it holds a dict


class TransferReceipt(Frozen):
    """What is known about a transfer. There is none for a transfer that failed: that is an exception."""

    __slots__ = (  # noqa: RUF023
        "status",
        "size",
        "offset",
        "reply",
        "tls_resumed",
        "close_notify",
        "close_notify_sent",
        "digest",
        "attempts",
        "duration",
        "compressed",
    )

    status: Literal["verified", "complete", "unproven"]
    """``verified``: every sign agrees, the size the server tells included. ``complete``: the server told no size.
    ``unproven``: the data connection ended without close_notify, which you allowed."""
    size: int
    """Bytes transferred now."""
    offset: int
    """Where the transfer began: above 0 if it continued an earlier one."""
    reply: Reply
    """The server's final reply."""
    tls_resumed: bool
    """Whether the data connection resumed the control connection's TLS session."""
    close_notify: bool
    """Whether the server ended the data connection with close_notify."""
    close_notify_sent: bool
    """Whether we ended it with close_notify, too."""
    digest: Digest | None
    """The digest of the whole file, if it was computed on both sides: it is the same."""
    attempts: int
    """How many attempts it took: above 1 if the network failed in between."""
    duration: float
    """Seconds it took, from the first command on."""
    compressed: bool
    """Whether the content was compressed on its way. The size is that of the content."""

    def __init__(
        self,
        status: Literal["verified", "complete", "unproven"],
        size: int,
        offset: int,
        reply: Reply,
        tls_resumed: bool = False,
        close_notify: bool = False,
        close_notify_sent: bool = False,
        digest: Digest | None = None,
        attempts: int = 1,
        duration: float = 0.0,
        compressed: bool = False,
    ) -> None:
        ended = (close_notify, close_notify_sent)
        self._set(status, size, offset, reply, tls_resumed, *ended, digest, attempts, duration, compressed)

    @property
    def resumed(self) -> bool:
        """Whether the transfer continued an earlier one."""
        return self.offset > 0


class Digest(Frozen):
    """A file's digest, or that of a part of one."""

    __slots__ = ("algorithm", "value", "start", "end")  # noqa: RUF023

    algorithm: str
    """What computed it, by its name in the IANA registry: ``SHA-256``, ``SHA-1``, ``MD5``; ``CRC32``."""
    value: bytes
    """Its bytes."""
    start: int | None
    """Where in the file the part begins; ``None``: it is of the whole file."""
    end: int | None
    """The byte behind the part."""

    def __init__(self, algorithm: str, value: bytes, start: int | None = None, end: int | None = None) -> None:
        self._set(algorithm, value, start, end)

    def hexdigest(self) -> str:
        """The value in lower-case hexadecimal digits, as ``hashlib`` has it."""
        return self.value.hex()


class CopyReceipt(Frozen):
    """What is known about a copy from one server to another that succeeded: both said so."""

    __slots__ = ("status", "size", "digest", "protected", "source_reply", "target_reply")  # noqa: RUF023

    status: Literal["verified", "complete"]
    """``verified``: the sizes are the same, and the digests if there are any; ``complete``: a server does not tell."""
    size: int | None
    """Bytes of the copy, if told."""
    digest: Digest | None
    """The digest, if both servers computed it: it is the same."""
    protected: bool
    """Whether it went under TLS."""
    source_reply: Reply
    """The last word of the server it came from."""
    target_reply: Reply
    """The last word of the server it went to."""

    def __init__(
        self,
        status: Literal["verified", "complete"],
        size: int | None,
        digest: Digest | None,
        protected: bool,
        source_reply: Reply,
        target_reply: Reply,
    ) -> None:
        self._set(status, size, digest, protected, source_reply, target_reply)


class Removal(Frozen):
    """What became of a tree that was to be removed."""

    __slots__ = ("files", "directories", "_left")  # noqa: RUF023

    files: int
    """Files, links and other things that are no directories."""
    directories: int
    """Directories."""
    _left: tuple[tuple[bytes, Exception], ...]

    def __init__(self, files: int, directories: int, left: tuple[tuple[bytes, Exception], ...] = ()) -> None:
        self._set(files, directories, left)

    @property
    def left(self) -> dict[str, Exception]:
        """What is still there, and why: paths, with surrogate escapes for what is no UTF-8."""
        return {path.decode("utf-8", "surrogateescape"): why for path, why in self._left}

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left."""
        return not self._left


# A mailing may have a million reports: these set attributes of a frozen value without a look-up each.
set_code, set_lines, set_enhanced_code = (vars(Reply)[name].__set__ for name in Reply.__slots__)
set_outcome, set_accepted, set_refused, set_reply, set_queue_id, set_tls, set_error = (
    vars(DeliveryReport)[name].__set__ for name in DeliveryReport.__slots__
)
