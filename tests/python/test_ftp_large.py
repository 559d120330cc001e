"""Files of more than 4 GiB, listings of a million entries: all of it, and in little memory."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.python import measured
from tests.python.liar import liar
from tests.python.measured import SEAM, VAST, measure
from tests.python.scripted import scripted
from tests.servers import pyftpd
from tests.servers.ftp import FTPServer
from tests.servers.pki import PKI
from tests.servers.process import SERVANT

LITTLE = 64 * 2**20
"""Bytes a whole process may have at its peak."""


def vast(server: FTPServer, name: str, size: int | None = None) -> Path:
    """Place the vast file for the server to serve."""
    path = server.root / name
    VAST.make(path, size)
    os.chown(path, SERVANT.pw_uid, SERVANT.pw_gid)
    return path


def test_more_than_4_gib_down(vsftpd: FTPServer) -> None:
    vast(vsftpd, "vast")
    done = measure(measured.download, vsftpd.url, vsftpd.ca_file, "vast", 0)
    assert done.told == [VAST.size, "verified", VAST.size]
    assert done.peak < LITTLE


def test_more_than_4_gib_up(pki: PKI, tmp_path: Path) -> None:
    VAST.make(tmp_path / "vast")
    with pyftpd.serve(pki, odd={"holes": True}) as server:
        done = measure(measured.upload, server.url, server.ca_file, tmp_path / "vast", "vast", False)
        assert done.told == [0, VAST.size, "verified"]
        assert VAST.is_at(server.root / "vast")
    assert done.peak < LITTLE


@pytest.mark.parametrize("daemon", ["vsftpd", "proftpd", "pureftpd", "pyftpdlib"])
def test_what_is_gone_on_with_beyond_4_gib(daemon: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    server: FTPServer = request.getfixturevalue(daemon)
    local = tmp_path / "vast"
    vast(server, "vast")
    VAST.make(local.with_name("vast.part"), SEAM)
    down = measure(measured.resume_download, server.url, server.ca_file, "vast", local)
    assert down.told == [SEAM, VAST.size - SEAM, "verified"]
    assert VAST.is_at(local)
    vast(server, "back", SEAM)
    up = measure(measured.upload, server.url, server.ca_file, local, "back", True)
    assert up.told == [SEAM, VAST.size - SEAM, "verified"]
    assert VAST.is_at(server.root / "back")
    # And read at any place.
    at = VAST.marks[-2]
    read = measure(measured.read_at, server.url, server.ca_file, "back", at)
    assert read.told == [VAST.size, VAST.mark(at).hex()]
    assert max(down.peak, up.peak, read.peak) < LITTLE


def lines(count: int | None, form: bytes) -> Iterator[bytes]:
    """A listing of so many entries, or of entries without end, a thousand at a time."""
    batch = b"".join(form % number for number in range(1000))
    return itertools.repeat(batch) if count is None else itertools.repeat(batch, count // 1000)


MLSD = b"type=file;size=1;modify=20200102030405; a name with a number %d\r\n"
LIST = b"-rw-r--r--   1 ann      users           1 Jan  2  2020 a name with a number %d\r\n"


@pytest.mark.parametrize("face", ["sync", "asyncio"])
@pytest.mark.parametrize("form", [MLSD, LIST], ids=["MLSD", "LIST"])
def test_a_million_entries(pki: PKI, face: str, form: bytes) -> None:
    with scripted(liar(pki, lambda _: lines(1_000_000, form), machine=form is MLSD)) as server:
        url = f"ftp://ann:secret@localhost:{server.port}"
        done = measure(measured.listing, url, pki.ca_file, face)
    assert done.told == [1_000_000, 1_000_000]
    assert done.peak < LITTLE


@pytest.mark.parametrize(
    ("how", "end"),
    [("total", "TimeoutExceeded"), ("caller", "usable"), ("names", "LimitExceeded"), ("stat", "LimitExceeded")],
)
def test_a_listing_without_end_has_one(pki: PKI, how: str, end: str) -> None:
    with scripted(liar(pki, lambda _: lines(None, b"%d\r\n" if how == "names" else LIST), machine=False)) as server:
        url = f"ftp://ann:secret@localhost:{server.port}"
        done = measure(measured.endless, url, pki.ca_file, how)
    assert done.told == end
    assert done.peak < (4 * LITTLE if how == "names" else LITTLE)


def test_a_tree_of_a_hundred_thousand_files(pki: PKI, tmp_path: Path) -> None:
    folders = 100

    def listing(path: str) -> Iterable[bytes]:
        folder = b"type=dir;modify=20200102030405; d%d\r\n"
        return lines(1_000, MLSD) if path.strip("./") else [folder % number for number in range(folders)]

    with scripted(liar(pki, listing)) as server:
        url = f"ftp://ann:secret@localhost:{server.port}"
        done = measure(measured.dry_run, url, pki.ca_file, tmp_path / "here")
    assert done.told == {"created": folders * 1001, "updated": 0, "unchanged": 0, "failed": 0}
    assert done.peak < LITTLE
