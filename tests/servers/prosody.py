"""Prosody: XMPP, with STARTTLS in the stream and with TLS before it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Literal

from . import install
from .pki import PKI, Identity
from .process import HOST, Daemon, TLSVersion, as_servant, free_ports, owned_copy, owned_folder, scratch
from .service import Service

NAMES = ("localhost", "elsewhere.example")
"""The domains it serves; only the first one is in its certificate."""

CONFIGURATION = """\
interfaces = {{ "{host}" }}
data_path = "{folder}/data"
pidfile = "{folder}/data/pid"
log = {{ info = "{log}" }}
modules_enabled = {{ "saslauth"; "dialback"; {modules} }}
modules_disabled = {{ "{other}" }}
{who}_ports = {{ {port} }}
{who}_direct_tls_ports = {{ {implicit_port} }}
{who}_require_encryption = {required}
authentication = "internal_plain"
{ssl}
{hosts}
"""

SSL = """\
ssl = {{ certificate = "{certificate}"; key = "{key}"; protocol = "{protocol}" }}
"""


Protocol = Literal["xmpp", "xmpp-server"]


@contextlib.contextmanager
def serve(
    pki: PKI,
    *,
    protocol: Protocol = "xmpp",
    identity: Identity | None = None,
    tls: TLSVersion | None = None,
    offers_tls: bool = True,
) -> Iterator[Service]:
    """Run Prosody for clients or for other servers, with no account: nobody gets beyond the features of the stream."""
    identity = identity or pki.server
    with scratch("prosody") as folder:
        owned_folder(folder / "data")
        ssl = SSL.format(
            certificate=owned_copy(identity.cert_file, folder),
            key=owned_copy(identity.key_file, folder),
            protocol="tlsv1" + (f"_{tls[2]}" if tls else "_2+"),
        )
        port, implicit_port = free_ports(2)
        log = folder / "data" / "log"
        configuration = folder / "prosody.cfg.lua"
        configuration.write_text(
            CONFIGURATION.format(
                who="c2s" if protocol == "xmpp" else "s2s",
                other="s2s" if protocol == "xmpp" else "c2s",
                host=HOST,
                folder=folder,
                log=log,
                modules='"tls"' if offers_tls else "",
                port=port,
                implicit_port=implicit_port if offers_tls else "",
                required="true" if offers_tls else "false",
                ssl=ssl if offers_tls else "",
                hosts="\n".join(f'VirtualHost "{name}"' for name in NAMES),
            )
        )
        daemon = Daemon(
            as_servant("lua", f"/{install.PROGRAMS['prosody']}", "-F", "--config", str(configuration)),
            ports=[port, implicit_port] if offers_tls else [port],
            log=folder / "output.log",
            more_logs=[log],
        )
        with daemon:
            yield Service(
                protocol=protocol,
                port=port,
                implicit_port=implicit_port if offers_tls else None,
                tls=tls,
                ca_file=pki.ca_file,
                log_text=daemon.log_text,
            )
