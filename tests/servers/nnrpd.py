"""INN's reader daemon: NNTP with STARTTLS, and NNTP over TLS, with no articles."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from .ftp import hashed
from .mail import DOMAIN, PASSWORD, USER
from .pki import PKI, Identity
from .process import HOST, SERVANT, Daemon, TLSVersion, free_ports, laid_over, owned_copy, owned_folder, scratch
from .service import Service

INN_CONF = """\
mta: /bin/true
pathhost: news.{domain}
domain: {domain}
organization: tests
hismethod: hisv6
enableoverview: true
ovmethod: tradindexed
runasuser: {user}
runasgroup: {group}
pathnews: /usr/lib/news
pathdb: {folder}/data
pathetc: {folder}/data
pathlog: {folder}/data
pathrun: {folder}/data
pathtmp: {folder}/data
pathspool: {folder}/data
pathfilter: {folder}/data
pathoverview: {folder}/data
"""

TLS = """\
tlscertfile: {certificate}
tlskeyfile: {key}
tlsprotocols: [ {versions} ]
"""

READERS = """\
auth "all" {{
    auth: "ckpasswd -f {folder}/data/passwords"
}}
access "all" {{
    users: "*"
    newsgroups: "*"
}}
"""


@contextlib.contextmanager
def serve(
    pki: PKI, *, identity: Identity | None = None, tls: TLSVersion | None = None, offers_tls: bool = True
) -> Iterator[Service]:
    """Run nnrpd without an innd behind it: one for clear connections, one for those under TLS."""
    identity = identity or pki.server
    with scratch("nnrpd") as folder:
        data = owned_folder(folder / "data")
        for name in ("active", "newsgroups", "history", "group.index"):
            (data / name).touch()
        (data / "storage.conf").write_text("method trash {\n    newsgroups: *\n    class: 0\n}\n")
        (data / "readers.conf").write_text(READERS.format(folder=folder))
        (data / "passwords").write_text(f"{USER}:{hashed(PASSWORD)}\n")
        configuration = INN_CONF.format(folder=folder, domain=DOMAIN, user=SERVANT.pw_name, group="daemon")
        if offers_tls:
            configuration += TLS.format(
                certificate=owned_copy(identity.cert_file, folder),
                key=owned_copy(identity.key_file, folder),
                versions=" ".join(f"TLSv{version}" for version in ([tls] if tls else ["1.2", "1.3"])),
            )
        (folder / "inn.conf").write_text(configuration)
        environment = {"INNCONF": str(folder / "inn.conf"), "LD_LIBRARY_PATH": "/usr/lib/news"}
        port, implicit_port = free_ports(2)
        with contextlib.ExitStack() as running:
            daemons = [
                running.enter_context(
                    Daemon(
                        laid_over("nnrpd", "-D", "-f", "-b", HOST, "-p", str(number), *options),
                        ports=[number],
                        log=folder / "output.log",
                        environment=environment,
                    )
                )
                for number, options in [(port, []), (implicit_port, ["-S"])][: 1 + offers_tls]
            ]
            yield Service(
                protocol="nntp",
                port=port,
                implicit_port=implicit_port if offers_tls else None,
                tls=tls,
                ca_file=pki.ca_file,
                log_text=daemons[0].log_text,
            )
