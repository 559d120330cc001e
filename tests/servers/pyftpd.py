"""pyftpdlib with TLS demanded on control and data connections.

Run as ``python3 -m tests.servers.pyftpd FOLDER-WITH-settings.json`` it is the server itself.
"""

from __future__ import annotations

import _strptime  # noqa: F401 - wanted for MFMT, when files of ours can be read no more
import contextlib
import io
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .ftp import PASSWORD, USER, FTPServer, make_root, name_of
from .pki import PKI, Identity
from .process import HOST, SERVANT, Daemon, ServerError, TLSVersion, free_ports, scratch

PASSIVE_PORTS = 200
ZEROS = bytes(1 << 18)
CHECKOUT = Path(__file__).resolve().parents[2]


@contextlib.contextmanager
def serve(
    pki: PKI,
    *,
    identity: Identity | None = None,
    tls: TLSVersion | None = None,
    host: str = HOST,
    client_ca: Path | None = None,
    odd: Mapping[str, Any] | None = None,
) -> Iterator[FTPServer]:
    """Run one process that listens twice, explicit and implicit, over one folder.

    ``client_ca`` demands a client certificate by that authority. ``odd`` is what is wrong with it:
    ``announced`` the address PASV tells, ``without`` commands it does not know, ``encoding`` of
    names, ``clock`` seconds it is ahead, ``cut`` data connections that end without close_notify,
    ``closed`` passive ports where nobody listens, ``lines`` listings nobody can read, ``drip`` seconds
    between two bytes of data. With ``holes`` uploads leave holes where they have nothing but zeros, so
    that large files take no room. ``break`` is how many bytes the first two downloads give before they
    break off, the second one with its session.
    """
    if os.geteuid() != 0:
        raise ServerError("pyftpdlib drops its privileges: run these tests as root")
    identity = identity or pki.server
    with scratch("pyftpdlib") as folder:
        _, root = make_root(folder)
        (port, implicit_port, closed), passive = free_ports(3, host), free_ports(PASSIVE_PORTS, host)
        settings = {
            "host": host,
            "port": port,
            "implicit_port": implicit_port,
            "passive": passive,
            "closed": closed,
            "certificate": str(identity.cert_file),
            "key": str(identity.key_file),
            "client_ca": str(client_ca) if client_ca else None,
            "tls": tls,
            "odd": dict(odd or {}),
        }
        (folder / "settings.json").write_text(json.dumps(settings))
        daemon = Daemon(
            [sys.executable, "-m", "tests.servers.pyftpd", str(folder)],
            ports=[port, implicit_port],
            log=folder / "output.log",
            environment={"PYTHONPATH": str(CHECKOUT)},
            host=host,
        )
        with daemon:
            yield FTPServer(
                daemon="pyftpdlib",
                port=port,
                implicit_port=implicit_port,
                tls=tls,
                root=root,
                ca_file=pki.ca_file,
                log_text=daemon.log_text,
                host=host,
                server_name=name_of(host),
            )


def main(folder: Path) -> None:
    """Serve until killed, as the servants' account."""
    from OpenSSL import SSL
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.filesystems import AbstractedFS
    from pyftpdlib.handlers import DTPHandler, TLS_DTPHandler, TLS_FTPHandler
    from pyftpdlib.log import config_logging
    from pyftpdlib.servers import FTPServer as Listener

    settings = json.loads((folder / "settings.json").read_text())
    config_logging()
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate_chain_file(settings["certificate"])
    context.use_privatekey_file(settings["key"])
    context.set_session_id(b"pyftpdlib")  # or OpenSSL would break connections that resume and show a certificate
    only = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION, None: None}[settings["tls"]]
    context.set_min_proto_version(only or SSL.TLS1_2_VERSION)
    if only:
        context.set_max_proto_version(only)
    if settings["client_ca"]:
        context.load_verify_locations(settings["client_ca"])
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *seen: bool(seen[-1]))

    users = DummyAuthorizer()
    users.add_user(USER, PASSWORD, str(folder / "root"), perm="elradfmwMT")

    odd = settings["odd"]

    class Holes(io.FileIO):
        def write(self, data: Any, /) -> int:
            if data != ZEROS[: len(data)]:
                return super().write(data)
            self.seek(len(data), os.SEEK_CUR)
            return len(data)

        def close(self) -> None:
            if not self.closed and self.writable():
                # What it ends in may be a hole.
                self.truncate(max(self.tell(), os.fstat(self.fileno()).st_size))
            super().close()

    class Files(AbstractedFS):
        def open(self, filename: str, mode: str) -> Any:
            if odd.get("holes") and mode != "rb":
                return Holes(filename, mode.replace("b", ""))
            return super().open(filename, mode)

        def getmtime(self, path: str) -> float:
            return super().getmtime(path) + odd.get("clock", 0)

        def format_list(self, folder: str, names: Any, ignore_err: bool = True) -> Iterator[bytes]:
            if odd.get("lines"):
                return (f"~{name}~\r\n".encode(errors="surrogateescape") for name in names)
            return super().format_list(folder, names, ignore_err)

    broken = 0

    class Data(TLS_DTPHandler):
        sent = 0

        def send(self, data: bytes) -> int:
            nonlocal broken
            if odd.get("break") and broken < 2 and not self.receive:
                self.sent += len(data)
                if self.sent > odd["break"]:
                    broken += 1
                    if broken == 2:
                        self.cmd_channel.close()
                    else:
                        self._resp = ("426 Broken.", self.log)
                        DTPHandler.close(self)
                    return 0
            if odd.get("drip"):
                time.sleep(odd["drip"])
                data = data[:1]
            return super().send(data)

        def close(self) -> None:
            if odd.get("cut"):
                DTPHandler.close(self)
            else:
                super().close()

    class Explicit(TLS_FTPHandler):
        authorizer = users
        abstracted_fs = Files
        dtp_handler = Data
        ssl_context = context
        tls_control_required = True
        tls_data_required = True
        passive_ports = settings["passive"]
        banner = "pyftpdlib ready."
        encoding = odd.get("encoding", "utf8")
        masquerade_address = odd.get("announced")
        proto_cmds = {  # noqa: RUF012 - pyftpdlib's own attribute
            name: known for name, known in TLS_FTPHandler.proto_cmds.items() if name not in odd.get("without", ())
        }

        def ftp_EPSV(self, line: str) -> None:
            if odd.get("closed"):
                self.respond(f"229 Entering extended passive mode (|||{settings['closed']}|).")
            else:
                super().ftp_EPSV(line)

    class Implicit(Explicit):
        def handle(self) -> None:
            self.secure_connection(self.ssl_context)
            super().handle()

    # Both belong to one loop.
    listener = Listener((settings["host"], settings["port"]), Explicit)
    Listener((settings["host"], settings["implicit_port"]), Implicit)
    os.setgroups([])
    os.setgid(SERVANT.pw_gid)
    os.setuid(SERVANT.pw_uid)
    os.umask(0o022)
    listener.serve_forever(handle_exit=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
