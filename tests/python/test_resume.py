"""What goes on where it ended, and what does not, on real servers."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import starttls

from tests.cli import ca
from tests.cli import starttls as run
from tests.python.faces import Face, trusting
from tests.python.relay import relayed
from tests.python.test_ftp import noise
from tests.servers.ftp import FTPServer

SIZE = 3_000_000
THEN = 1_700_000_000
"""Modified at, in seconds since 1970."""
CUT = (starttls.Truncated, starttls.ConnectionLost, starttls.Rejected)
"""A data connection that is cut: by the network, or in the words of a server that noticed first."""
DAEMONS = ["vsftpd", "proftpd", "pureftpd", "pyftpdlib"]


@pytest.fixture(params=DAEMONS)
def server(request: pytest.FixtureRequest) -> FTPServer:
    """Each server, with a file."""
    found: FTPServer = request.getfixturevalue(request.param)
    put(found, noise(SIZE))
    return found


def put(server: FTPServer, content: bytes, modified: int = THEN) -> None:
    server.put("file", content)
    os.utime(server.root / "file", (modified, modified))


def flipped(content: bytes, at: int) -> bytes:
    """One bit of it is another."""
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def begin(face: Face, server: FTPServer, here: Path) -> bytes:
    """A download that is cut in the middle. What there is of it."""
    with (
        relayed(server, data=1_000_000) as relay,
        face.ftp(server.url, tls=trusting(server), proxy=relay.url) as ftp,
    ):
        with pytest.raises(CUT, match="part"):
            ftp.download("file", here, resume=True)
        assert relay.cut.is_set()
    assert not here.exists()
    there = (here.parent / "here.part").read_bytes()
    assert 0 < len(there) < SIZE and noise(SIZE).startswith(there)
    return there


def test_a_download_is_gone_on_with(face: Face, server: FTPServer, tmp_path: Path) -> None:
    here = tmp_path / "here"
    there = begin(face, server, here)
    with face.ftp(server.url, tls=trusting(server)) as ftp:
        receipt = ftp.download("file", here, resume=True, verify="size")
    assert (receipt.offset, receipt.offset + receipt.size, receipt.status) == (len(there), SIZE, "verified")
    assert here.read_bytes() == noise(SIZE)
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


@pytest.mark.parametrize("what", ["longer", "shorter", "newer", "other"])
def test_a_file_that_changed_is_not_spliced(face: Face, vsftpd: FTPServer, tmp_path: Path, what: str) -> None:
    put(vsftpd, noise(SIZE))
    here = tmp_path / "here"
    there = begin(face, vsftpd, here)
    now = {
        "longer": noise(SIZE) + b"x",
        "shorter": noise(SIZE)[: len(there) // 2],
        "newer": noise(SIZE),
        # Of the same size and time: only its bytes tell.
        "other": flipped(noise(SIZE), len(there) - 10),
    }[what]
    put(vsftpd, now, THEN + 1 if what == "newer" else THEN)
    with face.ftp(vsftpd.url, tls=trusting(vsftpd)) as ftp:
        with pytest.raises(starttls.RemoteFileChanged):
            ftp.download("file", here, resume=True)
        assert not here.exists()
        assert (tmp_path / "here.part").read_bytes() == there, "nothing was added"
        receipt = ftp.download("file", here, resume=True, on_change="restart")
        assert (receipt.offset, receipt.size) == (0, len(now))
    assert here.read_bytes() == now


def test_from_the_command_line(face: Face, vsftpd: FTPServer, tmp_path: Path) -> None:
    put(vsftpd, noise(SIZE))
    here, url = tmp_path / "here", vsftpd.url + "/file"
    there = begin(face, vsftpd, here)
    put(vsftpd, flipped(noise(SIZE), len(there) - 10))
    refused = run("get", url, here, "--continue", *ca(vsftpd))
    assert refused.code != 0 and "--on-change restart" in refused.err, refused
    assert (tmp_path / "here.part").read_bytes() == there
    again = run("get", url, here, "--continue", "--on-change", "restart", *ca(vsftpd))
    assert again.code == 0, again
    assert here.read_bytes() == flipped(noise(SIZE), len(there) - 10)


def test_an_upload_goes_on_only_behind_its_own_beginning(face: Face, server: FTPServer, tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.write_bytes(noise(SIZE))
    with face.ftp(server.url, tls=trusting(server)) as ftp:
        server.put("up", noise(SIZE)[:1_000_000])
        receipt = ftp.upload(here, "up", resume=True)
        assert (receipt.offset, receipt.size) == (1_000_000, SIZE - 1_000_000)
        assert (server.root / "up").read_bytes() == noise(SIZE)
        for other in [flipped(noise(SIZE)[:1_000_000], 999_990), noise(SIZE) + b"x"]:
            server.put("up", other)
            with pytest.raises(starttls.RemoteFileChanged):
                ftp.upload(here, "up", resume=True)
            assert (server.root / "up").read_bytes() == other, "nothing was added"
        receipt = ftp.upload(here, "up", resume=True, on_change="restart")
        assert (receipt.offset, receipt.size) == (0, SIZE)
    assert (server.root / "up").read_bytes() == noise(SIZE)


def test_a_cut_is_gone_on_with_in_another_session(face: Face, server: FTPServer, tmp_path: Path) -> None:
    here = tmp_path / "here"
    with (
        relayed(server, data=1_000_000) as relay,
        face.ftp(server.url, tls=trusting(server), proxy=relay.url) as ftp,
    ):
        receipt = ftp.download("file", here, retries=2, verify="size")
        assert relay.cut.is_set()
        assert (receipt.status, receipt.attempts) == ("verified", 2)
        assert ftp.noop().code == 200
    assert here.read_bytes() == noise(SIZE)


def test_a_refusal_is_not_tried_again(face: Face, vsftpd: FTPServer, tmp_path: Path) -> None:
    trace: list[str] = []
    with face.ftp(vsftpd.url, tls=trusting(vsftpd), trace=trace.append) as ftp:
        with pytest.raises(starttls.Rejected):
            ftp.download("nothing", tmp_path / "here", retries=3)
        assert ftp.noop().code == 200
    assert trace.count("C: RETR nothing") == 1
    assert list(tmp_path.iterdir()) == []


def test_what_comes_once_is_sent_once(face: Face, vsftpd: FTPServer) -> None:
    trace: list[str] = []

    def content() -> Iterator[bytes]:
        for _ in range(64):
            yield noise(500_000)

    with (
        relayed(vsftpd, uploaded=2_000_000) as relay,
        face.ftp(vsftpd.url, tls=trusting(vsftpd), proxy=relay.url, trace=trace.append) as ftp,
    ):
        with pytest.raises(CUT):
            ftp.upload(content(), "up", retries=3)
        assert relay.cut.is_set()
    assert trace.count("C: STOR up") == 1


def test_an_upload_that_is_cut_goes_on_where_the_server_says_it_ends(face: Face, vsftpd: FTPServer) -> None:
    with (
        relayed(vsftpd, uploaded=2_000_000) as relay,
        face.ftp(vsftpd.url, tls=trusting(vsftpd), proxy=relay.url) as ftp,
    ):
        receipt = ftp.upload(noise(SIZE), "up", retries=3, verify="size")
        assert relay.cut.is_set()
    assert (receipt.status, receipt.attempts) == ("verified", 2)
    assert (vsftpd.root / "up").read_bytes() == noise(SIZE)


def test_a_rate_is_kept(face: Face, vsftpd: FTPServer, tmp_path: Path) -> None:
    put(vsftpd, noise(SIZE))
    with face.ftp(vsftpd.url, tls=trusting(vsftpd)) as ftp:
        for transfer in [
            lambda: ftp.download("file", tmp_path / "here", rate_limit=2_000_000),
            lambda: ftp.upload(tmp_path / "here", "up", rate_limit=2_000_000),
        ]:
            began = time.monotonic()
            transfer()
            # 1.5 seconds, less what a limit lets through at once.
            assert time.monotonic() - began > 1.0
    began = time.monotonic()
    done = run("get", vsftpd.url + "/file", tmp_path / "again", "--limit-rate", "2M", *ca(vsftpd))
    assert done.code == 0 and time.monotonic() - began > 1.0, done
