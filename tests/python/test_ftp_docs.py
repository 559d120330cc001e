"""The page about files: its Python examples are one program, its shell examples one script, and both run as they stand.

Only the names of servers and the password are those of a local server.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli import DEADLINE, PROGRAM, environment
from tests.conftest import Servers
from tests.servers.ftp import PASSWORD, FTPServer

PAGE = Path(__file__).parents[2] / "docs/ftp.md"
CONTENT = bytes(range(256)) * 500


def blocks(language: str) -> list[str]:
    """The fenced examples of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files that the page speaks of."""
    (tmp_path / "july.pdf").write_bytes(CONTENT)
    return tmp_path


def here(example: str, server: FTPServer, copying: FTPServer, password: str) -> str:
    able = f"ftp://{copying.user}@localhost:{copying.port}{copying.directory}"
    for name, ours in {
        "ftp://ann@one.example.org": able,
        "ftp://ann@other.example.org": able,
        "ftp://ann@files.example.org": f"ftp://{server.user}@localhost:{server.port}{server.directory}",
        "ftps://ann@files.example.org": f"ftps://{server.user}@localhost:{server.implicit_port}{server.directory}",
        "ftp://files.example.org": f"ftp://localhost:{server.port}",
        " old/": f" {server.path('old/')}",
        "correct-horse": password,
    }.items():
        example = example.replace(name, ours)
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


@pytest.fixture
def copying(servers: Servers) -> FTPServer:
    """Both ends of a copy from server to server."""
    return servers.ftp("proftpd-copying", None)


def test_python(proftpd_modules: FTPServer, copying: FTPServer, folder: Path) -> None:
    program = here("\n".join(blocks("python")), proftpd_modules, copying, PASSWORD)
    shown = run([sys.executable, "-W", "error", "-c", program], folder, proftpd_modules.ca_file)
    told: dict[str, list[str]] = {}
    for line in shown:
        key, _, value = line.partition(": ")
        told.setdefault(key, []).append(value)
    assert told["up"] == [f"verified {len(CONTENT)}"] and told["down"] == ["verified True True"]
    assert (folder / "copy.pdf").read_bytes() == CONTENT
    assert told["entry"][0].startswith(f"july.pdf file {len(CONTENT)} 20")
    assert told["walk"] == [" 1 0", "reports 0 1"] and told["size"] == [str(len(CONTENT))]
    assert told["set"] == ["2026-07-01 00:00:00+00:00"] and told["gone"] == ["True"]
    assert told["read"] == ["b'hello\\n'"] and told["awaited"] == ["verified TLSv1.3"]
    assert told["first"] == ["b'line 0\\n'"] and told["rest"] == ["b'the last line\\n'"]
    assert told["again"] in ([f"1000 {len(CONTENT) - 1000}"], [f"0 {len(CONTENT)}"]) and told["proof"] == ["verified"]
    assert (folder / "again.pdf").read_bytes() == CONTENT
    assert told["copied"] == ["verified True"]
    assert [path.name for path in copying.root.iterdir()] == ["july.pdf"]
    assert told["mirrored"] == ["2 True", "created 2026", "created 2026/july.txt"]
    assert (folder / "copies/2026/july.txt").read_text() == "the sea\n"
    assert told["same"] == ["True"] and told["bound"] == ["True"]
    assert told["error"] == ["550 data True"] and told["trace"] == ["True *  control closed"]
    assert told["state"] == ["notice"] and "data connections must resume" in told["reuse"][0]
    assert any(finding.startswith("session-reuse the server is set to demand it") for finding in told["finding"])
    assert sorted(path.name for path in proftpd_modules.root.iterdir()) == [
        "hello.txt",
        "lines.txt",
        "pictures",
        "reports",
    ]
    assert (proftpd_modules.root / "reports/july.pdf").read_bytes() == CONTENT


def test_shell(proftpd_modules: FTPServer, copying: FTPServer, folder: Path) -> None:
    script = here("".join(blocks("sh")), proftpd_modules, copying, shlex.quote(PASSWORD))
    shown = run(["bash", "-euo", "pipefail", "-c", script], folder, proftpd_modules.ca_file)
    assert (folder / "copy.pdf").read_bytes() == CONTENT
    assert any(line.endswith(" july.pdf") for line in shown) and "july.pdf: OK" in shown
    assert (copying.root / "from-one.pdf").read_bytes() == CONTENT
    assert any(line.startswith("session-reuse     NOTICE") for line in shown)
    assert any(line.startswith("writing ") and line.endswith("the file is deleted") for line in shown)
    assert sorted(path.name for path in proftpd_modules.root.iterdir()) == ["old", "photos"]
    assert (folder / "copies/2026/july.pdf").read_bytes() == CONTENT


def test_the_languages_have_examples() -> None:
    for language, least in {"python": 8, "sh": 3, "rust,no_run": 2}.items():
        assert len(blocks(language)) >= least


def test_the_topics_are_those_of_examinations() -> None:
    source = (PAGE.parents[1] / "core/src/ftp/doctor/mod.rs").read_text()
    known = set(re.findall(r'Self::\w+ => "([a-z-]+)"', source)) - {"good", "notice", "problem"}
    told = re.findall(r"^\| (`[a-z-]+`(?:, `[a-z-]+`)*) \|", PAGE.read_text().partition("| topic |")[2], re.MULTILINE)
    assert {topic for cell in told for topic in re.findall(r"`([a-z-]+)`", cell)} == known
