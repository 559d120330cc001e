"""Many messages on one session: taken as there is room for them, and none lost sight of."""

from __future__ import annotations

from functools import partial
from itertools import islice
from time import monotonic

from . import _message
from ._errors import InvalidState
from ._files import is_async
from ._native import SmtpCommand
from ._settings import wishes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable, Iterator
    from typing import Any

    from ._options import SendOptions
    from ._results import DeliveryReport

MOST = 32
"""Messages taken at once."""
PATIENCE = 0.001
"""Seconds after which those that are there do not wait for the next."""


class Supply:
    """Messages as they come: many at once if they come quickly, each by itself if not."""

    def __init__(self, messages: Iterable[Any] | AsyncIterable[Any]) -> None:
        self._messages: Any = aiter(messages) if is_async(messages) else iter(messages)  # type: ignore[arg-type]
        self._size = 1
        self.error: Exception | None = None
        """What ended it before its end."""

    def take(self) -> list[Any]:
        """The next messages; none at the end."""
        batch: list[Any] = []
        if self.error is not None:
            return batch
        asked = monotonic()
        try:
            # If this fails, those that came before are in the batch all the same.
            batch.extend(islice(self._messages, self._size))
        except Exception as error:
            self.error = error
        self._learn(asked)
        return batch

    async def take_async(self) -> list[Any]:
        """The same, where they may come from an asynchronous iterable."""
        if not hasattr(self._messages, "__anext__"):
            return self.take()
        batch: list[Any] = []
        if self.error is not None:
            return batch
        asked = monotonic()
        try:
            while len(batch) < self._size:
                batch.append(await anext(self._messages))
        except StopAsyncIteration:
            pass
        except Exception as error:
            self.error = error
        self._learn(asked)
        return batch

    def _learn(self, asked: float) -> None:
        self._size = min(2 * self._size, MOST) if monotonic() - asked < PATIENCE else 1


def runs(batch: list[Any]) -> Iterator[tuple[list[Any], Any]]:
    """Messages that go together, and one after them whose bytes are to be awaited, if there is one."""
    together: list[Any] = []
    for item in batch:
        message = item[0] if isinstance(item, tuple) and item else item
        if is_async(message):
            yield together, item
            together = []
        else:
            together.append(item)
    if together:
        yield together, None


def command(
    batch: list[Any], seven_bit: bool, options: SendOptions | None
) -> SmtpCommand[tuple[list[DeliveryReport], bool]]:
    """Send these."""
    return SmtpCommand.submit(batch, partial(_message.letter, seven_bit=seven_bit), wishes(options))


def lost(reports: list[DeliveryReport]) -> Exception:
    """Why no more can be sent."""
    known = (report.error for report in reversed(reports) if report.error is not None)
    return next(known, InvalidState("the session was lost: connect() opens a new one"))
