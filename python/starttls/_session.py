"""What the sessions of both protocols have in common."""

from __future__ import annotations

from ._native import SmtpPool, SmtpSetup
from ._settings import listening, sink, stages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Self, TypeVar

    from ._aio import Driver
    from ._native import ConnectionSession, FtpSession, Host, Routes, SmtpSession
    from ._results import TLSInfo

    S = TypeVar("S")


def native(
    kind: Callable[..., S], face: str, url: str | Routes | None, options: Mapping[str, Any], **more: Host | None
) -> S:
    """What is behind a session, from the arguments of the class or function named ``face``, and some of our own."""
    given = {**options, "trace": sink(options.get("trace"), f"starttls.{logger(face)}")}
    if "timeout" in given:
        given["timeout"] = stages(given["timeout"])
    if "active" in given:
        given["active"] = listening(given["active"])
    try:
        return kind(url, **given, **more)
    except TypeError:
        # It knows all keywords. Who tells them imports more than a session needs.
        from ._keywords import check

        check(face, options)
        raise


def logger(face: str) -> str:
    """The part of a logger's name that says what a class or function is about."""
    return next((part for part in ("SMTP", "Connection") if part in face), "FTP").lower()


def pool(face: str, url: str | Routes, options: Mapping[str, Any], host: Host | None = None) -> SmtpPool:
    """The same for a pool."""
    sizes = {name: options[name] for name in ("connections", "idle", "messages") if name in options}
    rest = {name: value for name, value in options.items() if name not in sizes}
    return SmtpPool(native(SmtpSetup, face, url, rest), **sizes, host=host)


class Session:
    """A session whose calls return when they are done."""

    __slots__ = ("_session",)

    _session: SmtpSession | FtpSession | ConnectionSession

    def connect(self) -> None:
        """Open the session and log in."""
        self._session.connect()

    def close(self) -> None:
        """Say good-bye and close. It is no error if the session is closed already."""
        self._session.close()

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return shown(self, self._session)

    @property
    def tls(self) -> TLSInfo | None:
        """What TLS agreed on; with FTP, for the control connection."""
        return self._session.tls


class AsyncSession:
    """A session whose calls are awaited."""

    __slots__ = ("_driver", "_session")

    _driver: Driver
    _session: SmtpSession | FtpSession | ConnectionSession

    async def connect(self) -> None:
        """Open the session and log in."""
        await self._driver.drive(self._session.start_connect())

    async def close(self) -> None:
        """Say good-bye and close. It is no error if the session is closed already."""
        await self._driver.drive(self._session.start_close())

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return shown(self, self._session)

    @property
    def tls(self) -> TLSInfo | None:
        """What TLS agreed on; with FTP, for the control connection."""
        return self._session.tls


def shown(face: Session | AsyncSession, session: SmtpSession | FtpSession | ConnectionSession) -> str:
    """For people: where it goes, and whether it is open."""
    return f"<{type(face).__name__} {session.url} {'open' if session.is_open else 'closed'}>"
