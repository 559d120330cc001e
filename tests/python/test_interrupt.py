"""Ctrl-C, cancellation, fork: whatever stops an operation half way, the session says so or puts itself in order."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import starttls
from starttls._aio import Channel, Driver
from starttls._native import Host

from tests.python.faces import trusting
from tests.python.scripted import Peer, scripted, smtp_until_ready
from tests.servers.ftp import FTPServer
from tests.servers.pki import PKI
from tests.servers.postfix import PostfixServer

# A test run in the background hands its children SIGINT ignored; a person's terminal does not.
LISTENING = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"

# Waits are cut into slices of 100 ms, so 0.2 s is what a person meets; a busy machine may need a little more, and the
# operation's own deadline is far beyond it.
AT_ONCE = 5.0

CHILD = """
import sys, time
import starttls
from starttls._aio import Channel, Driver
from starttls._native import Host
port, ca_file, stage = int(sys.argv[1]), sys.argv[2], sys.argv[3]
smtp = starttls.SMTP(f"smtp://localhost:{port}", tls=starttls.TLSConfig(ca_file=ca_file), timeout=15)
try:
    if stage == "greeting":
        print("waiting", flush=True)
    smtp.connect()
    print("waiting", flush=True)
    smtp.send(b"Subject: x\\r\\n\\r\\nx\\r\\n", sender="a@x.test", recipients=["b@x.test"])
except KeyboardInterrupt:
    print(time.monotonic(), flush=True)
try:
    smtp.noop()
except starttls.InvalidState as error:
    print(error, flush=True)
smtp.close()
"""


@pytest.mark.parametrize("stage", ["greeting", "reply"])
def test_ctrl_c_is_heard_at_once(pki: PKI, stage: str) -> None:
    arrived = threading.Event()

    def script(peer: Peer) -> None:
        if stage == "reply":
            smtp_until_ready(peer, pki.server)
            assert peer.line().startswith("MAIL FROM:")
        arrived.set()
        peer.wait_for_end()

    with scripted(script) as server:
        command = [sys.executable, "-c", LISTENING + CHILD, str(server.port), str(pki.ca_file), stage]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "waiting\n"
            assert arrived.wait(10)
            time.sleep(0.05)  # into the wait itself
            sent = time.monotonic()
            child.send_signal(signal.SIGINT)
            raised = float(child.stdout.readline())
            assert raised - sent < AT_ONCE
            assert "closed" in child.stdout.readline() or stage == "greeting"
            assert child.wait(10) == 0


def test_ctrl_c_is_heard_while_bytes_flow(vsftpd: FTPServer, large_file: Any) -> None:
    vsftpd.put("large", large_file.read_bytes())
    script = """
import sys, time
import starttls
from starttls._aio import Channel, Driver
from starttls._native import Host

class Slow:
    started = False
    def write(self, data):
        if not self.started:
            self.started = True
            print("flowing", flush=True)
        time.sleep(0.001)

with starttls.FTP(sys.argv[1], tls=starttls.TLSConfig(ca_file=sys.argv[2])) as ftp:
    try:
        ftp.download("large", Slow())
    except KeyboardInterrupt:
        print(time.monotonic(), flush=True)
"""
    command = [sys.executable, "-c", LISTENING + script, vsftpd.url, str(vsftpd.ca_file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "flowing\n"
        sent = time.monotonic()
        child.send_signal(signal.SIGINT)
        assert float(child.stdout.readline()) - sent < AT_ONCE
        assert child.wait(10) == 0


def stalling_at(command: str, pki: PKI, gone: threading.Event) -> Callable[[Peer], None]:
    """A server that answers until a command comes, then waits for the client to leave."""

    def script(peer: Peer) -> None:
        smtp_until_ready(peer, pki.server)
        while not (line := peer.line()).startswith(command):
            assert line
            if line == "DATA":
                peer.say("354 go on")
            elif line.startswith(("MAIL", "RCPT")):
                peer.say("250 ok")
        peer.wait_for_end()
        gone.set()

    return script


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run, and let nothing be left open."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(main, debug=True)


@pytest.mark.parametrize("command", ["MAIL", "DATA", "."])
def test_a_cancelled_operation_closes_the_session(pki: PKI, command: str) -> None:
    gone = threading.Event()
    message = b"Subject: an empty line would look like the end to the script\r\n"

    async def main() -> None:
        smtp = starttls.AsyncSMTP(f"smtp://localhost:{server.port}", tls=starttls.TLSConfig(ca_file=pki.ca_file))
        await smtp.connect()
        start = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await smtp.send(message, sender="a@x.test", recipients=["b@x.test"])
        assert time.monotonic() - start < AT_ONCE
        assert await asyncio.to_thread(gone.wait, 5)
        for _ in range(2):
            with pytest.raises(starttls.InvalidState, match="cancelled or interrupted"):
                await smtp.noop()
        await smtp.close()
        assert len(asyncio.all_tasks()) == 1

    with scripted(stalling_at(command, pki, gone)) as server:
        run(main())
    assert server.connections == 1


def test_cancelled_while_connecting() -> None:
    async def main() -> None:
        smtp = starttls.AsyncSMTP(f"smtp://localhost:{server.port}")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await smtp.connect()
        with pytest.raises(starttls.InvalidState):
            await smtp.noop()
        await smtp.close()
        assert len(asyncio.all_tasks()) == 1

    with scripted(lambda peer: peer.wait_for_end()) as server:
        run(main())


def test_a_cancelled_download_leaves_no_file(vsftpd: FTPServer, tmp_path: Any, large_file: Any) -> None:
    vsftpd.put("large", large_file.read_bytes())

    async def main() -> None:
        ftp = starttls.AsyncFTP(vsftpd.url, tls=trusting(vsftpd))
        await ftp.connect()
        flowing = asyncio.Event()
        task = asyncio.create_task(
            ftp.download("large", tmp_path / "large", progress=lambda done, total: flowing.set())
        )
        await flowing.wait()
        assert (tmp_path / "large.part").exists()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert list(tmp_path.iterdir()) == []
        assert (await ftp.stat("large")).size == 100_000_000
        await ftp.close()

    run(main())


def test_one_operation_at_a_time(postfix: PostfixServer) -> None:
    async def main() -> None:
        async with starttls.AsyncSMTP(postfix.url, tls=trusting(postfix)) as smtp:
            first = asyncio.create_task(smtp.noop())
            await asyncio.sleep(0)
            with pytest.raises(starttls.InvalidState, match="one at a time"):
                await smtp.noop()
            assert (await first).code == 250

    run(main())


def test_any_loops_transport_will_do() -> None:
    """Other event loops' transports have no class in common with asyncio's."""

    class Transport:
        closed = False

        def get_extra_info(self, name: str) -> None:
            """There is none."""

        def close(self) -> None:
            self.closed = True

    channel = Channel(Driver(Host()), 1)
    transport = Transport()
    channel.connection_made(transport)  # type: ignore[arg-type]
    channel.close()
    assert transport.closed


def test_other_tasks_have_their_turn(vsftpd: FTPServer, large_file: Any) -> None:
    async def main() -> None:
        longest = 0.0

        async def watch() -> None:
            nonlocal longest
            while True:
                before = time.monotonic()
                await asyncio.sleep(0.001)
                longest = max(longest, time.monotonic() - before)

        async with starttls.AsyncFTP(vsftpd.url, tls=trusting(vsftpd)) as ftp:
            watcher = asyncio.create_task(watch())
            await ftp.upload(large_file, "large")
            watcher.cancel()
        assert longest < 1

    asyncio.run(main())


def test_a_forked_child_says_nothing_on_the_wire(postfix: PostfixServer) -> None:
    with starttls.SMTP(postfix.url, tls=trusting(postfix)) as smtp:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                smtp.noop()
            except starttls.InvalidState as error:
                code = 0 if "fork" in str(error) else 2
                smtp.close()
            except BaseException:
                code = 3
            os._exit(code)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert smtp.noop().code == 250


def test_threads_are_not_held_up(postfix: PostfixServer) -> None:
    """While one thread waits for the network, the others run."""

    def script(peer: Peer) -> None:
        time.sleep(0.5)
        peer.close()

    with scripted(script) as server:
        session = starttls.SMTP(f"smtp://127.0.0.1:{server.port}")
        failed: list[BaseException] = []

        def connect() -> None:
            try:
                session.connect()
            except starttls.ConnectionLost as error:
                failed.append(error)

        thread = threading.Thread(target=connect)
        thread.start()
        turns = 0
        while thread.is_alive():
            time.sleep(0.001)
            turns += 1
        assert failed
        assert turns > 50
