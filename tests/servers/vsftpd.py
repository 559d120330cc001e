"""vsftpd, with TLS session reuse required on data connections."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from .ftp import PASSWORD, FTPServer, make_root, name_of
from .pki import PKI, Identity
from .process import HOST, SERVANT, Daemon, TLSVersion, free_ports, openssl_conf, program, scratch

PASSIVE_PORTS = 200


def _configuration(folder: Path, identity: Identity, host: str, port: int, passive: list[int]) -> dict[str, str]:
    """The settings of one instance.

    Its local users would need PAM files of the system, so the user is the anonymous one,
    with every right to write; the list of "e-mail" passwords makes the password a real one.
    """
    six = ":" in host
    return {
        "listen_ipv6" if six else "listen": "YES",
        "listen_address6" if six else "listen_address": host,
        "background": "NO",
        "listen_port": str(port),
        # Its sandbox does not know the system calls of today's C library.
        "seccomp_sandbox": "NO",
        "secure_chroot_dir": str(folder / "empty"),
        "nopriv_user": "nobody",
        "local_enable": "NO",
        "anonymous_enable": "YES",
        "secure_email_list_enable": "YES",
        "email_password_file": str(folder / "passwords"),
        "ftp_username": SERVANT.pw_name,
        "anon_root": str(folder / "root"),
        "write_enable": "YES",
        "anon_upload_enable": "YES",
        "anon_mkdir_write_enable": "YES",
        "anon_other_write_enable": "YES",
        "anon_world_readable_only": "NO",
        "anon_umask": "022",
        "mdtm_write": "YES",
        "force_dot_files": "YES",
        "ssl_enable": "YES",
        "allow_anon_ssl": "YES",
        "force_anon_logins_ssl": "YES",
        "force_anon_data_ssl": "YES",
        "rsa_cert_file": str(identity.cert_file),
        "rsa_private_key_file": str(identity.key_file),
        "ssl_ciphers": "HIGH",
        "pasv_address": HOST,
        "pasv_min_port": str(passive[0]),
        "pasv_max_port": str(passive[-1]),
        "xferlog_enable": "YES",
        "log_ftp_protocol": "YES",
        "vsftpd_log_file": str(folder / "protocol.log"),
    }


@contextlib.contextmanager
def serve(
    pki: PKI,
    *,
    identity: Identity | None = None,
    tls: TLSVersion | None = None,
    require_ssl_reuse: bool = True,
    strict: bool = False,
    client_ca: Path | None = None,
    host: str = HOST,
    settings: Mapping[str, str] | None = None,
) -> Iterator[FTPServer]:
    """Run two instances, explicit and implicit, over one folder.

    ``strict`` demands close_notify in both directions of the data connection, ``client_ca``
    a client certificate by that authority. ``settings`` are options of vsftpd.conf that come
    last.
    """
    identity = identity or pki.server
    with scratch("vsftpd") as folder, contextlib.ExitStack() as running:
        (folder / "empty").mkdir()
        (folder / "passwords").write_text(PASSWORD + "\n")
        _, root = make_root(folder)
        daemons = []
        ports = []
        for implicit in (False, True):
            [port], passive = free_ports(1, host), free_ports(PASSIVE_PORTS, host)
            options = _configuration(folder, identity, host, port, passive)
            options["require_ssl_reuse"] = "YES" if require_ssl_reuse else "NO"
            options["strict_ssl_read_eof"] = options["strict_ssl_write_shutdown"] = "YES" if strict else "NO"
            options["implicit_ssl"] = "YES" if implicit else "NO"
            if client_ca:
                options |= {"require_cert": "YES", "validate_cert": "YES", "ca_certs_file": str(client_ca)}
            options.update(settings or {})
            file = folder / ("implicit.conf" if implicit else "explicit.conf")
            file.write_text("".join(f"{name}={value}\n" for name, value in options.items()))
            daemon = Daemon(
                [program("vsftpd"), str(file)],
                ports=[port],
                log=file.with_suffix(".log"),
                environment=openssl_conf(folder, tls),
                more_logs=[folder / "protocol.log"],
                host=host,
            )
            daemons.append(running.enter_context(daemon))
            ports.append(port)
        yield FTPServer(
            daemon="vsftpd",
            port=ports[0],
            implicit_port=ports[1],
            tls=tls,
            root=root,
            ca_file=pki.ca_file,
            log_text=lambda: "\n".join(daemon.log_text() for daemon in daemons),
            host=host,
            server_name=name_of(host),
        )
