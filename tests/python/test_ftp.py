"""Files through three FTP servers, from both faces."""

from __future__ import annotations

import io
import os
import pickle
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import starttls

from tests.python.faces import Face, digest, settled, trusting
from tests.servers.ftp import FTPServer

SIZES = (0, 1, 16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 700_000)


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@pytest.mark.parametrize("implicit", [False, True], ids=["upgraded", "implicit"])
def test_files_arrive_as_sent(face: Face, ftp_server: FTPServer, implicit: bool, tmp_path: Path) -> None:
    if implicit and ftp_server.implicit_port is None:
        with pytest.raises(ValueError, match="no implicit TLS"):
            _ = ftp_server.implicit_url
        return
    url = ftp_server.implicit_url if implicit else ftp_server.url
    with face.ftp(url, tls=trusting(ftp_server)) as ftp:
        assert ftp.tls.version == f"TLSv{ftp_server.tls}"
        for size in SIZES:
            content = noise(size)
            (tmp_path / "here").write_bytes(content)
            name = f"{size}.bin"
            receipt = ftp.upload(tmp_path / "here", name)
            assert (receipt.status, receipt.size, receipt.resumed) == ("verified", size, False)
            assert digest(ftp_server.root / name) == digest(content)
            receipt = ftp.download(name, tmp_path / "back")
            assert receipt.size == size
            assert receipt.status in ("verified", "complete")
            assert receipt.close_notify
            assert digest(tmp_path / "back") == digest(content)
            assert pickle.loads(pickle.dumps(receipt)) == receipt
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back", "here"]


def test_a_hundred_files_each_way_in_one_session(face: Face, ftp_server: FTPServer) -> None:
    with face.ftp(ftp_server.url, tls=trusting(ftp_server)) as ftp:
        for i in range(100):
            assert ftp.upload(noise(i + 1), f"{i:03}").status == "verified"
        for i in range(100):
            into = io.BytesIO()
            ftp.download(f"{i:03}", into)
            assert into.getvalue() == noise(i + 1)
        assert sorted(ftp.listdir()) == [f"{i:03}" for i in range(100)]
    assert {path.name: path.stat().st_size for path in ftp_server.root.iterdir()} == {
        f"{i:03}": i + 1 for i in range(100)
    }


@pytest.mark.parametrize("daemon", ["vsftpd", "proftpd", "pureftpd"])
def test_100_megabytes(
    face: Face, daemon: str, request: pytest.FixtureRequest, large_file: Path, tmp_path: Path
) -> None:
    server: FTPServer = request.getfixturevalue(daemon)
    seen: list[tuple[int, int | None]] = []
    with face.ftp(server.url, tls=trusting(server)) as ftp:
        receipt = ftp.upload(large_file, "large", progress=lambda done, total: seen.append((done, total)))
        assert (receipt.status, receipt.size) == ("verified", 100_000_000)
        assert digest(server.root / "large") == digest(large_file)
        seen_down: list[tuple[int, int | None]] = []
        ftp.download("large", tmp_path / "large", progress=lambda done, total: seen_down.append((done, total)))
    assert digest(tmp_path / "large") == digest(large_file)
    # Not every server tells the size beforehand.
    assert seen_down[-1] == (100_000_000, None if daemon == "pureftpd" else 100_000_000)
    assert seen[-1] == (100_000_000, 100_000_000)
    assert seen == sorted(seen)
    (tmp_path / "large").unlink()
    (server.root / "large").unlink()


async def asynchronously(content: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(content), 1000):
        yield content[at : at + 1000]


def test_every_kind_of_content(face: Face, vsftpd: FTPServer) -> None:
    content = noise(5000)
    kinds: list[Any] = [content, bytearray(content), memoryview(content), io.BytesIO(content)]
    kinds.append(content[at : at + 7] for at in range(0, 5000, 7))
    if face.name == "asyncio":
        kinds.append(asynchronously(content))
    with face.ftp(vsftpd.url, tls=trusting(vsftpd)) as ftp:
        for kind in kinds:
            assert ftp.upload(kind, "kind").size == 5000
            assert (vsftpd.root / "kind").read_bytes() == content
            (vsftpd.root / "kind").unlink()
        with pytest.raises(TypeError, match="open files in binary"):
            ftp.upload(io.StringIO("text"), "kind")
        assert ftp.noop().code == 200


def test_directories(face: Face, ftp_server: FTPServer) -> None:
    with face.ftp(ftp_server.url, tls=trusting(ftp_server)) as ftp:
        assert ftp.pwd() == ftp_server.directory
        assert list(ftp.scandir()) == []
        ftp.mkdir("a b")
        ftp.mkdir("a b/ü")
        ftp.upload(b"123", "a b/ü/file")
        entries = {entry.name: entry for entry in ftp.scandir("a b/ü")}
        assert list(entries) == ["file"]
        entry = entries["file"]
        assert entry.is_file()
        assert (entry.size, entry.raw_name) == (3, b"file")
        assert abs(entry.modified.timestamp() - (ftp_server.root / "a b/ü/file").stat().st_mtime) < 2 * 86400
        assert ftp.stat("a b/ü/file").size == 3
        walked = [(top, [d.name for d in dirs], [f.name for f in files]) for top, dirs, files in ftp.walk()]
        assert walked == [("", ["a b"], []), ("a b", ["ü"], []), ("a b/ü", [], ["file"])]
        ftp.rename("a b/ü/file", "moved")
        ftp.cwd("a b")
        assert ftp.pwd() == f"{ftp_server.directory}/a b"
        ftp.cwd("..")
        ftp.rmdir("a b/ü")
        ftp.rmdir("a b")
        ftp.remove("moved")
    assert list(ftp_server.root.iterdir()) == []


def test_names_that_are_no_text(face: Face, vsftpd: FTPServer) -> None:
    vsftpd.put(b"caf\xe9", b"coffee")
    with face.ftp(vsftpd.url, tls=trusting(vsftpd)) as ftp:
        (entry,) = ftp.scandir()
        assert entry.raw_name == b"caf\xe9"
        for name in (entry.name, entry.raw_name):
            into = io.BytesIO()
            ftp.download(name, into)
            assert into.getvalue() == b"coffee"


@pytest.mark.parametrize("daemon", ["vsftpd", "proftpd", "pureftpd"])
def test_transfers_go_on_where_they_stopped(
    face: Face, daemon: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    server: FTPServer = request.getfixturevalue(daemon)
    content = noise(100_000)
    server.put("file", content)
    local = tmp_path / "file"
    (tmp_path / "file.part").write_bytes(content[:30_000])
    with face.ftp(server.url, tls=trusting(server)) as ftp:
        receipt = ftp.download("file", local, resume=True)
        assert (receipt.size, receipt.offset, receipt.resumed) == (70_000, 30_000, True)
        assert local.read_bytes() == content
        assert not (tmp_path / "file.part").exists()
        into = io.BytesIO()
        assert ftp.download("file", into, offset=99_000).size == 1000
        assert into.getvalue() == content[99_000:]
        ftp.upload(content[:40_000], "again")
        ftp.upload(content[40_000:50_000], "again", append=True)
        assert (server.root / "again").read_bytes() == content[:50_000]
    # Not every server lets a file be continued in the middle; appending is what all do.


def test_remote_files_are_file_objects(vsftpd: FTPServer) -> None:
    content = noise(300_000) + b"\nline one\nline two\n"
    with starttls.FTP(vsftpd.url, tls=trusting(vsftpd)) as ftp:
        with ftp.open("file", "wb") as file:
            for at in range(0, len(content), 10_000):
                file.write(content[at : at + 10_000])
        assert file.receipt is not None
        assert file.receipt.status == "verified"
        assert (vsftpd.root / "file").read_bytes() == content
        with ftp.open("file") as file:
            assert file.read(10) == content[:10]
            assert file.read() == content[10:]
        assert file.receipt is not None
        with ftp.open("file", "rb", offset=300_001) as file:
            assert list(file) == [b"line one\n", b"line two\n"]
        with ftp.open("file") as file:
            file.read(10)
            with pytest.raises(starttls.InvalidState, match="transfer is under way"):
                ftp.noop()
        settled(ftp)
        file = ftp.open("half", "wb")
        file.write(b"x" * 600_000)
        file.__exit__(LookupError, LookupError(), None)
        assert file.closed
        assert file.receipt is None
        settled(ftp)
        with pytest.raises(FileNotFoundError):
            ftp.open("missing")


@pytest.mark.parametrize("size", [0, 1, 500_000])
def test_remote_files_are_awaited_file_objects(vsftpd: FTPServer, size: int) -> None:
    import asyncio

    content = noise(size)

    async def main() -> None:
        async with starttls.AsyncFTP(vsftpd.url, tls=trusting(vsftpd)) as ftp:
            async with await ftp.open("file", "wb") as file:
                await file.write(content)
            assert file.receipt is not None
            assert (vsftpd.root / "file").read_bytes() == content
            async with await ftp.open("file") as file:
                assert await file.read(10) == content[:10]
                assert b"".join([piece async for piece in file]) == content[10:]
            assert file.receipt is not None
            async with await ftp.open("file") as file:
                assert await file.read() == content
            async with await ftp.open("file") as file:
                await file.read(1)
            assert (file.receipt is None) == (size > 0)

    asyncio.run(main())


def test_one_shots(vsftpd: FTPServer, tmp_path: Path) -> None:
    content = noise(1000)
    receipt = starttls.upload(content, f"{vsftpd.url}/up%20there", tls=trusting(vsftpd))
    assert receipt.status == "verified"
    assert (vsftpd.root / "up there").read_bytes() == content
    starttls.download(f"{vsftpd.url}/up%20there", tmp_path / "down", tls=trusting(vsftpd))
    assert (tmp_path / "down").read_bytes() == content
    with pytest.raises(starttls.InvalidArgument, match="names no file"):
        starttls.download(vsftpd.url.removesuffix(vsftpd.directory), tmp_path / "none")


def test_a_failed_download_leaves_nothing(face: Face, ftp_server: FTPServer, tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"kept")
    with face.ftp(ftp_server.url, tls=trusting(ftp_server)) as ftp:
        for name in ("old", "new"):
            with pytest.raises(starttls.RemoteFileNotFound) as caught:
                ftp.download("missing", tmp_path / name)
            assert isinstance(caught.value, FileNotFoundError)
            assert caught.value.code == 550
            assert caught.value.reply.text in str(caught.value)
        assert ftp.noop().code == 200
        with pytest.raises(FileNotFoundError):
            ftp.download("missing", tmp_path / "no folder" / "x")
        with pytest.raises(starttls.InvalidArgument, match="is a directory"):
            ftp.download("missing", tmp_path)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("old", b"kept")]


def test_a_full_disk(face: Face, vsftpd: FTPServer, tmp_path: Path) -> None:
    vsftpd.put("file", noise(200_000))
    with face.ftp(vsftpd.url, tls=trusting(vsftpd)) as ftp:
        (tmp_path / "file.part").symlink_to("/dev/full")
        with pytest.raises(starttls.LocalError) as caught:
            ftp.download("file", tmp_path / "file")
        assert caught.value.errno == 28
        assert "No space left" in str(caught.value)
        assert list(tmp_path.iterdir()) == []
        settled(ftp)
        with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(OSError, match="No space left"):
            ftp.download("file", full)
        settled(ftp)
        into = io.BytesIO()
        assert ftp.download("file", into).size == 200_000


def test_a_local_file_that_cannot_be_read(face: Face, vsftpd: FTPServer, tmp_path: Path) -> None:
    events: list[str] = []
    with face.ftp(vsftpd.url, tls=trusting(vsftpd), trace=events.append) as ftp:
        before = len(events)
        with pytest.raises(starttls.LocalFileNotFound) as caught:
            ftp.upload(tmp_path / "missing", "remote")
        assert isinstance(caught.value, FileNotFoundError)
        assert caught.value.filename == os.fspath(tmp_path / "missing")
        with pytest.raises(starttls.LocalError, match=str(tmp_path)):
            ftp.upload(tmp_path, "remote")
        assert len(events) == before
        assert ftp.noop().code == 200
    assert not (vsftpd.root / "remote").exists()


def test_content_that_fails_ends_the_upload_and_not_the_session(face: Face, ftp_server: FTPServer) -> None:
    def failing() -> Any:
        yield b"x" * 100_000
        raise LookupError("no more")

    def objecting(done: int, total: int | None) -> None:
        raise LookupError(f"at {done}")

    with face.ftp(ftp_server.url, tls=trusting(ftp_server)) as ftp:
        with pytest.raises(LookupError, match="no more"):
            ftp.upload(failing(), "half")
        settled(ftp)
        assert ftp.upload(b"whole", "whole").status == "verified"
        with pytest.raises(LookupError, match="at 5"):
            ftp.download("whole", io.BytesIO(), progress=objecting)
        settled(ftp)


@pytest.mark.parametrize("path", ["a\r\nDELE b", "a\nb", "a\0b", b"a\rb"])
def test_a_path_cannot_carry_a_command(face: Face, vsftpd: FTPServer, path: str | bytes) -> None:
    with face.ftp(vsftpd.url, tls=trusting(vsftpd)) as ftp:
        for operation in (ftp.remove, ftp.mkdir, ftp.rmdir, ftp.stat, ftp.cwd, ftp.scandir):
            with pytest.raises(starttls.InvalidArgument):
                operation(path)
        with pytest.raises(starttls.InvalidArgument):
            ftp.rename("a", path)
        with pytest.raises(starttls.InvalidArgument):
            ftp.upload(b"x", path)
        assert ftp.noop().code == 200
