"""Our Python package doing what the peers do: ``sync`` and ``asyncio``."""

from harness import EACH, HOST, PASSWORD, RECIPIENT, SENDER, USER, Task, main

# isort: split
import itertools
import os
import tempfile
import time
from collections.abc import Iterator

import starttls

SESSIONS = 8
"""Of a mirror."""


class Discard:
    """Takes a download and forgets it."""

    def __init__(self) -> None:
        self.octets = 0

    def write(self, block: bytes) -> int:
        self.octets += len(block)
        return len(block)


def tls(task: Task) -> starttls.TLSConfig:
    return starttls.TLSConfig(ca_file=task.ca_file)


def content(task: Task) -> bytes | os.PathLike[str]:
    """The message; a large one by its path, so that it is never in memory."""
    if task.operation != "smtp-large":
        return task.message()
    from pathlib import Path

    return Path(task.argument)


def batch(task: Task, message: bytes | os.PathLike[str]) -> Iterator[tuple[bytes | os.PathLike[str], str, list[str]]]:
    """The same message as often as the task says, with its envelope."""
    return itertools.repeat((message, SENDER, [RECIPIENT]), task.count)


def url(task: Task) -> str:
    scheme = task.operation.partition("-")[0]
    return f"{scheme}://{USER}:{PASSWORD}@{HOST}:{task.port}"


def tree(report: starttls.MirrorReport) -> int:
    """How many files a whole mirror brought."""
    assert report.failed == 0, report
    return sum(entry.type == "file" and entry.action == "created" for entry in report.files)


def sync(task: Task) -> None:
    if task.operation == "smtp-oneshot":
        start = task.begin()
        report = starttls.send(url(task), content(task), sender=SENDER, recipients=[RECIPIENT], tls=tls(task))
        task.report_seconds(time.perf_counter() - start, int(report.outcome == "accepted"))
        return
    if task.operation.startswith("smtp"):
        with starttls.SMTP(url(task), tls=tls(task)) as client:
            start = task.begin()
            message = content(task)
            sent = 0
            if task.operation == "smtp-batch":
                sent = sum(report.outcome == "accepted" for report in client.send_many(batch(task, message)))
            else:
                while task.goes_on(sent, start):
                    client.send(message, sender=SENDER, recipients=[RECIPIENT])
                    sent += 1
            seconds = time.perf_counter() - start
        task.report_seconds(seconds, sent)
        return
    with starttls.FTP(url(task), tls=tls(task)) as client:
        start = task.begin()
        count = 0
        if task.operation == "ftp-download":
            count = client.download(task.argument, Discard()).size
        elif task.operation == "ftp-upload":
            count = client.upload(task.argument, "up/upload.bin").size
        elif task.operation == "ftp-files":
            while task.goes_on(count, start):
                client.download(f"{task.argument}/f{count:05}", Discard())
                count += 1
        elif task.operation == "ftp-tree":
            with tempfile.TemporaryDirectory() as place:
                count = tree(client.mirror(task.argument, place, parallel=SESSIONS))
                seconds = time.perf_counter() - start
            task.report_seconds(seconds, count)
            return
        elif task.operation == "ftp-list":
            count = len(list(client.scandir(task.argument)))
        seconds = time.perf_counter() - start
    task.report_seconds(seconds, count)


def asynchronous(task: Task) -> None:
    import asyncio

    async def one() -> None:
        start = task.begin()
        async with starttls.AsyncSMTP(url(task), tls=tls(task)) as client:
            report = await client.send_and_quit(content(task), sender=SENDER, recipients=[RECIPIENT])
        task.report_seconds(time.perf_counter() - start, int(report.outcome == "accepted"))

    async def send() -> None:
        async with starttls.AsyncSMTP(url(task), tls=tls(task)) as client:
            start = task.begin()
            message = content(task)
            sent = 0
            if task.operation == "smtp-batch":
                async for report in client.send_many(batch(task, message)):
                    sent += report.outcome == "accepted"
            else:
                while task.goes_on(sent, start):
                    await client.send(message, sender=SENDER, recipients=[RECIPIENT])
                    sent += 1
            seconds = time.perf_counter() - start
        task.report_seconds(seconds, sent)

    async def transfer() -> None:
        async with starttls.AsyncFTP(url(task), tls=tls(task)) as client:
            start = task.begin()
            count = 0
            if task.operation == "ftp-download":
                count = (await client.download(task.argument, Discard())).size
            elif task.operation == "ftp-upload":
                count = (await client.upload(task.argument, "up/upload.bin")).size
            elif task.operation == "ftp-files":
                while task.goes_on(count, start):
                    await client.download(f"{task.argument}/f{count:05}", Discard())
                    count += 1
            elif task.operation == "ftp-tree":
                with tempfile.TemporaryDirectory() as place:
                    count = tree(await client.mirror(task.argument, place, parallel=SESSIONS))
                    seconds = time.perf_counter() - start
                task.report_seconds(seconds, count)
                return
            elif task.operation == "ftp-list":
                count = len(list(await client.scandir(task.argument)))
            seconds = time.perf_counter() - start
        task.report_seconds(seconds, count)

    async def one_of_many(message: bytes) -> None:
        async with starttls.AsyncSMTP(url(task), tls=trust) as client:
            letters = [(message, SENDER, [RECIPIENT])] * EACH
            assert all([report.outcome == "accepted" async for report in client.send_many(letters)])

    async def many() -> None:
        connections = task.count // EACH
        start = task.begin()
        message = task.message()
        await asyncio.gather(*(one_of_many(message) for _ in range(connections)))
        task.report(start, task.count)

    if task.operation == "smtp-connections":
        trust = tls(task)
        asyncio.run(many())
    elif task.operation == "smtp-oneshot":
        asyncio.run(one())
    else:
        asyncio.run(send() if task.operation.startswith("smtp") else transfer())


if __name__ == "__main__":
    main({"sync": sync, "asyncio": asynchronous})
