"""What can be asked of a server for a message, beside sending it."""

from __future__ import annotations

from ._native import Wishes
from ._value import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta
    from typing import Any, Literal


class DeliverBy(Frozen):
    """Delivery by a certain time (DELIVERBY, RFC 2852)."""

    __slots__ = ("seconds", "late", "trace")  # noqa: RUF023 - the constructor's order

    seconds: int
    """Seconds from now. Zero and less only with ``late="notify"``."""
    late: Literal["return", "notify"]
    """What happens then: the message comes back, or its sender is told and it stays under way."""
    trace: bool
    """Whether each server on the way tells the sender that it passed the message on."""

    def __init__(self, seconds: int, *, late: Literal["return", "notify"] = "return", trace: bool = False) -> None:
        self._set(seconds, late, trace)

    def __reduce__(self) -> tuple[Any, ...]:
        return _deliver_by, self._state()


def _deliver_by(seconds: int, late: Literal["return", "notify"], trace: bool) -> DeliverBy:
    return DeliverBy(seconds, late=late, trace=trace)


class SendOptions(Frozen):
    """What is asked for a message, beside its sender and its recipients.

    What needs an extension that the server does not offer is an error before anything is sent; with
    ``not_offered="drop"`` notices (DSN), DELIVERBY, MT-PRIORITY and ``submitter`` are left out instead.
    """

    __slots__ = (  # noqa: RUF023 - the constructor's order
        "recipient_policy",
        "line_ends",
        "body",
        "dsn_return",
        "envelope_id",
        "notify",
        "original_recipients",
        "deliver_by",
        "priority",
        "hold",
        "require_tls",
        "submitter",
        "parameters",
        "recipient_parameters",
        "not_offered",
    )

    recipient_policy: Literal["any", "all"]
    """``any``: the message goes to those who were accepted. ``all``: to all, or to nobody."""
    line_ends: Literal["normalise", "strict", "preserve"]
    """Line ends that are not CRLF become CRLF, are an error, or stay: only CHUNKING (RFC 3030) can carry them."""
    body: Literal["7bit", "8bit", "binary"] | None
    """What the message's bytes are like; ``None``: as they are seen to be. ``binary`` needs BINARYMIME."""
    dsn_return: Literal["full", "headers"] | None
    """How much of the message a failure notice repeats (RFC 3461)."""
    envelope_id: str | None
    """A name for this sending that notices repeat (RFC 3461)."""
    notify: str | Mapping[str, str] | None
    """When the sender is told what became of it: ``never``, or some of ``success,failure,delay`` with commas between;
    for all recipients, or for each of some (RFC 3461)."""
    original_recipients: Mapping[str, str] | None
    """The addresses that the sender wrote for recipients, where they are others: notices name them (RFC 3461)."""
    deliver_by: int | DeliverBy | None
    """Seconds within which it must be delivered, or else come back (RFC 2852)."""
    priority: int | None
    """-9 to 9, 0 is normal (RFC 6710)."""
    hold: float | timedelta | datetime | None
    """How long the server keeps it first, in seconds or as a ``timedelta``, or until when (RFC 4865)."""
    require_tls: bool
    """Whether every hop must use TLS with a verified certificate, or return the message (RFC 8689)."""
    submitter: str | None
    """Who submitted it first, for relays (RFC 4954 section 5); ``""`` for nobody who is known."""
    parameters: Mapping[str, str | None] | None
    """Anything else that MAIL can say: keywords, and values or ``None``."""
    recipient_parameters: Mapping[str, str | None] | Mapping[str, Mapping[str, str | None]] | None
    """Anything else that RCPT can say, for all recipients; or by their addresses."""
    not_offered: Literal["refuse", "drop"]
    """What happens to requests that the server has no extension for."""

    __hash__ = None  # type: ignore[assignment] # it may hold a dict

    def __init__(
        self,
        *,
        recipient_policy: Literal["any", "all"] = "any",
        line_ends: Literal["normalise", "strict", "preserve"] = "normalise",
        body: Literal["7bit", "8bit", "binary"] | None = None,
        dsn_return: Literal["full", "headers"] | None = None,
        envelope_id: str | None = None,
        notify: str | Mapping[str, str] | None = None,
        original_recipients: Mapping[str, str] | None = None,
        deliver_by: int | DeliverBy | None = None,
        priority: int | None = None,
        hold: float | timedelta | datetime | None = None,
        require_tls: bool = False,
        submitter: str | None = None,
        parameters: Mapping[str, str | None] | None = None,
        recipient_parameters: Mapping[str, str | None] | Mapping[str, Mapping[str, str | None]] | None = None,
        not_offered: Literal["refuse", "drop"] = "refuse",
    ) -> None:
        self._set(
            recipient_policy,
            line_ends,
            body,
            dsn_return,
            envelope_id,
            notify,
            original_recipients,
            deliver_by,
            priority,
            hold,
            require_tls,
            submitter,
            parameters,
            recipient_parameters,
            not_offered,
        )
        native(self)  # what cannot be said is an error here

    def __reduce__(self) -> tuple[Any, ...]:
        return _options, self._state()


def _options(*state: Any) -> SendOptions:
    return SendOptions(**dict(zip(SendOptions.__slots__, state, strict=True)))


def native(options: SendOptions) -> Wishes:
    """The options as the native module takes them."""
    by = options.deliver_by
    if by is not None and not isinstance(by, DeliverBy):
        by = DeliverBy(by)
    hold = options.hold
    hold_for = hold_until = None
    if hold is None or isinstance(hold, int | float):
        hold_for = hold
    elif hasattr(hold, "total_seconds"):
        hold_for = hold.total_seconds()
    else:
        hold_until = hold.timestamp()
    return Wishes(
        recipient_policy=options.recipient_policy,
        line_ends=options.line_ends,
        body=options.body,
        dsn_return=options.dsn_return,
        envelope_id=options.envelope_id,
        notify=[(None, options.notify)] if isinstance(options.notify, str) else list((options.notify or {}).items()),
        original_recipients=list((options.original_recipients or {}).items()),
        deliver_by=None if by is None else (by.seconds, by.late, by.trace),
        priority=options.priority,
        hold_for=hold_for,
        hold_until=hold_until,
        require_tls=options.require_tls,
        submitter=options.submitter,
        parameters=list((options.parameters or {}).items()),
        recipient_parameters=list(_by_recipient(options.recipient_parameters or {})),
        not_offered=options.not_offered,
    )


def _by_recipient(given: Mapping[str, Any]) -> list[tuple[str | None, tuple[str, str | None]]]:
    found: list[tuple[str | None, tuple[str, str | None]]] = []
    for name, value in given.items():
        if value is None or isinstance(value, str):
            found.append((None, (name, value)))
        else:
            found.extend((name, item) for item in value.items())
    return found
