"""PostgreSQL: it answers SSLRequest, and lets nobody in who did not ask."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator

from .mail import PASSWORD, USER
from .pki import PKI, Identity
from .process import HOST, Daemon, TLSVersion, as_servant, free_ports, owned_copy, owned_folder, scratch
from .service import Service


@contextlib.contextmanager
def serve(
    pki: PKI, *, identity: Identity | None = None, tls: TLSVersion | None = None, offers_tls: bool = True
) -> Iterator[Service]:
    """Run PostgreSQL with one account, which logs in by SCRAM; without TLS, in clear."""
    identity = identity or pki.server
    with scratch("postgres") as folder:
        data = owned_folder(folder / "data", 0o700)
        password = folder / "password"
        password.write_text(PASSWORD + "\n")
        making = ["-D", str(data), "-U", USER, f"--pwfile={password}", "-A", "scram-sha-256", "-N", "--no-locale"]
        subprocess.run(
            as_servant("initdb", *making), env={"PATH": os.defpath}, cwd="/", check=True, capture_output=True
        )
        connection = "hostssl" if offers_tls else "host"
        (data / "pg_hba.conf").write_text(f"{connection} all all {HOST}/32 scram-sha-256\n")
        [port] = free_ports(1)
        settings = {
            "listen_addresses": HOST,
            "port": str(port),
            "unix_socket_directories": "",
            "fsync": "off",
            "jit": "off",
            "ssl": "on" if offers_tls else "off",
            "ssl_cert_file": str(owned_copy(identity.cert_file, folder)),
            "ssl_key_file": str(owned_copy(identity.key_file, folder)),
            "ssl_min_protocol_version": f"TLSv{tls or '1.2'}",
            "ssl_max_protocol_version": f"TLSv{tls}" if tls else "",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        daemon = Daemon(
            as_servant("postgres", "-D", str(data), *options),
            ports=[port],
            log=folder / "output.log",
            ready="database system is ready to accept connections",
        )
        with daemon:
            yield Service(protocol="postgres", port=port, tls=tls, ca_file=pki.ca_file, log_text=daemon.log_text)
