"""Exim: submission with PRDR, DSN, CHUNKING, SMTPUTF8, VRFY, EXPN and ETRN, and a mailbox to read back.

Its account and the place of its configuration are built in, so it runs in a mount namespace of
its own, in which the unpacked packages are laid over ``/usr`` and a scratch folder over ``/etc``.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from . import install
from .mail import DOMAIN, PASSWORD, REFUSALS, USER, MailServer
from .pki import PKI, Identity
from .process import HOST, SERVANT, Daemon, TLSVersion, free_ports, owned_folder, program, scratch

PRDR_REFUSALS = {
    "spammed": "550 5.7.1 that is spam to me",
    "busy": "450 4.2.1 not this one, not now",
}
"""Replies after the content, where PRDR is used, for addresses whose local part begins with these words."""
LIST = f"list@{DOMAIN}"
"""What EXPN can expand."""
ACCOUNT = "Debian-exim"
"""The account the package's program insists on; here another name for the servants'."""

CONFIGURATION = """\
primary_hostname = mail.{domain}
local_interfaces = {host}
daemon_smtp_ports = {port} : {implicit_port}
tls_on_connect_ports = {implicit_port}
spool_directory = {folder}/spool
log_file_path = {folder}/log/%slog
pid_file_path = {folder}/exim.pid
keep_environment =
host_lookup =
smtp_accept_max = 100
smtp_accept_queue_per_connection = 0
smtp_accept_max_per_connection = 0
smtp_accept_max_nonmail = 10000
smtp_max_unknown_commands = 1000
smtp_max_synprot_errors = 1000
smtp_receive_timeout = 60s
message_size_limit = {size_limit}
recipients_max = {recipients_max}
recipients_max_reject = {recipients_max_reject}
tls_advertise_hosts = *
tls_certificate = {certificate}
tls_privatekey = {key}
tls_require_ciphers = NORMAL:-VERS-ALL{versions}
auth_advertise_hosts = ${{if def:tls_in_cipher{{*}}{{}}}}
chunking_advertise_hosts = *
dsn_advertise_hosts = *
pipelining_advertise_hosts = *
smtputf8_advertise_hosts = *
prdr_enable = yes
accept_8bitmime = yes
smtp_etrn_command = /bin/true
acl_smtp_mail = mail
acl_smtp_rcpt = recipient
acl_smtp_data_prdr = content_for_recipient
acl_smtp_vrfy = accept
acl_smtp_expn = accept
acl_smtp_etrn = accept

begin acl
mail:
  deny    !encrypted = *
          message = 530 5.7.0 Must issue a STARTTLS command first
  accept
recipient:
{refusals}
  deny    !authenticated = *
          message = 554 5.7.1 relaying denied
  deny    !domains = {domain}
          message = 554 5.7.1 relaying denied
  accept
content_for_recipient:
{prdr_refusals}
  accept

begin routers
expansion:
  driver = redirect
  domains = {domain}
  local_parts = list
  data = one@{domain}, two@{domain}
everybody:
  driver = accept
  domains = {domain}
  transport = mailbox

begin transports
mailbox:
  driver = appendfile
  directory = {folder}/mailbox
  maildir_format
  message_prefix =
  return_path_add
  envelope_to_add
  user = {owner}
  group = {owner_group}

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{{user}}}}}{{eq{{$auth3}}{{{password}}}}}}}}}
  server_set_id = $auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = <| Username: | Password:
  server_condition = ${{if and{{{{eq{{$auth1}}{{{user}}}}}{{eq{{$auth2}}{{{password}}}}}}}}}
  server_set_id = $auth1
cram:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = ${{if eq{{$auth1}}{{{user}}}{{{password}}}fail}}
  server_set_id = $auth1
"""


class EximServer(MailServer):
    """A running Exim that delivers everything for ``example.test`` into one mailbox."""


def _refusals(replies: dict[str, str]) -> str:
    """The access rules for these replies, by the first word of the local part."""
    rule = "  {verb:<7} local_parts = ^{word}\n          message = {reply}"
    verbs = {"4": "defer", "5": "deny"}
    return "\n".join(rule.format(verb=verbs[reply[0]], word=word, reply=reply) for word, reply in replies.items())


def _etc(folder: Path, configuration: str) -> Path:
    """What is to be seen in ``/etc``: the configuration, and an account under the name it wants."""
    etc = folder / "etc"
    (etc / "exim4").mkdir(parents=True)
    (etc / "exim4" / "exim4.conf").write_text(configuration)
    account = f"{ACCOUNT}:x:{SERVANT.pw_uid}:{SERVANT.pw_gid}::/:/usr/sbin/nologin\n"
    (etc / "passwd").write_text(Path("/etc/passwd").read_text() + account)
    (etc / "group").write_text(Path("/etc/group").read_text() + f"{ACCOUNT}:x:{SERVANT.pw_gid}:\n")
    for path in (etc, etc / "exim4"):
        path.chmod(0o755)
    return etc


@contextlib.contextmanager
def serve(
    pki: PKI,
    *,
    identity: Identity | None = None,
    tls: TLSVersion | None = None,
    size_limit: int = 200_000_000,
    recipients_max: int = 0,
    recipients_max_reject: bool = False,
    settings: str = "",
) -> Iterator[EximServer]:
    """Run Exim.

    ``size_limit`` is in bytes, announced with SIZE; beyond ``recipients_max`` recipients (0: any
    number) RCPT gets 452, or with ``recipients_max_reject`` 552 and no recipient the message;
    ``settings`` are lines of the main part of the configuration that come first.
    """
    identity = identity or pki.server
    with scratch("exim") as folder:
        for name in ("spool", "log", "mailbox", "mailbox/cur", "mailbox/new", "mailbox/tmp"):
            owned_folder(folder / name)
        port, implicit_port = free_ports(2)
        versions = (tls,) if tls else ("1.3", "1.2")
        # The account reads neither the key nor the certificate where they are.
        for source, name in ((identity.cert_file, "certificate.pem"), (identity.key_file, "key.pem")):
            (folder / name).write_bytes(source.read_bytes())
            os.chown(folder / name, SERVANT.pw_uid, SERVANT.pw_gid)
            (folder / name).chmod(0o600)
        configuration = CONFIGURATION.format(
            folder=folder,
            host=HOST,
            domain=DOMAIN,
            port=port,
            implicit_port=implicit_port,
            size_limit=size_limit,
            recipients_max=recipients_max,
            recipients_max_reject=str(recipients_max_reject).lower(),
            certificate=folder / "certificate.pem",
            key=folder / "key.pem",
            versions="".join(f":+VERS-TLS{version}" for version in versions),
            refusals=_refusals(REFUSALS),
            prdr_refusals=_refusals(PRDR_REFUSALS),
            owner=SERVANT.pw_name,
            owner_group=SERVANT.pw_gid,
            user=USER,
            password=PASSWORD,
        )
        etc = _etc(folder, settings + configuration)
        daemon = Daemon(
            [*install.overlaid(etc=etc), program("exim"), "-bdf"],
            ports=[port, implicit_port],
            log=folder / "output.log",
            more_logs=[folder / "log" / f"{name}log" for name in ("main", "reject", "panic")],
        )
        with daemon:
            yield EximServer(
                port=port,
                implicit_port=implicit_port,
                tls=tls,
                mailbox=folder / "mailbox",
                ca_file=pki.ca_file,
                log_text=daemon.log_text,
                size_limit=size_limit,
            )
