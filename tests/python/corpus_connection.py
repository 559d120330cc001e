"""What the corpus asks of a connection on its own, and its results, in the corpus' words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def settings(words: Iterable[str]) -> dict[str, Any]:
    """The words behind ``settings:`` as arguments of a connection; without ``alpn``, which is a matter of TLS."""
    found: dict[str, Any] = {}
    for word in words:
        match word.partition("="):
            case ("server-name", "=", name):
                found["server_name"] = name
            case ("alpn", "=", _):
                pass
            case _:
                raise AssertionError(f"unknown setting {word}")
    return found


def alpn(words: Iterable[str]) -> list[str]:
    """The application protocols to offer."""
    return [word.removeprefix("alpn=") for word in words if word.startswith("alpn=")]


def escaped(data: bytes) -> str:
    """Bytes as the corpus shows them."""
    special = {9: "\\t", 10: "\\n", 13: "\\r", 34: '\\"', 39: "\\'", 92: "\\\\"}
    return "".join(special.get(b) or (chr(b) if 32 <= b < 127 else f"\\x{b:02x}") for b in data)


def shown(data: bytes) -> str:
    return f'"{escaped(data)}"'


def ask(connection: Any, verb: str, data: list[bytes]) -> str:
    """Does one thing."""
    match verb:
        case "start-tls":
            connection.start_tls()
        case "upgrade":
            return shown(connection.upgrade(data[0].decode()))
        case "read-line":
            line = connection.read_line(int(data[0]))
            return "end" if line is None else shown(line)
        case "read":
            some = connection.read(int(data[0]))
            return shown(some) if some else "end"
        case "read-exactly":
            return shown(connection.read_exactly(int(data[0])))
        case "read-until":
            return shown(connection.read_until(data[0], int(data[1])))
        case "write":
            connection.write(data[0])
        case "shutdown":
            connection.shutdown()
        case "close":
            connection.close()
        case _:
            raise AssertionError(f"unknown verb {verb}")
    return "ok"
