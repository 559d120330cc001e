"""What the corpus asks of a file transfer session beside files, in the corpus' words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


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


def ask(session: Any, verb: str, data: list[bytes]) -> str:
    """Everything that is answered by a reply or a digest."""
    text = [word.decode() if verb in ("account", "help", "language", "hash") else word for word in data]
    match verb:
        case "account":
            session.account(text[0])
            return "ok"
        case "relogin":
            session.login(data[0].decode(), data[1].decode())
            return "ok"
        case "status" | "system" | "help" | "language" | "site" | "quote":
            reply = getattr(session, verb)(*text)
            return f"{reply.code} {len(reply.lines)}"
        case "hash":
            path, algorithm, start, end = [*text, None, None, None][:4]
            part = {} if end is None else {"start": int(start), "end": int(end)}
            digest = session.hash(path, algorithm, **part)
            return f"{digest.algorithm} {digest.hexdigest()}"
        case _:
            raise AssertionError(f"unknown verb {verb}")
