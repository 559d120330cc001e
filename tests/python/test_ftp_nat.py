"""FTP across a router that translates addresses, on each of its sides.

Where the kernel has no network namespaces these tests fail, and say so: they prove nothing by being left out.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
import starttls

from tests.python.faces import Face
from tests.servers import vsftpd
from tests.servers.network import OUTSIDE, PRIVATE, PUBLIC, Place, Translated, translated
from tests.servers.pki import PKI
from tests.servers.process import PORTS

CONTENT = b"across the border\n" * 10_000
OURS = (45_000, 45_010)
"""Where a client listens whom the router passes connections on to."""


@pytest.fixture(scope="module")
def network() -> Iterator[Translated]:
    with translated((min(PORTS.start, OURS[0]), max(PORTS.stop, OURS[1]))) as network:
        yield network


def transfers(face: Face, place: Place, server: Any, host: str, trace: list[str], **options: Any) -> None:
    """There and back, by somebody in this place."""

    def work() -> None:
        config = starttls.TLSConfig(ca_file=server.ca_file, server_name="localhost")
        url = server.url.replace(server.server_name, host)
        with face.ftp(url, tls=config, trace=trace.append, **options) as ftp:
            assert ftp.upload(CONTENT, "a.txt").status == "verified"
            into = io.BytesIO()
            ftp.download("a.txt", into)
            assert into.getvalue() == CONTENT
            assert ftp.listdir() == ["a.txt"]

    place.run(work)


@pytest.mark.parametrize("epsv", [True, False], ids=["epsv", "pasv"])
def test_a_server_that_announces_a_private_address(face: Face, network: Translated, pki: PKI, epsv: bool) -> None:
    serve = vsftpd.serve(
        pki, host=PRIVATE, settings={"pasv_address": PRIVATE} | ({} if epsv else {"cmds_denied": "EPSV"})
    )
    server = network.private.run(serve.__enter__)
    try:
        trace: list[str] = []
        transfers(face, network.public, server, OUTSIDE, trace)
        if not epsv:
            assert any(line.startswith("S: 227") and "10,9,8,7" in line for line in trace)
        assert all(OUTSIDE in line for line in trace if line.startswith("*  data connected"))
        # Where it says it is, nobody can be reached from here.
        if not epsv:
            with pytest.raises(starttls.Unreachable):
                transfers(face, network.public, server, OUTSIDE, trace, danger_use_announced_host=True)
    finally:
        network.private.run(lambda: serve.__exit__(None, None, None))


def test_active_mode_from_behind_the_router(face: Face, network: Translated, pki: PKI) -> None:
    serve = vsftpd.serve(pki, host=PUBLIC)
    server = network.public.run(serve.__enter__)
    try:
        trace: list[str] = []
        transfers(face, network.private, server, PUBLIC, trace)
        # Told our own address, the server has no way to us (and this one suspects what is not the connection's).
        with pytest.raises(starttls.Rejected, match="passive mode"):
            transfers(face, network.private, server, PUBLIC, trace, active=True)
        mode = starttls.ActiveMode(ports=OURS, address=OUTSIDE)
        transfers(face, network.private, server, PUBLIC, trace, active=mode)
        assert any(line.startswith(f"C: EPRT |1|{OUTSIDE}|450") for line in trace)
    finally:
        network.public.run(lambda: serve.__exit__(None, None, None))
