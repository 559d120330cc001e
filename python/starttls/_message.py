"""Messages as callers have them, as the native module takes them: bytes, a path, or an iterable of bytes.

What a header says about the envelope, and that Bcc stays here, is the core's matter. Here is what only Python can do.
"""

from __future__ import annotations

import os
import sys

from ._errors import InvalidArgument
from ._files import chunks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from email.headerregistry import Address, AddressHeader, Group
    from email.message import Message as LegacyMessage
    from email.policy import Policy
    from typing import Any, TypeGuard

    from ._files import Content

    Email = LegacyMessage[Any, Any]
    Message = Email | Content
    Letter = tuple[Message, str | None, Iterable[str] | None]
    Source = bytes | os.PathLike[str] | Iterable[bytes]

SHOWN = frozenset(resent + field for field in ("from", "sender", "reply-to", "to", "cc") for resent in ("", "resent-"))
BLIND = frozenset(("bcc", "resent-bcc"))
LINE = 78
"""Characters a line of addresses should have at most (RFC 5322 section 2.1.1)."""


def source(message: Message, *, seven_bit: bool) -> tuple[Source, bytes | None]:
    """A message of any kind, and a header to take its envelope from if that is not its own.

    ``seven_bit`` if the server takes no other.
    """
    if isinstance(message, bytes | os.PathLike):
        return message, None
    if is_email(message):
        return flatten(message, seven_bit=seven_bit), addressing(message)
    if isinstance(message, str):
        kinds = "an EmailMessage, bytes, a pathlib.Path, a binary file or an iterable of bytes"
        raise InvalidArgument(f"a message comes as {kinds}, not as str")
    return chunks(message), None


def letter(item: Message | Letter, *, seven_bit: bool) -> tuple[Source, str | None, Iterable[str] | None, bytes | None]:
    """A message that may come with its sender and its recipients, as the native module takes it."""
    message, sender, recipients = item if isinstance(item, tuple) else (item, None, None)
    content, header = source(message, seven_bit=seven_bit)
    return content, sender, recipients, header


def is_email(message: object) -> TypeGuard[Email]:
    """Whether it is one of the email package's messages, which is not imported for the question."""
    module = sys.modules.get("email.message")
    return module is not None and isinstance(message, module.Message)


def addressing(message: Email) -> bytes:
    """A header that says of the envelope what the message's objects say, however they would be written."""
    from email.errors import InvalidHeaderDefect

    lines = []
    for name, value in message.raw_items():
        field = name.lower()
        if field not in SHOWN and field not in BLIND:
            # It keeps blocks of Resent- fields apart, and what it is does not matter.
            field, text = "x-other", ""
        elif not hasattr(value, "addresses"):
            text = str(value)
        elif any(isinstance(defect, InvalidHeaderDefect) for defect in value.defects):
            # The email package takes from it what it can; as one quoted name, it is refused if it is needed.
            text = quoted(str(value))
        else:
            text = ", ".join(address.addr_spec for address in value.addresses)
        lines.append(f"{field}: {text}\n")
    return "".join(lines).encode("utf-8", "surrogateescape")


def flatten(message: Email, *, seven_bit: bool) -> bytes:
    """The message as bytes, lines ended by CRLF, its header in UTF-8 only if an address needs that; without Bcc."""
    import copy
    from email import policy
    from email.generator import BytesGenerator
    from io import BytesIO

    utf8 = False
    fields: list[tuple[str, Any]] = []
    for name, value in message.raw_items():
        check(name, value)
        if name.lower() in BLIND:
            continue
        written = addresses(name, value) if name.lower() in SHOWN else None
        if written is not None:
            utf8 = utf8 or written.international
        fields.append((name, written or value))
    shown = copy.copy(message)
    for name in set(shown.keys()):
        del shown[name]
    for name, value in fields:
        shown.set_raw(name, value)
    rules = message.policy
    if not isinstance(rules, policy.EmailPolicy) and utf8:
        rules = policy.SMTPUTF8
    if isinstance(rules, policy.EmailPolicy):
        rules = rules.clone(utf8=utf8)
    rules = rules.clone(linesep="\r\n", mangle_from_=False, cte_type="7bit" if seven_bit else "8bit")
    out = BytesIO()
    BytesGenerator(out, policy=rules).flatten(shown)
    return out.getvalue()


def check(name: str, value: object) -> None:
    """Refuse a field that would be more than one."""
    if not (name.isascii() and name.isprintable()) or " " in name or ":" in name or not name:
        raise InvalidArgument(f"{name!r} is no name of a header field")
    if isinstance(value, str):
        _, *folded = value.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        if not all(line.startswith((" ", "\t")) for line in folded):
            raise InvalidArgument(f"the header field {name} contains a line break: {value!r}")


def addresses(name: str, value: Any) -> Addresses | None:
    """A field of addresses to be written anew; ``None`` if it goes out as it is."""
    parsed = value
    if not hasattr(value, "groups"):
        text = str(value)
        if isinstance(value, str) and (text.isascii() or not text.isprintable()):
            return None  # as it was read, or as it was given
        from email.policy import default

        parsed = default.header_factory(name, text)
    return None if any("Invalid" in type(defect).__name__ for defect in parsed.defects) else Addresses(name, parsed)


class Addresses:
    """A field of addresses, as the email package's policies take one.

    Its own way to fold such fields encodes the comma between two addresses, or takes the quotes off a name that needs
    them, and then the header shows other people than the message has.
    """

    def __init__(self, name: str, header: AddressHeader) -> None:
        self.name = name
        self._groups: tuple[Group, ...] = header.groups
        self.international = not all(address.username.isascii() for address in header.addresses)

    def fold(self, *, policy: Policy) -> str:
        """The whole field, for an ``EmailPolicy``."""
        return f"{self.name}: {self._written(policy.linesep, utf8=policy.utf8)}{policy.linesep}"  # type: ignore[attr-defined]

    def encode(self, *, linesep: str, **_: object) -> str:
        """What stands behind the name, for ``compat32``."""
        return self._written(linesep, utf8=False)

    def _written(self, linesep: str, *, utf8: bool) -> str:
        parts = []
        for group in self._groups:
            people = [self._mailbox(address, linesep, utf8=utf8) for address in group.addresses]
            if group.display_name is None:
                parts += [f"{one}," for one in people]
                continue
            people = [f"{one}," for one in people] or [""]
            people[0] = f"{phrase(group.display_name, linesep, utf8=utf8)}: {people[0]}".rstrip()
            people[-1] = people[-1].removesuffix(",") + ";,"
            parts += people
        if parts:
            parts[-1] = parts[-1].removesuffix(",")
        lines, length = "", len(self.name) + 1
        for part in parts:
            if lines and length + 1 + len(part) > LINE:
                lines, length = f"{lines}{linesep}", 0
            lines += f" {part}"
            length += 1 + len(part)
        return lines[1:]

    def _mailbox(self, address: Address, linesep: str, *, utf8: bool) -> str:
        spec = address.addr_spec
        if not utf8 and not spec.isascii():
            from ._native import with_ascii_domain

            spec = with_ascii_domain(spec)
        return f"{phrase(address.display_name, linesep, utf8=utf8)} <{spec}>" if address.display_name else spec


def phrase(text: str, linesep: str, *, utf8: bool) -> str:
    """A name: as it is, in quotes, or in encoded words."""
    if (utf8 or text.isascii()) and text.isprintable():
        plain = all(c.isalnum() or c in "!#$%&'*+-/=^_`{|}~ " for c in text) and "=?" not in text
        return text if plain and text == " ".join(text.split()) else quoted(text)
    from email.header import Header

    return Header(text, "utf-8").encode(linesep=linesep, maxlinelen=LINE - 2)


def quoted(text: str) -> str:
    """A quoted string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
