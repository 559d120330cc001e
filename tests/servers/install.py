"""Fetch the real daemons the tests talk to, without installing any of them.

Run as ``python3 tests/servers/install.py``. The Debian packages are downloaded with
``apt-get download`` and unpacked into ``build/daemons/`` of the checkout: the FTP servers
conflict with each other as installed packages, but live side by side as folders. Nothing is
installed system-wide, no maintainer script runs, no service starts.

Needs Debian's ``apt`` and ``dpkg``. Root is needed only if the package lists have to be
refreshed. Runs again at no cost: a list beside the files remembers what is there, and a
package that is new here is fetched alone.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
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
    "dovecot-imapd",
    "dovecot-pop3d",
    "dovecot-sieve",
    "dovecot-managesieved",
    "exim4-daemon-heavy",
    "microsocks",
    "tinyproxy-bin",
    "nftables",
    "postgresql-15",
    "mariadb-server-core",
    "slapd",
    "inn2",
    "inn2-inews",
    "prosody",
    "lua5.4",
    "lua-bitop",
    "lua-expat",
    "lua-filesystem",
    "lua-sec",
    "lua-socket",
    "gnutls-bin",
    "openssl",
)
"""The packages the tests want; the libraries these need are found out by the solver."""

WITHOUT = ("libllvm14", "libz3-4")
"""Libraries left out: large, and for what the tests turn off (queries compiled to machine code)."""

LEFT_IN_THE_ARCHIVE = (
    "./usr/share/doc",
    "./usr/share/locale",
    "./usr/share/man",
    "./usr/lib/postgresql/15/lib/bitcode",
    "./usr/bin/innochecksum",
    "./usr/bin/mariadb-upgrade",
    "./usr/bin/resolveip",
    "./usr/share/mysql/fill_help_tables.sql",
)
"""Large files and folders that no test wants."""

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
    "dovecot-imap": "usr/lib/dovecot/imap",
    "dovecot-pop3": "usr/lib/dovecot/pop3",
    "dovecot-managesieve": "usr/lib/dovecot/managesieve",
    "exim": "usr/sbin/exim4",
    "smtp-sink": "usr/sbin/smtp-sink",
    "microsocks": "usr/bin/microsocks",
    "tinyproxy": "usr/bin/tinyproxy",
    "nft": "usr/sbin/nft",
    "postgres": "usr/lib/postgresql/15/bin/postgres",
    "initdb": "usr/lib/postgresql/15/bin/initdb",
    "mariadbd": "usr/sbin/mariadbd",
    "slapd": "usr/sbin/slapd",
    "nnrpd": "usr/lib/news/bin/nnrpd",
    "prosody": "usr/bin/prosody",
    "lua": "usr/bin/lua5.4",
    "gnutls-serv": "usr/bin/gnutls-serv",
    "openssl": "usr/bin/openssl",
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
    "usr/lib/dovecot/modules/settings/libmanagesieve_settings.so",
    "usr/lib/*/lua/5.4/lfs.so",
    "usr/lib/*/lua/5.4/lxp.so",
    "usr/lib/*/lua/5.4/socket/core.so",
    "usr/lib/*/lua/5.4/ssl.so",
    "usr/lib/prosody/util/net.so",
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


def plan(packages: Sequence[str]) -> list[str]:
    """What apt would do to install the packages, a line each: together, or in parts where they conflict."""
    try:
        return run("apt-get", "-s", "-qq", "--no-install-recommends", "install", *packages).splitlines()
    except InstallError:
        if len(packages) == 1:
            raise
        half = len(packages) // 2
        return plan(packages[:half]) + plan(packages[half:])


def needed(packages: Sequence[str]) -> list[str]:
    """Every package to unpack: those named, and the libraries they need that are not here."""
    found = set(packages)
    for line in plan(packages):
        # An old version in brackets, and the library is here.
        step, name, version, *_ = [*line.split(), "", "", ""]
        is_library = name.startswith("lib") and not name.endswith(("-dev", "-perl")) and name not in WITHOUT
        if step == "Inst" and is_library and not version.startswith("["):
            found.add(name)
    return sorted(found)


def download(packages: Sequence[str], into: Path) -> list[Path]:
    """Download the packages and what they need into the folder and return the archives."""
    into.mkdir(parents=True)
    # A sandboxed download needs a folder the _apt user may write to; a checkout need not be one.
    options = ("-qq", "-o", "APT::Sandbox::User=root")
    run("apt-get", *options, "download", *needed(packages), cwd=into)
    return sorted(into.glob("*.deb"))


def download_with_fresh_lists(packages: Sequence[str], into: Path) -> list[Path]:
    """Download; if the lists are absent or out of date, refresh them once and try again."""
    try:
        return download(packages, into)
    except InstallError as stale:
        say(f"not downloadable with the package lists at hand ({str(stale).splitlines()[-1].strip()})")
        refresh_lists()
        shutil.rmtree(into, ignore_errors=True)
        return download(packages, into)


def library_folders(root: Path = ROOT) -> list[Path]:
    """The folders of shared libraries below the unpacked root, for ``LD_LIBRARY_PATH``."""
    folders = [*root.glob("usr/lib/*-linux-gnu*"), *root.glob("lib/*-linux-gnu*")]
    folders += [*(root / "usr/lib" / name for name in ("", "postfix", "dovecot", "news"))]
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


def unpacked(root: Path = ROOT) -> dict[str, str]:
    """The version of each package in the tree; nothing if it is for another machine, or damaged."""
    try:
        said = json.loads((root / "packages.json").read_text())
    except (OSError, ValueError):
        return {}
    known: dict[str, str] = said["packages"]
    missing = [name for name in PACKAGES if name not in known]
    is_whole = missing or all(file.is_file() for file in files_to_check(root))
    return known if is_whole and said["architecture"] == architecture() else {}


def architecture() -> str:
    """What the packages are for."""
    return run("dpkg", "--print-architecture").strip()


def unpack(archive: Path, root: Path) -> tuple[str, str]:
    """Unpack an archive below the root; return its name and version."""
    name, version = run("dpkg-deb", "--show", "--showformat=${Package} ${Version}", str(archive)).split()
    say(f"unpacking {name} {version}")
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE) as content:
        excluded = [f"--exclude={path}" for path in LEFT_IN_THE_ARCHIVE]
        subprocess.run(["tar", "-xp", "-C", str(root), *excluded], stdin=content.stdout, check=True)
    return name, version


def install(root: Path = ROOT) -> None:
    """Make the unpacked daemons available below ``root``; do nothing if they are."""
    known = unpacked(root)
    wanted = [name for name in PACKAGES if name not in known]
    if not wanted:
        say(f"ready in {root}")
        return
    say(f"fetching {', '.join(wanted)} and the libraries they need, into {root} (nothing is installed)")
    archives = root.with_name("daemons.archives")
    shutil.rmtree(archives, ignore_errors=True)
    if not known:
        shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True, exist_ok=True)
    for archive in download_with_fresh_lists(wanted, archives):
        if archive.name.partition("_")[0] not in known:
            name, version = unpack(archive, root)
            known[name] = version
    problems = missing_libraries(root)
    if problems:
        raise InstallError("the unpacked programs would not start:\n  " + "\n  ".join(problems))
    said = {"architecture": architecture(), "packages": known}
    (root / "packages.json").write_text(json.dumps(said, indent=1) + "\n")
    shutil.rmtree(archives)
    say(f"ready in {root}")


if __name__ == "__main__":
    try:
        install()
    except InstallError as error:
        sys.exit(f"daemons: {error}")
