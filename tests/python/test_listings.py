"""Directories as streams, names in their encodings, and what is known of an entry, against real servers."""

from __future__ import annotations

import asyncio
import io
import json
import pickle

import pytest
import starttls

from tests.python.faces import Face, trusting
from tests.servers.ftp import FTPServer

MANY = 3000


@pytest.fixture
def full(proftpd: FTPServer) -> FTPServer:
    for number in range(MANY):
        (proftpd.root / f"{number:06} and a name that takes some room").touch()
    return proftpd


def test_a_stream_blocks_the_session_until_its_end_or_until_it_is_closed(full: FTPServer) -> None:
    with starttls.FTP(full.url, tls=trusting(full), timeout=20) as ftp:
        with ftp.scandir() as listing:
            assert next(listing).is_file()
            with pytest.raises(starttls.InvalidState, match="a listing is under way"):
                ftp.pwd()
        assert ftp.pwd() == full.directory
        names = {entry.name for entry in ftp.scandir()}
        assert len(names) == MANY
        for entry in ftp.scandir():
            assert entry.name in names
            break
        assert ftp.noop().code == 200
        listing = ftp.scandir()
        assert sum(1 for _ in listing) == MANY
        assert (list(listing), listing.unparsed) == ([], 0)
        listing.close()


def test_an_asynchronous_stream(full: FTPServer) -> None:
    async def main() -> None:
        async with starttls.AsyncFTP(full.url, tls=trusting(full), timeout=20) as ftp:
            async with ftp.scandir() as listing:
                async for entry in listing:
                    assert entry.is_file()
                    break
                with pytest.raises(starttls.InvalidState, match="a listing is under way"):
                    await ftp.pwd()
            assert await ftp.pwd() == full.directory
            assert len([entry async for entry in ftp.scandir()]) == MANY
            async with ftp.scandir() as never_begun:
                pass
            assert [entry async for entry in never_begun] == []
            with pytest.raises(starttls.RemoteFileNotFound):
                await anext(ftp.scandir("missing"))
            assert len(await ftp.listdir()) == MANY

    asyncio.run(main())


def test_names_and_existence(face: Face, ftp_server: FTPServer) -> None:
    ftp_server.put("sub/a b", b"1")
    ftp_server.put("sub/c", b"2")
    with face.ftp(ftp_server.url, tls=trusting(ftp_server)) as ftp:
        assert sorted(ftp.names("sub")) == ["a b", "c"]
        assert ftp.exists("sub/a b")
        assert ftp.exists("sub")
        assert ftp.exists("/")
        assert not ftp.exists("sub/missing")
        assert not ftp.exists("missing/missing")
        assert ftp.stat("sub").is_dir()
        assert ftp.stat("sub/c").size == 1
        assert ftp.noop().code == 200


def test_encodings(face: Face, vsftpd: FTPServer) -> None:
    vsftpd.put("Привет".encode("cp1251"), b"content")
    with face.ftp(vsftpd.url, tls=trusting(vsftpd), encoding="windows-1251") as ftp:
        (entry,) = ftp.scandir()
        assert entry.name == "Привет"
        assert ftp.names() == ["Привет"]
        assert ftp.exists("Привет")
    with face.ftp(vsftpd.url, tls=trusting(vsftpd), fallback_encoding="windows-1251") as ftp:
        (entry,) = ftp.scandir()
        assert entry.name == "Привет"
        into = io.BytesIO()
        ftp.download(entry.raw_name, into)
        assert into.getvalue() == b"content"
    for wrong in ("utf-16", "no such"):
        with pytest.raises(ValueError, match="no encoding"):
            face.ftp(vsftpd.url, encoding=wrong)


def test_what_is_known_of_an_entry(face: Face, proftpd: FTPServer) -> None:
    proftpd.put("file", b"123")
    (proftpd.root / "file").chmod(0o640)
    (proftpd.root / "link").symlink_to("file")
    with face.ftp(proftpd.url, tls=trusting(proftpd), all_facts=True) as ftp:
        found = {entry.name: entry for entry in ftp.scandir()}
        entry = found["file"]
        assert (entry.type, entry.size, entry.mode, entry.dialect) == ("file", 3, 0o640, "mlsd")
        assert (entry.time_precision, entry.is_time_utc) == ("second", True)
        assert entry.modified is not None
        assert entry.modified.timestamp() == int((proftpd.root / "file").stat().st_mtime)
        assert entry.facts["type"] == "file"
        assert entry.unique
        assert entry.perm
        assert pickle.loads(pickle.dumps(entry)) == entry
        assert json.loads(entry.to_json())["facts"] == entry.facts
    with face.ftp(proftpd.url, tls=trusting(proftpd), list_options="-a") as ftp:
        found = {entry.name: entry for entry in ftp.scandir()}
        entry = found["file"]
        assert (entry.dialect, entry.permissions, entry.mode) == ("unix", "rw-r-----", 0o640)
        assert found["link"].is_symlink()
        assert found["link"].target == "file"


def test_names_that_are_places() -> None:
    for name in (b"..", b"/etc/x", b"a/b", b"C:\\x", b"a\0b", b"a\r\nDELE b"):
        assert not starttls.Entry(name, "file").is_safe_name()
    assert starttls.Entry("ü b".encode(), "file").is_safe_name()
    for wrong in ({"raw_name": b"", "type": "file"}, {"raw_name": b"a", "type": "x"}):
        with pytest.raises(ValueError, match="entry"):
            starttls.Entry(**wrong)  # type: ignore[arg-type]
