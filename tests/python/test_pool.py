"""Pools, on both faces: sessions are kept, waited for, and replaced when they had ended."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import starttls

from tests.python.faces import TIMEOUT, Asyncio, Awaited, Face, trusting
from tests.python.scripted import Peer, scripted
from tests.servers.postfix import PostfixServer

MESSAGE = b"From: a@example.org\r\nTo: b@example.org\r\n\r\nHello.\r\n"


def pool(face: Face, url: str, **options: Any) -> Any:
    options = {"timeout": TIMEOUT, **options}
    if isinstance(face, Asyncio):
        return Awaited(face._runner, starttls.AsyncSMTPPool(url, **options))
    return starttls.SMTPPool(url, **options)


def takes(messages: int, *, end: str | None = None) -> Any:
    """A script that takes so many messages in clear text, says ``end`` and closes."""

    def script(peer: Peer) -> None:
        peer.say("220 ready")
        taken = 0
        while line := peer.line():
            if line == "DATA":
                peer.say("354 go")
                while peer.line() != ".":
                    pass
                peer.say("250 ok")
                taken += 1
                if taken == messages:
                    if end is not None:
                        peer.say(end)
                    return
            elif line == "QUIT":
                peer.say("221 bye")
                return
            else:
                peer.say("250 ok")

    return script


def test_sessions_are_kept(face: Face, postfix: PostfixServer) -> None:
    connected: list[str] = []

    def trace(line: str) -> None:
        if "control connected" in line:
            connected.append(line)

    with pool(face, postfix.url, tls=trusting(postfix), trace=trace) as kept:
        for _ in range(5):
            assert kept.send(MESSAGE, sender=postfix.user, recipients=[postfix.user]).outcome == "accepted"
        assert kept.sessions == (0, 1)
    assert len(connected) == 1
    assert len(postfix.messages(5)) == 5
    with pytest.raises(starttls.InvalidState, match="closed"):
        kept.send(MESSAGE, sender=postfix.user, recipients=[postfix.user])


def test_threads_share_a_pool(postfix: PostfixServer) -> None:
    with (
        starttls.SMTPPool(postfix.url, tls=trusting(postfix), connections=2, timeout=TIMEOUT) as shared,
        ThreadPoolExecutor(8) as threads,
    ):
        reports = list(
            threads.map(lambda _: shared.send(MESSAGE, sender=postfix.user, recipients=[postfix.user]), range(20))
        )
        assert [report.outcome for report in reports] == ["accepted"] * 20
        taken, idle = shared.sessions
        assert taken == 0 and 1 <= idle <= 2
    assert len(postfix.messages(20)) == 20


def test_tasks_share_a_pool(postfix: PostfixServer) -> None:
    async def main() -> None:
        async with starttls.AsyncSMTPPool(postfix.url, tls=trusting(postfix), connections=3, timeout=TIMEOUT) as shared:
            send = [shared.send(MESSAGE, sender=postfix.user, recipients=[postfix.user]) for _ in range(30)]
            reports = await asyncio.gather(*send)
            assert [report.outcome for report in reports] == ["accepted"] * 30
            taken, idle = shared.sessions
            assert taken == 0 and 1 <= idle <= 3
            # One that is cancelled takes its session with it, and nobody else's.
            lost = asyncio.create_task(shared.send(MESSAGE, sender=postfix.user, recipients=[postfix.user]))
            others = [
                asyncio.create_task(shared.send(MESSAGE, sender=postfix.user, recipients=[postfix.user]))
                for _ in range(5)
            ]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            lost.cancel()
            with pytest.raises(asyncio.CancelledError):
                await lost
            assert [(await other).outcome for other in others] == ["accepted"] * 5

    asyncio.run(main())


@pytest.mark.parametrize("end", [None, "421 4.4.2 idle for too long"])
def test_an_ended_session_is_replaced(face: Face, end: str | None) -> None:
    with scripted(takes(1, end=end)) as server:
        with pool(face, f"smtp://127.0.0.1:{server.port}?tls=none") as kept:
            for _ in range(3):
                assert kept.send(MESSAGE).outcome == "accepted"
        assert server.connections == 3


def test_sessions_end_after_so_many_messages_and_so_long(face: Face) -> None:
    for options, connections in (({"messages": 2}, 2), ({"idle": 0}, 4)):
        with scripted(takes(100)) as server:
            with pool(face, f"smtp://127.0.0.1:{server.port}?tls=none", **options) as kept:
                for _ in range(4):
                    assert kept.send(MESSAGE).outcome == "accepted"
            assert server.connections == connections


def test_arguments(face: Face) -> None:
    for bad in ({"connections": 0}, {"messages": 0}, {"idle": -1}):
        with pytest.raises(starttls.InvalidArgument):
            pool(face, "smtp://mail.invalid", **bad)
    with pytest.raises(starttls.InvalidArgument):
        pool(face, "ftp://mail.invalid")
    assert "secret" not in repr(pool(face, "smtp://ann:secret@mail.invalid"))


def test_a_signal_ends_the_wait_for_a_session() -> None:
    class Rang(Exception):
        pass

    def ring(*_: object) -> None:
        raise Rang

    def silent(peer: Peer) -> None:
        peer.wait_for_end()

    with scripted(silent) as server:
        busy = starttls.SMTPPool(f"smtp://127.0.0.1:{server.port}?tls=none", connections=1, timeout=8)
        ended: list[BaseException] = []

        def hold() -> None:
            try:
                busy.send(MESSAGE)
            except starttls.Error as error:
                ended.append(error)

        holder = threading.Thread(target=hold)
        holder.start()
        while busy.sessions != (1, 0):
            time.sleep(0.001)
        before = signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        try:
            began = time.monotonic()
            with pytest.raises(Rang):
                busy.send(MESSAGE)
            assert time.monotonic() - began < 6  # what is waited for would take 8
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        holder.join()
        assert len(ended) == 1
