"""What a message's header says about its envelope, without a server."""

from __future__ import annotations

from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
import starttls
from starttls._message import end_of_header, prepare, take_header, without_blind


def envelope(header: bytes) -> tuple[str, list[str]]:
    letter = prepare(header + b"\r\nbody\r\n", None, None, seven_bit=False)
    return letter.sender, letter.recipients


def test_sender_and_recipients_are_in_the_header() -> None:
    header = (
        b'From: "Ann, the first" <a@x.test>\r\nTo: b@x.test, Carol\r\n <c@x.test>\r\nCc: Team: d@x.test, e@x.test;\r\n'
    )
    assert envelope(header) == ("a@x.test", ["b@x.test", "c@x.test", "d@x.test", "e@x.test"])
    assert envelope(b"Sender: s@x.test\r\n" + header)[0] == "s@x.test"
    assert envelope(b"From: a@x.test\nTo: b@x.test, b@x.test\n")[1] == ["b@x.test"]
    assert envelope(b'From: "a b"@x.test\r\nBcc: b@x.test\r\n') == ('"a b"@x.test', ["b@x.test"])


def test_resent_fields_come_first() -> None:
    header = (
        b"From: a@x.test\r\nTo: b@x.test\r\nResent-From: r@x.test\r\nResent-To: t@x.test\r\nResent-Bcc: u@x.test\r\n"
    )
    assert envelope(header) == ("r@x.test", ["t@x.test", "u@x.test"])
    with pytest.raises(starttls.InvalidArgument, match="resent more than once"):
        envelope(header + b"Resent-To: v@x.test\r\n")


@pytest.mark.parametrize(
    "header", [b"To: b@x.test\r\n", b"From: a@x.test\r\n", b"From: a@x.test\r\nTo: nobody\r\n", b""]
)
def test_nothing_is_guessed(header: bytes) -> None:
    with pytest.raises(starttls.InvalidArgument):
        envelope(header)


def test_what_is_given_is_taken() -> None:
    letter = prepare(b"From: a@x.test\r\nTo: b@x.test\r\n\r\n", "", ["z@x.test"], seven_bit=False)
    assert (letter.sender, letter.recipients) == ("", ["z@x.test"])
    assert prepare(b"\r\nx", "a@x.test", "z@x.test", seven_bit=False).recipients == ["z@x.test"]


def test_text_is_no_message() -> None:
    with pytest.raises(starttls.InvalidArgument, match="not as str"):
        prepare("Subject: x", "a@x.test", ["b@x.test"], seven_bit=False)  # type: ignore[arg-type]


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r"])
def test_the_header_ends_at_the_blank_line(end: bytes) -> None:
    header = b"A: b" + end + b"Bcc: c" + end + b" d" + end + b"E: f" + end + end
    message = header + b"Bcc: g" + end + end
    assert end_of_header(message) == len(header)
    assert without_blind(header) == b"A: b" + end + b"E: f" + end + end
    for size in range(1, len(message) + 1):
        pieces: Iterator[bytes] = (message[at : at + size] for at in range(0, len(message), size))
        taken, rest = take_header(pieces)
        assert (taken, rest + b"".join(pieces)) == (header, message[len(header) :])


def test_a_header_without_end_is_refused() -> None:
    with pytest.raises(starttls.LimitExceeded):
        prepare(b"A: b\r\n" * 200_000, "a@x.test", ["b@x.test"], seven_bit=False)


def test_only_addresses_make_a_message_international() -> None:
    message = EmailMessage()
    message["From"] = "Änn <a@x.test>"
    message["To"] = "b@x.test"
    message["Subject"] = "Grüße"
    letter = prepare(message, None, None, seven_bit=False)
    assert not letter.utf8
    assert isinstance(letter.body, bytes) and letter.body.isascii()
    message["Cc"] = "jürgen@x.test"
    letter = prepare(message, None, None, seven_bit=False)
    assert letter.utf8
    assert isinstance(letter.body, bytes) and "Cc: jürgen@x.test\r\n".encode() in letter.body
    assert prepare(b"Subject: \xc3\xa4\r\n\r\n", "a@x.test", ["b@x.test"], seven_bit=False).utf8


def test_messages_of_the_older_kind() -> None:
    source = b"From: a@x.test\r\nTo: B <b@x.test>\r\nBcc: c@x.test\r\nSubject: x\r\n\r\nFrom here\r\n"
    letter = prepare(message_from_bytes(source), None, None, seven_bit=False)
    assert (letter.sender, letter.recipients) == ("a@x.test", ["b@x.test", "c@x.test"])
    assert letter.body == source.replace(b"Bcc: c@x.test\r\n", b"")


def test_eight_bits_are_encoded_for_servers_of_seven() -> None:
    message = EmailMessage(policy=policy.default.clone(cte_type="8bit"))
    message["From"] = message["To"] = "a@x.test"
    message.set_content("äöü\n", cte="8bit")
    as_it_is = prepare(message, None, None, seven_bit=False).body
    encoded = prepare(message, None, None, seven_bit=True).body
    assert isinstance(as_it_is, bytes) and "äöü".encode() in as_it_is
    assert isinstance(encoded, bytes) and encoded.isascii()
    assert message_from_bytes(encoded, policy=policy.default).get_content() == "äöü\n"
