"""What a test needs to know about a running server whose connections become TLS, whatever it serves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from .mail import PASSWORD, USER
from .process import HOST, TLSVersion

IMPLICIT = {
    "imap": "imaps",
    "pop3": "pop3s",
    "nntp": "nntps",
    "xmpp": "xmpps",
    "xmpp-server": "xmpps-server",
    "ldap": "ldaps",
    "tls": "tls",
}
"""The scheme for TLS from the first byte, of protocols that have it."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """A running server of one protocol."""

    protocol: str
    port: int
    """In clear, until the connection is upgraded."""
    implicit_port: int | None = None
    """TLS from the first byte, if the server has it."""
    tls: TLSVersion | None
    """The one TLS version spoken, or ``None`` for 1.2 and 1.3."""
    ca_file: Path
    log_text: Callable[[], str]
    """What the server logged so far."""
    user: str = USER
    password: str = PASSWORD
    host: str = HOST
    server_name: str = "localhost"
    """The name in the certificate, which also resolves to ``host``."""

    @property
    def url(self) -> str:
        """The protocol, user, password, name and the port that is clear at first."""
        return self._url(self.protocol, self.port)

    @property
    def implicit_url(self) -> str:
        """The same for the port of implicit TLS."""
        if self.implicit_port is None:
            raise ValueError(f"no implicit TLS with {self.protocol}")
        return self._url(IMPLICIT[self.protocol], self.implicit_port)

    def _url(self, scheme: str, port: int) -> str:
        return f"{scheme}://{quote(self.user, '')}:{quote(self.password, '')}@{self.server_name}:{port}"
