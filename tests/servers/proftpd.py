"""ProFTPD with its default TLS options, which demand session reuse on data connections."""

from __future__ import annotations

import contextlib
import grp
from collections.abc import Iterator, Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from . import install
from .ftp import PASSWORD, USER, FTPServer, hashed, make_root, name_of
from .pki import PKI, Identity
from .process import HOST, SERVANT, Daemon, TLSVersion, free_ports, program, scratch

PASSIVE_PORTS = 200

MODULES = ("mod_digest", "mod_deflate", "mod_copy", "mod_site_misc")
"""Modules with commands of their own."""

CONFIGURATION = """\
ServerName "test"
ServerType standalone
ModulePath {modules}
{loaded}
DefaultAddress {host}
UseIPv6 {ipv6}
UseReverseDNS off
Port {port}
User {account}
Group {group}
PidFile {folder}/pid
ScoreboardFile {folder}/scoreboard
SystemLog {folder}/system.log
TransferLog none
WtmpLog off
MaxInstances none
MaxLoginAttempts 3
<IfModule mod_delay.c>
  DelayEngine off
</IfModule>
<Global>
  <IfModule mod_deflate.c>
    DeflateEngine on
  </IfModule>
  AuthOrder mod_auth_file.c
  AuthUserFile {folder}/passwd
  AuthGroupFile {folder}/group
  RequireValidShell off
  DefaultRoot ~
  Umask 022
  AllowOverwrite on
  AllowStoreRestart on
  AllowRetrieveRestart on
  ListOptions "-a"
  PassivePorts {first} {last}
  TLSEngine on
  TLSRequired on
  TLSLog {folder}/tls.log
  TLSProtocol {protocols}
  {kind}CertificateFile {certificate}
  {kind}CertificateKeyFile {key}
{chain}{settings}
</Global>
{options}
<VirtualHost {host}>
  Port {implicit_port}
  TLSOptions UseImplicitSSL {more_options}
</VirtualHost>
{more}"""

_COPIES = """\
  TLSCACertificateFile {}
  AllowForeignAddress on
"""

_ALIAS = """\
<VirtualHost {host}>
  ServerName "virtual"
  ServerAlias {alias}
  Port {port}
  TLSOptions {options}
</VirtualHost>
"""


def _certificate_kind(identity: Identity) -> str:
    """The directive that takes this kind of key."""
    key = load_pem_private_key(identity.key_file.read_bytes(), None)
    return "TLSRSA" if isinstance(key, rsa.RSAPrivateKey) else "TLSEC"


def _client_certificates(authority: Path | None) -> str:
    """The directives that demand a client certificate, if an authority is given."""
    return f"\n  TLSVerifyClient on\n  TLSCACertificateFile {authority}" if authority else ""


def _chain(identity: Identity) -> str:
    """The directive for intermediates, which ProFTPD wants named apart, if there are any."""
    several = identity.cert_file.read_bytes().count(b"BEGIN CERTIFICATE") > 1
    return f"  TLSCertificateChainFile {identity.cert_file}\n" if several else ""


@contextlib.contextmanager
def serve(
    pki: PKI,
    *,
    identity: Identity | None = None,
    tls: TLSVersion | None = None,
    tls_options: str = "",
    client_ca: Path | None = None,
    host: str = HOST,
    modules: Sequence[str] = (),
    settings: str = "",
    copies: bool = False,
    alias: str = "",
) -> Iterator[FTPServer]:
    """Run one ProFTPD with two virtual hosts, explicit and implicit, over one folder.

    ``modules`` are loaded besides mod_tls. ``tls_options`` are values of ``TLSOptions`` for both
    (none by default), ``settings`` are further directives for both; ``client_ca`` demands a
    client certificate by that authority. With ``copies``, files go from server to server: either
    can be the client of the other's TLS. ``alias`` is the name of one more virtual host on the
    explicit port.
    """
    identity = identity or pki.server
    with scratch("proftpd") as folder:
        login, root = make_root(folder)
        for name, line in (
            ("passwd", f"{USER}:{hashed(PASSWORD)}:{SERVANT.pw_uid}:{SERVANT.pw_gid}::{login}:/bin/sh\n"),
            ("group", f"{USER}:x:{SERVANT.pw_gid}:{USER}\n"),
        ):
            file = folder / name
            file.touch(mode=0o600)
            file.write_text(line)
        (port, implicit_port), passive = free_ports(2, host), free_ports(PASSIVE_PORTS, host)
        configuration = folder / "proftpd.conf"
        configuration.write_text(
            CONFIGURATION.format(
                modules=install.ROOT / "usr/lib/proftpd",
                loaded="\n".join(f"LoadModule {module}.c" for module in ("mod_tls", *modules)),
                ipv6="on" if ":" in host else "off",
                host=host,
                port=port,
                implicit_port=implicit_port,
                account=SERVANT.pw_name,
                group=grp.getgrgid(SERVANT.pw_gid).gr_name,
                folder=folder,
                first=passive[0],
                last=passive[-1],
                protocols=f"TLSv{tls}" if tls else "TLSv1.2 TLSv1.3",
                kind=_certificate_kind(identity),
                certificate=identity.cert_file,
                key=identity.key_file,
                chain=_chain(identity),
                settings=settings + (_COPIES.format(pki.ca_file) if copies else "") + _client_certificates(client_ca),
                options=f"TLSOptions {tls_options}" if tls_options else "",
                more=_ALIAS.format(alias=alias, host=host, port=port, options=tls_options) if alias else "",
                more_options=tls_options,
            )
        )
        daemon = Daemon(
            [program("proftpd"), "-n", "-c", str(configuration)],
            ports=[port, implicit_port],
            log=folder / "output.log",
            more_logs=[folder / "system.log", folder / "tls.log"],
            host=host,
        )
        with daemon:
            yield FTPServer(
                daemon="proftpd",
                port=port,
                implicit_port=implicit_port,
                tls=tls,
                root=root,
                ca_file=pki.ca_file,
                log_text=daemon.log_text,
                host=host,
                server_name=name_of(host),
            )
