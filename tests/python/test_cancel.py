"""File sessions that were cancelled half way go on: in step again, or replaced, and never one reply off."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import starttls

from tests.python.faces import trusting
from tests.servers.ftp import FTPServer

SMALL = b"what is small is whole\n" * 5
OTHER = b"and so is the other one\n" * 700


def furnish(server: FTPServer, large: Path) -> None:
    """A directory with a large file, two small ones, and one with many entries in it."""
    server.put("sub/large", large.read_bytes()[:30_000_000])
    server.put("sub/small", SMALL)
    server.put("sub/other", OTHER)
    for number in range(600):
        server.put(f"sub/many/{number:04}-{'x' * 60}", b"")


async def check(ftp: starttls.AsyncFTP, tmp_path: Path) -> None:
    """Every answer is the right one, and the directory is the one that it was."""
    assert (await ftp.pwd()).endswith("/sub")
    assert (await ftp.stat("small")).size == len(SMALL)
    assert (await ftp.download("other", tmp_path / "other")).size == len(OTHER)
    assert (tmp_path / "other").read_bytes() == OTHER
    assert {"large", "small", "other", "many"} <= set(await ftp.listdir())
    assert (await ftp.upload(SMALL, "again")).size == len(SMALL)
    assert (await ftp.stat("again")).size == len(SMALL)


async def cancelled(task: asyncio.Task[Any], flowing: asyncio.Event) -> None:
    """Once it is in the middle, it is cancelled."""
    async with asyncio.timeout(30):
        await flowing.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def during(what: str, ftp: starttls.AsyncFTP, tmp_path: Path, flowing: asyncio.Event, large: Path) -> Any:
    def told(done: int, total: int | None) -> None:
        flowing.set()

    async def listing() -> None:
        async for _ in ftp.scandir("many"):
            flowing.set()
            await asyncio.sleep(0)

    async def reading() -> None:
        file = await ftp.open("large")
        while await file.read(10_000):
            flowing.set()

    async def pieces() -> AsyncIterator[bytes]:
        while True:
            yield bytes(100_000)
            flowing.set()

    doings: dict[str, Callable[[], Any]] = {
        "download": lambda: ftp.download("large", tmp_path / "large", progress=told),
        "upload": lambda: ftp.upload(large, "up", progress=told),
        "pieces": lambda: ftp.upload(pieces(), "up"),
        "listing": listing,
        "reading": reading,
    }
    return doings[what]()


@pytest.mark.parametrize("what", ["download", "upload", "pieces", "listing", "reading"])
def test_a_cancelled_operation_leaves_a_session_that_can_be_used(
    ftp_server: FTPServer, tmp_path: Path, large_file: Path, what: str
) -> None:
    furnish(ftp_server, large_file)

    async def main() -> None:
        async with starttls.AsyncFTP(ftp_server.url, tls=trusting(ftp_server)) as ftp:
            await ftp.cwd("sub")
            for _ in range(2):
                flowing = asyncio.Event()
                await cancelled(
                    asyncio.create_task(during(what, ftp, tmp_path, flowing, large_file)),
                    flowing,
                )
                await check(ftp, tmp_path)

    asyncio.run(main())


@pytest.mark.parametrize("vsftpd", ["1.3"], indirect=True)
def test_wherever_it_is_cancelled(vsftpd: FTPServer, tmp_path: Path, large_file: Path) -> None:
    """After each number of turns of the event loop."""
    furnish(vsftpd, large_file)

    async def main() -> None:
        async with starttls.AsyncFTP(vsftpd.url, tls=trusting(vsftpd)) as ftp:
            await ftp.cwd("sub")
            for turns in range(0, 60, 3):
                for doing in (ftp.download("small", tmp_path / "small"), ftp.stat("other"), ftp.listdir("many")):
                    task = asyncio.create_task(doing)
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    task.cancel()
                    await asyncio.wait([task])
                    assert (await ftp.stat("small")).size == len(SMALL)
            await check(ftp, tmp_path)

    asyncio.run(main())


def test_what_is_left_early_is_given_up(ftp_server: FTPServer, tmp_path: Path, large_file: Path) -> None:
    """Loops that are left, and files that nobody has any more."""
    furnish(ftp_server, large_file)

    async def main() -> None:
        async with starttls.AsyncFTP(ftp_server.url, tls=trusting(ftp_server)) as ftp:
            await ftp.cwd("sub")
            async for _ in ftp.scandir("many"):
                break
            gc.collect()
            await check(ftp, tmp_path)
            file = await ftp.open("large")
            assert await file.read(5)
            del file
            gc.collect()
            await check(ftp, tmp_path)

    asyncio.run(main())
    with starttls.FTP(ftp_server.url, tls=trusting(ftp_server)) as ftp:
        ftp.cwd("sub")
        for _ in ftp.scandir("many"):
            break
        assert ftp.stat("small").size == len(SMALL)
        entries = iter(ftp.scandir("many"))
        next(entries)
        entries.close()  # type: ignore[attr-defined] # it is a generator
        del entries
        assert ftp.stat("other").size == len(OTHER)
        with ftp.open("large") as reader:
            reader.read(5)
        assert len(ftp.listdir("many")) == 600
