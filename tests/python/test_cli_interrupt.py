"""Ctrl-C while a file is on its way: what there is stays, it is said where, and the next run goes on with it."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli import PROGRAM, ca, environment, starttls
from tests.python.liar import liar
from tests.python.scripted import scripted
from tests.python.test_ftp import noise
from tests.servers.ftp import FTPServer
from tests.servers.pki import PKI

DEADLINE = 20.0
"""Seconds until something should have come."""

AT_ONCE = 3.0
"""Seconds that a person waits, on a machine that is busy with other things."""


def heard() -> None:
    """A test run in the background hands its children SIGINT ignored; a person's terminal does not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def interrupted(words: list[str | Path], part: Path, enough: int) -> str:
    """Run it until so much came, and press Ctrl-C: what it says then."""
    with subprocess.Popen(
        [PROGRAM, *words], stderr=subprocess.PIPE, text=True, env=environment(), preexec_fn=heard
    ) as running:
        deadline = time.monotonic() + DEADLINE
        while not part.exists() or part.stat().st_blocks * 512 < enough:
            assert running.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        sent = time.monotonic()
        assert running.wait(DEADLINE) == 75
        assert time.monotonic() - sent < AT_ONCE
        assert running.stderr is not None
        return running.stderr.read()


@pytest.mark.parametrize("segments", [1, 3])
def test_a_download_is_gone_on_with(vsftpd: FTPServer, segments: int, tmp_path: Path) -> None:
    content = noise(8_000_000)
    vsftpd.put("file", content)
    here = tmp_path / "here"
    part = tmp_path / ("here.part" if segments == 1 else "here.parts")
    words = ["get", vsftpd.url + "/file", here, "--segments", str(segments), *ca(vsftpd)]
    said = interrupted([*words, "--limit-rate", "2M"], part, 1_000_000)
    assert "interrupted" in said and f"what there is stays in {part}: see --continue" in said
    assert not here.exists() and part.exists()
    if segments == 1:
        assert content.startswith(part.read_bytes())
    done = starttls(*words, "--continue", "--json")
    assert done.code == 0, done
    receipt = json.loads(done.out)
    assert receipt["offset"] > 0 and receipt["offset"] + receipt["size"] == len(content)
    assert here.read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


def test_nobody_waits_for_a_server_that_says_nothing_more(pki: PKI, tmp_path: Path) -> None:
    over = threading.Event()

    def half() -> Iterator[bytes]:
        yield bytes(2 << 20)
        over.wait(DEADLINE)

    with scripted(liar(pki, lambda _: "", content=half())) as server:
        url = f"ftp://ann:secret@localhost:{server.port}/file"
        words: list[str | Path] = ["get", url, tmp_path / "here", "--ca-file", pki.ca_file]
        try:
            said = interrupted(words, tmp_path / "here.part", 2 << 20)
        finally:
            over.set()
    assert "here.part" in said
    assert (tmp_path / "here.part").stat().st_size == 2 << 20
