"""The page about mail: its Python examples are one program, its shell examples one script, and both run as they stand.

Only the names of servers, the password and the record of a certificate are those of local servers.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.cli import DEADLINE, PROGRAM, environment
from tests.servers import proxies
from tests.servers.dovecot import DovecotServer
from tests.servers.mail import PASSWORD
from tests.servers.pki import PKI
from tests.servers.postfix import PostfixServer
from tests.servers.proxies import ProxyServer

PAGE = Path(__file__).parents[2] / "docs/smtp.md"
POLICY = "version: STSv1\r\nmode: enforce\r\nmx: localhost\r\nmax_age: 86400\r\n"


def blocks(language: str) -> list[str]:
    """The fenced examples of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def proxy() -> Iterator[ProxyServer]:
    with proxies.socks5() as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path, dovecot: DovecotServer) -> Path:
    """The files that the page speaks of."""
    text = f"From: Ann <ann@example.org>\nTo: Bob <bob@{dovecot.domain}>\nSubject: hello\n\nHello.\n"
    for name in ("message.eml", "reminder.eml"):
        (tmp_path / name).write_text(text)
    key = Ed25519PrivateKey.generate()
    (tmp_path / "dkim.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "mta-sts.txt").write_bytes(POLICY.encode())
    (tmp_path / "token").write_text(dovecot.token())
    return tmp_path


@pytest.fixture
def localised(postfix: PostfixServer, dovecot: DovecotServer, proxy: ProxyServer, pki: PKI) -> dict[str, str]:
    """What stands on the page, and what it stands for here."""
    certificate = x509.load_pem_x509_certificate(pki.server.cert_file.read_bytes())
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    user = quote(postfix.user, "")
    return {
        "smtp://ann@mail.example.org": f"smtp://{user}@localhost:{postfix.port}",
        "smtps://ann@mail.example.org": f"smtps://{user}@localhost:{postfix.implicit_port}",
        "smtp://ann@login.example.org": f"smtp://{quote(dovecot.user, '')}@localhost:{dovecot.port}",
        "lmtp://store.example.org": f"lmtp://localhost:{dovecot.lmtp_port}",
        "smtps://mail.example.org": f"smtps://localhost:{postfix.implicit_port}",
        "smtp://mail.example.org": f"smtp://localhost:{postfix.port}",
        '465, "mail.example.org."': f'{postfix.implicit_port}, "localhost."',
        'user="ann"': f'user="{postfix.user}"',
        "socks5://proxy.example.org": proxy.url,
        "192.0.2.7": "127.0.0.1",
        "example.net": postfix.domain,
        "00" * 32: hashlib.sha256(key).hexdigest(),
    }


def here(example: str, localised: dict[str, str], password: str) -> str:
    for name, ours in localised.items():
        example = example.replace(name, ours)
    example = example.replace("correct-horse", password)
    assert not re.search(r"//\S*example\.org", example), "a server that is none of ours"
    return example


def run(command: list[str], folder: Path, ca_file: Path) -> list[str]:
    # The authority is found where the platform's are: the examples trust the platform, as a reader's program would.
    trust = {"SSL_CERT_FILE": str(ca_file), "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        command, cwd=folder, env=environment(trust), capture_output=True, text=True, timeout=DEADLINE, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    return done.stdout.splitlines()


def test_python(localised: dict[str, str], folder: Path, postfix: PostfixServer, dovecot: DovecotServer) -> None:
    program = here("\n".join(blocks("python")), localised, PASSWORD)
    shown = run([sys.executable, "-W", "error", "-c", program], folder, postfix.ca_file)
    sent = [line for line in shown if line.startswith("accepted")]
    assert sent[0].endswith(" TLSv1.3") and sent[1:5] == ["accepted {}", "accepted {}", "accepted", "accepted"]
    assert "OAUTHBEARER None" in shown and "PLAIN" in shown
    assert any(line.startswith("refused: unknown@") and line.endswith(" 550 5.1.1") for line in shown)
    assert any(line.startswith("dane-ee ") for line in shown) and "satisfied" in shown
    assert "by OpenSSL: authorities True" in shown
    assert "C: AUTH PLAIN ***" in shown[-40:]
    assert "asked: accepted" in shown
    assert f"stored: ('one@{dovecot.domain}', 'two@{dovecot.domain}') ['nobody@{dovecot.domain}']" in shown
    assert any(b"\r\nline 999\r\n" in copy.content() for copy in postfix.messages(8))


def test_shell(localised: dict[str, str], folder: Path, postfix: PostfixServer, dovecot: DovecotServer) -> None:
    script = here("".join(blocks("sh")), localised, shlex.quote(PASSWORD))
    shown = run(["bash", "-euo", "pipefail", "-c", script], folder, postfix.ca_file)
    assert any(line.startswith("accepted ") for line in shown)
    elsewhere = script.count(f":{dovecot.port} ") + script.count(f":{dovecot.lmtp_port} ")
    sent = len(re.findall(r"(?:message|reminder)\.eml", script)) - elsewhere
    assert len(postfix.messages(sent)) == sent
    assert len(dovecot.lmtp_box(f"one@{dovecot.domain}").messages()) == 1


def test_the_languages_have_examples() -> None:
    for language, least in {"python": 14, "sh": 9, "rust,no_run": 4}.items():
        assert len(blocks(language)) >= least
