"""Mirrors whose sessions end in the middle, and servers whose clocks are elsewhere."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import starttls

from tests.python.faces import Face, trusting
from tests.python.relay import relayed
from tests.python.test_mirror import give, grow, tree
from tests.servers import pyftpd, vsftpd
from tests.servers.ftp import FTPServer
from tests.servers.pki import PKI

DAEMONS = ["vsftpd", "proftpd", "pureftpd", "pyftpdlib"]


@pytest.mark.parametrize("parallel", [1, 3])
@pytest.mark.parametrize("daemon", DAEMONS)
def test_a_session_that_is_lost_is_opened_again(
    face: Face, daemon: str, request: pytest.FixtureRequest, parallel: int, tmp_path: Path
) -> None:
    server: FTPServer = request.getfixturevalue(daemon)
    wanted = grow(server.root / "tree", 150, owner=True)
    with (
        relayed(server, control=8_000) as relay,
        face.ftp(server.url, tls=trusting(server), proxy=relay.url) as ftp,
    ):
        report = ftp.mirror("tree", tmp_path / "here", parallel=parallel)
        assert relay.cut.is_set()
        assert (report.complete, report.created) == (True, len(wanted)), report.failures
        assert relay.sessions > parallel
        # It goes on where it was.
        assert ftp.pwd() == server.directory
    assert tree(tmp_path / "here") == wanted


@pytest.mark.parametrize("daemon", DAEMONS)
def test_so_is_one_that_uploads(daemon: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    server: FTPServer = request.getfixturevalue(daemon)
    wanted = grow(tmp_path / "here", 100)
    with (
        relayed(server, control=8_000) as relay,
        starttls.FTP(server.url, tls=trusting(server), proxy=relay.url, timeout=20) as ftp,
    ):
        report = ftp.mirror(tmp_path / "here", "there", direction="upload", parallel=2)
        assert relay.cut.is_set()
        assert (report.complete, report.created) == (True, len(wanted)), report.failures
    assert tree(server.root / "there") == wanted


def test_a_data_connection_that_is_lost(face: Face, proftpd: FTPServer, tmp_path: Path) -> None:
    wanted = grow(proftpd.root / "tree", 30, size=100_000, owner=True)
    with (
        relayed(proftpd, data=40_000) as relay,
        face.ftp(proftpd.url, tls=trusting(proftpd), proxy=relay.url) as ftp,
    ):
        report = ftp.mirror("tree", tmp_path / "here", parallel=2)
        assert relay.cut.is_set()
        assert (report.complete, report.created) == (True, len(wanted)), report.failures
    assert tree(tmp_path / "here") == wanted


@pytest.mark.parametrize("parallel", [1, 3])
def test_a_server_that_is_another_one_now_gets_nothing(face: Face, pki: PKI, parallel: int, tmp_path: Path) -> None:
    """Who cut the connection may be who answers the next one: a certificate that is not believed ends the mirror."""
    with vsftpd.serve(pki) as server, vsftpd.serve(pki, identity=pki.unknown_ca) as imposter:
        wanted = grow(server.root / "tree", 150, owner=True)
        with (
            relayed(server, control=8_000) as relay,
            face.ftp(server.url, tls=trusting(server), proxy=relay.url) as ftp,
        ):
            relay.elsewhere = imposter.port
            with pytest.raises(starttls.CertificateError):
                ftp.mirror("tree", tmp_path / "here", parallel=parallel)
            assert relay.cut.is_set()
        there = tree(tmp_path / "here")
        assert there != wanted
        # What came is whole, or has another name.
        assert all(wanted[name] == content for name, content in there.items() if not name.endswith(".part"))
        assert "USER" not in imposter.log_text()


def test_a_clock_that_is_elsewhere_is_found_out(pki: PKI, tmp_path: Path) -> None:
    """LIST tells the time of another zone than MDTM: one file that was asked for tells the zone of all others."""
    files = 1_040
    moment = time.time() // 60 * 60 - 86_400
    with pyftpd.serve(pki, odd={"clock": 7200, "without": ["MLSD", "MLST"]}) as server:
        for folder in ("a", "b"):
            for root in (tmp_path / "here", server.root / "there"):
                (root / folder).mkdir(parents=True)
                for number in range(files):
                    (root / folder / f"{number}").write_bytes(b"same")
                    shift = 7200 if root.name == "here" else 0
                    os.utime(root / folder / f"{number}", (moment + shift, moment + shift))
        give(server.root / "there")
        trace: list[str] = []
        with starttls.FTP(server.url, tls=trusting(server), trace=trace.append) as ftp:
            report = ftp.mirror(tmp_path / "here", "there", direction="upload", parallel=1)
        assert (report.unchanged, report.created, report.updated) == (2 * files, 0, 0), report
    # More files than may wait: the second directory is listed when the zone is known, and no file of it is asked for.
    assert sum(line.startswith("C: MDTM") for line in trace) == files
