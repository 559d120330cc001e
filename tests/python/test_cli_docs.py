"""The pages about the command line: their examples run, their tables are the program's."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.cli import DEADLINE, PROGRAM, environment, starttls
from tests.conftest import Servers
from tests.servers.ftp import PASSWORD, FTPServer
from tests.servers.postfix import PostfixServer

PRIVATE_KEY = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
PAGE = Path(__file__).parents[2] / "docs/cli.md"


VERBS = "send ask get put mirror fxp ls mkdir mv rm chmod hash site quote probe".split()


def examples(page: Path) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def on_our_servers(example: str, postfix: PostfixServer, ftp: FTPServer) -> str:
    """The example, with the test's servers in place of those it names."""
    user, there = quote(postfix.user, ""), f"localhost:{ftp.port}{ftp.directory}"
    for name, ours in {
        "smtp://ann@mail.example.org": f"smtp://{user}@localhost:{postfix.port}",
        "smtps://ann@mail.example.org": f"smtps://{user}@localhost:{postfix.implicit_port}",
        "smtp://mail.example.org": f"smtp://localhost:{postfix.port}",
        "ftp://ann@files.example.org": f"ftp://{ftp.user}@{there}",
        "ftp://ann@other.example.org": f"ftp://{ftp.user}@{there}",
        "ftp://files.example.org": f"ftp://localhost:{ftp.port}",
        "example.net": postfix.domain,
        " old/": f" {ftp.path('old/')}",
        "correct-horse": shlex.quote(PASSWORD),
    }.items():
        example = example.replace(name, ours)
    assert "example.org/" not in example and "@mail" not in example
    return example


def test_examples(postfix: PostfixServer, servers: Servers, tmp_path: Path) -> None:
    proftpd = servers.ftp("proftpd-copying", None)
    proftpd.put("old-reports/july", b"rain\n")
    (tmp_path / "message.eml").write_bytes(b"From: ann@example.org\nSubject: hello\n\nHello.\n")
    (tmp_path / "reminder.eml").write_bytes(b"From: ann@example.org\nSubject: hello again\n\nStill there?\n")
    (tmp_path / "dkim.pem").write_bytes(PRIVATE_KEY)
    report = bytes(range(256)) * 100
    (tmp_path / "report.pdf").write_bytes(report)
    blocks = examples(PAGE)
    page = "\n".join(on_our_servers(block, postfix, proftpd) for block in blocks)
    trust = f'starttls() {{ {shlex.quote(str(PROGRAM))} --ca-file {shlex.quote(str(postfix.ca_file))} "$@"; }}\n'
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", trust + page],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for verb in VERBS:
        assert any(f"starttls {verb} " in block for block in blocks), verb
    assert len(postfix.messages(10)) == 10
    assert sorted(path.name for path in proftpd.root.iterdir()) == [
        "copy",
        "from-files.pdf",
        "old-reports",
        "piped.pdf",
        "report.pdf",
    ]
    assert (proftpd.root / "old-reports/july").stat().st_mode & 0o777 == 0o750
    assert (proftpd.root / "from-files.pdf").read_bytes() == (proftpd.root / "piped.pdf").read_bytes() == report
    for name in ("copy.pdf", "half.pdf"):
        assert (tmp_path / name).read_bytes() == report


def test_exit_codes_are_those_of_the_help() -> None:
    table = re.findall(r"^\| (\d+) \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    told = re.findall(r"^ +(\d+)  (.*)$", starttls("--help").out.decode(), re.MULTILINE)
    assert table == told and len(table) == 14


def test_every_verb_is_told() -> None:
    told = re.search(r"^Commands:\n(.*?)\n\n", starttls("--help").out.decode(), re.MULTILINE | re.DOTALL)
    assert told and sorted(re.findall(r"^  (\w+)", told[1], re.MULTILINE)) == sorted([*VERBS, "help"])


def test_every_flag_of_every_verb_is_told() -> None:
    page = PAGE.read_text()
    flags = re.findall(r"^ .*?(--[a-z-]+)", starttls("ls", "--help").out.decode(), re.MULTILINE)
    assert len(flags) > 14
    for flag in flags:
        assert flag == "--help" or f"`{flag}" in page or f", `{flag}`" in page, flag
