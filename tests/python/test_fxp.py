"""Copies from server to server (FXP), between real servers, from both faces."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
import starttls

from tests.conftest import Servers
from tests.python.faces import Face, settled
from tests.servers import proftpd, pureftpd
from tests.servers.ftp import FTPServer
from tests.servers.pki import PKI

CONTENT = os.urandom(300_000)

ELSEWHERE = "127.0.0.2"
"""An address that is not the client's: what a server sees as foreign."""


BOUND = 20
"""Seconds that a copy which came to nothing may take: what both servers get to say so."""


class End:
    """A session with one of the two servers, and what was said in it."""

    def __init__(self, face: Face, server: FTPServer) -> None:
        self.server = server
        self.trace: list[str] = []
        name = "::1" if ":" in server.host else "localhost"
        tls = starttls.TLSConfig(ca_file=server.ca_file, server_name=name)
        self.face = face.ftp(server.url, tls=tls, trace=self.trace.append)
        # The session itself, as an argument for another one.
        self.session = getattr(self.face, "session", self.face)

    def said(self, verb: str) -> list[str]:
        return [line[3:] for line in self.trace if line.startswith(f"C: {verb}")]


@contextlib.contextmanager
def pair(face: Face, here: FTPServer, there: FTPServer) -> Iterator[tuple[End, End]]:
    """Two sessions, of which the first one's server has a file; both must work afterwards."""
    here.put("here.bin", CONTENT)
    source, target = End(face, here), End(face, there)
    with source.face, target.face:
        yield source, target
        for end in (source, target):
            settled(end.face)
            assert end.face.upload(b"after", f"{end.server.directory}/after").status == "verified"
            assert end.said("PROT")[-1] == "PROT P"


def copy(source: End, target: End, name: str = "here.bin", **options: Any) -> Any:
    # In the directory of the target's URL.
    return source.face.copy_to(name, target.session, "there.bin", **options)


def arrived(receipt: Any, target: End) -> None:
    assert (target.server.root / "there.bin").read_bytes() == CONTENT
    assert (receipt.status, receipt.size) == ("verified", len(CONTENT))


@pytest.mark.parametrize("other", ["proftpd-copying", "pureftpd"])
def test_under_tls_one_of_the_two_is_the_client(face: Face, servers: Servers, other: str) -> None:
    able, unable = servers.ftp("proftpd-copying", None), servers.ftp(other, None)
    for here, there in ((able, unable), (unable, able)):
        with pair(face, here, there) as (source, target):
            receipt = copy(source, target)
            arrived(receipt, target)
            assert receipt.protected
            # The target, where it can; and for this file alone.
            client = target if there is able else source
            assert client.said("SSCN") == ["SSCN ON", "SSCN OFF"]
            assert not source.said("PROT C") and not target.said("PROT C")
            assert (receipt.digest is not None) == (other == "proftpd-copying")


def test_over_ipv6(face: Face, servers: Servers) -> None:
    server = servers.ftp("proftpd-copying-ipv6", None)
    with pair(face, server, server) as (source, target):
        receipt = copy(source, target)
        arrived(receipt, target)
        assert receipt.protected
        assert target.said("EPRT")[0].startswith("EPRT |2|::1|") and not source.said("PASV")


def test_over_ipv6_to_another_kind_of_server(face: Face, servers: Servers) -> None:
    here, there = servers.ftp("proftpd-copying-ipv6", None), servers.ftp("pureftpd-ipv6", None)
    with pair(face, here, there) as (source, target):
        arrived(copy(source, target), target)
        assert source.said("SSCN") == ["SSCN ON", "SSCN OFF"]


def test_neither_can_be_the_client(face: Face, servers: Servers) -> None:
    server = servers.ftp("pureftpd", None)
    with pair(face, server, server) as (source, target):
        with pytest.raises(starttls.InvalidState, match="SSCN, CPSV") as caught:
            copy(source, target)
        assert "ask for clear text by name" in str(caught.value)
        assert not (server.root / "there.bin").exists() and not source.said("PASV")
        receipt = copy(source, target, clear=True)
        arrived(receipt, target)
        assert not receipt.protected and source.said("PROT C") == target.said("PROT C") == ["PROT C"]


def test_servers_that_insist_on_protection(face: Face, servers: Servers) -> None:
    strict, lenient = servers.ftp("pureftpd-strict", None), servers.ftp("pureftpd", None)
    for here, there in ((strict, lenient), (lenient, strict)):
        with pair(face, here, there) as (source, target):
            with pytest.raises(starttls.Rejected) as caught:
                copy(source, target, clear=True)
            assert caught.value.code == 521 and not isinstance(caught.value, FileExistsError)
            # A server that makes the file before it refuses leaves an empty one.
            there_now = there.root / "there.bin"
            assert not there_now.exists() or there_now.stat().st_size == 0


def test_a_target_that_refuses_foreign_addresses(face: Face, pki: PKI) -> None:
    options = "NoSessionReuseRequired"
    with (
        proftpd.serve(pki, host=ELSEWHERE, tls_options=options, copies=True) as there,
        pureftpd.serve(pki) as here,
        proftpd.serve(pki, tls_options=options) as strict,
    ):
        for server in (here, strict):
            with pair(face, there, server) as (source, target):
                with pytest.raises(starttls.Rejected) as caught:
                    copy(source, target)
                error = caught.value
                assert error.code == 500 and target.said("PORT 127,0,0,2,"), error
                assert str(server.port) in str(error) and "its administrator must allow" in str(error)
                assert not source.said("RETR") and not (server.root / "there.bin").exists()


def test_vsftpd_is_the_source_under_any_tls(face: Face, servers: Servers) -> None:
    here, there = servers.ftp("vsftpd-lenient", None), servers.ftp("proftpd-copying", None)
    with pair(face, here, there) as (source, target):
        receipt = copy(source, target)
        arrived(receipt, target)
        assert receipt.protected and target.said("SSCN") == ["SSCN ON", "SSCN OFF"]


def test_vsftpd_is_the_target_under_tls_1_2(face: Face, servers: Servers) -> None:
    here, there = servers.ftp("proftpd-copying", None), servers.ftp("vsftpd-lenient", "1.2")
    with pair(face, here, there) as (source, target):
        receipt = copy(source, target)
        arrived(receipt, target)
        assert receipt.protected and source.said("SSCN") == ["SSCN ON", "SSCN OFF"]


def test_a_source_that_closes_before_it_has_read_everything(face: Face, servers: Servers) -> None:
    # The target's tickets (TLS 1.3) are left unread, so the connection is reset, and the end of
    # the file is lost or not. What is called verified is all there.
    here, there = servers.ftp("proftpd-copying", None), servers.ftp("vsftpd-lenient", "1.3")
    with pair(face, here, there) as (source, target):
        failures = []
        for _ in range(3):
            try:
                receipt = copy(source, target)
            except (starttls.Rejected, starttls.SizeMismatch) as error:
                failures.append(error)
            else:
                arrived(receipt, target)
        for failure in failures:
            assert "TLS 1.2" in str(failure) and str(there.port) in str(failure), failure
            assert isinstance(failure, starttls.SizeMismatch) or failure.code == 426, failure


def test_a_target_that_wants_its_own_session_resumed(face: Face, servers: Servers) -> None:
    here, there = servers.ftp("proftpd-copying", None), servers.ftp("vsftpd", "1.2")
    with pair(face, here, there) as (source, target):
        with pytest.raises(starttls.Rejected, match="no session to resume") as caught:
            copy(source, target)
        assert caught.value.code == 522 and str(there.port) in str(caught.value)


@pytest.mark.parametrize("here", ["pureftpd", "proftpd-copying", "vsftpd-lenient"])
def test_a_target_that_refuses_the_file(face: Face, servers: Servers, here: str) -> None:
    there = servers.ftp("proftpd-copying", None)
    with pair(face, servers.ftp(here, None), there) as (source, target):
        began = time.monotonic()
        with pytest.raises(starttls.Rejected) as caught:
            # The source waits for a connection then, and not every one listens meanwhile.
            source.face.copy_to("here.bin", target.session, "nowhere/there.bin")
        assert time.monotonic() - began < BOUND
        assert str(there.port) in str(caught.value) and source.said("ABOR")


def test_what_is_not_there_makes_no_empty_file(face: Face, servers: Servers) -> None:
    server = servers.ftp("proftpd-copying", None)
    with pair(face, server, server) as (source, target):
        with pytest.raises(starttls.RemoteFileNotFound):
            copy(source, target, "nothing")
        assert not target.said("PORT") and not (server.root / "there.bin").exists()
        # Both ends may be one session: the copy is made by a connection of its own.
        arrived(copy(source, source), source)


@pytest.mark.parametrize(
    ("here", "there", "clear"),
    [
        ("proftpd-copying", "proftpd-copying", False),
        # It does not listen to ABOR while it sends.
        ("pureftpd", "proftpd-copying", False),
        ("pureftpd", "pureftpd", True),
    ],
)
def test_what_a_cancelled_copy_had_set_holds_for_nothing_else(
    servers: Servers, here: str, there: str, clear: bool
) -> None:
    first, second = servers.ftp(here, None), servers.ftp(there, None)
    first.put("large.bin", bytes(64 << 20))
    word = "PROT C" if clear else "SSCN ON"

    async def run() -> None:
        said: list[str] = []
        begun = asyncio.Event()

        def trace(line: str) -> None:
            said.append(line)
            if line.startswith("C: STOR"):
                begun.set()

        tls = starttls.TLSConfig(ca_file=first.ca_file, server_name="localhost")
        async with (
            starttls.AsyncFTP(first.url, tls=tls, trace=trace) as source,
            starttls.AsyncFTP(second.url, tls=tls, trace=trace) as target,
        ):
            copying = asyncio.create_task(source.copy_to("large.bin", target, "there.bin", clear=clear))
            async with asyncio.timeout(30):
                await begun.wait()
            copying.cancel()
            with pytest.raises(asyncio.CancelledError):
                await copying
            assert f"C: {word}" in said
            for session, server in ((source, first), (target, second)):
                async with asyncio.timeout(BOUND):
                    receipt = await session.upload(CONTENT, f"{server.directory}/after")
                assert receipt.status == "verified" and receipt.close_notify  # under TLS
                assert (server.root / "after").read_bytes() == CONTENT

    asyncio.run(run())
