"""Fetch the real daemons the tests talk to, without installing any of them.

Run as ``python3 tests/servers/install.py``. The Debian packages are downloaded with
``apt-get download`` and unpacked with ``dpkg -x`` into ``build/daemons/`` of the checkout:
the FTP servers conflict with each other as installed packages, but live side by side as
folders. Nothing is installed system-wide, no maintainer script runs, no service starts.

Needs Debian's ``apt`` and ``dpkg``. Root is needed only if the package lists have to be
refreshed. Runs again at no cost: a stamp file remembers what is there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2] / "build" / "daemons"

PACKAGES = (
    "postfix",
    "vsftpd",
    "proftpd-core",
    "proftpd-mod-crypto",
    "pure-ftpd",
    "pure-ftpd-common",
    "sasl2-bin",
    "libsasl2-2",
    "libsasl2-modules",
    "libsasl2-modules-db",
    "dovecot-core",
    "dovecot-submissiond",
    "dovecot-lmtpd",
    "exim4-daemon-heavy",
    "microsocks",
    "tinyproxy-bin",
    "nftables",
)
"""The packages the tests want; the libraries these need are found out by the solver."""

PROGRAMS = {
    "postfix-master": "usr/lib/postfix/sbin/master",
    "postfix-smtpd": "usr/lib/postfix/sbin/smtpd",
    "saslpasswd2": "usr/sbin/saslpasswd2",
    "vsftpd": "usr/sbin/vsftpd",
    "proftpd": "usr/sbin/proftpd",
    "pure-ftpd": "usr/sbin/pure-ftpd",
    "pure-pw": "usr/bin/pure-pw",
    "dovecot": "usr/sbin/dovecot",
    "dovecot-submission": "usr/lib/dovecot/submission",
    "dovecot-lmtp": "usr/lib/dovecot/lmtp",
    "exim": "usr/sbin/exim4",
    "smtp-sink": "usr/sbin/smtp-sink",
    "microsocks": "usr/bin/microsocks",
    "tinyproxy": "usr/bin/tinyproxy",
    "nft": "usr/sbin/nft",
}
"""The programs the tests start, below the unpacked root."""

MODULES = (
    "usr/lib/proftpd/mod_tls.so",
    "usr/lib/proftpd/mod_digest.so",
    "usr/lib/proftpd/mod_deflate.so",
    "usr/lib/*/sasl2/libplain.so",
    "usr/lib/*/sasl2/libsasldb.so",
    "usr/lib/dovecot/modules/libssl_iostream_openssl.so",
    "usr/lib/dovecot/modules/lib10_quota_plugin.so",
)
"""What those programs load at run time, as globs below the unpacked root."""


class InstallError(Exception):
    """The daemons could not be made ready; the message says what to do about it."""


def say(text: str) -> None:
    """Print one line of progress."""
    print(f"daemons: {text}", flush=True)


def run(*command: str, cwd: Path | None = None, aloud: bool = False) -> str:
    """Run a command and return its standard output; its failure is an InstallError.

    ``aloud`` repeats what it says on standard error even if it succeeds.
    """
    try:
        done = subprocess.run(
            command, cwd=cwd, env={**os.environ, "LC_ALL": "C"}, capture_output=True, text=True, check=False
        )
    except FileNotFoundError as missing:
        raise InstallError(f"{command[0]} is not here: a Debian-like system is needed") from missing
    if done.returncode != 0:
        raise InstallError(f"`{' '.join(command)}` failed ({done.returncode}):\n{done.stderr.strip()}")
    for line in done.stderr.splitlines() if aloud else ():
        say(line)
    return done.stdout


def refresh_lists() -> None:
    """Run ``apt-get update``, through sudo when not root."""
    command = ["apt-get", "update", "-qq"]
    if os.geteuid() != 0:
        command = ["sudo", "-n", *command]
    say("refreshing the package lists: " + " ".join(command))
    run(*command, aloud=True)  # it succeeds, with warnings, even when nothing could be reached


def needed() -> list[str]:
    """Every package to unpack: those named, and the libraries they need that are not here.

    Each is resolved on its own, in a simulation, because together they conflict.
    """
    found = set(PACKAGES)
    for package in PACKAGES:
        plan = run("apt-get", "-s", "-qq", "--no-install-recommends", "install", package)
        for line in plan.splitlines():
            words = line.split()
            if len(words) > 1 and words[0] == "Inst" and words[1].startswith("lib"):
                found.add(words[1])
    return sorted(found)


def download(into: Path) -> list[Path]:
    """Download every needed package into the folder and return the archives."""
    into.mkdir(parents=True)
    # A sandboxed download needs a folder the _apt user may write to; a checkout need not be one.
    options = ("-qq", "-o", "APT::Sandbox::User=root")
    run("apt-get", *options, "download", *needed(), cwd=into)
    return sorted(into.glob("*.deb"))


def download_with_fresh_lists(into: Path) -> list[Path]:
    """Download; if the lists are absent or out of date, refresh them once and try again."""
    try:
        return download(into)
    except InstallError as stale:
        say(f"not downloadable with the package lists at hand ({str(stale).splitlines()[-1].strip()})")
        refresh_lists()
        shutil.rmtree(into, ignore_errors=True)
        return download(into)


def library_folders(root: Path = ROOT) -> list[Path]:
    """The folders of shared libraries below the unpacked root, for ``LD_LIBRARY_PATH``."""
    folders = [*root.glob("usr/lib/*-linux-gnu*"), *root.glob("lib/*-linux-gnu*")]
    folders += [root / "usr/lib", root / "usr/lib/postfix", root / "usr/lib/dovecot"]
    return [folder for folder in folders if folder.is_dir()]


def environment(root: Path = ROOT) -> dict[str, str]:
    """The environment variables an unpacked program needs to find its libraries."""
    return {"LD_LIBRARY_PATH": ":".join(map(str, library_folders(root)))}


def overlaid(*, root: Path = ROOT, etc: Path | None = None) -> list[str]:
    """What to put before a command so that it sees the unpacked packages laid over ``/usr``.

    For programs with folders below ``/usr`` built in; ``etc`` is a folder to be laid over ``/etc``
    in the same way. Nobody else sees it: it happens in a mount namespace that ends with the
    command. Needs root.
    """
    mounts = [(root / "usr", "/usr")] + ([(etc, "/etc")] if etc else [])
    steps = [f"mount -t overlay -o 'lowerdir={upper}:{lower}' starttls {lower}" for upper, lower in mounts]
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", " && ".join([*steps, 'exec "$@"']), "sh"]


def files_to_check(root: Path) -> Iterator[Path]:
    """The programs and modules that must be there and must load."""
    for program in PROGRAMS.values():
        yield root / program
    for pattern in MODULES:
        yield next(root.glob(pattern), root / pattern)


def missing_libraries(root: Path) -> list[str]:
    """What is absent from the unpacked tree: files, or shared libraries they want."""
    problems: list[str] = []
    for file in files_to_check(root):
        if not file.is_file():
            problems.append(f"{file.relative_to(root)} is not in the packages")
            continue
        linked = subprocess.run(
            ["ldd", str(file)],
            env={**os.environ, **environment(root), "LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=False,
        )
        problems += [
            f"{file.relative_to(root)} wants {line.split()[0]}"
            for line in linked.stdout.splitlines()
            if line.endswith("not found")
        ]
    return problems


def recipe() -> dict[str, object]:
    """What the stamp must say for an unpacked tree to be up to date."""
    return {"packages": list(PACKAGES), "architecture": run("dpkg", "--print-architecture").strip()}


def is_ready(root: Path = ROOT) -> bool:
    """Whether the tree was unpacked by this recipe and its programs are still there."""
    try:
        stamp = json.loads((root / "stamp.json").read_text())
    except (OSError, ValueError):
        return False
    return stamp.get("recipe") == recipe() and all(file.is_file() for file in files_to_check(root))


def unpack(archives: Iterable[Path], root: Path) -> list[str]:
    """Unpack the archives below the root; return their ``name version`` lines."""
    root.mkdir(parents=True)
    unpacked = []
    for archive in archives:
        name = run("dpkg-deb", "--show", "--showformat=${Package} ${Version}", str(archive))
        say(f"unpacking {name}")
        run("dpkg", "-x", str(archive), str(root))
        unpacked.append(name)
    return unpacked


def install(root: Path = ROOT) -> None:
    """Make the unpacked daemons available below ``root``; do nothing if they are."""
    if is_ready(root):
        say(f"ready in {root}")
        return
    say(f"fetching {', '.join(PACKAGES)} and the libraries they need, into {root} (nothing is installed)")
    archives, fresh = root.with_name("daemons.archives"), root.with_name("daemons.partial")
    for leftover in (archives, fresh):
        shutil.rmtree(leftover, ignore_errors=True)
    unpacked = unpack(download_with_fresh_lists(archives), fresh)
    problems = missing_libraries(fresh)
    if problems:
        raise InstallError("the unpacked programs would not start:\n  " + "\n  ".join(problems))
    (fresh / "stamp.json").write_text(json.dumps({"recipe": recipe(), "unpacked": unpacked}, indent=1) + "\n")
    shutil.rmtree(root, ignore_errors=True)
    fresh.rename(root)
    shutil.rmtree(archives)
    say(f"ready in {root}")


if __name__ == "__main__":
    try:
        install()
    except InstallError as error:
        sys.exit(f"daemons: {error}")
