"""Dovecot: a submission service with many SASL mechanisms, and LMTP with a verdict for each recipient.

What the submission service takes it hands on to a Postfix of the harness, where the messages
arrive; LMTP delivers into Maildirs of its own. Dovecot's programs and modules refer to each
other below ``/usr``, so the server runs in a mount namespace of its own, in which the unpacked
packages are laid over that folder.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from . import install, postfix
from .mail import DOMAIN, PASSWORD, USER, Mailbox, MailServer
from .pki import PKI, Identity
from .process import HOST, SERVANT, Daemon, TLSVersion, free_ports, openssl_conf, owned_folder, program, scratch

CLIENT = f"client@{DOMAIN}"
"""Who the PKI's client certificate stands for, by its common name: EXTERNAL."""
FULL = f"full@{DOMAIN}"
"""An LMTP recipient whose mailbox takes nothing: accepted at RCPT, refused (552) after the message."""
RECIPIENTS = (f"one@{DOMAIN}", f"two@{DOMAIN}", f"three@{DOMAIN}")
"""LMTP recipients with room; every other address is unknown (550 at RCPT)."""
MECHANISMS = "PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256 EXTERNAL XOAUTH2 OAUTHBEARER"
"""What the submission service offers under TLS."""
TOKEN_KEY = b"the key that tokens of the tests are signed with"
TOKEN_SCOPE = "mail"
LOGIN_ACCOUNT = "nobody"
"""Stands in for the package's ``dovenull``; must differ from the servants' account."""

CONFIGURATION = """\
import_environment = OPENSSL_CONF
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
listen = {host}
protocols = submission lmtp
default_internal_user = {owner}
default_internal_group = {group}
default_login_user = {login_account}
first_valid_uid = 1
first_valid_gid = 1
hostname = mail.{domain}
mail_location = maildir:{folder}/mail/%n
mail_plugins = quota
mail_fsync = never
auth_verbose = yes
auth_mechanisms = {mechanisms}
auth_failure_delay = 0
auth_verbose_passwords = no
auth_ssl_username_from_cert = yes
auth_default_realm = {domain}
auth_username_chars =
disable_plaintext_auth = yes
ssl = required
ssl_cert = <{certificate}
ssl_key = <{key}
ssl_ca = <{ca_file}
ssl_verify_client_cert = yes
ssl_require_crl = no
ssl_min_protocol = TLSv1.2
ssl_client_ca_file = {folder}/ca.pem
submission_max_mail_size = {size_limit}
submission_relay_host = {relay_name}
submission_relay_port = {relay_port}
submission_relay_ssl = starttls
submission_relay_user = {relay_user}
submission_relay_password = {relay_password}
submission_relay_command_timeout = 30s
passdb {{
  driver = static
  mechanisms = external
  args = nopassword
}}
passdb {{
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = {folder}/oauth2.conf
}}
passdb {{
  driver = passwd-file
  mechanisms = plain login cram-md5 scram-sha-1 scram-sha-256
  args = scheme=PLAIN {folder}/accounts
}}
protocol submission {{
  userdb {{
    driver = static
    args = uid={uid} gid={gid} home={folder}/mail/submission
  }}
}}
protocol lmtp {{
  userdb {{
    driver = passwd-file
    args = {folder}/mailboxes
  }}
}}
plugin {{
  quota = maildir:limit
  quota_rule = *:storage=1G
}}
service submission-login {{
  inet_listener submission {{
    port = {port}
  }}
  inet_listener submissions {{
    port = {implicit_port}
    ssl = yes
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp_port}
  }}
}}
service anvil {{
  # Without this socket a wrong password does not slow down the next attempt.
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
"""

OAUTH2 = """\
introspection_mode = local
local_validation_key_dict = fs:posix:prefix={folder}/keys/
username_attribute = sub
scope = {scope}
openid_configuration_url = https://id.{domain}/.well-known/openid-configuration
"""


@dataclass(frozen=True, kw_only=True)
class DovecotServer(MailServer):
    """A running Dovecot. Messages arrive where it hands them on to; see ``lmtp_boxes`` for LMTP."""

    lmtp_port: int
    """LMTP: STARTTLS offered, no AUTH."""
    lmtp_boxes: Path
    """A Maildir for each LMTP recipient, by local part."""
    mechanisms: tuple[str, ...] = tuple(MECHANISMS.split())

    def token(self, user: str = USER, *, expires: int = 600, scope: str = TOKEN_SCOPE) -> str:
        """A bearer token for XOAUTH2 and OAUTHBEARER; ``expires`` in seconds from now."""
        now = int(time.time())
        claims = {"sub": user, "iat": now - 5, "nbf": now - 5, "exp": now + expires, "scope": scope}
        signed = f"{_segment({'alg': 'HS256', 'typ': 'JWT'})}.{_segment(claims)}"
        return f"{signed}.{_base64(hmac.digest(TOKEN_KEY, signed.encode(), hashlib.sha256))}"

    def lmtp_box(self, recipient: str) -> Mailbox:
        """The mailbox of one LMTP recipient."""
        return Mailbox(mailbox=self.lmtp_boxes / recipient.partition("@")[0], log_text=self.log_text)

    def clear(self) -> None:
        """Forget what was delivered, by LMTP too."""
        super().clear()
        for recipient in RECIPIENTS:
            self.lmtp_box(recipient).clear()


def _base64(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def _segment(value: Mapping[str, object]) -> str:
    return _base64(json.dumps(value).encode())


def _accounts(folder: Path) -> None:
    """Who may log in, whose tokens are believed, and who has a mailbox for LMTP."""
    password = base64.b64encode(PASSWORD.encode()).decode()  # colons end the file's fields
    (folder / "accounts").write_text(f"{USER}:{{PLAIN.b64}}{password}\n")
    owner = f"{SERVANT.pw_uid}:{SERVANT.pw_gid}"
    boxes = dict.fromkeys(RECIPIENTS, "1G") | {FULL: "1B"}
    (folder / "mailboxes").write_text(
        "".join(
            f"{address}::{owner}::{folder}/mail/{address.partition('@')[0]}::userdb_quota_rule=*:storage={room}\n"
            for address, room in boxes.items()
        )
    )
    keys = folder / "keys" / "default" / "HS256"
    keys.mkdir(parents=True)
    (keys / "default").write_text(base64.b64encode(TOKEN_KEY).decode())


@contextlib.contextmanager
def serve(
    pki: PKI,
    *,
    identity: Identity | None = None,
    tls: TLSVersion | None = None,
    size_limit: int = 200_000_000,
    settings: str = "",
) -> Iterator[DovecotServer]:
    """Run Dovecot, and a Postfix behind it.

    ``size_limit`` is in bytes, announced with SIZE; ``settings`` are lines of the configuration
    that come last.
    """
    identity = identity or pki.server
    with postfix.serve(pki) as relay, scratch("dovecot") as folder:
        owned_folder(folder / "mail")
        for name in ("run", "state"):
            (folder / name).mkdir(mode=0o755)
        _accounts(folder)
        # Read without privileges, when it hands a message on.
        (folder / "ca.pem").write_bytes(pki.ca_file.read_bytes())
        (folder / "oauth2.conf").write_text(OAUTH2.format(folder=folder, scope=TOKEN_SCOPE, domain=DOMAIN))
        port, implicit_port, lmtp_port = free_ports(3)
        (folder / "dovecot.conf").write_text(
            CONFIGURATION.format(
                folder=folder,
                host=HOST,
                owner=SERVANT.pw_name,
                group="daemon",
                login_account=LOGIN_ACCOUNT,
                uid=SERVANT.pw_uid,
                gid=SERVANT.pw_gid,
                domain=DOMAIN,
                mechanisms=MECHANISMS.lower(),
                certificate=identity.cert_file,
                key=identity.key_file,
                ca_file=pki.ca_file,
                size_limit=size_limit,
                relay_name=relay.server_name,
                relay_port=relay.port,
                relay_user=relay.user,
                relay_password=relay.password,
                port=port,
                implicit_port=implicit_port,
                lmtp_port=lmtp_port,
            )
            + settings
        )
        daemon = Daemon(
            [*install.overlaid(), program("dovecot"), "-F", "-c", str(folder / "dovecot.conf")],
            ports=[port, implicit_port, lmtp_port],
            log=folder / "output.log",
            environment=openssl_conf(folder, tls),
            more_logs=[folder / "dovecot.log"],
        )
        with daemon:
            yield DovecotServer(
                port=port,
                implicit_port=implicit_port,
                lmtp_port=lmtp_port,
                lmtp_boxes=folder / "mail",
                tls=tls,
                mailbox=relay.mailbox,
                ca_file=pki.ca_file,
                log_text=lambda: daemon.log_text() + relay.log_text(),
                size_limit=size_limit,
            )
