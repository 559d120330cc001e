"""What is asked for a message: ``SendOptions``, and the good-bye of a one-shot ``send``."""

from __future__ import annotations

import datetime
import pickle
from typing import Any

import pytest
import starttls

from tests.python.faces import Face
from tests.python.scripted import Peer, scripted

MESSAGE = b"From: ann@example.test\r\nTo: bob@example.test\r\n\r\nHello.\r\n"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"recipient_policy": "some"}, "recipient_policy"),
        ({"line_ends": "unix"}, "line_ends"),
        ({"body": "9bit"}, "body"),
        ({"dsn_return": "half"}, "dsn_return"),
        ({"notify": "sometimes"}, "sometimes"),
        ({"notify": {"nobody": "never"}}, "nobody"),
        ({"hold": -1}, "hold"),
        ({"submitter": "nobody"}, "nobody"),
        ({"parameters": {"SIZE": "1"}}, "SIZE"),
        ({"recipient_parameters": {"bob@example.test": {"X": "a b"}}}, "X"),
        ({"not_offered": "ignore"}, "not_offered"),
        ({"deliver_by": starttls.DeliverBy(5, late="never")}, "late"),  # type: ignore[arg-type]
    ],
    ids=str,
)
def test_what_cannot_be_asked_is_an_error_at_once(given: dict[str, Any], why: str) -> None:
    with pytest.raises(starttls.InvalidArgument, match=why):
        starttls.SendOptions(**given)


def test_options_are_values() -> None:
    by = starttls.DeliverBy(60, late="notify")
    options = starttls.SendOptions(
        notify={"bob@example.test": "never"}, hold=datetime.timedelta(hours=1), deliver_by=by, parameters={"X": None}
    )
    assert pickle.loads(pickle.dumps(options)) == options != starttls.SendOptions()
    assert pickle.loads(pickle.dumps(by)) == by and "late='notify'" in repr(by)
    with pytest.raises(AttributeError, match="frozen"):
        options.priority = 3


def test_an_address_that_is_no_recipient_is_an_error(face: Face) -> None:
    def script(peer: Peer) -> None:
        peer.say("220 mail.test")
        peer.line()
        peer.say("250-mail.test", "250 DSN")
        assert peer.line() in ("QUIT", "")
        peer.say("221 bye")

    options = starttls.SendOptions(notify={"bbo@example.test": "success"})
    with (
        scripted(script) as server,
        face.smtp(f"smtp://127.0.0.1:{server.port}?tls=none") as session,
        pytest.raises(starttls.InvalidArgument, match="bbo@example"),
    ):
        session.send(MESSAGE, options=options)


def test_the_good_bye_of_a_single_message_rides_with_its_end() -> None:
    heard: list[str] = []

    def script(peer: Peer) -> None:
        peer.say("220 mail.test")
        peer.line()
        peer.say("250-mail.test", "250-PIPELINING", "250 CHUNKING")
        # Nothing is answered before everything is said.
        heard.extend(peer.line() for _ in range(8))
        peer.say("250 ok", "250 ok", "250 ok: queued as 4F00", "221 bye")

    with scripted(script) as server:
        report = starttls.send(f"smtp://127.0.0.1:{server.port}?tls=none", MESSAGE, timeout=10)
    assert (report.outcome, report.queue_id) == ("accepted", "4F00")
    assert heard[2].startswith("BDAT ") and heard[-1] == "QUIT"


def test_a_server_that_does_not_know_bdat_gets_data_the_next_time() -> None:
    sessions: list[list[str]] = []

    def script(peer: Peer) -> None:
        heard: list[str] = []
        sessions.append(heard)
        peer.say("220 mail.test")
        peer.line()
        peer.say("250-mail.test", "250-PIPELINING", "250 CHUNKING")
        for _ in range(40):
            heard.append(line := peer.line())
            if line.startswith(("MAIL", "RCPT")) or line == ".":
                peer.say("250 ok")
            elif line == "DATA":
                peer.say("354 go on")
            elif line.startswith("BDAT"):
                peer.say("500 what?")
                return peer.wait_for_end()
            elif line == "QUIT":
                return peer.say("221 bye")
        return None

    with scripted(script) as server:
        url = f"smtp://127.0.0.1:{server.port}?tls=none"
        with pytest.raises(starttls.ProtocolError, match="BDAT") as caught:
            starttls.send(url, MESSAGE, timeout=10)
        assert caught.value.code == 500 and "DATA" in (caught.value.advice or "")
        assert starttls.send(url, MESSAGE, timeout=10).outcome == "accepted"
    assert any(line.startswith("BDAT") for line in sessions[0]) and "DATA" in sessions[1]
