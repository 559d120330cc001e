"""Prosody: XMPP, with STARTTLS in the stream and with TLS before it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

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
modules_enabled = {{ "saslauth"; {modules} }}
modules_disabled = {{ "s2s" }}
c2s_ports = {{ {port} }}
c2s_direct_tls_ports = {{ {implicit_port} }}
c2s_require_encryption = {required}
authentication = "internal_plain"
{ssl}
{hosts}
"""

SSL = """\
ssl = {{ certificate = "{certificate}"; key = "{key}"; protocol = "{protocol}" }}
"""


@contextlib.contextmanager
def serve(
    pki: PKI, *, identity: Identity | None = None, tls: TLSVersion | None = None, offers_tls: bool = True
) -> Iterator[Service]:
    """Run Prosody with no account: nobody gets beyond the features of the stream."""
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
                protocol="xmpp",
                port=port,
                implicit_port=implicit_port if offers_tls else None,
                tls=tls,
                ca_file=pki.ca_file,
                log_text=daemon.log_text,
            )
