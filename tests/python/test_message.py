"""What a message's header says about its envelope, and how message objects become bytes, without a server."""

from __future__ import annotations

import random
import smtplib
from email import message_from_bytes, policy
from email.header import Header
from email.headerregistry import Address, Group
from email.message import EmailMessage, Message
from typing import Any

import pytest
import starttls
from starttls._message import addressing, source
from starttls._native import HeaderReader, envelope_of


def flat(message: Message[Any, Any], *, seven_bit: bool = False) -> bytes:
    content, header = source(message, seven_bit=seven_bit)
    assert isinstance(content, bytes) and header is not None
    return content


def envelope(message: Message[Any, Any]) -> tuple[str, list[str]]:
    sender, recipients, _ = envelope_of(addressing(message))
    return sender, recipients


def test_sender_and_recipients_are_in_the_header() -> None:
    header = (
        b'From: "Ann, the first" <a@x.test>\r\nTo: b@x.test, Carol\r\n <c@x.test>\r\nCc: Team: d@x.test, e@x.test;\r\n'
    )
    assert envelope_of(header) == ("a@x.test", ["b@x.test", "c@x.test", "d@x.test", "e@x.test"], False)
    assert envelope_of(b"Sender: s@x.test\r\n" + header)[0] == "s@x.test"
    assert envelope_of(b"From: a@x.test\nTo: b@x.test, b@x.test\n")[1] == ["b@x.test"]


@pytest.mark.parametrize(
    "header", [b"To: b@x.test\r\n", b"From: a@x.test\r\n", b"From: a@x.test\r\nTo: nobody\r\n", b""]
)
def test_nothing_is_guessed(header: bytes) -> None:
    with pytest.raises(starttls.InvalidArgument):
        envelope_of(header)


def test_text_is_no_message() -> None:
    with pytest.raises(starttls.InvalidArgument, match="not as str"):
        source("Subject: x", seven_bit=False)  # type: ignore[arg-type]


def test_a_header_comes_in_pieces() -> None:
    header = b"A: b\r\nBcc: c\r\n d\r\nE: f\r\n\r\n"
    message = header + b"Bcc: g\r\n\r\n"
    for size in range(1, len(message) + 1):
        reader = HeaderReader()
        for at in range(0, len(message), size):
            if (end := reader.push(message[at : at + size])) is not None:
                assert at + end == len(header)
                break
        else:
            pytest.fail("the header has no end")
    with pytest.raises(TypeError, match="not str"):
        HeaderReader().push("A: b")  # type: ignore[arg-type]
    with pytest.raises(starttls.LimitExceeded):
        HeaderReader().push(b"A: b\r\n" * 200_000)


class Writer:
    """Writes addresses in every form that the grammar has, and knows what they are."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def space(self) -> str:
        comment = "(" + self.pick(["", "a", "a@b, c", "\\)", "(x (y))", '"']) + ")"
        return self.pick(["", "", "", " ", "\r\n ", "\t", comment, f" {comment} "])

    def pick(self, these: list[str]) -> str:
        return self.random.choice(these)

    def word(self) -> str:
        return "".join(self.random.choices("abcXYZ019!#$%&'*+-/=^_`{|}~", k=self.random.randrange(1, 9)))

    def quoted(self) -> tuple[str, str]:
        plain = "".join(self.random.choices('ab ,.:;<>()[]@"\\', k=self.random.randrange(1, 9)))
        escaped = "".join(f"\\{c}" if c in '"\\' or self.random.random() < 0.1 else c for c in plain)
        return plain, f'"{escaped}"'

    def domain(self) -> str:
        return self.pick(["x.test", "a-b.c.example", "[192.0.2.1]", "[IPv6:2001:db8::1]", "bücher.example"])

    def address(self) -> tuple[str, str]:
        domain = self.domain()
        if self.random.random() < 0.2:
            plain, written = self.quoted()
            needs = not all(part and all(c.isalnum() for c in part) for part in plain.split("."))
            spec = '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"' if needs else plain
        else:
            spec = written = ".".join(self.word() for _ in range(self.random.randrange(1, 4)))
        return f"{spec}@{domain}", f"{written}{self.space()}@{self.space()}{domain}"

    def mailbox(self) -> tuple[str, str]:
        spec, written = self.address()
        form = self.random.randrange(4)
        if form == 0:
            return spec, f"{self.space()}{written}{self.space()}"
        names = [self.word(), self.quoted()[1], "J. R. Doe", "=?utf-8?q?a=2C_=40b?=", "Jürgen", ""]
        name = " ".join(self.pick(names) for _ in range(form))
        return spec, f"{self.space()}{name}{self.space()}<{self.space()}{written}{self.space()}>{self.space()}"

    def listed(self) -> tuple[list[str], str]:
        specs, parts = [], []
        for _ in range(self.random.randrange(1, 6)):
            if self.random.random() < 0.2:
                inner = [self.mailbox() for _ in range(self.random.randrange(3))]
                specs += [spec for spec, _ in inner]
                parts.append(f"{self.space()}Group {self.word()}:{','.join(text for _, text in inner)};")
            else:
                spec, text = self.mailbox()
                specs.append(spec)
                parts.append(text)
        return specs, ",".join(parts)


def test_whatever_the_grammar_allows_is_read() -> None:
    for seed in range(5_000):
        expected, text = Writer(seed).listed()
        header = f"From: a@x.test\r\nBcc: z@x.test\r\nTo:{text}\r\n\r\n".encode()
        assert envelope_of(header)[1] == list(dict.fromkeys([*expected, "z@x.test"])), text


def test_the_standard_library_agrees_where_it_sees_no_defect() -> None:
    agreed = 0
    for seed in range(600):
        _, text = Writer(seed).listed()
        text = text.replace("\r\n", "")
        try:
            theirs = policy.default.header_factory("To", text)
        except Exception:
            continue  # its parser fails on some quoted local parts
        if theirs.defects:
            continue
        _, (*ours, last), _ = envelope_of(f"From: a@x.test\nBcc: z@x.test\nTo: {text}\n".encode())
        assert last == "z@x.test"
        # It takes the quotes off some local parts that need them.
        expected = dict.fromkeys(address.addr_spec.replace('"', "") for address in theirs.addresses)
        assert [one.replace('"', "") for one in ours] == list(expected), text
        agreed += 1
    assert agreed > 100


ODD = [
    b"From: a@x.test\r\nTo: b@x.test\r\n\r\nbody\r\n",
    b'From: "A, B" <a@x.test>\r\nTo: b@x.test,\r\n\tC <c@x.test>\r\nCc: d@x.test\r\nSubject: x\r\n\r\nbody\r\n',
    b"Sender: s@x.test\nFrom: a@x.test, o@x.test\nTo: b@x.test\nBcc: c@x.test\n\nFrom here\n.\n..\nno end",
    b"From: a@x.test\r\nTo: Team: b@x.test, C <c@x.test>;, d@x.test\r\nCc: undisclosed-recipients:;\r\n\r\n",
    b"From: =?utf-8?q?=C3=84nn?= <a@x.test>\r\nTo: =?utf-8?b?w5YsIHg=?= <b@x.test>\r\nSubject: x\r\n\r\n",
    b"Resent-Date: Sat, 1 Jan 2000 00:00:00 +0000\r\nResent-From: r@x.test\r\nResent-To: t@x.test\r\n"
    b"Resent-Bcc: u@x.test\r\nFrom: a@x.test\r\nTo: b@x.test\r\nBcc: c@x.test\r\nDate: x\r\n\r\nbody\r\n",
    b"From: a@x.test\r\nTo: b@x.test (Bob), <c@x.test>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; "
    b'boundary="=="\r\n\r\n--==\r\nContent-Type: text/plain\r\n\r\none\r\n--==\r\n\r\ntwo\r\n--==--\r\n',
    b"From: a@x.test\r\nTo: b@x.test\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: 8bit\r\n\r\n"
    b"\xc3\xa4\xc3\xb6\r\n",
    b"From: a@x.test\r\nTo: b@x.test\r\nX-Long: " + b"word " * 18 + b"\r\n\r\n" + b"x" * 990 + b"\r\n",
]
"""Messages of which the standard library makes the right thing."""


class Recorder(smtplib.SMTP):
    """The standard library's client, asked what it would send."""

    def __init__(self) -> None:
        self.esmtp_features = {"smtputf8": "", "8bitmime": ""}
        self.does_esmtp = True

    def ehlo_or_helo_if_needed(self) -> None:
        pass

    def sendmail(self, from_addr: Any, to_addrs: Any, msg: Any, *_: Any) -> Any:
        self.sent = from_addr, sorted({*to_addrs} - {""}), msg


@pytest.mark.parametrize("rules", [policy.default, policy.SMTP, policy.compat32], ids=["default", "SMTP", "compat32"])
@pytest.mark.parametrize("original", ODD)
def test_what_the_standard_library_would_send(original: bytes, rules: Any) -> None:
    message = message_from_bytes(original, policy=rules)
    theirs = Recorder()
    theirs.send_message(message)
    sender, recipients = envelope(message)
    # It escapes `From ` at a line's beginning in messages of the older kind, and what is shown is another then.
    assert (sender, sorted(recipients), flat(message)) == (
        *theirs.sent[:2],
        theirs.sent[2].replace(b">From ", b"From "),
    )


def test_what_objects_say_is_what_is_sent() -> None:
    """Also where the standard library's own folding would show other people than the message has."""
    writer = Writer(1)
    characters = 'abc ,.@"\\()<>;:=?_äß😀'
    garbled = 0
    for _ in range(60):
        people = []
        for _ in range(writer.random.randrange(1, 8)):
            name = "".join(writer.random.choices(characters, k=writer.random.randrange(30))).strip()
            local = ".".join(writer.word() for _ in range(writer.random.randrange(1, 3)))
            people.append(Address(name, local, writer.pick(["x.test", "a.very.long.domain.example", "[192.0.2.1]"])))
        specs = [person.addr_spec for person in people]
        message = EmailMessage()
        message["From"] = "a@x.test"
        message["To"] = (*people[:1], Group("Group, of some", people[1:3]), *people[3:])
        if message["To"].defects:
            continue
        sent = flat(message)
        assert sent.isascii() and all(len(line) < 998 for line in sent.splitlines())
        assert envelope(message)[1] == envelope_of(sent)[1] == list(dict.fromkeys(specs))
        shown = message_from_bytes(sent, policy=policy.default)["To"]
        assert [one.addr_spec for one in shown.addresses] == specs
        assert [one.display_name.split() for one in shown.addresses] == [one.display_name.split() for one in people]
        try:
            theirs = message_from_bytes(message.as_bytes(policy=policy.SMTP), policy=policy.default)["To"]
            garbled += [one.addr_spec for one in theirs.addresses] != specs
        except Exception:
            garbled += 1
    assert garbled, "the standard library has learnt it: Addresses is no longer needed"


@pytest.mark.parametrize(
    ("field", "recipients"),
    [
        ("=?utf-8?q?evil=40x.test=2C?= <b@x.test>", ["b@x.test"]),
        ("=?utf-8?q?b=40x.test=3E=2C?= <b@x.test>", ["b@x.test"]),
        ("=?utf-8?q?evil?=@x.test", None),
        ("=?utf-8?q?evil=40x.test=2C?=@x.test", None),
        ("evil@x.test <b@x.test>", None),
        ("<evil@x.test> <b@x.test>", None),
        ("b@x.test; evil@x.test", None),
        ("b@x.test)evil@x.test", None),
        ("b@x.test(evil@x.test", None),
        ("b\0@x.test", None),
        ('"b\0"@x.test', None),
        ('"\t"@x.test', None),
        ("b@x.test\0", None),
        ("b@x\u2028.test", None),
    ],
)
def test_tricks(field: str, recipients: list[str] | None) -> None:
    raw = f"From: a@x.test\r\nTo: {field}\r\n\r\n".encode()
    assigned = EmailMessage()
    assigned["From"] = "a@x.test"
    try:
        assigned["To"] = field
    except ValueError:
        assigned["To"] = "nobody"
    read = [message_from_bytes(raw, policy=rules) for rules in (policy.default, policy.compat32)]
    for header in (raw, addressing(assigned), *map(addressing, read)):
        if recipients is None:
            with pytest.raises(starttls.InvalidArgument):
                envelope_of(header)
        else:
            assert envelope_of(header)[1] == recipients
    if recipients is not None:
        assert envelope_of(flat(assigned))[1] == recipients


@pytest.mark.parametrize(
    "value", ["b@x.test\nBcc: evil@x.test", "b@x.test\r\n\r\nbody", "b@x.test\rX: y", "b@x.test\n"]
)
def test_a_field_is_one_field(value: str) -> None:
    older = Message()
    older["From"] = "a@x.test"
    older["Subject"] = value
    with pytest.raises(starttls.InvalidArgument, match="Subject contains a line break"):
        flat(older)


@pytest.mark.parametrize("name", ["X\nBcc", "X:", "X Y", "Ä", ""])
def test_a_field_has_a_name(name: str) -> None:
    older = Message()
    older[name] = "b@x.test"
    with pytest.raises(starttls.InvalidArgument, match="no name of a header field"):
        flat(older)


def test_only_addresses_make_a_message_international() -> None:
    message = EmailMessage()
    message["From"] = "Änn <a@x.test>"
    message["To"] = "b@x.test"
    message["Subject"] = "Grüße"
    assert flat(message).isascii()
    message["Cc"] = "jürgen@x.test"
    assert "Cc: jürgen@x.test\r\n".encode() in flat(message)
    assert envelope_of(flat(message))[2]


def test_a_domain_beyond_ascii_goes_as_a_labels() -> None:
    for message in (EmailMessage(), Message()):
        message["From"] = "Änn <a@straße.example>"
        message["To"] = "b@bücher.example"
        sent = flat(message)
        assert b"To: b@xn--bcher-kva.example\r\n" in sent and b"<a@xn--strae-oqa.example>" in sent
        assert envelope(message) == ("a@straße.example", ["b@bücher.example"])


def test_bcc_is_for_the_envelope_alone() -> None:
    for message in (EmailMessage(), Message()):
        message["From"] = "a@x.test"
        message["To"] = "b@x.test"
        message["bcc"] = "jürgen@x.test"
        message["Resent-Bcc"] = "e@x.test"
        assert flat(message) == b"From: a@x.test\r\nTo: b@x.test\r\n\r\n"
        assert message["Bcc"] == "jürgen@x.test"
        del message["Resent-Bcc"]
        assert envelope(message)[1] == ["b@x.test", "jürgen@x.test"]


def test_messages_of_the_older_kind() -> None:
    original = b"From: a@x.test\r\nTo: B <b@x.test>\r\nBcc: c@x.test\r\nSubject: x\r\n\r\nFrom here\r\n"
    message = message_from_bytes(original)
    assert envelope(message) == ("a@x.test", ["b@x.test", "c@x.test"])
    assert flat(message) == original.replace(b"Bcc: c@x.test\r\n", b"")
    written = Message()
    written["From"] = Header("Änn <a@x.test>", "utf-8")
    written["To"] = "Jürgen <b@x.test>"
    assert envelope(written) == ("a@x.test", ["b@x.test"])
    assert flat(written) == (b"From: =?utf-8?q?=C3=84nn?= <a@x.test>\r\nTo: =?utf-8?q?J=C3=BCrgen?= <b@x.test>\r\n\r\n")


def test_resent_fields_of_objects() -> None:
    message = EmailMessage()
    message["From"] = "a@x.test"
    message["To"] = "b@x.test"
    message["Resent-From"] = "r@x.test"
    message["Resent-To"] = "t@x.test"
    assert envelope(message) == ("r@x.test", ["t@x.test"])
    twice = b"Resent-To: 1@x.test\nResent-From: r@x.test\nReceived: x\nResent-To: 2@x.test\nResent-From: s@x.test\n\n"
    assert envelope(message_from_bytes(twice, policy=policy.default)) == ("r@x.test", ["1@x.test"])


def test_eight_bits_are_encoded_for_servers_of_seven() -> None:
    message = EmailMessage(policy=policy.default.clone(cte_type="8bit"))
    message["From"] = message["To"] = "a@x.test"
    message.set_content("äöü\n", cte="8bit")
    assert "äöü".encode() in flat(message)
    encoded = flat(message, seven_bit=True)
    assert encoded.isascii()
    assert message_from_bytes(encoded, policy=policy.default).get_content() == "äöü\n"
