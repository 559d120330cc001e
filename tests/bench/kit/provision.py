"""Installs and builds what the benchmark needs, below ``build/bench``, and says so."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from . import paths

RUST_PEERS = ("peer-lettre", "peer-mail-send", "peer-suppaftp")
MATURIN = "maturin==1.16.0"


def say(text: str) -> None:
    """Progress, for people; the results alone go to standard output."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def run(*command: str | Path, cwd: Path | None = None, **environment: str) -> None:
    """Run a command; its output is shown, a failure ends the benchmark."""
    try:
        subprocess.run(command, cwd=cwd, env=os.environ | environment, check=True, stdout=sys.stderr)
    except FileNotFoundError:
        raise SystemExit(f"bench: {command[0]} is not here: please install it") from None
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"bench: {' '.join(map(str, command))} ended with {error.returncode}") from None


def cargo(manifest: Path, *arguments: str) -> None:
    """Build from a workspace of the benchmark, optimised."""
    options: list[str | Path] = [
        "--quiet",
        "--release",
        "--target-dir",
        paths.CARGO_TARGET,
        "--manifest-path",
        manifest,
    ]
    # From the root, whose settings for WebAssembly hold there.
    run("cargo", "build", *options, *arguments, cwd=paths.ROOT)


def server() -> None:
    """The load server and the meter."""
    say("building the load server")
    cargo(paths.BENCH / "server" / "Cargo.toml", "--locked")


def peers() -> None:
    """The peers in each language that is here."""
    say(f"building the Rust peers (minutes, at first): {', '.join(RUST_PEERS)}")
    for package in RUST_PEERS:
        # One at a time, so that no peer's features reach another.
        cargo(paths.BENCH / "peers" / "rust" / "Cargo.toml", "--locked", "--package", package)
    venv()
    if has_node():
        npm()
    else:
        say("Node.js is not here: its peers are left out")
    if not shutil.which("curl"):
        say("curl is not here: it is left out")


def has_node() -> bool:
    return bool(shutil.which("node") and shutil.which("npm"))


def venv() -> None:
    """A virtual environment with the Python peers and maturin."""
    requirements = paths.BENCH / "peers" / "python" / "requirements.txt"
    if not paths.VENV_PYTHON.exists():
        say(f"creating {paths.VENV_PYTHON.parent.parent.relative_to(paths.ROOT)}")
        run(sys.executable, "-m", "venv", paths.VENV_PYTHON.parent.parent)
    stamp = Stamp(paths.BUILD / "venv" / "installed", requirements.read_bytes() + MATURIN.encode())
    if not stamp.is_current():
        say(f"installing from PyPI: {' '.join([*requirements.read_text().split(), MATURIN])}")
        pip("install", "--requirement", str(requirements), MATURIN)
        stamp.write()


def pip(*arguments: str) -> None:
    run(paths.VENV_PYTHON, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments)


def npm() -> None:
    """The Node.js peers, exactly as locked."""
    source = paths.BENCH / "peers" / "node"
    manifests = [source / "package.json", source / "package-lock.json"]
    stamp = Stamp(paths.BUILD / "npm" / "installed", b"".join(path.read_bytes() for path in manifests))
    if stamp.is_current():
        return
    say("installing from npm: nodemailer, basic-ftp")
    directory = paths.NODE_MODULES.parent
    directory.mkdir(parents=True, exist_ok=True)
    for path in manifests:
        shutil.copy(path, directory)
    run("npm", "ci", "--silent", "--no-audit", "--no-fund", cwd=directory)
    stamp.write()


class Stamp:
    """Remembers what an installation was made from."""

    def __init__(self, path: Path, content: bytes) -> None:
        self._path = path
        self._digest = hashlib.sha256(content).hexdigest()

    def is_current(self) -> bool:
        return self._path.exists() and self._path.read_text() == self._digest

    def write(self) -> None:
        self._path.write_text(self._digest)


def versions(commands: Sequence[Sequence[str]]) -> list[str]:
    """What each command says it is, of those that are here."""
    lines = []
    for command in commands:
        if shutil.which(command[0]):
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            name, *words = result.stdout.splitlines()[0].split(maxsplit=2)
            lines.append(" ".join([name, *words[:1]] if words else [command[0], name]))
    return lines
