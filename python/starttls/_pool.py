"""Sessions kept for the next message, for threads."""

from __future__ import annotations

from ._native import SmtpPool
from ._outcome import judged
from ._settings import sink, stages
from ._smtp import command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Self

    from ._files import Progress
    from ._message import Message
    from ._native import DKIM, Routes, TLSConfig
    from ._options import SendOptions
    from ._results import DeliveryReport
    from ._settings import Timeout, Trace


class SMTPPool:
    """Sessions that are opened when they are wanted and kept for the next message, for any number of threads.

    The arguments are those of ``SMTP``, and besides: ``connections``, the most sessions at a time, for which ``send``
    waits; ``idle``, how many seconds a session may have been idle and still be used; ``messages``, the most messages in
    one session, if the server does not say less.

    A kept session that the server ended meanwhile, or ends instead of taking the message, is replaced once, without a
    word. A message that may have been accepted is never sent again.
    """

    __slots__ = ("_pool",)

    def __init__(
        self,
        url: str | Routes,
        *,
        user: str | None = None,
        password: str | None = None,
        token: str | Callable[[], str] | None = None,
        authzid: str | None = None,
        auth: str | None = None,
        tls: TLSConfig | None = None,
        timeout: float | Timeout | None = None,
        trace: Trace = None,
        ehlo_name: str | None = None,
        pipelining: bool = True,
        chunking: bool = True,
        chunk_size: int | None = None,
        proxy: str | None = None,
        local_address: str | None = None,
        dkim: DKIM | None = None,
        connections: int = 4,
        idle: float = 50.0,
        messages: int = 100,
    ) -> None:
        self._pool = SmtpPool(
            url,
            user=user,
            password=password,
            token=token,
            authzid=authzid,
            auth=auth,
            tls=tls,
            timeout=stages(timeout),
            trace=sink(trace, "starttls.smtp"),
            ehlo_name=ehlo_name,
            pipelining=pipelining,
            chunking=chunking,
            chunk_size=chunk_size,
            proxy=proxy,
            local_address=local_address,
            dkim=dkim,
            connections=connections,
            idle=idle,
            messages=messages,
        )

    def send(
        self,
        message: Message,
        *,
        sender: str | None = None,
        recipients: Iterable[str] | None = None,
        options: SendOptions | None = None,
        progress: Progress | None = None,
    ) -> DeliveryReport:
        """Send a message in a session of the pool, as ``SMTP.send`` does."""
        # What the server offers is not known before there is a session: seven bits are always right.
        return judged(self._pool.run(command(message, sender, recipients, True, options, progress)))

    def close(self) -> None:
        """Say good-bye in all sessions; those that carry a message end after it. No message can be sent then."""
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def sessions(self) -> tuple[int, int]:
        """How many sessions are open: those with a message, and those without."""
        return self._pool.sessions

    def __repr__(self) -> str:
        return f"<SMTPPool {self._pool.url}>"
