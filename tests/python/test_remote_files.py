"""Remote files as file objects: what the standard library makes of them, and parts of files."""

from __future__ import annotations

import asyncio
import csv
import io
import os
import shutil
import zipfile
from pathlib import Path

import pytest
import starttls

from tests.python.faces import Face, trusting
from tests.python.test_ftp import noise
from tests.servers.ftp import FTPServer

DAEMONS = ["vsftpd", "proftpd", "pureftpd", "pyftpdlib"]


@pytest.fixture
def archive() -> bytes:
    """A zip file whose directory is at its end, as every zip file's is."""
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("first.bin", noise(400_000))
        file.writestr("table.csv", "name;size\r\nönly;1\r\n")
        file.writestr("last.bin", noise(50_000))
    return into.getvalue()


@pytest.mark.parametrize("daemon", DAEMONS)
def test_archives(daemon: str, request: pytest.FixtureRequest, archive: bytes) -> None:
    server: FTPServer = request.getfixturevalue(daemon)
    server.put("a.zip", archive)
    with starttls.FTP(server.url, tls=trusting(server)) as ftp:
        with ftp.open("a.zip") as remote, zipfile.ZipFile(remote) as file:
            assert file.namelist() == ["first.bin", "table.csv", "last.bin"]
            assert file.read("last.bin") == noise(50_000)
            with file.open("table.csv") as table:
                rows = list(csv.reader(io.TextIOWrapper(table, "utf-8"), delimiter=";"))
            assert rows == [["name", "size"], ["önly", "1"]]
            assert file.testzip() is None
        # One that is made there, as it is written.
        with ftp.open("b.zip", "wb") as remote, zipfile.ZipFile(remote, "w") as file:
            file.writestr("first.bin", noise(300_000))
        assert zipfile.ZipFile(server.root / "b.zip").read("first.bin") == noise(300_000)
        assert ftp.noop().code == 200


def test_readers_and_copies(vsftpd: FTPServer, tmp_path: Path) -> None:
    content = noise(700_000)
    vsftpd.put("file", content)
    vsftpd.put("text", "erste Zeile\r\nzweite ü\r\n".encode("latin-1"))
    with starttls.FTP(vsftpd.url, tls=trusting(vsftpd)) as ftp:
        with ftp.open("file") as remote:
            assert isinstance(remote, io.BufferedReader)
            assert remote.readable() and remote.seekable() and not remote.writable()
            assert remote.peek(10)[:10] == content[:10]
            buffer = bytearray(1_000)
            assert remote.readinto(buffer) == 1_000 and buffer == content[:1_000]
            assert remote.read1(500) == content[1_000:1_500]
            assert remote.tell() == 1_500
            with (tmp_path / "copy").open("wb") as local:
                shutil.copyfileobj(remote, local)
        assert (tmp_path / "copy").read_bytes() == content[1_500:]
        with ftp.open("text") as remote, io.TextIOWrapper(remote, "latin-1") as text:
            assert text.read() == "erste Zeile\nzweite ü\n"
        with ftp.open("back", "wb") as remote, (tmp_path / "copy").open("rb") as local:
            assert remote.writable() and not remote.readable() and not remote.seekable()
            shutil.copyfileobj(local, remote)
        assert (vsftpd.root / "back").read_bytes() == content[1_500:]
        with ftp.open("lines", "wb") as remote, io.TextIOWrapper(remote, "utf-8", newline="\r\n") as text:
            print("ä", "b", sep="\n", file=text)
        assert (vsftpd.root / "lines").read_bytes() == "ä\r\nb\r\n".encode()


PLACES = [(5, os.SEEK_SET), (100, os.SEEK_CUR), (-7, os.SEEK_END), (-40_000, os.SEEK_CUR), (0, os.SEEK_SET)]


@pytest.mark.parametrize("daemon", DAEMONS)
def test_any_place(face: Face, daemon: str, request: pytest.FixtureRequest) -> None:
    server: FTPServer = request.getfixturevalue(daemon)
    content = noise(600_000)
    server.put("file", content)
    here = io.BytesIO(content)
    if face.name == "sync":
        with starttls.FTP(server.url, tls=trusting(server)) as ftp, ftp.open("file") as remote:
            for by, whence in PLACES:
                assert remote.seek(by, whence) == here.seek(by, whence)
                assert remote.read(3) == here.read(3)
                assert remote.tell() == here.tell()
            assert remote.seek(10, os.SEEK_END) == 600_010
            assert remote.read(1) == b""
            with pytest.raises((ValueError, OSError)):
                remote.seek(-1)
            remote.seek(0)
            assert remote.read() == content
        return

    async def run() -> None:
        async with (
            starttls.AsyncFTP(server.url, tls=trusting(server)) as ftp,
            await ftp.open("file") as remote,
        ):
            for by, whence in PLACES:
                assert await remote.seek(by, whence) == here.seek(by, whence)
                assert await remote.read(3) == here.read(3)
                assert remote.tell() == here.tell()
            assert await remote.seek(10, os.SEEK_END) == 600_010
            assert await remote.read(1) == b""
            with pytest.raises(ValueError, match="before its beginning"):
                await remote.seek(-1)
            await remote.seek(0)
            assert b"".join([piece async for piece in remote]) == content

    asyncio.run(run())


def test_an_archive_awaited(vsftpd: FTPServer, archive: bytes) -> None:
    """Where the standard library wants files, they come as a part, which is then in memory."""
    vsftpd.put("a.zip", archive)

    async def run() -> None:
        async with starttls.AsyncFTP(vsftpd.url, tls=trusting(vsftpd)) as ftp, await ftp.open("a.zip") as remote:
            size = await remote.seek(0, os.SEEK_END)
            await remote.seek(max(0, size - 65_536))
            end = await remote.read()
            assert end == archive[-65_536:]
            await remote.seek(0)
            assert zipfile.ZipFile(io.BytesIO(await remote.read())).testzip() is None

    asyncio.run(run())


@pytest.mark.parametrize("mode", ["r+b", "w+b", "rb+", "a+b", "r", "w", "x", "xb", ""])
def test_files_are_read_or_written(face: Face, vsftpd: FTPServer, mode: str) -> None:
    vsftpd.put("file", b"precious")
    with face.ftp(vsftpd.url, tls=trusting(vsftpd)) as ftp:
        with pytest.raises(starttls.InvalidArgument, match="upload it" if "+" in mode else "rb, wb or ab"):
            ftp.open("file", mode)
        assert ftp.noop().code == 200
    assert (vsftpd.root / "file").read_bytes() == b"precious"


@pytest.mark.parametrize("daemon", DAEMONS)
def test_what_stands_behind_what_is_written_over(face: Face, daemon: str, request: pytest.FixtureRequest) -> None:
    server: FTPServer = request.getfixturevalue(daemon)
    file = server.put("file", b"0123456789")
    kept = b"" if daemon == "pureftpd" else b"56789"
    with face.ftp(server.url, tls=trusting(server)) as ftp:
        receipt = ftp.upload(b"??abc", "file", offset=2, verify="size")
        assert (receipt.offset, receipt.size, receipt.status) == (2, 3, "verified")
        assert file.read_bytes() == b"01abc" + kept
        # Up to its end it is the same everywhere, and so is what is added.
        end = len(file.read_bytes())
        receipt = ftp.upload(iter([b"xy", b"z"]), "file", offset=end - 1)
        assert (receipt.offset, receipt.size) == (end - 1, 3)
        assert file.read_bytes() == (b"01abc" + kept)[:-1] + b"xyz"
        receipt = ftp.upload(b"more", "file", append=True, verify="size", retries=1)
        assert (receipt.offset, receipt.size, receipt.status) == (end + 2, 4, "verified")
        assert file.read_bytes().endswith(b"xyzmore")
        for options in ({"offset": 1, "append": True}, {"append": True, "resume": True}, {"offset": 1, "part": True}):
            with pytest.raises(starttls.InvalidArgument):
                ftp.upload(b"x", "file", **options)


def test_what_is_added_is_verified(face: Face, proftpd_modules: FTPServer, tmp_path: Path) -> None:
    content = noise(500_000)
    file = proftpd_modules.put("file", content[:100_000])
    local = tmp_path / "file"
    local.write_bytes(content[100_000:])
    seen: list[tuple[int, int | None]] = []
    with face.ftp(proftpd_modules.url, tls=trusting(proftpd_modules)) as ftp:
        receipt = ftp.upload(
            local, "file", append=True, verify="hash", progress=lambda done, total: seen.append((done, total))
        )
        assert (receipt.offset, receipt.size, receipt.status) == (100_000, 400_000, "verified")
        assert (receipt.digest.start, receipt.digest.end) == (100_000, 500_000)
    assert file.read_bytes() == content
    assert seen[-1] == (400_000, 400_000)


@pytest.mark.parametrize("daemon", DAEMONS)
def test_parts_of_files(face: Face, daemon: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    server: FTPServer = request.getfixturevalue(daemon)
    content = noise(1_000_000)
    server.put("file", content)
    starttls.forget_server(server.url)
    trace: list[str] = []
    with face.ftp(server.url, tls=trusting(server), trace=trace.append) as ftp:
        for start, end in [(0, 1), (10, 1_000), (999_999, 1_000_000), (10, 500_000), (900_000, 2_000_000), (3, 3)]:
            into = io.BytesIO()
            receipt = ftp.download("file", into, offset=start, end=end)
            assert into.getvalue() == content[start:end]
            assert (receipt.offset, receipt.size) == (start, min(end, 1_000_000) - start)
            if daemon == "proftpd" and end in (1, 1_000):
                assert receipt.status == "verified"
        into = io.BytesIO()
        ftp.download("file", into)
        assert into.getvalue() == content
        with pytest.raises(starttls.InvalidArgument, match="file object"):
            ftp.download("file", tmp_path / "file", end=5)
        with pytest.raises(FileNotFoundError):
            ftp.download("missing", io.BytesIO(), offset=1, end=5)
    # A transfer that had to be begun again asks again.
    asked = list(dict.fromkeys(line for line in trace if "C: RANG" in line))
    if daemon == "proftpd":
        # What is small ends there by itself. More goes on to the file's end on this server: it is not asked again.
        assert asked == [f"C: RANG {part}" for part in ("0 0", "10 999", "999999 999999", "10 499999")]
        assert trace.index("C: ABOR") > trace.index(asked[-1])
    else:
        assert not asked and "C: ABOR" in trace
