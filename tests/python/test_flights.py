"""Round trips: a message of its own costs those that cannot be saved, on every face. Counted, not timed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import starttls

from tests import cli
from tests.python.faces import TIMEOUT, Face
from tests.python.scripted import Peer, scripted, smtp_until_ready
from tests.servers.pki import PKI

MESSAGE = b"From: ann@example.test\r\nTo: bob@example.test\r\n\r\nHello.\r\n"


def flights(pki: PKI, send: Callable[[str, Path], object]) -> int:
    """How often a client that sends ``MESSAGE`` to the URL, as the only one of its session, waits for an answer."""
    counted: list[int] = []

    def script(peer: Peer) -> None:
        smtp_until_ready(peer, pki.server, offers=("CHUNKING",))
        assert peer.line().startswith("AUTH PLAIN ")
        peer.say("235 welcome")
        # Nothing is answered before everything is said.
        envelope = [peer.line() for _ in range(3)]
        assert [line[:4] for line in envelope] == ["MAIL", "RCPT", "BDAT"], envelope
        assert envelope[2].endswith(" LAST")
        peer.skip(len(MESSAGE))
        assert peer.line() == "QUIT"
        peer.say("250 ok", "250 ok", "250 queued", "221 bye")
        counted.append(peer.flights)
        assert peer.line() == "", "it goes on after its good-bye"

    with scripted(script) as server:
        send(f"smtp://ann:secret@localhost:{server.port}", pki.ca_file)
    [count] = counted
    return count


# EHLO, STARTTLS, ClientHello, Finished and EHLO, AUTH, and the message with the good-bye.
FEWEST = 6


def test_a_message_of_its_own(pki: PKI) -> None:
    def send(url: str, ca_file: Path) -> None:
        tls = starttls.TLSConfig(ca_file=ca_file)
        assert starttls.send(url, MESSAGE, tls=tls, timeout=TIMEOUT).outcome == "accepted"

    assert flights(pki, send) == FEWEST


def test_the_last_message_of_a_session(face: Face, pki: PKI) -> None:
    def send(url: str, ca_file: Path) -> None:
        with face.smtp(url, tls=starttls.TLSConfig(ca_file=ca_file)) as session:
            assert session.send_and_quit(MESSAGE).outcome == "accepted"
            with pytest.raises(starttls.InvalidState, match="closed"):
                session.noop()

    assert flights(pki, send) == FEWEST


def test_from_the_command_line(pki: PKI) -> None:
    def send(url: str, ca_file: Path) -> None:
        done = cli.starttls("send", url, "--ca-file", ca_file, stdin=MESSAGE)
        assert done.code == 0, done.err

    assert flights(pki, send) == FEWEST
