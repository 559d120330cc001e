"""MariaDB: the MySQL protocol, in which the server speaks first and the client asks for TLS."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from .pki import PKI, Identity
from .process import HOST, Daemon, TLSVersion, as_servant, free_ports, owned_copy, owned_folder, scratch
from .service import Service


@contextlib.contextmanager
def serve(
    pki: PKI, *, identity: Identity | None = None, tls: TLSVersion | None = None, offers_tls: bool = True
) -> Iterator[Service]:
    """Run MariaDB without any table: who is there and what they may do is not asked."""
    identity = identity or pki.server
    with scratch("mariadb") as folder:
        data = owned_folder(folder / "data")
        [port] = free_ports(1)
        options = [
            "--no-defaults",
            f"--datadir={data}",
            f"--tmpdir={data}",
            f"--socket={data}/socket",
            f"--pid-file={data}/pid",
            f"--bind-address={HOST}",
            f"--port={port}",
            "--skip-grant-tables",
            "--skip-innodb",
            "--default-storage-engine=MyISAM",
            "--skip-name-resolve",
        ]
        if offers_tls:
            options += [
                f"--ssl-cert={owned_copy(identity.cert_file, folder)}",
                f"--ssl-key={owned_copy(identity.key_file, folder)}",
                f"--tls-version={f'TLSv{tls}' if tls else 'TLSv1.2,TLSv1.3'}",
            ]
        daemon = Daemon(as_servant("mariadbd", *options), ports=[port], log=folder / "output.log")
        with daemon:
            yield Service(protocol="mysql", port=port, tls=tls, ca_file=pki.ca_file, log_text=daemon.log_text)
