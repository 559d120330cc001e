"""Messages as callers have them: the envelope in their headers, Bcc taken out, bytes handed on as they come."""

from __future__ import annotations

import os
import sys

from ._errors import InvalidArgument, LimitExceeded
from ._files import chunks, opened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable, Iterator
    from email.message import Message as LegacyMessage
    from typing import Any, TypeGuard, TypeVar

    from ._files import Content

    Email = LegacyMessage[Any, Any]
    Message = Email | Content
    Held = TypeVar("Held", bytes, memoryview)

HEADER_LIMIT = 1024 * 1024
"""Bytes a header may have: it is looked through before anything is sent."""

BLIND = (b"bcc", b"resent-bcc")
"""The fields that name recipients nobody else may know of."""


class Letter:
    """A message ready to go: the envelope, the head that was rewritten, and the rest as it is."""

    __slots__ = ("body", "eight_bit", "head", "offset", "recipients", "sender", "utf8")

    sender: str
    recipients: list[str]
    head: bytes
    """What comes first."""
    body: bytes | os.PathLike[str] | Iterable[bytes]
    """What follows it, from ``offset`` on."""
    offset: int
    eight_bit: bool | None
    """Whether there are bytes above 127; ``None`` if the native module sees that better, or nobody knows."""
    utf8: bool
    """Whether the header has UTF-8."""

    def __init__(
        self,
        envelope: tuple[str, list[str]],
        head: bytes,
        body: bytes | os.PathLike[str] | Iterable[bytes],
        *,
        offset: int = 0,
        utf8: bool = False,
    ) -> None:
        self.sender, self.recipients = envelope
        self.head = head
        self.body = body
        self.offset = offset
        self.utf8 = utf8


def prepare(message: Message, sender: str | None, recipients: Iterable[str] | None, *, seven_bit: bool) -> Letter:
    """A message of any kind, ready to go; ``seven_bit`` if the server takes no other."""
    if is_email(message):
        envelope = addressed(message, sender, recipients)
        utf8 = not all(map(str.isascii, (envelope[0], *envelope[1], *mentioned(message))))
        content = flatten(message, utf8=utf8, seven_bit=seven_bit)
        return Letter(envelope, b"", content, utf8=utf8)
    if isinstance(message, bytes):
        header = message[: end_of_header(message)]
        head = without_blind(header)
        envelope = addressed(header, sender, recipients)
        utf8 = not header.isascii()
        if head is header:
            return Letter(envelope, b"", message, utf8=utf8)
        return Letter(envelope, head, message, offset=len(header), utf8=utf8)
    if isinstance(message, str):
        kinds = "an EmailMessage, bytes, a pathlib.Path, a binary file or an iterable of bytes"
        raise InvalidArgument(f"a message comes as {kinds}, not as str")
    if isinstance(message, os.PathLike):
        with opened(message) as file:
            header, _ = take_header(chunks(file, 64 * 1024))
        return Letter(
            addressed(header, sender, recipients),
            without_blind(header),
            message,
            offset=len(header),
            utf8=not header.isascii(),
        )
    pieces = chunks(message)
    header, rest = take_header(pieces)
    return Letter(
        addressed(header, sender, recipients),
        without_blind(header) + rest,
        pieces,
        utf8=not header.isascii(),
    )


def is_email(message: object) -> TypeGuard[Email]:
    """Whether it is one of the email package's messages, which is not imported for the question."""
    module = sys.modules.get("email.message")
    return module is not None and isinstance(message, module.Message)


def take_header(pieces: Iterator[bytes]) -> tuple[bytes, bytes]:
    """The header with its blank line, and what was taken beyond it."""
    taken = b""
    for piece in pieces:
        taken += piece
        if header_is_whole(taken):
            break
    end = end_of_header(taken)
    return taken[:end], taken[end:]


async def take_header_async(pieces: AsyncIterable[bytes]) -> tuple[bytes, bytes]:
    """``take_header`` for an asynchronous source."""
    taken = b""
    async for piece in pieces:
        taken += piece
        if header_is_whole(taken):
            break
    end = end_of_header(taken)
    return taken[:end], taken[end:]


def header_is_whole(data: bytes) -> bool:
    """Whether nothing that comes later can belong to the header."""
    # A line end more than the blank line: a CR at the end could be half of one.
    return (_blank_line(data) != -1 and len(data) > end_of_header(data)) or len(data) > HEADER_LIMIT


def _blank_line(data: bytes) -> int:
    if data[:1] in (b"\r", b"\n"):
        return 0
    found = [at for pair in (b"\n\n", b"\n\r", b"\r\r") if (at := data.find(pair, 0, HEADER_LIMIT)) != -1]
    return min(found) + 1 if found else -1


def end_of_header(data: bytes) -> int:
    """The length of the header, its blank line included. Any of CRLF, LF and CR ends a line."""
    at = _blank_line(data)
    if at == -1:
        if len(data) > HEADER_LIMIT:
            raise LimitExceeded(f"the message's header is longer than {HEADER_LIMIT} bytes")
        return len(data)
    return at + 2 if data[at : at + 2] == b"\r\n" else at + 1


def without_blind(header: bytes) -> bytes:
    """The header without Bcc; the same object if there is none."""
    if b"bcc" not in header.lower():
        return header
    kept = []
    keep = True
    for line in header.splitlines(keepends=True):
        if line[:1] not in (b" ", b"\t"):
            keep = line.partition(b":")[0].strip().lower() not in BLIND
        if keep:
            kept.append(line)
    return b"".join(kept)


def addressed(header: bytes | Email, sender: str | None, recipients: Iterable[str] | None) -> tuple[str, list[str]]:
    """The envelope: as given, else from the header."""
    if isinstance(recipients, str):
        recipients = [recipients]
    if sender is not None and recipients is not None:
        return sender, list(recipients)
    if isinstance(header, bytes):
        from email import policy
        from email.parser import HeaderParser

        header = HeaderParser(policy=policy.default).parsestr(header.decode("utf-8", "surrogateescape"))
    resent = _resent(header)
    if sender is None:
        senders = _addresses(header, f"{resent}Sender") or _addresses(header, f"{resent}From")
        if not senders:
            raise InvalidArgument(f'the message has no {resent}From: give sender= ("" is the null sender)')
        sender = senders[0]
    if recipients is None:
        found = [it for field in ("To", "Cc", "Bcc") for it in _addresses(header, resent + field)]
        recipients = dict.fromkeys(found)
        if not recipients:
            raise InvalidArgument(f"the message has no {resent}To, Cc or Bcc: give recipients=")
    return sender, list(recipients)


def mentioned(message: Email) -> list[str]:
    """Every address the header will show."""
    fields = ("From", "Sender", "Reply-To", "To", "Cc", "Resent-From", "Resent-Sender", "Resent-To", "Resent-Cc")
    return [it for field in fields for it in _addresses(message, field, strict=False)]


def _resent(header: Email) -> str:
    """``Resent-`` if the message was resent: those fields say who sends it to whom now (RFC 5322 section 3.6.6)."""
    names = [name for name in map(str.lower, header.keys()) if name.startswith("resent-")]
    if len(names) != len(set(names)):
        raise InvalidArgument("the message was resent more than once: give sender= and recipients=")
    return "Resent-" if names else ""


def _addresses(header: Email, field: str, *, strict: bool = True) -> list[str]:
    found = []
    for value in header.get_all(field, []):
        if not hasattr(value, "addresses"):
            from email import policy

            value = policy.default.header_factory(field, str(value))
        for address in value.addresses:
            if address.username and address.domain:
                found.append(address.addr_spec)
            elif strict:
                raise InvalidArgument(f"{field} has something that is no address: {str(value)!r}")
    return found


def flatten(message: Email, *, utf8: bool, seven_bit: bool) -> bytes:
    """The message as bytes, lines ended by CRLF, without Bcc."""
    import copy
    from email import policy
    from email.generator import BytesGenerator
    from io import BytesIO

    rules = message.policy
    if not isinstance(rules, policy.EmailPolicy) and utf8:
        rules = policy.SMTPUTF8
    if isinstance(rules, policy.EmailPolicy):
        rules = rules.clone(utf8=utf8)
    rules = rules.clone(linesep="\r\n", mangle_from_=False, cte_type="7bit" if seven_bit else "8bit")
    shown = message
    if "Bcc" in message or "Resent-Bcc" in message:
        shown = copy.copy(message)
        del shown["Bcc"], shown["Resent-Bcc"]
    out = BytesIO()
    BytesGenerator(out, policy=rules).flatten(shown)
    return out.getvalue()
