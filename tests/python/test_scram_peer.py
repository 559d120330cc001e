"""SCRAM against another implementation of it: random users, passwords, salts and iteration counts, bound and not."""

from __future__ import annotations

import base64
import random
import ssl
from typing import Any

import pytest
import starttls
from scramp import ScramMechanism

from tests.python.scripted import Peer, scripted, smtp_until_ready
from tests.servers.pki import PKI

CASES = 25
"""Of each mechanism, on each face; others in each run, since nothing depends on which."""
LETTERS = "abcXYZ019 ,=+/\"'\\%@äßñøŁπЖשلあ中한𝒜ªⅨ\u00ad\u00a0"
"""What SASLprep leaves, folds into others, and drops."""


def word(source: random.Random) -> str:
    """A name or a password; ASCII at both ends, so that something is left and no direction is mixed."""
    letters = [letter for letter in LETTERS if letter not in "שل"] if source.random() < 0.8 else list("של")
    inner = "".join(source.choices(letters, k=source.randrange(1, 24)))
    return inner if "ש" in letters and len(letters) == 2 else f"a{inner}z"


def decoded(line: str) -> str:
    return base64.b64decode(line, validate=True).decode()


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("bound", [False, True], ids=["unbound", "bound"])
@pytest.mark.parametrize("name", ["SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_logins_that_both_sides_believe(pki: PKI, face: Any, name: str, bound: bool) -> None:
    seed = random.randrange(2**32)
    source = random.Random(seed)
    mechanism = ScramMechanism(f"{name}-PLUS" if bound else name)
    known: dict[str, Any] = {}
    identity = source.choice([pki.server, pki.server_rsa])

    def script(peer: Peer) -> None:
        # The other side cannot export keying material: its binding is the certificate.
        smtp_until_ready(peer, identity, auth=mechanism.name, maximum=ssl.TLSVersion.TLSv1_2)
        binding = ("tls-server-end-point", identity.cert_file.read_text()) if bound else None
        server = mechanism.make_server(lambda user: known["info"], channel_binding=binding)
        server.set_client_first(decoded(peer.line().removeprefix(f"AUTH {mechanism.name} ")))
        peer.say(f"334 {encoded(server.get_server_first())}")
        server.set_client_final(decoded(peer.line()))
        peer.say(f"334 {encoded(server.get_server_final())}")
        assert peer.line() == ""
        peer.say("235 2.7.0 ok")
        assert peer.line() == "QUIT"
        peer.say("221 bye")

    with scripted(script) as server:
        tls = starttls.TLSConfig(ca_file=pki.ca_file)
        for case in range(CASES):
            user, password = word(source), word(source)
            salt, count = source.randbytes(source.randrange(12, 64)), source.randrange(4096, 9000)
            known["info"] = mechanism.make_auth_info(password, iteration_count=count, salt=salt)
            url = f"smtp://localhost:{server.port}"
            with face.smtp(url, user=user, password=password, tls=tls) as session:
                expected = starttls.LoginInfo(mechanism.name, "tls-server-end-point" if bound else None)
                assert session.login == expected, f"seed {seed}, case {case}"
