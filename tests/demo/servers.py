"""Local SMTP and FTPS servers with a throwaway certificate authority.

For the demo, for the examples in the documentation, and for trying things by hand::

    python tests/demo/servers.py FOLDER      # prints one JSON line, serves until its input ends

    with running() as servers:               # the same, as a child process of this one
        print(servers.smtp_url, servers.ca_file)

Every port is on 127.0.0.1 and chosen by the kernel. TLS is not negotiable: SMTP wants STARTTLS
(or speaks TLS at once on the other port) before AUTH, and AUTH before MAIL; FTP wants AUTH TLS
before USER and PROT P before a transfer. The CA's key never leaves the serving process.
Starting the child needs the standard library only; serving needs tests/setup/requirements-demo.txt.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyftpdlib.servers import FTPServer

LOOPBACK = "127.0.0.1"
USER = "ann"
PASSWORD = "correct-horse"
REFUSED = "nobody"
"""The local part of the one kind of recipient the SMTP servers refuse."""

START_DEADLINE = 30.0
"""Seconds the child may take to say that it serves."""


@dataclass(frozen=True)
class Servers:
    """Where the servers are, and where what they receive can be looked at."""

    smtp: int
    """Port of SMTP with STARTTLS."""
    smtps: int
    """Port of SMTP over implicit TLS."""
    ftp: int
    """Port of FTP with AUTH TLS."""
    ftps: int
    """Port of FTP over implicit TLS."""
    ca_file: str
    """The certificate authority to trust, PEM."""
    mail: str
    """Folder of accepted messages: ``0001.eml`` as received, ``0001.json`` its envelope."""
    files: str
    """The folder FTP users see as ``/``."""
    user: str = USER
    password: str = PASSWORD

    @property
    def smtp_url(self) -> str:
        """STARTTLS, by a name the certificate carries."""
        return f"smtp://{self.user}@localhost:{self.smtp}"

    @property
    def smtps_url(self) -> str:
        """Implicit TLS."""
        return f"smtps://{self.user}@localhost:{self.smtps}"

    @property
    def ftp_url(self) -> str:
        """AUTH TLS."""
        return f"ftp://{self.user}@localhost:{self.ftp}"

    @property
    def ftps_url(self) -> str:
        """Implicit TLS."""
        return f"ftps://{self.user}@localhost:{self.ftps}"


@contextmanager
def running() -> Iterator[Servers]:
    """Serve from a child process until the block ends; what was received is then deleted."""
    with tempfile.TemporaryDirectory(prefix="starttls-servers-") as folder:
        child = subprocess.Popen(
            [sys.executable, __file__, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for this process, which then tells the child
        )
        assert child.stdin is not None and child.stdout is not None
        try:
            too_late = threading.Timer(START_DEADLINE, child.kill)
            too_late.start()
            line = child.stdout.readline()
            too_late.cancel()
            if not line:
                raise RuntimeError(f"the servers did not start (exit code {child.wait()})")
            yield Servers(**json.loads(line))
        finally:
            child.stdin.close()  # its sign to stop; it gets it also should this process be killed
            try:
                child.wait(START_DEADLINE)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            child.stdout.close()


class Mailbox:
    """The handler behind both SMTP ports: keeps every message, refuses one kind of recipient."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.received = 0

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        """Accept every recipient but the one that stands for refusal."""
        if address.partition("@")[0] == REFUSED:
            return "550 5.1.1 No such user here"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Keep the message, the envelope last: when that file is there, the message is whole."""
        self.received += 1
        name = f"{self.received:04}"
        (self.folder / f"{name}.eml").write_bytes(envelope.original_content)
        record = {"sender": envelope.mail_from, "recipients": envelope.rcpt_tos}
        (self.folder / f"{name}.json").write_text(json.dumps(record))
        return f"250 2.0.0 Ok: queued as {name}"


def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, credentials: Any) -> Any:
    """Aiosmtpd's callback for AUTH PLAIN and AUTH LOGIN."""
    from aiosmtpd.smtp import AuthResult

    known = (USER.encode(), PASSWORD.encode())
    return AuthResult(success=(credentials.login, credentials.password) == known, handled=False)


async def listen_smtp(mailbox: Mailbox, context: ssl.SSLContext, *, implicit: bool) -> asyncio.Server:
    """Listen for SMTP, with TLS from the first byte or by STARTTLS."""
    from aiosmtpd.smtp import SMTP

    class Session(SMTP):
        def eof_received(self) -> bool:
            super().eof_received()
            return False  # TLS has no half-open connections

    # Aiosmtpd knows of TLS only what STARTTLS began: where TLS is implicit, AUTH must not wait for it.
    by_starttls: dict[str, Any] = {"tls_context": context, "require_starttls": True}
    mode = {"auth_require_tls": False} if implicit else by_starttls

    def session() -> SMTP:
        return Session(
            mailbox, hostname="localhost", enable_SMTPUTF8=True, auth_required=True, authenticator=authenticate, **mode
        )

    loop = asyncio.get_running_loop()
    return await loop.create_server(session, LOOPBACK, 0, ssl=context if implicit else None)


def listen_ftp(files: Path, certificate: Path) -> tuple[FTPServer, FTPServer]:
    """Listen for FTP, explicit and implicit; both servers belong to one loop."""
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import TLS_FTPHandler
    from pyftpdlib.servers import FTPServer

    users = DummyAuthorizer()
    users.add_user(USER, PASSWORD, str(files), perm="elradfmwMT")

    class Explicit(TLS_FTPHandler):
        authorizer = users
        certfile = str(certificate)
        tls_control_required = True
        tls_data_required = True
        banner = "ready"

    class Implicit(Explicit):
        def handle(self) -> None:
            self.secure_connection(self.ssl_context)
            super().handle()

    return FTPServer((LOOPBACK, 0), Explicit), FTPServer((LOOPBACK, 0), Implicit)


def serve_ftp(server: FTPServer, stop: threading.Event) -> None:
    """Drive the loop that all FTP servers share, until told to stop."""
    while not stop.is_set():
        server.ioloop.loop(timeout=0.1, blocking=False)
    server.close_all()


async def serve(folder: Path) -> None:
    """Start everything below the folder, say where, and serve until standard input ends."""
    import trustme

    mail, files, certificate, ca_file = (folder / name for name in ("mail", "files", "server.pem", "ca.pem"))
    mail.mkdir()
    files.mkdir()
    authority = trustme.CA(organization_name="starttls demo")
    authority.cert_pem.write_to_path(ca_file)
    issued = authority.issue_cert("localhost", LOOPBACK)
    certificate.touch(0o600)
    issued.private_key_and_cert_chain_pem.write_to_path(certificate)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    issued.configure_cert(context)

    mailbox = Mailbox(mail)
    smtp = await listen_smtp(mailbox, context, implicit=False)
    smtps = await listen_smtp(mailbox, context, implicit=True)
    ftp, ftps = listen_ftp(files, certificate)
    servers = Servers(
        smtp=smtp.sockets[0].getsockname()[1],
        smtps=smtps.sockets[0].getsockname()[1],
        ftp=ftp.address[1],
        ftps=ftps.address[1],
        ca_file=str(ca_file),
        mail=str(mail),
        files=str(files),
    )
    stop = threading.Event()
    ftp_thread = asyncio.create_task(asyncio.to_thread(serve_ftp, ftp, stop))
    print(json.dumps(asdict(servers)), flush=True)
    try:
        await until_input_ends()
    finally:
        stop.set()
        await ftp_thread
        smtp.close()
        smtps.close()


async def until_input_ends() -> None:
    """Wait for the end of standard input."""
    ended = asyncio.Event()
    # Not asyncio.to_thread: a pool's thread would keep an interrupted process from ending.
    loop = asyncio.get_running_loop()

    def read() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=read, daemon=True).start()
    await ended.wait()


def main() -> None:
    """Serve from the folder named on the command line."""
    logging.basicConfig(level=logging.WARNING)
    # It warns that AUTH is not tied to STARTTLS on the port where TLS is implicit.
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", "Requiring AUTH while not requiring TLS")
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(Path(sys.argv[1])))


if __name__ == "__main__":
    main()
