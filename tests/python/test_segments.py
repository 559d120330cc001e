"""One file by several sessions, from real servers: whole, or not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import starttls

from tests.cli import ca
from tests.cli import starttls as run
from tests.python.faces import Face, trusting
from tests.python.relay import relayed
from tests.python.test_ftp import noise
from tests.servers.ftp import FTPServer

SIZE = 12_000_000
DAEMONS = ["vsftpd", "proftpd", "pureftpd", "pyftpdlib"]


@pytest.fixture
def server(request: pytest.FixtureRequest) -> FTPServer:
    """Each server, with a file that is worth it."""
    found: FTPServer = request.getfixturevalue(request.param)
    found.put("file", noise(SIZE))
    return found


@pytest.mark.parametrize("server", DAEMONS, indirect=True)
def test_segments_of_real_servers(face: Face, server: FTPServer, tmp_path: Path) -> None:
    here = tmp_path / "here"
    trace: list[str] = []
    seen: list[tuple[int, int | None]] = []
    with face.ftp(server.url, tls=trusting(server), trace=trace.append) as ftp:
        receipt = ftp.download(
            "file",
            here,
            segments=3,
            verify="best",
            keep_times=True,
            progress=lambda done, total: seen.append((done, total)),
        )
        assert (receipt.size, receipt.offset, receipt.status, receipt.attempts) == (SIZE, 0, "verified", 1)
        assert here.read_bytes() == noise(SIZE)
        assert int(here.stat().st_mtime) == int((server.root / "file").stat().st_mtime)
        assert seen[-1] == (SIZE, SIZE) and [done for done, _ in seen] == sorted(done for done, _ in seen)
        assert [path.name for path in tmp_path.iterdir()] == ["here"]
        # The session is in step.
        assert ftp.pwd() == server.directory
    assert sum(line == "C: RETR file" for line in trace) >= 3
    assert sum(line.startswith("C: USER") for line in trace) >= 3


def test_segments_of_the_command_line(vsftpd: FTPServer, tmp_path: Path) -> None:
    vsftpd.put("file", noise(SIZE))
    done = run("get", vsftpd.url + "/file", tmp_path / "here", "--segments", "4", "--json", *ca(vsftpd))
    assert done.code == 0, done
    assert json.loads(done.out)["status"] == "verified"
    assert (tmp_path / "here").read_bytes() == noise(SIZE)


@pytest.mark.parametrize(("most", "logins"), [("1", 1), ("2", 2)])
def test_no_more_sessions_than_the_command_line_allows(
    vsftpd: FTPServer, tmp_path: Path, most: str, logins: int
) -> None:
    vsftpd.put("file", noise(SIZE))
    words = ("--segments", "4", "--max-connections", most, "--trace")
    done = run("get", vsftpd.url + "/file", tmp_path / "here", *words, *ca(vsftpd))
    assert done.code == 0, done
    assert (tmp_path / "here").read_bytes() == noise(SIZE)
    assert sum(line.startswith("C: USER") for line in done.err.splitlines()) == logins
    assert run("get", vsftpd.url + "/file", "--max-connections", "0", *ca(vsftpd)).code == 64


@pytest.mark.parametrize("server", DAEMONS, indirect=True)
def test_a_segment_that_is_cut_is_gone_on_with(server: FTPServer, tmp_path: Path) -> None:
    here = tmp_path / "here"
    with (
        relayed(server, data=1_000_000) as relay,
        starttls.FTP(server.url, tls=trusting(server), proxy=relay.url, timeout=20) as ftp,
    ):
        receipt = ftp.download("file", here, segments=3, retries=3, verify="size")
        assert relay.cut.is_set()
        # The session goes on, even if it was that one that was cut.
        assert ftp.noop().code == 200
    assert (receipt.size, receipt.status) == (SIZE, "verified")
    assert here.read_bytes() == noise(SIZE)


@pytest.mark.parametrize("server", DAEMONS, indirect=True)
def test_a_file_that_changed_is_not_put_together(face: Face, server: FTPServer, tmp_path: Path) -> None:
    here = tmp_path / "here"
    original = server.root / "file"

    def change(done: int, _: int | None) -> None:
        if done > 4_000_000 and original.stat().st_size == SIZE:
            # Of the same beginning, and longer.
            with original.open("ab") as file:
                file.write(b"more")

    with face.ftp(server.url, tls=trusting(server)) as ftp:
        with pytest.raises(starttls.RemoteFileChanged):
            ftp.download("file", here, segments=3, resume=True, rate_limit=30_000_000, progress=change)
        assert not here.exists()
    with face.ftp(server.url, tls=trusting(server)) as ftp:
        # What there is, is of another file: it is not gone on with, and begun anew if that is wanted.
        with pytest.raises(starttls.RemoteFileChanged):
            ftp.download("file", here, segments=3, resume=True)
        receipt = ftp.download("file", here, segments=3, resume=True, on_change="restart")
        assert (receipt.offset, receipt.size) == (0, SIZE + 4)
    assert here.read_bytes() == noise(SIZE) + b"more"
