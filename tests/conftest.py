"""Fixtures for every test: a throwaway PKI and real daemons.

A daemon starts when a test first asks for it and runs until the end of the session; every
test finds it empty. It speaks TLS 1.2 and 1.3, unless the test pins one version with
``@pytest.mark.parametrize("vsftpd", ["1.2", "1.3"], indirect=True)``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest

from tests.servers import dovecot as dovecot_daemon
from tests.servers import exim as exim_daemon
from tests.servers import postfix as postfix_daemon
from tests.servers.catalogue import FTP, PEERS, UPGRADED
from tests.servers.dovecot import DovecotServer
from tests.servers.exim import EximServer
from tests.servers.ftp import FTPServer
from tests.servers.mail import MailServer
from tests.servers.peers import Peer
from tests.servers.pki import PKI, make
from tests.servers.postfix import PostfixServer
from tests.servers.process import TLSVersion
from tests.servers.service import Service

T = TypeVar("T")

FTP_DAEMONS = ("vsftpd", "proftpd", "pureftpd", "pyftpdlib")
"""Those that tests of every server take, in their default settings."""


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> PKI:
    """The certificates of this session."""
    return make(tmp_path_factory.mktemp("pki"))


class Servers:
    """The daemons of a session, each started at its first use."""

    def __init__(self, pki: PKI) -> None:
        self._pki = pki
        self._running: list[contextlib.ExitStack] = []
        self._ftp: dict[tuple[str, TLSVersion | None], FTPServer] = {}
        self._postfix: dict[TLSVersion | None, PostfixServer] = {}
        self._exim: dict[TLSVersion | None, EximServer] = {}
        self._dovecot: dict[TLSVersion | None, DovecotServer] = {}
        self._services: dict[tuple[str, TLSVersion | None], Service] = {}
        self._peers: dict[tuple[str, TLSVersion | None], Peer] = {}

    def _start(self, server: contextlib.AbstractContextManager[T]) -> T:
        running = contextlib.ExitStack()
        started = running.enter_context(server)
        self._running.append(running)
        return started

    def stop(self) -> None:
        """End them all, at the same time: some take a second or more."""
        with ThreadPoolExecutor() as pool:
            for ended in [pool.submit(running.close) for running in self._running]:
                ended.result()

    def ftp(self, daemon: str, tls: TLSVersion | None) -> FTPServer:
        """The FTP server of that name in the catalogue, its folder empty."""
        key = (daemon, tls)
        if key not in self._ftp:
            self._ftp[key] = self._start(FTP[daemon](self._pki, tls=tls))
        self._ftp[key].clear()
        return self._ftp[key]

    def postfix(self, tls: TLSVersion | None) -> PostfixServer:
        """Postfix, its mailbox empty."""
        if tls not in self._postfix:
            self._postfix[tls] = self._start(postfix_daemon.serve(self._pki, tls=tls))
        self._postfix[tls].clear()
        return self._postfix[tls]

    def exim(self, tls: TLSVersion | None) -> EximServer:
        """Exim, its mailbox empty."""
        if tls not in self._exim:
            self._exim[tls] = self._start(exim_daemon.serve(self._pki, tls=tls))
        self._exim[tls].clear()
        return self._exim[tls]

    def dovecot(self, tls: TLSVersion | None) -> DovecotServer:
        """Dovecot, its mailboxes empty."""
        if tls not in self._dovecot:
            self._dovecot[tls] = self._start(dovecot_daemon.serve(self._pki, tls=tls))
        self._dovecot[tls].clear()
        return self._dovecot[tls]

    def service(self, name: str, tls: TLSVersion | None = None) -> Service:
        """The server of another protocol, by its name in the catalogue."""
        key = (name, tls)
        if key not in self._services:
            self._services[key] = self._start(UPGRADED[name](self._pki, tls=tls))
        return self._services[key]

    def peer(self, name: str, tls: TLSVersion | None = None) -> Peer:
        """The peer that speaks nothing but TLS, by its name in the catalogue."""
        key = (name, tls)
        if key not in self._peers:
            self._peers[key] = self._start(PEERS[name](self._pki, tls=tls))
        return self._peers[key]


@pytest.fixture(scope="session")
def servers(pki: PKI) -> Iterator[Servers]:
    """All daemons this session has started."""
    started = Servers(pki)
    try:
        yield started
    finally:
        started.stop()


@pytest.fixture
def postfix(servers: Servers, request: pytest.FixtureRequest) -> PostfixServer:
    """Postfix: submission with STARTTLS and implicit TLS, both with AUTH."""
    return servers.postfix(getattr(request, "param", None))


@pytest.fixture
def exim(servers: Servers, request: pytest.FixtureRequest) -> EximServer:
    """Exim: submission with PRDR, and most other extensions."""
    return servers.exim(getattr(request, "param", None))


@pytest.fixture
def dovecot(servers: Servers, request: pytest.FixtureRequest) -> DovecotServer:
    """Dovecot: submission with many SASL mechanisms, and LMTP."""
    return servers.dovecot(getattr(request, "param", None))


@pytest.fixture(params=["postfix", "exim", "dovecot"])
def mail_server(servers: Servers, request: pytest.FixtureRequest) -> MailServer:
    """Each mail server in turn, with TLS 1.2 and 1.3."""
    started: MailServer = getattr(servers, request.param)(None)
    return started


@pytest.fixture
def vsftpd(servers: Servers, request: pytest.FixtureRequest) -> FTPServer:
    """vsftpd with ``require_ssl_reuse=YES``."""
    return servers.ftp("vsftpd", getattr(request, "param", None))


@pytest.fixture
def proftpd(servers: Servers, request: pytest.FixtureRequest) -> FTPServer:
    """ProFTPD with default TLS options."""
    return servers.ftp("proftpd", getattr(request, "param", None))


@pytest.fixture
def pureftpd(servers: Servers, request: pytest.FixtureRequest) -> FTPServer:
    """Pure-FTPd; it has no implicit TLS."""
    return servers.ftp("pureftpd", getattr(request, "param", None))


@pytest.fixture
def proftpd_modules(servers: Servers, request: pytest.FixtureRequest) -> FTPServer:
    """ProFTPD with commands for checksums, MODE Z and copies."""
    return servers.ftp("proftpd-modules", getattr(request, "param", None))


@pytest.fixture
def pyftpdlib(servers: Servers, request: pytest.FixtureRequest) -> FTPServer:
    """pyftpdlib, which never asks for resumption."""
    return servers.ftp("pyftpdlib", getattr(request, "param", None))


@pytest.fixture(params=[(daemon, tls) for daemon in FTP_DAEMONS for tls in ("1.2", "1.3")], ids="-".join)
def ftp_server(servers: Servers, request: pytest.FixtureRequest) -> FTPServer:
    """Each FTP daemon in turn, with TLS 1.2 alone and with TLS 1.3 alone."""
    return servers.ftp(*request.param)
