"""The page about connections: its Python examples run as they stand, but for the servers' names and ports."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.python.scripted import Peer, scripted
from tests.servers.pki import PKI, Identity

PAGE = Path(__file__).parents[2] / "docs/connection.md"
DEADLINE = 60


def imap(identity: Identity) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        peer.say("* OK ready")
        assert peer.line() == "A1 STARTTLS"
        peer.say("A1 OK begin")
        peer.secure(identity)
        assert peer.line() == "1 CAPABILITY"
        peer.say("* CAPABILITY IMAP4rev1", "1 OK")
        peer.wait_for_end()

    return script


def news(identity: Identity) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        peer.say("200 welcome")
        assert peer.line() == "STARTTLS"
        peer.say("382 go")
        peer.secure(identity)
        assert peer.line() == "CAPABILITIES"
        peer.say("101 here", "VERSION 2", ".")
        peer.wait_for_end()

    return script


@pytest.mark.parametrize(
    ("position", "server", "said"),
    [
        (0, imap, ["b'* CAPABILITY IMAP4rev1'"]),
        (1, news, ["b'200 welcome'", "b'101 here\\r\\nVERSION 2\\r\\n.\\r\\n'"]),
        (2, news, ["b'101 here\\r\\nVERSION 2\\r\\n.\\r\\n'"]),
    ],
)
def test_the_examples_run(
    pki: PKI, position: int, server: Callable[[Identity], Callable[[Peer], None]], said: list[str]
) -> None:
    examples = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(examples) == 3
    with scripted(server(pki.server)) as running:
        example = re.sub(r'"(mail|news)\.example\.org", \d+', f'"localhost", {running.port}', examples[position])
        example = example.replace('"news.example.org"', '"localhost"')
        assert "example.org" not in example
        environment = os.environ | {"SSL_CERT_FILE": str(pki.ca_file)}
        done = subprocess.run(
            [sys.executable, "-c", example], env=environment, capture_output=True, text=True, timeout=DEADLINE
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == said
