"""The command line as a test runs it."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.servers.ftp import PASSWORD, FTPServer
from tests.servers.mail import MailServer

PROGRAM = Path(os.environ.get("STARTTLS_CLI") or Path(__file__).parents[1] / "target/debug/starttls").resolve()

DEADLINE = 60.0
"""Seconds until a run has failed."""

SECRETS = [PASSWORD, quote(PASSWORD, ""), base64.b64encode(PASSWORD.encode()).decode()]
"""What no run may ever print: the password of every daemon, as it is and as it travels."""


@dataclass(frozen=True)
class Done:
    """A run that is over."""

    code: int
    out: bytes
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one line of JSON."""
        assert self.out.endswith(b"\n") and self.out.count(b"\n") == 1, self.out
        return json.loads(self.out)


def starttls(
    *words: str | Path,
    stdin: bytes = b"",
    folder: Path | None = None,
    env: Mapping[str, str] | None = None,
    before: Callable[[], None] | None = None,
) -> Done:
    """Run the program. ``before`` is called in the child; the daemons' password must not be printed."""
    assert PROGRAM.is_file(), f"{PROGRAM} is not built: `make native`, or set STARTTLS_CLI"
    done = subprocess.run(
        [PROGRAM, *words],
        input=stdin,
        capture_output=True,
        timeout=DEADLINE,
        check=False,
        cwd=folder,
        env=environment(env),
        preexec_fn=before,
    )
    err = done.stderr.decode()
    for secret in SECRETS:
        assert secret.encode() not in done.stdout and secret not in err
    return Done(done.returncode, done.stdout, err)


def ca(server: FTPServer | MailServer) -> tuple[str, Path]:
    """The flag that makes the program trust the server."""
    return "--ca-file", server.ca_file


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The tests' own environment without what would change the program's behaviour."""
    return {name: value for name, value in os.environ.items() if name != "STARTTLS_PASSWORD"} | dict(more or {})
