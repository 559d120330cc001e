"""What operations take of memory: each runs in a process of its own, which tells its peak at the end.

``measure(download, url, …)`` is ``python3 -m tests.python.measured download '["url", …]'``.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import starttls

CHECKOUT = Path(__file__).parents[2]

DEADLINE = 300.0
"""Seconds until an operation has failed."""

ZEROS = bytes(1 << 20)


@dataclass(frozen=True)
class Measured:
    """What an operation came to."""

    told: Any
    peak: int
    """The most memory that the process had at a time, in bytes."""


def command(operation: Callable[..., Any], *arguments: Any) -> list[str]:
    """How to run an operation of this module; its arguments are what JSON knows, and paths."""
    words = json.dumps(arguments, default=str)
    return [sys.executable, "-m", "tests.python.measured", operation.__name__, words]


def measure(operation: Callable[..., Any], *arguments: Any) -> Measured:
    """Run it, and hear what it came to."""
    words = command(operation, *arguments)
    done = subprocess.run(words, stdout=subprocess.PIPE, timeout=DEADLINE, check=True, cwd=CHECKOUT)
    return Measured(**json.loads(done.stdout))


def peak() -> int:
    """The peak of this process. (What ``getrusage`` tells may be its parent's.)"""
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


@dataclass(frozen=True)
class Vast:
    """A file of zeros with marks, which takes no room."""

    size: int
    marks: tuple[int, ...]

    WIDTH = 32

    def mark(self, at: int) -> bytes:
        """What is there."""
        return hashlib.sha256(b"%d" % at).digest()

    def make(self, path: Path, size: int | None = None) -> None:
        """Make its beginning, or all of it."""
        size = self.size if size is None else size
        with path.open("wb") as file:
            for at in self.marks:
                file.seek(at)
                file.write(self.mark(at)[: max(0, size - at)])
            file.truncate(size)

    def part(self, at: int, length: int) -> bytes:
        """What it has there."""
        part = ZEROS[:length]
        for mark in self.marks:
            if mark < at + length and at < mark + self.WIDTH:
                begin, end = max(mark, at), min(mark + self.WIDTH, at + length)
                part = part[: begin - at] + self.mark(mark)[begin - mark : end - mark] + part[end - at :]
        return part

    def is_at(self, path: Path) -> bool:
        """Whether this is it: every byte that is no hole is read."""
        with path.open("rb") as file:
            at, size = 0, os.fstat(file.fileno()).st_size
            while at < size:
                try:
                    at = os.lseek(file.fileno(), at, os.SEEK_DATA)
                except OSError:
                    break  # nothing but a hole
                end = os.lseek(file.fileno(), at, os.SEEK_HOLE)
                file.seek(at)
                while at < end:
                    piece = file.read(min(end - at, len(ZEROS)))
                    if piece != self.part(at, len(piece)):
                        return False
                    at += len(piece)
            seen = [file.seek(mark) == mark and file.read(self.WIDTH) == self.mark(mark) for mark in self.marks]
        return size == self.size and all(seen)


VAST = Vast(2**32 + 3 * 2**20 + 5, (0, 2**31 - 16, 2**32 - 16, 2**32 + 2**20 - 40, 2**32 + 3 * 2**20 + 5 - 32))
"""Larger than 32 bits can count, with marks wherever somebody may have thought that they can."""

SEAM = 2**32 + 2**20
"""Where it was cut, right behind a mark."""


class Compared(io.RawIOBase):
    """A file object that takes what the vast file has."""

    def __init__(self, at: int) -> None:
        self.at = at

    def write(self, data: Any, /) -> int:
        """Compare it."""
        assert data == VAST.part(self.at, len(data)), f"other bytes between {self.at} and {self.at + len(data)}"
        self.at += len(data)
        return len(data)


def download(url: str, ca_file: str, path: str, offset: int) -> Any:
    """From there to the end; where the end was."""
    into = Compared(offset)
    with starttls.FTP(url, tls=starttls.TLSConfig(ca_file=ca_file)) as ftp:
        receipt = ftp.download(path, into, offset=offset, verify="size")
    return [receipt.size, receipt.status, into.at]


def resume_download(url: str, ca_file: str, path: str, local: str) -> Any:
    """What is not there yet."""

    async def run() -> starttls.TransferReceipt:
        async with starttls.AsyncFTP(url, tls=starttls.TLSConfig(ca_file=ca_file)) as ftp:
            return await ftp.download(path, local, resume=True, verify="size")

    receipt = asyncio.run(run())
    return [receipt.offset, receipt.size, receipt.status]


def upload(url: str, ca_file: str, local: str, path: str, resume: bool) -> Any:
    """All of it, or what is not there yet."""
    with starttls.FTP(url, tls=starttls.TLSConfig(ca_file=ca_file)) as ftp:
        receipt = ftp.upload(Path(local), path, resume=resume, verify="size")
    return [receipt.offset, receipt.size, receipt.status]


def read_at(url: str, ca_file: str, path: str, at: int) -> Any:
    """A remote file's end, by way of its size."""
    with starttls.FTP(url, tls=starttls.TLSConfig(ca_file=ca_file)) as ftp, ftp.open(path) as file:
        end = file.seek(0, io.SEEK_END)
        file.seek(at)
        return [end, file.read(Vast.WIDTH).hex()]


def mirror(url: str, ca_file: str, source: str, destination: str, tells: bool) -> Any:
    """Make one tree equal to another; the one that begins with a slash is here. ``tells`` prints each path."""
    upload = source.startswith("/")

    def on_file(file: starttls.FileReport) -> None:
        if tells:
            print(file.path, flush=True)

    with starttls.FTP(url, tls=starttls.TLSConfig(ca_file=ca_file)) as ftp:
        direction: Literal["upload", "download"] = "upload" if upload else "download"
        report = ftp.mirror(source, destination, direction=direction, on_file=on_file)
    return counts(report)


def dry_run(url: str, ca_file: str, destination: str) -> Any:
    """What a mirror would do, in one session."""
    with starttls.FTP(url, tls=starttls.TLSConfig(ca_file=ca_file)) as ftp:
        return counts(ftp.mirror("", destination, dry_run=True, parallel=1, on_file=lambda _: None))


def counts(report: starttls.MirrorReport) -> dict[str, int]:
    """What a mirror did."""
    return {name: getattr(report, name) for name in ("created", "updated", "unchanged", "failed")}


def listing(url: str, ca_file: str, face: str) -> Any:
    """How many entries a directory has, and how large its files are together."""
    tls = starttls.TLSConfig(ca_file=ca_file)

    async def run() -> list[int]:
        count = size = 0
        async with starttls.AsyncFTP(url, tls=tls) as ftp:
            async for entry in ftp.scandir():
                count += 1
                size += entry.size or 0
            await ftp.noop()
        return [count, size]

    if face == "asyncio":
        return asyncio.run(run())
    count = size = 0
    with starttls.FTP(url, tls=tls) as ftp:
        for entry in ftp.scandir():
            count += 1
            size += entry.size or 0
        ftp.noop()
    return [count, size]


def endless(url: str, ca_file: str, how: str) -> Any:
    """What ends a listing that does not end by itself."""
    timeout = starttls.Timeout(total=2) if how == "total" else None
    with starttls.FTP(url, tls=starttls.TLSConfig(ca_file=ca_file), timeout=timeout) as ftp:
        try:
            if how == "caller":
                with ftp.scandir() as entries:
                    for count, _ in enumerate(entries):
                        if count == 100_000:
                            break
                ftp.noop()
                return "usable"
            if how == "names":
                ftp.names()
            elif how == "stat":
                ftp.stat("d/no such file")
            else:
                for _ in ftp.scandir():
                    pass
        except starttls.Error as error:
            return type(error).__name__
    return "ended"


if __name__ == "__main__":
    result = globals()[sys.argv[1]](*json.loads(sys.argv[2]))
    print(json.dumps({"told": result, "peak": peak()}))
