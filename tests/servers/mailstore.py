"""Dovecot as a message store: IMAP and POP3, clear at first or with implicit TLS, and ManageSieve.

Like the Dovecot that takes mail, it runs in a mount namespace of its own.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator
from typing import Literal

from . import install
from .dovecot import LOGIN_ACCOUNT
from .mail import PASSWORD, USER
from .pki import PKI, Identity
from .process import HOST, SERVANT, Daemon, TLSVersion, free_ports, openssl_conf, owned_folder, program, scratch
from .service import Service

Protocol = Literal["imap", "pop3", "sieve"]
LISTENER = {"imap": "imap-login", "pop3": "pop3-login", "sieve": "managesieve-login"}

IMPLICIT = """\
  inet_listener {protocol}s {{
    port = {port}
    ssl = yes
  }}
"""

CONFIGURATION = """\
import_environment = OPENSSL_CONF
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
listen = {host}
protocols = {protocol}
default_internal_user = {owner}
default_internal_group = {group}
default_login_user = {login_account}
first_valid_uid = 1
first_valid_gid = 1
mail_location = maildir:{folder}/mail
mail_fsync = never
auth_verbose = yes
auth_failure_delay = 0
disable_plaintext_auth = yes
ssl = {ssl}
ssl_cert = <{certificate}
ssl_key = <{key}
ssl_min_protocol = TLSv1.2
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {folder}/accounts
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail
}}
service {service} {{
  # The package's own listeners are on the ports that everybody knows.
  inet_listener {protocol} {{
    port = {port}
  }}
{implicit}}}
"""


@contextlib.contextmanager
def serve(
    pki: PKI,
    *,
    protocol: Protocol,
    identity: Identity | None = None,
    tls: TLSVersion | None = None,
    offers_tls: bool = True,
) -> Iterator[Service]:
    """Run Dovecot for one protocol, with an empty mailbox. TLS is required before login, unless it is not offered."""
    identity = identity or pki.server
    with scratch("mailstore") as folder:
        owned_folder(folder / "mail")
        for name in ("run", "state"):
            (folder / name).mkdir(mode=0o755)
        password = base64.b64encode(PASSWORD.encode()).decode()  # colons end the file's fields
        (folder / "accounts").write_text(f"{USER}:{{PLAIN.b64}}{password}\n")
        port, implicit_port = free_ports(2)
        has_implicit = offers_tls and protocol != "sieve"  # RFC 5804 knows none
        (folder / "dovecot.conf").write_text(
            CONFIGURATION.format(
                folder=folder,
                host=HOST,
                protocol=protocol,
                service=LISTENER[protocol],
                owner=SERVANT.pw_name,
                group="daemon",
                login_account=LOGIN_ACCOUNT,
                uid=SERVANT.pw_uid,
                gid=SERVANT.pw_gid,
                ssl="required" if offers_tls else "no",
                certificate=identity.cert_file,
                key=identity.key_file,
                port=port,
                implicit=IMPLICIT.format(protocol=protocol, port=implicit_port) if has_implicit else "",
            )
        )
        daemon = Daemon(
            [*install.overlaid(), program("dovecot"), "-F", "-c", str(folder / "dovecot.conf")],
            ports=[port, implicit_port] if has_implicit else [port],
            log=folder / "output.log",
            environment=openssl_conf(folder, tls),
            more_logs=[folder / "dovecot.log"],
        )
        with daemon:
            yield Service(
                protocol=protocol,
                port=port,
                implicit_port=implicit_port if has_implicit else None,
                tls=tls,
                ca_file=pki.ca_file,
                log_text=daemon.log_text,
            )
