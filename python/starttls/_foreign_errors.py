"""The exceptions that derive from those of ``socket`` and ``ssl``: imported when the first of them is needed."""

from __future__ import annotations

import socket
import ssl

from ._errors import Error


class NameUnresolvable(Error, socket.gaierror):
    """The host name has no address."""


class TLSError(Error, ssl.SSLError):
    """TLS was refused, by us or by the server."""


class CertificateError(TLSError, ssl.SSLCertVerificationError):
    """The server's certificate cannot be accepted."""


class UpgradeNotOffered(TLSError):
    """The server does not offer TLS on this connection, and TLS is required."""


class BytesBeforeHandshake(TLSError):
    """The server, or somebody in between, spoke between the upgrade and the handshake."""


class Truncated(TLSError, ssl.SSLEOFError, ConnectionError):
    """A TLS connection ended without close_notify: data may be missing."""
