"""Who is measured, and how each is run."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from . import paths, provision
from .operations import OPERATIONS


@dataclass(frozen=True)
class Run:
    """One run of one client."""

    operation: str
    port: int
    ca_file: str
    argument: str
    count: int
    seconds: float

    def words(self) -> list[str]:
        """The command line every program of the benchmark understands."""
        return [self.operation, str(self.port), self.ca_file, self.argument, str(self.count), str(self.seconds)]


@dataclass(frozen=True)
class Client:
    """One row of a table."""

    name: str
    language: str
    protocol: str
    command: Callable[[Run], list[str]]
    environment: dict[str, str] = field(default_factory=dict)
    is_ours: bool = False
    is_tool: bool = False
    """Prints what it fetched, or nothing, and no account of itself."""
    only: frozenset[str] | None = None
    """The operations it can do, if not all that need no concurrency."""

    def does(self, operation: str, protocol: str) -> bool:
        return protocol == self.protocol and operation in (EVERYWHERE if self.only is None else self.only)


HARNESS = str(paths.BENCH / "peers" / "python")


def program(binary: str) -> Callable[[Run], list[str]]:
    """A program built by Cargo."""
    return lambda run: [str(paths.BINARIES / binary), *run.words()]


def python(script: Path, client: str) -> Callable[[Run], list[str]]:
    """A Python program in the benchmark's environment."""
    return lambda run: [str(paths.VENV_PYTHON), str(script), client, *run.words()]


def node(client: str) -> Callable[[Run], list[str]]:
    script = str(paths.BENCH / "peers" / "node" / "peers.cjs")
    return lambda run: ["node", script, client, *run.words()]


def curl(run: Run) -> list[str]:
    """The command line tool; the whole process is measured."""
    common = ["curl", "--silent", "--show-error", "--ssl-reqd", "--cacert", run.ca_file, "--user", "user:password"]
    if run.operation.startswith("smtp"):
        url = f"smtp://localhost:{run.port}/localhost"
        envelope = ["--mail-from", "a@example.com", "--mail-rcpt", "b@example.com"]
        return [*common, *envelope, "--upload-file", run.argument, url]
    base = f"ftp://localhost:{run.port}"
    common += ["--ftp-method", "nocwd"]
    match run.operation:
        case "ftp-upload":
            return [*common, "--upload-file", run.argument, f"{base}/up/upload.bin"]
        case "ftp-list":
            return [*common, "--request", "MLSD", "--output", "/dev/null", f"{base}/{run.argument}/"]
        case _:
            return [*common, "--output", "/dev/null", f"{base}/{run.argument}"]


EVERYWHERE = frozenset(operation.name for operation in OPERATIONS) - {"smtp-connections"}
"""What needs no concurrency of the client's own."""
CONCURRENT = EVERYWHERE | {"smtp-connections"}
TRANSFERS = frozenset({"ftp-download", "ftp-upload", "ftp-files", "ftp-tree"})
ONE_OFF = frozenset({"smtp-large", "smtp-oneshot", "ftp-download", "ftp-upload", "ftp-list"})
"""What a command line tool does in one call."""


def peers() -> list[Client]:
    """Other people's clients, of every language that is here."""
    smtp, ftp = (paths.BENCH / "peers" / "python" / f"{name}_peers.py" for name in ("smtp", "ftp"))
    ring = {"BENCH_PROVIDER": "ring"}
    found = [
        Client("lettre", "Rust", "smtp", program("peer-lettre")),
        Client("lettre, ring", "Rust", "smtp", program("peer-lettre"), ring),
        Client("mail-send", "Rust", "smtp", program("peer-mail-send")),
        Client("mail-send, ring", "Rust", "smtp", program("peer-mail-send"), ring),
        Client("suppaftp", "Rust", "ftp", program("peer-suppaftp")),
        Client("suppaftp, ring", "Rust", "ftp", program("peer-suppaftp"), ring),
        Client("smtplib", "Python", "smtp", python(smtp, "smtplib")),
        Client("aiosmtplib", "Python asyncio", "smtp", python(smtp, "aiosmtplib"), only=CONCURRENT),
        Client("pycurl", "Python", "smtp", python(smtp, "pycurl")),
        Client("ftplib", "Python", "ftp", python(ftp, "ftplib")),
        Client("aioftp", "Python asyncio", "ftp", python(ftp, "aioftp")),
        # Its listings come as text: there is nothing to compare a parsed one with.
        Client("pycurl", "Python", "ftp", python(ftp, "pycurl"), only=TRANSFERS),
    ]
    if provision.has_node():
        modules = {"NODE_PATH": str(paths.NODE_MODULES)}
        found += [
            Client("nodemailer", "Node.js", "smtp", node("nodemailer"), modules),
            Client("basic-ftp", "Node.js", "ftp", node("basic-ftp"), modules),
        ]
    if shutil.which("curl"):
        tool = partial(Client, "curl", "command line", command=curl, is_tool=True, only=ONE_OFF)
        found += [tool(protocol=protocol) for protocol in ("smtp", "ftp")]
    return found
