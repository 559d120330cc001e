"""Postfix: submission with STARTTLS and implicit TLS, SASL, and a mailbox to read back.

Nothing of the system's is read or written: configuration, queue, data and mailbox are in a
scratch folder, and mail goes nowhere but there. The accounts Debian's package would create
are not needed; two that every Debian has stand in for them.
"""

from __future__ import annotations

import contextlib
import grp
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from . import install
from .mail import DOMAIN, PASSWORD, REFUSALS, USER, MailServer
from .pki import PKI, Identity
from .process import HOST, SERVANT, Daemon, TLSVersion, free_ports, owned_folder, program, scratch

SASL_MECHANISMS = (
    "PLAIN LOGIN CRAM-MD5 DIGEST-MD5 ANONYMOUS SCRAM-SHA-1 SCRAM-SHA-224 SCRAM-SHA-256 SCRAM-SHA-384 SCRAM-SHA-512"
)
"""What the SASL library behind Postfix can offer; channel binding it cannot."""

SETGID_GROUP = "mail"
"""Stands in for the package's ``postdrop``; must differ from the owner's own group."""

MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
daemon_directory = {programs}
command_directory = {folder}
shlib_directory = {libraries}
meta_directory = {folder}
mail_owner = {owner}
setgid_group = {setgid_group}
default_privs = nobody
import_environment = LD_LIBRARY_PATH={library_path} SASL_PATH={sasl_plugins} MAIL_CONFIG={folder} LC_ALL=C TZ=UTC
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
inet_interfaces = {host}
inet_protocols = ipv4
myhostname = mail.{domain}
mydomain = {domain}
myorigin = {domain}
mydestination =
mynetworks =
alias_maps =
alias_database =
local_recipient_maps =
# ETRN is for this domain and no other.
fast_flush_domains = {domain}
local_transport = error:5.1.1 no local mail
default_transport = error:5.7.1 mail goes nowhere from here
relayhost =
virtual_transport = virtual
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {folder}
virtual_mailbox_maps = regexp:{folder}/mailboxes
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_mailbox_limit = 0
mailbox_size_limit = 0
message_size_limit = {size_limit}
queue_minfree = 0
header_size_limit = 1048576
# Messages are kept as they came: nothing dropped, nothing completed.
local_header_rewrite_clients =
remote_header_rewrite_domain =
always_add_missing_headers = no
message_drop_headers =
cleanup_replace_stray_cr_lf = no
enable_original_recipient = yes
recipient_delimiter =
notify_classes =
# As fast as it goes, and patient with tests that misbehave.
in_flow_delay = 0
smtpd_peername_lookup = no
smtpd_error_sleep_time = 0
smtpd_soft_error_limit = 1000
smtpd_hard_error_limit = 1000
smtpd_junk_command_limit = 10000
smtpd_client_connection_count_limit = 0
smtpd_client_event_limit_exceptions = static:all
smtpd_timeout = 60s
smtpd_delay_reject = yes
smtpd_client_restrictions = permit_sasl_authenticated, reject
smtpd_relay_restrictions = reject_unauth_destination
smtpd_recipient_restrictions = check_recipient_access regexp:{folder}/refusals
smtpd_tls_security_level = encrypt
smtpd_tls_auth_only = yes
smtpd_tls_chain_files = {key}, {certificate}
smtpd_tls_mandatory_protocols = {protocols}
smtpd_tls_protocols = {protocols}
smtpd_tls_loglevel = 1
tls_random_source = dev:/dev/urandom
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = cyrus
smtpd_sasl_path = smtpd
cyrus_sasl_config_path = {folder}/sasl
smtpd_sasl_local_domain = {domain}
smtpd_sasl_security_options = {sasl_options}
"""

MASTER = """\
{port}          inet        n  -  n  -     -  smtpd
{implicit_port} inet        n  -  n  -     -  smtpd -o smtpd_tls_wrappermode=yes
cleanup         unix        n  -  n  -     0  cleanup
qmgr            unix        n  -  n  300   1  qmgr
rewrite         unix        -  -  n  -     -  trivial-rewrite
tlsmgr          unix        -  -  n  1000? 1  tlsmgr
bounce          unix        -  -  n  -     0  bounce
defer           unix        -  -  n  -     0  bounce
trace           unix        -  -  n  -     0  bounce
virtual         unix        -  n  n  -     -  virtual
error           unix        -  -  n  -     -  error
retry           unix        -  -  n  -     -  error
flush           unix        n  -  n  1000? 0  flush
anvil           unix        -  -  n  -     1  anvil
postlog         unix-dgram  n  -  n  -     1  postlogd
"""

SASL = """\
pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: {folder}/sasldb
mech_list: {mechanisms}
log_level: 0
"""


class PostfixServer(MailServer):
    """A running Postfix that delivers everything for ``example.test`` into one mailbox."""


def _queue(folder: Path) -> None:
    """The folders that the package's scripts would create."""
    queue = folder / "queue"
    queue.mkdir()
    (queue / "pid").mkdir()
    for name in "active bounce corrupt defer deferred flush hold incoming private saved trace".split():
        owned_folder(queue / name, 0o700)
    group = grp.getgrnam(SETGID_GROUP).gr_gid
    for name, mode in (("maildrop", 0o730), ("public", 0o710)):
        os.chown(owned_folder(queue / name, mode), SERVANT.pw_uid, group)


def _create_account(folder: Path, mechanisms: str) -> None:
    """The SASL database with the one account."""
    (folder / "sasl").mkdir()
    (folder / "sasl" / "smtpd.conf").write_text(SASL.format(folder=folder, mechanisms=mechanisms))
    name, _, realm = USER.partition("@")
    subprocess.run(
        [program("saslpasswd2"), "-p", "-c", "-f", str(folder / "sasldb"), "-u", realm, name],
        input=PASSWORD,
        text=True,
        capture_output=True,
        check=True,
        env=_sasl_environment(),
    )
    os.chown(folder / "sasldb", SERVANT.pw_uid, SERVANT.pw_gid)


def _sasl_plugins() -> Path:
    return next(install.ROOT.glob("usr/lib/*/sasl2"))


def _sasl_environment() -> dict[str, str]:
    return {**install.environment(), "SASL_PATH": str(_sasl_plugins())}


def _maps(folder: Path, domain: str) -> None:
    """Who is refused at RCPT, and where the others' mail goes."""
    refusals = "".join(f"/^{word}/ {reply}\n" for word, reply in REFUSALS.items())
    (folder / "refusals").write_text(refusals)
    pattern = domain.replace(".", "\\.")
    (folder / "mailboxes").write_text(f"/^[^@]+@{pattern}$/ mailbox/\n")


@contextlib.contextmanager
def serve(
    pki: PKI,
    *,
    identity: Identity | None = None,
    tls: TLSVersion | None = None,
    size_limit: int = 200_000_000,
    client_ca: Path | None = None,
    mechanisms: str = "PLAIN LOGIN",
    settings: Mapping[str, str] | None = None,
) -> Iterator[PostfixServer]:
    """Run Postfix.

    ``size_limit`` is in bytes, announced with SIZE; ``client_ca`` demands a client certificate
    by that authority; ``mechanisms`` are those of ``SASL_MECHANISMS`` to offer, with spaces;
    ``settings`` are parameters of main.cf that come last.
    """
    identity = identity or pki.server
    with scratch("postfix") as folder:
        _queue(folder)
        owned_folder(folder / "data", 0o700)
        mailbox = owned_folder(folder / "mailbox")
        owned_folder(mailbox / "new")
        _create_account(folder, mechanisms)
        _maps(folder, DOMAIN)
        port, implicit_port = free_ports(2)
        main = MAIN.format(
            folder=folder,
            programs=install.ROOT / "usr/lib/postfix/sbin",
            libraries=install.ROOT / "usr/lib/postfix",
            library_path=install.environment()["LD_LIBRARY_PATH"],
            sasl_plugins=_sasl_plugins(),
            owner=SERVANT.pw_name,
            setgid_group=SETGID_GROUP,
            uid=SERVANT.pw_uid,
            gid=SERVANT.pw_gid,
            host=HOST,
            domain=DOMAIN,
            size_limit=size_limit,
            key=identity.key_file,
            certificate=identity.cert_file,
            sasl_options="" if "ANONYMOUS" in mechanisms.split() else "noanonymous",
            protocols=f">=TLSv{tls}, <=TLSv{tls}" if tls else ">=TLSv1.2",
        )
        if client_ca:
            main += f"smtpd_tls_req_ccert = yes\nsmtpd_tls_CAfile = {client_ca}\n"
        main += "".join(f"{name} = {value}\n" for name, value in (settings or {}).items())
        (folder / "main.cf").write_text(main)
        (folder / "master.cf").write_text(MASTER.format(port=port, implicit_port=implicit_port))
        for file in ("main.cf", "master.cf", "refusals", "mailboxes"):
            # Postfix waits with each file that may still be being written: these are not.
            os.utime(folder / file, (time.time() - 60,) * 2)
        daemon = Daemon(
            [program("postfix-master"), "-c", str(folder), "-d"],
            ports=[port, implicit_port],
            log=folder / "output.log",
            environment={"MAIL_CONFIG": str(folder)},
            more_logs=[folder / "mail.log"],
        )
        with daemon:
            yield PostfixServer(
                port=port,
                implicit_port=implicit_port,
                tls=tls,
                mailbox=mailbox,
                ca_file=pki.ca_file,
                log_text=daemon.log_text,
                size_limit=size_limit,
            )
