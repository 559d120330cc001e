"""Sessions kept for the next message, for threads."""

from __future__ import annotations

from ._outcome import judged
from ._session import pool
from ._smtp import command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self, Unpack

    from ._files import Progress
    from ._keywords import SMTPPoolOptions
    from ._message import Message
    from ._native import Routes
    from ._options import SendOptions
    from ._results import DeliveryReport


class SMTPPool:
    """Sessions that are opened when they are wanted and kept for the next message, for any number of threads.

    The arguments are those of ``SMTP``, and besides: ``connections``, the most sessions at a time, for which ``send``
    waits (4); ``idle``, how many seconds a session may have been idle and still be used (50); ``messages``, the most
    messages in one session, if the server does not say less (100).

    A kept session that the server ended meanwhile, or ends instead of taking the message, is replaced once, without a
    word. A message that may have been accepted is never sent again.
    """

    __slots__ = ("_pool",)

    def __init__(self, url: str | Routes, **options: Unpack[SMTPPoolOptions]) -> None:
        self._pool = pool("SMTPPool", url, options)

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
