"""Pure-FTPd with TLS demanded for logins. It has no implicit TLS."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import install
from .ftp import PASSWORD, USER, FTPServer, hashed, make_root, name_of
from .pki import PKI, Identity
from .process import HOST, SERVANT, Daemon, TLSVersion, free_ports, openssl_conf, program, scratch

PASSIVE_PORTS = 200


def _database(folder: Path, login: Path) -> Path:
    """A user database with the one account.

    Written without ``pure-pw useradd``, whose hash costs seconds at each login.
    """
    users, database = folder / "users", folder / "users.pdb"
    users.write_text(f"{USER}:{hashed(PASSWORD)}:{SERVANT.pw_uid}:{SERVANT.pw_gid}::{login}/./::::::::::::\n")
    command = [program("pure-pw"), "mkdb", str(database), "-f", str(users)]
    subprocess.run(command, capture_output=True, check=True, env=install.environment())
    return database


@contextlib.contextmanager
def serve(
    pki: PKI,
    *,
    identity: Identity | None = None,
    tls: TLSVersion | None = None,
    strict: bool = False,
    host: str = HOST,
    arguments: Sequence[str] = (),
) -> Iterator[FTPServer]:
    """Run Pure-FTPd.

    ``strict`` refuses clear-text data connections as well; ``arguments`` are further options
    of its command line.
    """
    identity = identity or pki.server
    with scratch("pureftpd") as folder:
        login, root = make_root(folder)
        [port], passive = free_ports(1, host), free_ports(PASSIVE_PORTS, host)
        command = [
            program("pure-ftpd"),
            f"--bind={host},{port}",
            f"--login=puredb:{_database(folder, login)}",
            "--noanonymous",
            "--chrooteveryone",
            "--dontresolve",
            "--minuid=1",
            "--umask=022:022",
            "--displaydotfiles",
            "--limitrecursion=100000:20",
            "--maxclientsnumber=200",
            "--maxclientsperip=200",
            f"--passiveportrange={passive[0]}:{passive[-1]}",
            f"--forcepassiveip={HOST}",
            f"--pidfile={folder / 'pid'}",
            f"--altlog=clf:{folder / 'transfers.log'}",
            f"--tls={3 if strict else 2}",
            f"--certfile={identity.cert_file},{identity.key_file}",
            *arguments,
        ]
        daemon = Daemon(
            command,
            ports=[port],
            log=folder / "output.log",
            environment=openssl_conf(folder, tls),
            more_logs=[folder / "transfers.log"],
            host=host,
        )
        with daemon:
            yield FTPServer(
                daemon="pure-ftpd",
                port=port,
                implicit_port=None,
                tls=tls,
                root=root,
                ca_file=pki.ca_file,
                log_text=daemon.log_text,
                host=host,
                server_name=name_of(host),
            )
