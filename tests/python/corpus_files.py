"""What the corpus asks of a file transfer session beside files, in the corpus' words."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

import starttls


def settings(words: Iterable[str]) -> dict[str, Any]:
    """The words behind ``settings:`` as arguments of a session."""
    found: dict[str, Any] = {}
    for word in words:
        match word.partition("="):
            case ("auth" | "virtual-host" | "client-name" | "language" as name, "=", value):
                found[name.replace("-", "_")] = value
            case ("active", _, _):
                found["active"] = True
            case ("binding", _, binding):
                found["session_binding"] = binding
            case ("compression", _, _):
                found["compression"] = True
            case ("announced-host", _, _):
                found["danger_use_announced_host"] = True
            case ("no-pipelining", _, _):
                found["pipelining"] = False
            case _:
                raise AssertionError(f"unknown setting {word}")
    return found


def answer(reply: starttls.Reply) -> str:
    return f"{reply.code} {len(reply.lines)}"


def escaped(name: str) -> str:
    data = name.encode("utf-8", "surrogateescape")
    return "".join(chr(b) if 32 <= b < 127 and b != 92 else f"\\x{b:02x}" for b in data)


def describe(error: starttls.Error) -> str:
    """An error in the corpus' words, of the kinds that trees have."""
    kinds = {
        starttls.InvalidArgument: "invalid-argument",
        starttls.LimitExceeded: "limit-exceeded",
        starttls.ProtocolError: "protocol-violation",
        starttls.Rejected: "rejected",
    }
    kind = next(word for one, word in kinds.items() if isinstance(error, one))
    phase = f" at {error.phase}" if error.phase else ""
    return f"error {kind}{phase}{'' if error.code is None else f' {error.code}'}"


def ask(session: Any, verb: str, data: list[bytes]) -> str:
    """Everything that is answered by a reply or a digest."""
    text = [word.decode() if verb in ("account", "help", "language", "hash") else word for word in data]
    match verb:
        case "account":
            session.account(text[0])
        case "chmod":
            session.chmod(data[0], int(data[1], 8))
        case "set-modified":
            session.set_modified(data[0], int(data[1]))
        case "set-created":
            session.set_created(data[0], int(data[1]))
        case "set-fact":
            session.set_facts(data[0], {data[1].decode(): data[2].decode()})
        case "available":
            return str(session.available(data[0] if data else b""))
        case "allocate":
            session.allocate(int(data[0]))
        case "makedirs":
            session.makedirs(data[0])
        case "remove-tree":
            gone = session.rmtree(data[0])
            left = [f" {escaped(path)}: {describe(why)}" for path, why in gone.left.items()]
            return f"{gone.files} {gone.directories}{''.join(left)}"
        case "get-text":
            into = io.BytesIO()
            receipt = session.download_text(data[0], into)
            return f"{receipt.status} {receipt.size}{'' if into.getvalue() == data[1] else ' with wrong content'}"
        case "put-text":
            receipt = session.upload_text(data[1], data[0])
            return f"{receipt.status} {receipt.size}"
        case "put-unique":
            receipt, name = session.upload_unique(data[1], data[0])
            return f"{receipt.status} {receipt.size} {'untold' if name is None else escaped(name)}"
        case "relogin":
            session.login(data[0].decode(), data[1].decode())
        case "status" | "system" | "help" | "language" | "site" | "quote":
            return answer(getattr(session, verb)(*text))
        case "hash":
            path, algorithm, start, end = [*text, None, None, None][:4]
            part = {} if end is None else {"start": int(start), "end": int(end)}
            digest = session.hash(path, algorithm, **part)
            return f"{digest.algorithm} {digest.hexdigest()}"
        case _:
            raise AssertionError(f"unknown verb {verb}")
    return "ok"


def count(session: Any, path: bytes) -> str:
    """How many entries come as a stream."""
    if hasattr(session, "session"):

        async def counted() -> str:
            listing = session.session.scandir(path)
            entries = [entry async for entry in listing]
            return f"{len(entries)}, {listing.unparsed} unknown"

        found: str = session.run(counted())
        return found
    listing = session.scandir(path)
    return f"{sum(1 for _ in listing)}, {listing.unparsed} unknown"
