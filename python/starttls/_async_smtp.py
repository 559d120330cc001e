"""Sending messages, awaited."""

from __future__ import annotations

from . import _many
from ._aio import Driver
from ._files import is_async
from ._native import HeaderReader, Host, SmtpCommand, SmtpSession, SmtpSetup
from ._outcome import judged
from ._results import DeliveryReport
from ._session import AsyncSession, native
from ._settings import wishes
from ._smtp import command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
    from typing import Any, TypeVar, Unpack

    from ._files import Progress
    from ._keywords import AsyncSMTPOptions
    from ._message import Letter, Message
    from ._native import Routes
    from ._options import SendOptions
    from ._results import LoginInfo, Reply

    T = TypeVar("T")


class AsyncSMTP(AsyncSession):
    """``SMTP`` for asyncio: the same arguments and methods, awaited. ``token`` may be an asynchronous callable.

    An operation that is cancelled, by ``asyncio.timeout`` for one, closes the session: nothing is sent twice, and the
    next use says so.
    """

    __slots__ = ("_fresh", "_signs", "_token")

    _session: SmtpSession

    def __init__(self, url: str | Routes, **options: Unpack[AsyncSMTPOptions]) -> None:
        host = Host()
        self._driver = Driver(host, options.get("local_address"))
        self._signs = options.get("dkim") is not None
        token = options.get("token")
        self._token = token if callable(token) else None
        self._fresh: list[str] = []
        if callable(token):
            options = {**options, "token": self._fresh.pop}
        self._session = SmtpSession(native(SmtpSetup, "AsyncSMTP", url, options), host=host)

    async def _run(self, command: SmtpCommand[T]) -> T:
        return await self._driver.drive(self._session.start(command))

    async def connect(self) -> None:
        """Open the session and log in."""
        if self._token is not None:
            given = self._token()
            # Only here can it be waited for; the core takes it when it logs in.
            self._fresh[:] = [given if isinstance(given, str) else await given]
        await super().connect()

    @property
    def login(self) -> LoginInfo | None:
        """How the session logged in."""
        return self._session.login

    @property
    def extensions(self) -> dict[str, str]:
        """What the server offers: keywords in upper case, and their parameters."""
        return dict(self._session.offers)

    async def send(
        self,
        message: Message | AsyncIterable[bytes],
        *,
        sender: str | None = None,
        recipients: Iterable[str] | None = None,
        options: SendOptions | None = None,
        progress: Progress | None = None,
    ) -> DeliveryReport:
        """Send a message, as ``SMTP.send`` does; it may be an asynchronous iterable of bytes too."""
        if is_async(message):
            return judged(await self._send_pieces(message, sender, recipients, options, progress))
        letter = command(message, sender, recipients, self._session.seven_bit, options, progress)  # type: ignore[arg-type] # not async
        return judged(await self._run(letter))

    async def send_and_quit(
        self,
        message: Message | AsyncIterable[bytes],
        *,
        sender: str | None = None,
        recipients: Iterable[str] | None = None,
        options: SendOptions | None = None,
        progress: Progress | None = None,
    ) -> DeliveryReport:
        """Send a message as the last thing in this session, as ``SMTP.send_and_quit`` does.

        Good-bye leaves by itself after an asynchronous iterable of bytes.
        """
        if is_async(message):
            try:
                return judged(await self._send_pieces(message, sender, recipients, options, progress))
            finally:
                await self.close()
        letter = command(message, sender, recipients, self._session.seven_bit, options, progress)  # type: ignore[arg-type] # not async
        return judged(await self._driver.drive(self._session.start_last(letter)))

    async def send_many(
        self,
        messages: Iterable[Message | Letter | AsyncIterable[bytes]] | AsyncIterable[Message | Letter],
        *,
        options: SendOptions | None = None,
    ) -> AsyncIterator[DeliveryReport]:
        """Send many messages, as ``SMTP.send_many`` does; they may come from an asynchronous iterable."""
        supply = _many.Supply(messages)
        story: list[DeliveryReport] = []
        alive = True
        try:
            while alive and (batch := await supply.take_async()):
                async for reports, alive in self._send_batch(batch, options):  # noqa: B007 - the loop's own condition
                    for report in reports:
                        yield report
                    story = reports or story
            reports, alive = await self._run(SmtpCommand.drain())
            for report in reports:
                yield report
        except GeneratorExit:
            # Nobody asks any more; what is under way comes to its end, and the session can go on.
            if self._session.is_open:
                await self._run(SmtpCommand.drain())
            raise
        if not alive:
            await self.close()
            raise _many.lost(reports or story)
        if supply.error is not None:
            raise supply.error

    async def _send_batch(
        self, batch: list[Any], options: SendOptions | None
    ) -> AsyncIterator[tuple[list[DeliveryReport], bool]]:
        for together, awaited in _many.runs(batch):
            yield await self._run(_many.command(together, self._session.seven_bit, options))
            if awaited is not None:
                # Its bytes come when they come: those before it are told first.
                reports, alive = await self._run(SmtpCommand.drain())
                if alive:
                    reports = [*reports, await self._send_awaited(awaited, options)]
                    alive = self._session.is_open
                yield reports, alive
                if not alive:
                    return

    async def _send_awaited(self, item: Any, options: SendOptions | None) -> DeliveryReport:
        message, sender, recipients = item if isinstance(item, tuple) else (item, None, None)
        try:
            return await self._send_pieces(message, sender, recipients, options, None)
        except Exception as error:
            return DeliveryReport("not-sent", (), {}, error=error)

    async def _send_pieces(
        self,
        message: AsyncIterable[bytes],
        sender: str | None,
        recipients: Iterable[str] | None,
        options: SendOptions | None,
        progress: Progress | None,
    ) -> DeliveryReport:
        if self._signs:
            # The signature goes before the message.
            whole = b"".join([piece async for piece in message])
            return await self._run(command(whole, sender, recipients, self._session.seven_bit, options, progress))
        pieces = aiter(message)
        header = HeaderReader()
        done, rest = 0, b""
        async for piece in pieces:
            done += len(piece)
            if (end := header.push(piece)) is not None:
                rest = piece[end:]
                break
        await self._run(SmtpCommand.begin(header, sender=sender, recipients=recipients, wishes=wishes(options)))
        try:
            await self._run(SmtpCommand.write(rest))
            async for piece in pieces:
                await self._run(SmtpCommand.write(piece))
                done += len(piece)
                if progress is not None:
                    progress(done, None)
        except BaseException:
            # Without its end a message is none; the only way out is to leave.
            if self._session.is_open:
                await self.close()
            raise
        return await self._run(SmtpCommand.finish())

    async def noop(self) -> Reply:
        """Ask for a sign of life."""
        return await self._run(SmtpCommand.noop())

    async def rset(self) -> Reply:
        """Make the server forget a transaction that was begun."""
        return await self._run(SmtpCommand.rset())

    async def vrfy(self, address: str) -> Reply:
        """Ask whether an address exists, as ``SMTP.vrfy`` does."""
        return await self._run(SmtpCommand.vrfy(address))

    async def expn(self, name: str) -> Reply:
        """Ask for the members of a mailing list."""
        return await self._run(SmtpCommand.expn(name))

    async def help(self, topic: str | None = None) -> Reply:
        """Ask for help, on a command or at large."""
        return await self._run(SmtpCommand.help(topic))

    async def etrn(self, domain: str) -> Reply:
        """Ask the server to start sending what it has queued for a domain."""
        return await self._run(SmtpCommand.etrn(domain))

    async def xclient(self, attributes: Mapping[str, str | None]) -> None:
        """Tell the server on whose behalf this gateway speaks, as ``SMTP.xclient`` does."""
        await self._run(SmtpCommand.xclient(list(attributes.items())))
