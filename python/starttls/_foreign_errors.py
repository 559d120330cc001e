"""The exceptions that derive from those of ``socket`` and ``ssl``: imported when the first of them is needed."""

from __future__ import annotations

import socket
import ssl

from ._errors import Error


class NameUnresolvable(Error, socket.gaierror):
    """The host name has no address."""

    kind = "name-unresolvable"


class TLSError(Error, ssl.SSLError):
    """TLS was refused, by us or by the server."""

    kind = "tls"


class CertificateError(TLSError, ssl.SSLCertVerificationError):
    """The server's certificate cannot be accepted."""

    kind = "bad-certificate"


class UpgradeNotOffered(TLSError):
    """The server does not offer TLS on this connection, and TLS is required."""

    kind = "upgrade-not-offered"


class BytesBeforeHandshake(TLSError):
    """The server, or somebody in between, spoke between the upgrade and the handshake."""

    kind = "bytes-before-handshake"


class Truncated(TLSError, ssl.SSLEOFError, ConnectionError):
    """A TLS connection ended without close_notify: data may be missing."""

    kind = "truncated"
