"""microsocks and tinyproxy: real proxies, SOCKS5 and HTTP CONNECT, with and without a login."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .process import HOST, SERVANT, Daemon, free_ports, program, scratch

USER, PASSWORD = "ada", "gate-keeper"
"""Who may use the proxies that ask."""


@dataclass(frozen=True)
class ProxyServer:
    """A running proxy."""

    scheme: str
    port: int
    login: bool
    log_text: Callable[[], str]
    """What it said so far: for each connection, where to."""

    @property
    def url(self) -> str:
        """Its URL, with the login if it asks for one."""
        login = f"{USER}:{PASSWORD}@" if self.login else ""
        return f"{self.scheme}://{login}{HOST}:{self.port}"


@contextlib.contextmanager
def socks5(*, login: bool = False) -> Iterator[ProxyServer]:
    """Run microsocks."""
    with scratch("microsocks") as folder:
        [port] = free_ports(1)
        words = ["-u", USER, "-P", PASSWORD] if login else []
        command = [program("microsocks"), "-i", HOST, "-p", str(port), *words]
        with Daemon(command, ports=[port], log=folder / "log") as daemon:
            yield ProxyServer("socks5", port, login, daemon.log_text)


@contextlib.contextmanager
def http(*, login: bool = False) -> Iterator[ProxyServer]:
    """Run tinyproxy."""
    with scratch("tinyproxy") as folder:
        [port] = free_ports(1)
        options = [
            f"Port {port}",
            f"Listen {HOST}",
            f"User {SERVANT.pw_name}",
            "Timeout 60",
            "LogLevel Connect",
            *([f"BasicAuth {USER} {PASSWORD}"] if login else []),
        ]
        file = folder / "tinyproxy.conf"
        file.write_text("".join(option + "\n" for option in options))
        with Daemon([program("tinyproxy"), "-d", "-c", str(file)], ports=[port], log=folder / "log") as daemon:
            yield ProxyServer("http", port, login, daemon.log_text)
