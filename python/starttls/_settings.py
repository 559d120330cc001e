"""Arguments that both protocols share."""

from __future__ import annotations

from ._value import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ._native import Wishes
    from ._options import SendOptions

    Trace = Callable[[str], object] | bool | None


class Timeout(Frozen):
    """How long each stage may take, in seconds; ``None`` is the default.

    ``connect`` (30) is for the look-up, the TCP connection and a proxy's part in it, ``handshake`` (30) for TLS,
    ``reply`` (300) for commands and their replies, ``stall`` (180) for the longest pause in a transfer that
    otherwise goes on, ``finish`` (600) for the reply after the last byte of a message or file. ``total`` (none) is
    for a whole operation, whose stages are cut by what is left of it: opening a session, logging in, a message, a
    file, any other command.
    """

    __slots__ = ("connect", "handshake", "reply", "stall", "finish", "total")  # noqa: RUF023

    connect: float | None
    handshake: float | None
    reply: float | None
    stall: float | None
    finish: float | None
    total: float | None

    def __init__(
        self,
        *,
        connect: float | None = None,
        handshake: float | None = None,
        reply: float | None = None,
        stall: float | None = None,
        finish: float | None = None,
        total: float | None = None,
    ) -> None:
        self._set(connect, handshake, reply, stall, finish, total)

    def __reduce__(self) -> tuple[object, ...]:
        return _timeout, self._state()


def _timeout(*stages: float | None) -> Timeout:
    return Timeout(**dict(zip(Timeout.__slots__, stages, strict=True)))


class ActiveMode(Frozen):
    """How to listen for data connections in FTP's active mode.

    ``ports`` are the first and the last port to choose from, such as a firewall lets through; any port, if there are
    none. ``address`` is the address to tell the server, where it is not this machine's own: behind a NAT that passes
    connections on.
    """

    __slots__ = ("ports", "address")  # noqa: RUF023

    ports: tuple[int, int] | None
    address: str | None

    def __init__(self, *, ports: tuple[int, int] | None = None, address: str | None = None) -> None:
        self._set(ports, address)

    def __reduce__(self) -> tuple[object, ...]:
        return _active_mode, self._state()


def _active_mode(ports: tuple[int, int] | None, address: str | None) -> ActiveMode:
    return ActiveMode(ports=ports, address=address)


def listening(active: bool | ActiveMode) -> tuple[tuple[int, int] | None, str | None] | None:
    """Active mode as the native module takes it."""
    if isinstance(active, ActiveMode):
        return active.ports, active.address
    return (None, None) if active else None


Stages = tuple[float | None, float | None, float | None, float | None, float | None, float | None]


def stages(timeout: float | Timeout | None) -> float | Stages | None:
    """The timeout as the native module takes it."""
    if isinstance(timeout, Timeout):
        return (timeout.connect, timeout.handshake, timeout.reply, timeout.stall, timeout.finish, timeout.total)
    return timeout


def wishes(options: SendOptions | None) -> Wishes | None:
    """What is asked for a message, as the native module takes it."""
    if options is None:
        return None
    from ._options import native

    return native(options)


def sink(trace: Trace, name: str) -> Callable[[str], object] | None:
    """Where events go: a callable, or, for ``True``, the logger of that name."""
    if trace is True:
        import logging

        return logging.getLogger(name).debug
    return trace or None
