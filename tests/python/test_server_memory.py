"""What is learnt of a server in one session and holds in the next: what broke is not used, what protected must stay.

Login mechanisms that are gone are in test_sasl.py.
"""

from __future__ import annotations

import pytest
import starttls

from tests.python.faces import Face
from tests.python.scripted import Peer, scripted
from tests.servers.pki import PKI

MESSAGE = b"From: ann@example.test\r\nTo: bob@example.test\r\nSubject: hello\r\n\r\nHello.\r\n"


def ready(peer: Peer, pki: PKI, *offers: str) -> None:
    """Until the client's first command under TLS, with these extensions on offer."""
    peer.say("220 scripted")
    assert peer.line().startswith("EHLO ")
    peer.say("250-scripted", "250 STARTTLS")
    assert peer.line() == "STARTTLS"
    peer.say("220 go ahead")
    peer.secure(pki.server)
    assert peer.line().startswith("EHLO ")
    peer.say("250-scripted", *(f"250-{offer}" for offer in offers), "250 HELP")


def one_by_one(peer: Peer) -> list[str]:
    """The commands of a message, each of which came only after the answer to the one before."""
    said = []
    for answer in ("250 ok", "250 ok", "354 go on"):
        said.append(peer.line())
        assert peer.has_no_more()
        peer.say(answer)
    while peer.line() != ".":
        pass
    peer.say("250 ok")
    return said


def test_pipelining_that_broke_is_not_used_again(face: Face, pki: PKI) -> None:
    sessions: list[list[str]] = []

    def script(peer: Peer) -> None:
        ready(peer, pki, "PIPELINING")
        if not sessions:
            sessions.append([peer.line()])
            # What came with the first command is lost on this server.
            assert not peer.has_no_more()
            peer.say("250 ok")
            peer.wait_for_end()
            return
        sessions.append(one_by_one(peer))
        assert peer.line() == "QUIT"

    with scripted(script) as server:
        url, trust = f"smtp://localhost:{server.port}", starttls.TLSConfig(ca_file=pki.ca_file)
        with pytest.raises(starttls.TimeoutExceeded), face.smtp(url, tls=trust, timeout=1) as smtp:
            smtp.send(MESSAGE)
        with face.smtp(url, tls=trust) as smtp:
            assert "PIPELINING" in smtp.extensions
            assert smtp.send(MESSAGE).outcome == "accepted"
    assert sessions[1] == ["MAIL FROM:<ann@example.test>", "RCPT TO:<bob@example.test>", "DATA"]


def test_chunking_that_broke_is_not_used_again(face: Face, pki: PKI) -> None:
    sessions: list[list[str]] = []

    def script(peer: Peer) -> None:
        ready(peer, pki, "CHUNKING")
        if not sessions:
            sessions.append([peer.line()])
            peer.say("250 ok")
            peer.line()
            peer.say("250 ok")
            assert peer.line() == f"BDAT {len(MESSAGE)} LAST"
            peer.say("500 5.5.1 what is BDAT?")
            peer.wait_for_end()
            return
        sessions.append(one_by_one(peer))
        assert peer.line() == "QUIT"

    with scripted(script) as server:
        url, trust = f"smtp://localhost:{server.port}", starttls.TLSConfig(ca_file=pki.ca_file)
        with pytest.raises(starttls.Error), face.smtp(url, tls=trust) as smtp:
            smtp.send(MESSAGE)
        with face.smtp(url, tls=trust) as smtp:
            assert "CHUNKING" in smtp.extensions
            assert smtp.send(MESSAGE).outcome == "accepted"
    assert sessions[1][-1] == "DATA"


def test_an_upgrade_that_is_gone_is_told_as_such(face: Face, pki: PKI) -> None:
    offers = iter([True, False, False])

    def script(peer: Peer) -> None:
        if next(offers):
            ready(peer, pki)
            peer.line()
            return
        peer.say("220 scripted")
        assert peer.line().startswith("EHLO ")
        peer.say("250-scripted", "250 HELP")
        assert peer.line() == ""

    with scripted(script) as server:
        url, trust = f"smtp://localhost:{server.port}", starttls.TLSConfig(ca_file=pki.ca_file)
        with face.smtp(url, tls=trust):
            pass
        with pytest.raises(starttls.Downgraded, match="offered STARTTLS earlier and does not now"):
            face.smtp(url, tls=trust).connect()
        starttls.forget_server(url)
        with pytest.raises(starttls.UpgradeNotOffered):
            face.smtp(url, tls=trust).connect()
