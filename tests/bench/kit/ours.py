"""Our own clients: built from this tree, run like everybody else's."""

import shutil
from pathlib import Path

from . import paths, provision
from .clients import CONCURRENT, EVERYWHERE, HARNESS, ONE_OFF, Client, Run, program, python

CLI = paths.BINARIES / "starttls"
WASM = "wasm32-wasip2"
COMPONENT = paths.CARGO_TARGET / WASM / "release" / "bench-ours.wasm"
HOST = paths.BINARIES / "examples" / "host"
WHEELS = paths.BUILD / "wheels"
IN_WASM = EVERYWHERE - {"ftp-tree"}
"""A component has one thread, and no directory to write to here."""


def build() -> None:
    """All of them."""
    provision.say("building our own clients (minutes, at first)")
    manifest = paths.BENCH / "ours-rs" / "Cargo.toml"
    # The dependencies that are shipped are the ones measured, so the lock file is the project's.
    shutil.copy(paths.ROOT / "Cargo.lock", manifest.parent)
    provision.cargo(manifest)
    provision.cargo(paths.ROOT / "Cargo.toml", "--locked", "--package", "starttls", "--bin", "starttls")
    wheel()
    component()


def component() -> None:
    """The Rust program again, for WebAssembly, and the project's embedding to run it in."""
    manifest = paths.BENCH / "ours-rs" / "Cargo.toml"
    provision.cargo(manifest, "--target", WASM)
    # Optimised, for it copies every byte in and out; optimised as a whole program it would take half an hour.
    quickly = ["--config", "profile.release.lto=false", "--config", "profile.release.codegen-units=16"]
    embedding = ["--locked", "--package", "starttls-tests", "--example", "host"]
    provision.cargo(paths.ROOT / "Cargo.toml", *embedding, *quickly)


def wheel() -> None:
    """Build the wheel as it is shipped, and install it."""
    shutil.rmtree(WHEELS, ignore_errors=True)
    maturin = paths.VENV_PYTHON.parent / "maturin"
    options: list[str | Path] = [
        "--quiet",
        "--release",
        "--locked",
        "--interpreter",
        paths.VENV_PYTHON,
        "--out",
        WHEELS,
    ]
    provision.run(maturin, "build", *options, cwd=paths.ROOT, CARGO_TARGET_DIR=str(paths.CARGO_TARGET))
    provision.pip("install", "--no-deps", "--force-reinstall", *map(str, WHEELS.glob("*.whl")))


def cli(run: Run) -> list[str]:
    """The command line tool; the whole process is measured, as with others."""
    options = ["--ca-file", run.ca_file]
    if run.operation.startswith("smtp"):
        url = f"smtp://user:password@localhost:{run.port}"
        envelope = ["--from", "a@example.com", "--to", "b@example.com"]
        return [str(CLI), "send", url, *envelope, "--file", run.argument, *options]
    base = f"ftp://user:password@localhost:{run.port}"
    match run.operation:
        case "ftp-upload":
            return [str(CLI), "put", run.argument, f"{base}/up/upload.bin", *options]
        case "ftp-list":
            return [str(CLI), "ls", f"{base}/{run.argument}/", *options]
        case _:
            return [str(CLI), "get", f"{base}/{run.argument}", "/dev/null", *options]


def in_wasm(run: Run) -> list[str]:
    """The Rust program in WebAssembly, with sockets to the loopback interface and the files it needs."""
    grants = ["--allow=127.0.0.1:*", "--allow=[::1]:*"]
    directories = ["--dir", str(paths.DATA), "--dir", str(paths.PKI)]
    return [str(HOST), str(COMPONENT), *grants, "run", *directories, "--", *run.words()]


def clients() -> list[Client]:
    """One row for each way to use the project."""
    script = paths.BENCH / "ours-py" / "ours.py"
    harness = {"PYTHONPATH": HARNESS}
    found = []
    for protocol in ("smtp", "ftp"):
        found += [
            Client("starttls", "Rust", protocol, program("bench-ours"), is_ours=True),
            Client("starttls", "Python", protocol, python(script, "sync"), harness, is_ours=True),
            Client(
                "starttls",
                "Python asyncio",
                protocol,
                python(script, "asyncio"),
                harness,
                is_ours=True,
                only=CONCURRENT,
            ),
            Client("starttls", "WebAssembly", protocol, in_wasm, is_ours=True, only=IN_WASM),
            Client("starttls", "command line", protocol, cli, is_ours=True, is_tool=True, only=ONE_OFF),
        ]
    return found
