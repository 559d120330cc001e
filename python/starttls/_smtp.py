"""Sending messages, one call after another."""

from __future__ import annotations

from . import _many, _message
from ._native import SmtpCommand, SmtpSession, SmtpSetup
from ._outcome import judged
from ._session import Session, native
from ._settings import wishes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Unpack

    from ._files import Progress
    from ._keywords import SMTPOptions
    from ._message import Letter, Message
    from ._native import Routes
    from ._options import SendOptions
    from ._results import DeliveryReport, LoginInfo, Reply


def command(
    message: Message,
    sender: str | None,
    recipients: Iterable[str] | None,
    seven_bit: bool,
    options: SendOptions | None,
    progress: Progress | None,
) -> SmtpCommand[DeliveryReport]:
    """A message of any kind as a command."""
    source, header = _message.source(message, seven_bit=seven_bit)
    return SmtpCommand.send(
        source, sender=sender, recipients=recipients, header=header, wishes=wishes(options), progress=progress
    )


class SMTP(Session):
    """A session with a server that takes messages.

    ``url`` is ``smtp://`` (port 587, STARTTLS required), ``smtps://`` (port 465, TLS from the first byte) or
    ``lmtp://`` (RFC 2033: port 24, STARTTLS required, a verdict for each recipient after the message), with ``user``
    and ``password`` in it or beside it. In a ``with`` statement it connects and logs in at the beginning, and
    says good-bye at the end.

    ``token`` is an OAuth 2.0 access token instead of a password, or what gives one when it is called, at each login.
    The best mechanism that the server offers for the credentials is used, and no other after a refusal; ``auth``
    insists on one: ``"PLAIN"``, ``"SCRAM-SHA-256"`` …, ``"EXTERNAL"`` for the client certificate of ``tls``, or
    ``"ANONYMOUS"``. ``authzid`` is whom to act as.

    ``Routes`` in place of the URL are several servers, tried in order; the user and the password are beside it then.

    ``tls`` is a ``TLSConfig`` or an ``ssl.SSLContext``, ``timeout`` a number of seconds for each stage or a
    ``Timeout``. ``trace`` is called with a line for each event, without secrets; ``True`` logs them to
    ``starttls.smtp``. ``ehlo_name`` is how we
    introduce ourselves. ``pipelining`` and ``chunking`` say whether these extensions are made use of where they are
    offered; ``chunk_size`` is how many bytes a chunk has (512 KiB). ``proxy`` is the URL of a proxy to connect
    through, ``socks5://[USER:PASSWORD@]HOST[:1080]`` or ``http://[USER:PASSWORD@]HOST[:80]``; ``local_address`` an
    address of this machine to connect from. ``dkim`` signs every message; one that comes in pieces is gathered in
    memory first then.
    """

    __slots__ = ()

    _session: SmtpSession

    def __init__(self, url: str | Routes, **options: Unpack[SMTPOptions]) -> None:
        self._session = SmtpSession(native(SmtpSetup, "SMTP", url, options))

    @property
    def login(self) -> LoginInfo | None:
        """How the session logged in."""
        return self._session.login

    @property
    def extensions(self) -> dict[str, str]:
        """What the server offers: keywords in upper case, and their parameters."""
        return dict(self._session.offers)

    def send(
        self,
        message: Message,
        *,
        sender: str | None = None,
        recipients: Iterable[str] | None = None,
        options: SendOptions | None = None,
        progress: Progress | None = None,
    ) -> DeliveryReport:
        """Send a message: an ``EmailMessage``, bytes, the path of a file, a binary file, or an iterable of bytes.

        Sender and recipients are taken from its header, of the ``Resent-`` fields if there are any, unless given.
        ``Bcc`` is never sent. Lines end in CRLF on the wire whatever they end in here. ``options`` are what else is
        asked for: notices, a later release, all recipients or none …

        Returns the report if the message was accepted for all or some of its recipients. Raises ``MessageRefused`` if
        for none, and ``OutcomeUnknown`` if the connection was lost before the server's answer: both have the report.
        """
        letter = command(message, sender, recipients, self._session.seven_bit, options, progress)
        return judged(self._session.run(letter))

    def send_and_quit(
        self,
        message: Message,
        *,
        sender: str | None = None,
        recipients: Iterable[str] | None = None,
        options: SendOptions | None = None,
        progress: Progress | None = None,
    ) -> DeliveryReport:
        """Send a message as the last thing in this session, which is closed then, whatever became of it.

        It is ``send``, but for a round trip: good-bye leaves with the end of the message, where the server takes
        several commands at a time and there is one recipient.
        """
        letter = command(message, sender, recipients, self._session.seven_bit, options, progress)
        return judged(self._session.run_last(letter))

    def send_many(
        self, messages: Iterable[Message | Letter], *, options: SendOptions | None = None
    ) -> Iterator[DeliveryReport]:
        """Send many messages in this session, and give the report of each, in their order and whatever its outcome.

        A message comes alone or with its envelope, as ``(message, sender, recipients)``, where ``None`` means: as the
        header says. They are taken as there is room for them, so there may be any number. One that cannot be sent has
        the outcome ``not-sent`` and the others go on. ``options`` are for all of them. If the connection is lost, or
        ``messages`` raises an exception, the reports of those that were taken come first, and then the exception.
        """
        supply = _many.Supply(messages)
        story: list[DeliveryReport] = []
        alive = True
        try:
            while alive and (batch := supply.take()):
                reports, alive = self._session.run(_many.command(batch, self._session.seven_bit, options))
                yield from reports
                story = reports or story
            reports, alive = self._session.run(SmtpCommand.drain())
            yield from reports
        except GeneratorExit:
            # Nobody asks any more; what is under way comes to its end, and the session can go on.
            if self._session.is_open:
                self._session.run(SmtpCommand.drain())
            raise
        if not alive:
            self._session.close()
            raise _many.lost(reports or story)
        if supply.error is not None:
            raise supply.error

    def noop(self) -> Reply:
        """Ask for a sign of life."""
        return self._session.run(SmtpCommand.noop())

    def rset(self) -> Reply:
        """Make the server forget a transaction that was begun."""
        return self._session.run(SmtpCommand.rset())

    def vrfy(self, address: str) -> Reply:
        """Ask whether an address exists. Most servers say 252: neither yes nor no."""
        return self._session.run(SmtpCommand.vrfy(address))

    def expn(self, name: str) -> Reply:
        """Ask for the members of a mailing list, one a line of the reply."""
        return self._session.run(SmtpCommand.expn(name))

    def help(self, topic: str | None = None) -> Reply:
        """Ask for help, on a command or at large."""
        return self._session.run(SmtpCommand.help(topic))

    def etrn(self, domain: str) -> Reply:
        """Ask the server to start sending what it has queued for a domain (RFC 1985)."""
        return self._session.run(SmtpCommand.etrn(domain))

    def xclient(self, attributes: Mapping[str, str | None]) -> None:
        """Tell the server on whose behalf this gateway speaks: ``ADDR``, ``NAME``, ``PORT``, ``PROTO``, ``HELO``,
        ``LOGIN`` …, each with its value, or ``None`` where it is unavailable. The session starts anew then."""
        self._session.run(SmtpCommand.xclient(list(attributes.items())))


def send(
    url: str | Routes,
    message: Message,
    *,
    sender: str | None = None,
    recipients: Iterable[str] | None = None,
    options: SendOptions | None = None,
    **session_options: Unpack[SMTPOptions],
) -> DeliveryReport:
    """Send one message in a session of its own. The other arguments are those of ``SMTP``."""
    with SMTP(url, **session_options) as session:
        return session.send_and_quit(message, sender=sender, recipients=recipients, options=options)
