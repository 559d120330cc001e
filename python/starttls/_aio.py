"""asyncio moves the bytes, the core says which: requests out, events in.

Only the event loop's public interface is used, so any loop will do.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from ._race import Race

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from ._native import Host, Operation

    T = TypeVar("T")


# glibc's allocator learns from the largest block freed so far what to keep. Without this one, which nobody touches,
# each flight's memory goes back to the system and comes again, page fault by page fault: a third of an upload's time.
bytearray(8 * 1024 * 1024)


class Channel(asyncio.Protocol):
    """One connection."""

    def __init__(self, driver: Driver, number: int) -> None:
        self.driver = driver
        self.number = number
        self.transport: asyncio.Transport | None = None
        self.connecting: asyncio.Task[None] | None = None
        self.deadline: float | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.unacknowledged: int | None = None
        """While the loop's buffer is full: bytes it was given and the core not yet told of."""
        self.resting = False
        """Whether reading is paused."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.attach(transport)
        # Sockets that are none of the internet's have names of other kinds, or none.
        names = (transport.get_extra_info(which) for which in ("peername", "sockname"))
        self.driver.host.connected(self.number, *(name if isinstance(name, tuple) else None for name in names))
        self.driver.wake()

    def attach(self, transport: asyncio.BaseTransport) -> None:
        """From now on the bytes go this way."""
        # Other loops' transports have no class in common with asyncio's.
        self.transport = transport  # type: ignore[assignment]
        self.connecting = None

    def data_received(self, data: bytes) -> None:
        if not self.driver.host.received(self.number, data):
            self.rest()
        self.driver.wake()

    def eof_received(self) -> bool:
        self.driver.host.received_eof(self.number)
        self.driver.wake()
        return True  # the other direction stays open

    def connection_lost(self, error: Exception | None) -> None:
        if error is None:
            self.driver.host.received_eof(self.number)
        else:
            self.driver.host.failed(self.number, error)
        self.driver.wake()

    def pause_writing(self) -> None:
        self.unacknowledged = 0

    def resume_writing(self) -> None:
        count, self.unacknowledged = self.unacknowledged, None
        if count:
            self.acknowledge(count)

    def rest(self) -> None:
        """Read no more for now."""
        if self.transport is not None and not self.resting:
            self.resting = True
            self.transport.pause_reading()

    def read_on(self) -> None:
        """Read again, if the core has room."""
        if self.resting and self.transport is not None and self.driver.host.wants_more(self.number):
            self.resting = False
            self.transport.resume_reading()

    def write(self, data: bytes) -> None:
        """Give bytes to the loop, and tell the core when they are out of its hands."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return  # the core hears of it as an event
        # Of a view, what the system does not take at once is not copied once more.
        transport.write(memoryview(data))
        if self.unacknowledged is None:
            self.acknowledge(len(data))
        else:
            self.unacknowledged += len(data)

    def acknowledge(self, count: int) -> None:
        """So many bytes are out of the loop's hands."""
        if self.driver.host.written(self.number, count):
            self.driver.wake()

    def shut_down(self) -> None:
        """End our direction."""
        transport = self.transport
        if transport is not None and not transport.is_closing() and transport.can_write_eof():
            # If the peer was quicker, our direction is closed all the same.
            with suppress(OSError):
                transport.write_eof()

    def close(self, *, at_once: bool = False) -> None:
        """Close; what was written still goes out, unless it must be at once."""
        self.deadline = None
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if self.connecting is not None:
            self.connecting.cancel()
        if self.transport is not None:
            if at_once:
                self.transport.abort()
            else:
                self.transport.close()

    def set_deadline(self, within: float) -> None:
        """Fail after so many seconds, unless another deadline comes."""
        self.deadline = self.driver.loop.time() + within
        # Deadlines mostly move on: one timer follows them, instead of one each.
        if self.timer is None or self.timer.when() > self.deadline:
            if self.timer is not None:
                self.timer.cancel()
            self.timer = self.driver.loop.call_at(self.deadline, self.expire)

    def expire(self) -> None:
        """The timer rang."""
        self.timer = None
        if self.deadline is None:
            return
        if self.driver.loop.time() < self.deadline:
            self.timer = self.driver.loop.call_at(self.deadline, self.expire)
            return
        self.driver.host.failed(self.number, TimeoutError("timed out"))
        self.driver.wake()


class Pause:
    """A pause that the core asked for, among the connections."""

    deadline: float | None = None

    def __init__(self, driver: Driver, number: int, time: float) -> None:
        self.timer = driver.loop.call_later(time, self.end, driver, number)

    @staticmethod
    def end(driver: Driver, number: int) -> None:
        """The timer rang."""
        driver.host.slept(number)
        driver.wake()

    def read_on(self) -> None:
        """There is nothing to read."""

    def close(self, *, at_once: bool = False) -> None:
        """Nobody waits any more."""
        self.timer.cancel()


class Driver:
    """The connections of one session, and the operation under way on it."""

    def __init__(self, host: Host, local_address: str | None = None, *, resumes: bool = False) -> None:
        self.host = host
        self._local_address = local_address
        self._resumes = resumes
        self.channels: dict[int, Channel | Pause] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._woken = False
        self._do: dict[str, Callable[..., None]] = {
            "connect": self._connect,
            "listen": self._listen,
            "sleep": self._sleep,
            "write": lambda number, data: self._channel(number).write(data),
            "deadline": lambda number, within: self._channel(number).set_deadline(within),
            "shutdown": lambda number: self._channel(number).shut_down(),
            "close": lambda number: self.channels.pop(number).close(),
        }

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of the operation under way."""
        assert self._loop is not None
        return self._loop

    def wake(self) -> None:
        """Something happened."""
        self._woken = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def drive(self, operation: Operation[T]) -> T:
        """Run an operation to its end.

        Cancelled, it closes the session's connections, unless the session puts itself in order at its next use.
        """
        self._loop = asyncio.get_running_loop()
        self._woken = False
        try:
            while not operation.poll():
                self._perform()
                if self._woken:
                    # It can go on at once, but others have their turn first.
                    self._woken = False
                    await asyncio.sleep(0)
                    continue
                self._waiting = self._loop.create_future()
                try:
                    await self._waiting
                finally:
                    self._waiting = None
                    self._woken = False
            self._perform()
        except BaseException:
            operation.cancel()
            if self._resumes:
                self._perform()
                self._rest()
            else:
                self._abandon()
            raise
        self._rest()
        return operation.result()

    def _rest(self) -> None:
        for channel in self.channels.values():
            channel.deadline = None  # deadlines are for operations, not for the time between them

    def _perform(self) -> None:
        for what, *details in self.host.take_requests():
            self._do[what](*details)
        for channel in self.channels.values():
            channel.read_on()

    def _abandon(self) -> None:
        for channel in self.channels.values():
            channel.close(at_once=True)
        self.channels.clear()
        self.host.take_requests()  # they are about connections that are gone

    def _channel(self, number: int) -> Channel:
        channel = self.channels[number]
        assert isinstance(channel, Channel)
        return channel

    def _sleep(self, number: int, time: float) -> None:
        self.channels[number] = Pause(self, number, time)

    def _listen(self, number: int, address: str, zone: int, ports: list[int], within: float) -> None:
        from ._listen import Listener

        listener = self.channels[number] = Listener(self, number)
        listener.set_deadline(within)
        listener.connecting = self.loop.create_task(listener.open(address, zone, ports))

    def _connect(self, number: int, host: str, port: int, within: float) -> None:
        channel = self.channels[number] = Channel(self, number)
        channel.connecting = self.loop.create_task(self._open(channel, host, port, within))

    async def _open(self, channel: Channel, host: str, port: int, within: float) -> None:
        race = Race(self.loop, self._local_address)
        try:
            async with asyncio.timeout(within):
                connected = await race.reach(host, port)
                await self.loop.create_connection(lambda: channel, sock=connected)
        except Exception as error:
            if race.failed:
                self.host.unreached(channel.number, race.failed)
            else:
                self.host.failed(channel.number, error)
            self.wake()
        finally:
            channel.connecting = None


class SharedDriver(Driver):
    """The connections of a pool, and any number of operations under way on it.

    Whose an event is, the core knows: each operation has a look whenever something happened.
    """

    def __init__(self, host: Host, local_address: str | None = None) -> None:
        super().__init__(host, local_address)
        self._events = 0
        self._all_waiting: set[asyncio.Future[None]] = set()

    def wake(self) -> None:
        """Something happened."""
        self._events += 1
        for waiting in self._all_waiting:
            if not waiting.done():
                waiting.set_result(None)

    async def drive(self, operation: Operation[T]) -> T:
        """Run an operation to its end. Cancelled, it closes its own connection."""
        self._loop = asyncio.get_running_loop()
        try:
            while not operation.poll():
                seen = self._events
                self._perform()
                if self._events != seen:
                    # It can go on at once, but others have their turn first.
                    await asyncio.sleep(0)
                    continue
                waiting = self._loop.create_future()
                self._all_waiting.add(waiting)
                try:
                    await waiting
                finally:
                    self._all_waiting.discard(waiting)
        except BaseException:
            operation.cancel()
            raise
        finally:
            self._perform()
            self.wake()  # a session may be free now
        return operation.result()
