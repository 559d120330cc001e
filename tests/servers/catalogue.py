"""Every server by its name, as ``python3 -m tests.servers NAME`` and the fixtures start them.

Each speaks TLS 1.2 and 1.3, or the one version that is asked for.
"""

from __future__ import annotations

from functools import partial

from . import (
    dovecot,
    exim,
    mailstore,
    mariadb,
    nnrpd,
    peers,
    postfix,
    postgres,
    proftpd,
    prosody,
    proxies,
    pureftpd,
    pyftpd,
    slapd,
    vsftpd,
)
from .ftp import FTPServer
from .mail import MailServer
from .process import HOST, HOST6, Serve
from .service import Service

MAIL: dict[str, Serve[MailServer]] = {
    "postfix": postfix.serve,
    "postfix-limited": partial(postfix.serve, settings={"smtpd_recipient_limit": "4"}),
    "postfix-gateway": partial(postfix.serve, settings={"smtpd_authorized_xclient_hosts": HOST}),
    "postfix-sasl": partial(postfix.serve, mechanisms=postfix.SASL_MECHANISMS),
    "exim": exim.serve,
    "exim-limited": partial(exim.serve, recipients_max=4),
    "dovecot": dovecot.serve,
}

OLD = ("EPSV", "EPRT", "MLSD", "MLST", "MFMT", "MDTM", "SIZE", "REST", "OPTS")
"""Commands that servers from before 1998 do not know."""

FTP: dict[str, Serve[FTPServer]] = {
    # Data connections must resume the control connection's TLS session.
    "vsftpd": vsftpd.serve,
    "vsftpd-ipv6": partial(vsftpd.serve, host=HOST6),
    # They need not.
    "vsftpd-lenient": partial(vsftpd.serve, require_ssl_reuse=False),
    # They must, and end with close_notify in both directions.
    "vsftpd-strict": partial(vsftpd.serve, strict=True),
    # The default TLS options: data connections must resume. MFMT, MFF and MLSD are built in.
    "proftpd": proftpd.serve,
    "proftpd-ipv6": partial(proftpd.serve, host=HOST6),
    "proftpd-lenient": partial(proftpd.serve, tls_options="NoSessionReuseRequired"),
    # Copies from server to server: it can be the client of the other one's TLS (SSCN), and checks its certificate.
    "proftpd-copying": partial(
        proftpd.serve, modules=proftpd.MODULES, tls_options="NoSessionReuseRequired", copies=True
    ),
    "proftpd-copying-ipv6": partial(
        proftpd.serve, modules=proftpd.MODULES, tls_options="NoSessionReuseRequired", copies=True, host=HOST6
    ),
    # One more virtual host, which HOST chooses: by the name that TLS asked for, and by no other.
    "proftpd-virtual": partial(proftpd.serve, tls_options="NoSessionReuseRequired", alias="localhost"),
    # HASH, XCRC, XMD5, XSHA…; MODE Z; SITE COPY; SITE MKDIR, RMDIR, SYMLINK, UTIME.
    "proftpd-modules": partial(proftpd.serve, modules=proftpd.MODULES),
    # Clear data connections are possible; TLS is demanded at login. No implicit TLS.
    "pureftpd": pureftpd.serve,
    "pureftpd-ipv6": partial(pureftpd.serve, host=HOST6),
    # Data connections must be private.
    "pureftpd-strict": partial(pureftpd.serve, strict=True),
    "pyftpdlib": pyftpd.serve,
    "pyftpdlib-ipv6": partial(pyftpd.serve, host=HOST6),
    # PASV tells an address of the inside.
    "pyftpdlib-nat": partial(pyftpd.serve, odd={"announced": "10.1.2.3"}),
    # Of the last century: LIST, PASV, names in Latin-1.
    "pyftpdlib-old": partial(pyftpd.serve, odd={"without": OLD, "encoding": "latin-1"}),
    # Data connections end without close_notify.
    "pyftpdlib-cut": partial(pyftpd.serve, odd={"cut": True}),
    # MDTM tells the local time of two hours to the east.
    "pyftpdlib-zone": partial(pyftpd.serve, odd={"clock": 7200}),
    # Nobody listens on the ports that EPSV tells.
    "pyftpdlib-firewalled": partial(pyftpd.serve, odd={"closed": True}),
    # Data comes byte by byte.
    "pyftpdlib-drip": partial(pyftpd.serve, odd={"drip": 0.1}),
    # The first two downloads break off, the second one with its session.
    "pyftpdlib-breaks": partial(pyftpd.serve, odd={"break": 300_000}),
    # Listings in a form of its own.
    "pyftpdlib-lines": partial(pyftpd.serve, odd={"lines": True, "without": ["MLSD", "MLST"]}),
}

UPGRADED: dict[str, Serve[Service]] = {
    # In clear they let nobody in (Dovecot: nobody who comes from another address).
    "imap": partial(mailstore.serve, protocol="imap"),
    "pop3": partial(mailstore.serve, protocol="pop3"),
    "sieve": partial(mailstore.serve, protocol="sieve"),
    "nntp": nnrpd.serve,
    "xmpp": prosody.serve,
    "xmpp-server": partial(prosody.serve, protocol="xmpp-server"),
    "ldap": slapd.serve,
    "postgres": postgres.serve,
    "mysql": mariadb.serve,
    # The same servers, and TLS is off.
    "imap-clear": partial(mailstore.serve, protocol="imap", offers_tls=False),
    "pop3-clear": partial(mailstore.serve, protocol="pop3", offers_tls=False),
    "sieve-clear": partial(mailstore.serve, protocol="sieve", offers_tls=False),
    "nntp-clear": partial(nnrpd.serve, offers_tls=False),
    "xmpp-clear": partial(prosody.serve, offers_tls=False),
    "xmpp-server-clear": partial(prosody.serve, protocol="xmpp-server", offers_tls=False),
    "ldap-clear": partial(slapd.serve, offers_tls=False),
    "postgres-clear": partial(postgres.serve, offers_tls=False),
    "mysql-clear": partial(mariadb.serve, offers_tls=False),
}

PEERS: dict[str, Serve[peers.Peer]] = {
    "gnutls": partial(peers.serve, library="gnutls"),
    "openssl": partial(peers.serve, library="openssl"),
    # They demand a client certificate.
    "gnutls-asking": partial(peers.serve, library="gnutls", asks_client=True),
    "openssl-asking": partial(peers.serve, library="openssl", asks_client=True),
}

SERVERS: dict[str, Serve[FTPServer] | Serve[MailServer] | Serve[Service] | Serve[peers.Peer]] = {
    **MAIL,
    **FTP,
    **UPGRADED,
    **PEERS,
}

# They ask for a login.
PROXIES = {
    "socks5": partial(proxies.socks5, login=True),
    "http-proxy": partial(proxies.http, login=True),
}
