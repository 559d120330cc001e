"""What a test needs to know about a running FTP server, whichever daemon it is."""

from __future__ import annotations

import ctypes
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from .process import HOST, SERVANT, TLSVersion, owned_folder

USER = "ftp"
"""The account of every FTP server here (the one vsftpd takes as its anonymous user)."""
PASSWORD = "pa:ss@w/rd%41"
"""Its password; the characters are those that a URL must escape."""


DIRECTORY = "/files"
"""The folder that can be written to, by its FTP path."""


def hashed(password: str) -> str:
    """The password as password files hold it; a hash that costs no time to check."""
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.restype = ctypes.c_char_p
    result: bytes = crypt(password.encode(), b"$6$rounds=1000$notsecret$")
    return result.decode()


def name_of(host: str) -> str:
    """The name in the certificate by which a server at this address is asked for."""
    return "localhost" if host == HOST else host


def make_root(folder: Path) -> tuple[Path, Path]:
    """Make the folder the user sees as ``/`` and, in it, the one it may write to."""
    login = folder / "root"
    login.mkdir()
    return login, owned_folder(login / DIRECTORY.strip("/"))


@dataclass(frozen=True)
class FTPServer:
    """A running FTP server. Its folder ``directory`` is the local folder ``root``.

    The user logs in at ``/``, which is read-only (vsftpd insists); ``directory`` below it
    can be written to.
    """

    daemon: str
    port: int
    """Explicit TLS (``AUTH TLS``); clear text is refused at login."""
    implicit_port: int | None
    """Implicit TLS, or ``None`` if the daemon has no such mode."""
    tls: TLSVersion | None
    """The one TLS version spoken, or ``None`` for 1.2 and 1.3."""
    root: Path
    ca_file: Path
    log_text: Callable[[], str]
    """What the server logged so far."""
    user: str = USER
    password: str = PASSWORD
    host: str = HOST
    directory: str = DIRECTORY
    server_name: str = "localhost"
    """The name in the certificate, which also resolves to ``host``; over IPv6 the address itself."""

    @property
    def url(self) -> str:
        """``ftp://`` with user, password, name, the explicit port and ``directory``."""
        return f"ftp://{self._authority(self.port)}{self.directory}"

    @property
    def implicit_url(self) -> str:
        """``ftps://`` with user, password, name, the implicit port and ``directory``."""
        if self.implicit_port is None:
            raise ValueError(f"{self.daemon} has no implicit TLS")
        return f"ftps://{self._authority(self.implicit_port)}{self.directory}"

    def _authority(self, port: int) -> str:
        name = f"[{self.server_name}]" if ":" in self.server_name else self.server_name
        return f"{quote(self.user, '')}:{quote(self.password, '')}@{name}:{port}"

    def path(self, name: str) -> str:
        """The FTP path of what is called ``name`` below ``root``."""
        return f"{self.directory}/{name}"

    def put(self, name: str | bytes, content: bytes) -> Path:
        """Place a file for the server to serve; missing folders are made. Names may be bytes."""
        file = self.root / os.fsdecode(name)
        for folder in reversed(file.relative_to(self.root).parents[:-1]):
            (self.root / folder).mkdir(exist_ok=True)
            os.chown(self.root / folder, SERVANT.pw_uid, SERVANT.pw_gid)
        file.write_bytes(content)
        os.chown(file, SERVANT.pw_uid, SERVANT.pw_gid)
        return file

    def clear(self) -> None:
        """Remove everything the server serves."""
        for entry in self.root.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
