"""OpenLDAP's slapd: StartTLS and ldaps, on GnuTLS; simple binds are for connections under TLS alone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from . import install
from .mail import PASSWORD
from .pki import PKI, Identity
from .process import HOST, Daemon, TLSVersion, as_servant, free_ports, owned_copy, owned_folder, scratch
from .service import Service

SUFFIX = "dc=example,dc=test"
USER = f"cn=user,{SUFFIX}"
"""Who may bind, with the password of all the servers."""

CONFIGURATION = """\
include {folder}/core.schema
pidfile {folder}/data/pid
{security}
database ldif
suffix "{suffix}"
directory {folder}/data
rootdn "{user}"
rootpw "{password}"
"""

SECURITY = """\
TLSCertificateFile {certificate}
TLSCertificateKeyFile {key}
TLSCipherSuite NORMAL:-VERS-ALL:{versions}
security simple_bind=128
"""


@contextlib.contextmanager
def serve(
    pki: PKI, *, identity: Identity | None = None, tls: TLSVersion | None = None, offers_tls: bool = True
) -> Iterator[Service]:
    """Run slapd with an empty directory."""
    identity = identity or pki.server
    with scratch("slapd") as folder:
        owned_folder(folder / "data")
        (folder / "core.schema").write_bytes((install.ROOT / "etc/ldap/schema/core.schema").read_bytes())
        security = SECURITY.format(
            certificate=owned_copy(identity.cert_file, folder),
            key=owned_copy(identity.key_file, folder),
            versions=":".join(f"+VERS-TLS{version}" for version in ([tls] if tls else ["1.2", "1.3"])),
        )
        configuration = folder / "slapd.conf"
        configuration.write_text(
            CONFIGURATION.format(
                folder=folder, security=security if offers_tls else "", suffix=SUFFIX, user=USER, password=PASSWORD
            )
        )
        port, implicit_port = free_ports(2)
        urls = f"ldap://{HOST}:{port}/" + (f" ldaps://{HOST}:{implicit_port}/" if offers_tls else "")
        daemon = Daemon(
            as_servant("slapd", "-d", "0", "-f", str(configuration), "-h", urls),
            ports=[port, implicit_port] if offers_tls else [port],
            log=folder / "output.log",
        )
        with daemon:
            yield Service(
                protocol="ldap",
                port=port,
                implicit_port=implicit_port if offers_tls else None,
                tls=tls,
                ca_file=pki.ca_file,
                log_text=daemon.log_text,
                user=USER,
            )
