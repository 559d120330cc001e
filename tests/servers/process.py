"""What all daemons share: a scratch folder, free ports, starting, waiting, stopping."""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from . import install
from .pki import PKI, Identity

TLSVersion = Literal["1.2", "1.3"]
"""The one TLS version a server speaks; where ``None`` is given, it speaks both."""

HOST = "127.0.0.1"
"""The address that daemons listen on, and nothing else."""

HOST6 = "::1"
"""The address of those that are started for IPv6."""

READY = 15.0
"""Seconds a daemon has until its ports answer."""

STOPPED = 15.0
"""Seconds until a daemon must be gone; the supervisor ends it by force long before."""

SERVANT = pwd.getpwnam("daemon")
"""An unprivileged account that every Debian has; daemons drop to it and files belong to it."""

PORTS = range(20000, 32000)
"""Where ports are taken from: below the range from which the system takes clients' ports."""
FEW = 10
"""More ports than these are a range for data connections."""


S_co = TypeVar("S_co", covariant=True)


class Serve(Protocol[S_co]):
    """What the ``serve`` functions have in common."""

    def __call__(
        self, pki: PKI, *, identity: Identity | None = None, tls: TLSVersion | None = None
    ) -> contextlib.AbstractContextManager[S_co]:
        """Run the server with this certificate (the PKI's good one by default) and TLS version."""
        ...


class ServerError(Exception):
    """A daemon did not start, or did not do what it was waited for; carries its log."""


def program(name: str) -> str:
    """The path of an unpacked program (a key of ``install.PROGRAMS``)."""
    path = install.ROOT / install.PROGRAMS[name]
    if not path.is_file():
        raise ServerError(f"{name} is not unpacked: run `python3 tests/servers/install.py`")
    if os.geteuid() != 0:
        raise ServerError(f"{name} drops its privileges and changes its root: run these tests as root")
    return str(path)


def laid_over(name: str, *arguments: str) -> list[str]:
    """The command that runs an unpacked program with the unpacked packages laid over ``/usr``."""
    program(name)
    return [*install.overlaid(), f"/{install.PROGRAMS[name]}", *arguments]


def as_servant(name: str, *arguments: str) -> list[str]:
    """The same as the servants' account, which need not be able to read the checkout."""
    program(name)
    account = (f"--reuid={SERVANT.pw_uid}", f"--regid={SERVANT.pw_gid}", "--clear-groups")
    return [*install.overlaid(), "setpriv", *account, f"/{install.PROGRAMS[name]}", *arguments]


def owned_copy(file: Path, into: Path) -> Path:
    """Copy a file into a folder, for the servants' account alone to read."""
    copy = into / file.name
    copy.touch(mode=0o600)
    copy.write_bytes(file.read_bytes())
    os.chown(copy, SERVANT.pw_uid, SERVANT.pw_gid)
    return copy


def _own_ports(count: int) -> range:
    """Where this process takes so many ports from.

    Tests that run side by side have a part each, so that none takes what another one is about to listen on. In each
    part the few, on which servers listen for as long as they run, are apart from the ranges for data connections, which
    would find no room between them.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    size = len(PORTS) // workers
    own = PORTS[worker * size : (worker + 1) * size]
    return own[size // 4 :] if count > FEW else own[: size // 4]


def free_ports(count: int, host: str = HOST) -> list[int]:
    """``count`` neighbouring ports that nobody listens on now."""
    own = _own_ports(count)
    for _ in range(1000):
        first = random.randrange(own.start, own.stop - count)
        ports = list(range(first, first + count))
        if all(_is_free(host, port) for port in ports):
            return ports
    raise ServerError(f"no {count} free ports in a row on {host}")


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what ended a minute ago is no matter
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


@contextlib.contextmanager
def scratch(name: str) -> Iterator[Path]:
    """A folder that daemons of any user can reach, removed at the end.

    Its path is short, because sockets of the Unix kind are made below it.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def owned_folder(path: Path, mode: int = 0o755) -> Path:
    """Create a folder that belongs to the servants' account."""
    path.mkdir(mode=mode)
    path.chmod(mode)
    os.chown(path, SERVANT.pw_uid, SERVANT.pw_gid)
    return path


def openssl_conf(folder: Path, tls: TLSVersion | None) -> dict[str, str]:
    """The environment that limits the TLS version of a daemon with no setting for it."""
    if tls is None:
        return {}
    file = folder / "openssl.cnf"
    file.write_text(
        "openssl_conf = start\n[start]\nssl_conf = contexts\n[contexts]\nsystem_default = limits\n"
        f"[limits]\nMinProtocol = TLSv{tls}\nMaxProtocol = TLSv{tls}\n"
    )
    return {"OPENSSL_CONF": str(file)}


@dataclass
class Daemon:
    """One daemon as a child process: start it, wait until it answers, stop it.

    A context manager. The daemon never outlives the process that started it.
    """

    command: Sequence[str]
    ports: Sequence[int]
    log: Path
    """Takes standard output and standard error; the daemon may write to it as well."""
    environment: Mapping[str, str] = field(default_factory=dict)
    more_logs: Sequence[Path] = ()
    host: str = HOST
    ready: str = ""
    """What it says when it is ready, if answering ports do not tell."""

    def __enter__(self) -> Daemon:
        supervisor = Path(__file__).with_name("supervise.py")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(supervisor), *self.command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={"PATH": os.defpath, **install.environment(), **self.environment},
                cwd="/",
                start_new_session=True,  # a Ctrl-C in the terminal is for the tests alone
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the daemon and everything it started; return when they are gone."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(STOPPED)

    def log_text(self) -> str:
        """What the daemon said so far."""
        logs = [self.log, *self.more_logs]
        return "\n".join(log.read_text(errors="replace") for log in logs if log.is_file())

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY
        for port in self.ports:
            self._wait(deadline, partial(_answers, self.host, port), f"port {port} does not answer")
        self._wait(deadline, lambda: self.ready in self.log_text(), f"no word of {self.ready!r}")

    def _wait(self, deadline: float, is_so: Callable[[], bool], otherwise: str) -> None:
        while not is_so():
            ended = self._process.poll()
            if ended is not None:
                raise ServerError(f"{self.command[0]} ended ({ended}):\n{self.log_text()}")
            if time.monotonic() > deadline:
                raise ServerError(f"{self.command[0]}: {otherwise}:\n{self.log_text()}")
            time.sleep(0.01)


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True
