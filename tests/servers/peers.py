"""TLS and nothing else: gnutls-serv, which sends back what it gets, and s_server of OpenSSL, which reverses lines."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .pki import PKI, Identity
from .process import HOST, Daemon, TLSVersion, free_ports, laid_over, owned_copy, scratch
from .service import Service

Library = Literal["gnutls", "openssl"]

ALPN = "imap"
"""The application protocol that OpenSSL's agrees to (RFC 7301), if the client offers any."""


@dataclass(frozen=True, kw_only=True)
class Peer(Service):
    """A running peer: TLS from the first byte, on its one port."""

    answer: Callable[[bytes], bytes]
    """What it sends when it got this line (without its end)."""


def _gnutls(port: int, shown: Identity, tls: TLSVersion | None, client_ca: Path | None) -> list[str]:
    # It has no setting for the address it listens on; it is only ever asked for on loopback.
    versions = ":".join(f"+VERS-TLS{version}" for version in ([tls] if tls else ["1.2", "1.3"]))
    asked = [f"--x509cafile={client_ca}", "--require-client-cert", "--verify-client-cert"]
    return laid_over(
        "gnutls-serv",
        "--echo",
        f"--port={port}",
        f"--x509certfile={shown.cert_file}",
        f"--x509keyfile={shown.key_file}",
        f"--priority=NORMAL:-VERS-ALL:{versions}",
        *(asked if client_ca else ["--disable-client-cert"]),
    )


def _openssl(port: int, shown: Identity, tls: TLSVersion | None, client_ca: Path | None) -> list[str]:
    asked = ["-CAfile", str(client_ca), "-Verify", "4", "-verify_return_error"]
    version = [f"-tls{tls.replace('.', '_')}"] if tls else ["-no_tls1", "-no_tls1_1"]
    files = ["-cert", str(shown.cert_file), "-key", str(shown.key_file), "-cert_chain", str(shown.cert_file)]
    talk = ["-rev", "-alpn", ALPN, *(asked if client_ca else [])]
    return laid_over("openssl", "s_server", "-accept", f"{HOST}:{port}", *files, *version, *talk)


@contextlib.contextmanager
def serve(
    pki: PKI,
    *,
    library: Library,
    identity: Identity | None = None,
    tls: TLSVersion | None = None,
    asks_client: bool = False,
) -> Iterator[Peer]:
    """Run the peer of one library; if it asks the client for its certificate, one by the good authority is demanded."""
    identity = identity or pki.server
    command = {"gnutls": _gnutls, "openssl": _openssl}[library]
    with scratch(library) as folder:
        shown = Identity(*(owned_copy(file, folder) for file in (identity.cert_file, identity.key_file)))
        [port] = free_ports(1)
        client_ca = pki.ca_file if asks_client else None
        with Daemon(command(port, shown, tls, client_ca), ports=[port], log=folder / "output.log") as daemon:
            yield Peer(
                protocol="tls",
                port=port,
                implicit_port=port,
                tls=tls,
                ca_file=pki.ca_file,
                log_text=daemon.log_text,
                answer=bytes if library == "gnutls" else lambda line: line[::-1],
            )
