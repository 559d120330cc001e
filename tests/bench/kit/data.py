"""Generated input: messages and the file to upload."""

import base64
import random
from pathlib import Path

from . import paths
from .operations import Sizes

HEADERS = (
    b"From: a@example.com\r\nTo: b@example.com\r\nSubject: benchmark\r\nMIME-Version: 1.0\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\n"
)


def generate(sizes: Sizes) -> dict[str, Path]:
    """Write what is missing; the files by the names operations know them by."""
    paths.DATA.mkdir(parents=True, exist_ok=True)
    return {
        "small-message": _message(sizes.small_message),
        "large-message": _message(sizes.large_message),
        "upload": _sparse(sizes.file),
    }


def _message(size: int) -> Path:
    """A message of exactly ``size`` octets with base64 lines, some of which begin with a dot."""
    path = paths.DATA / f"message-{size}.eml"
    if not path.exists():
        random_bytes = random.Random(1).randbytes(57 * 1000)
        lines = base64.encodebytes(random_bytes).split()
        for index in range(0, len(lines), 20):
            lines[index] = b"." + lines[index][1:]
        block = b"\r\n".join(lines) + b"\r\n"
        room = size - len(HEADERS) - 2
        body = (block * (room // len(block) + 1))[:room]
        # Cut anywhere, the last line may end in half a line end: letters instead, and a whole one.
        body = body[:-2] + b"ee" if body[-2:].strip(b"\r\n") != body[-2:] else body
        path.write_bytes(HEADERS + body + b"\r\n")
    return path


def _sparse(size: int) -> Path:
    """A file of zeros that takes no room; reading it costs what reading any cached file costs."""
    path = paths.DATA / f"upload-{size}.bin"
    if not path.exists():
        with path.open("wb") as file:
            file.truncate(size)
    return path
