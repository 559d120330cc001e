"""README's examples, run as they stand: only host names and credentials are those of local servers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo.servers import Servers, running

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CLI = os.environ.get("STARTTLS_CLI", str(ROOT / "target/debug/starttls"))


def blocks(language: str) -> list[str]:
    """The fenced examples of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with running() as servers:
        Path(servers.files, "report.pdf").write_bytes(b"%PDF-1.7 demo\n" * 1000)
        yield servers


def localised(example: str, servers: Servers) -> str:
    """The example with its hosts and credentials replaced."""
    login = f"{servers.user}:{servers.password}"
    example = example.replace("ada:s3cret@", f"{login}@")
    example = example.replace("mail.example.org", f"localhost:{servers.smtp}")
    return example.replace("files.example.org", f"localhost:{servers.ftp}")


def run(command: list[str], servers: Servers, folder: Path) -> str:
    # The authority is found where the platform's are: the examples trust the platform, as a reader's program would.
    environment = {**os.environ, "SSL_CERT_FILE": servers.ca_file, "PATH": f"{Path(CLI).parent}:{os.environ['PATH']}"}
    (folder / "message.eml").write_bytes(b"From: ada@example.org\r\nTo: bob@example.org\r\n\r\nHello.\r\n")
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_there_are_examples() -> None:
    assert (len(blocks("python")), len(blocks("sh")), len(blocks("rust,no_run"))) == (2, 1, 1)


@pytest.mark.parametrize("number", range(2))
def test_python(number: int, servers: Servers, tmp_path: Path) -> None:
    example = localised(blocks("python")[number], servers)
    shown = run([sys.executable, "-W", "error", "-c", example], servers, tmp_path)
    if "SMTP" in example:
        assert shown.endswith("\n['accepted', 'accepted', 'accepted']\n")
    else:
        assert (tmp_path / "report.pdf").read_bytes() == Path(servers.files, "report.pdf").read_bytes()
        assert "14000" in shown


@pytest.mark.parametrize("number", range(3))
def test_shell(number: int, servers: Servers, tmp_path: Path) -> None:
    line = localised(blocks("sh")[0], servers).splitlines()[number]
    shown = run(["sh", "-c", line], servers, tmp_path)
    if " get " in line:
        assert (tmp_path / "report.pdf").read_bytes() == Path(servers.files, "report.pdf").read_bytes()
    if " probe " in line:
        assert "STARTTLS" in shown
