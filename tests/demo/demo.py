"""The main job on local servers, from every face: ``make demo``, or ``python -m tests.demo.demo [FACE...]``.

Each face sends the same message by STARTTLS, uploads the same file over FTP with AUTH TLS, lists it and
downloads it again, all with verification on. What the servers stored is compared with what was meant,
byte by byte; the exit code is 1 if anything differs. ``make`` says in the environment where the command
line, the component and its host were built.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from pathlib import Path

from tests.demo.servers import Servers, running

SENDER = "ann@example.org"
RECIPIENTS = ("bob@example.org", "carol@example.net")
PAYLOAD_SIZE = 3_000_001
TIMEOUT = 60
"""Seconds any one command may take."""


@dataclass(frozen=True)
class Job:
    """What every face is given: the servers, a message and a file, and a folder to work in."""

    servers: Servers
    folder: Path
    message: EmailMessage

    @property
    def message_file(self) -> Path:
        """The message as it must arrive: lines end in CRLF."""
        return self.folder / "message.eml"

    @property
    def upload(self) -> Path:
        """The file to upload."""
        return self.folder / "report.bin"

    @property
    def password_file(self) -> Path:
        """The password, for the command lines."""
        return self.folder / "password"

    def remote(self, face: str) -> str:
        """The name of the file on the server."""
        return f"report-{face}.bin"

    def download(self, face: str) -> Path:
        """The file to download to."""
        return self.folder / self.remote(face)


class Differs(Exception):
    """The servers have, or a face returned, something else than was meant."""


def prepare(servers: Servers, folder: Path) -> Job:
    """Write the message and the file that every face sends."""
    random_bytes = random.Random(0)
    message = EmailMessage(policy=policy.SMTP)
    message["From"] = f"Ann <{SENDER}>"
    message["To"] = ", ".join(RECIPIENTS)
    message["Subject"] = "The report, as promised"
    message["Date"] = "Sun, 22 Nov 2026 12:00:00 +0000"
    message["Message-ID"] = "<demo@example.org>"
    message.set_content("Here it is.\n.\n..and these lines begin with dots.\n")
    message.add_attachment(random_bytes.randbytes(50_000), "application", "octet-stream", filename="report.bin")
    job = Job(servers, folder, message)
    job.message_file.write_bytes(message.as_bytes())
    job.upload.write_bytes(random_bytes.randbytes(PAYLOAD_SIZE))
    job.password_file.touch(0o600)
    job.password_file.write_text(servers.password)
    return job


def with_python(job: Job) -> None:
    """Do the job with the Python package."""
    import starttls

    servers = job.servers
    tls = starttls.TLSConfig(ca_file=servers.ca_file)
    with starttls.SMTP(servers.smtp_url, password=servers.password, tls=tls, trace=print) as smtp:
        report = smtp.send(job.message)
    print(report)
    remote = job.remote("python")
    with starttls.FTP(servers.ftp_url, password=servers.password, tls=tls, trace=print) as ftp:
        print(ftp.upload(job.upload, remote))
        for entry in ftp.scandir("/"):
            print(entry)
        print(ftp.download(remote, job.download("python")))


def with_cli(job: Job) -> None:
    """Do the job with the command line."""
    by_commands("cli", job, [built("STARTTLS_CLI")])


def with_component(job: Job) -> None:
    """Do the job with the component, in a host that grants sockets to the servers' address only.

    All of its ports, since an FTP server chooses one for each transfer.
    """
    by_commands("component", job, [built("STARTTLS_HOST"), built("STARTTLS_COMPONENT"), "--allow=127.0.0.1:*"])


def by_commands(face: str, job: Job, program: list[str]) -> None:
    """Do the job by a program that knows the verbs of the command line."""
    servers = job.servers
    common = ["--ca-file", servers.ca_file, "--password-file", job.password_file.name, "--trace"]
    remote = f"{servers.ftp_url}/{job.remote(face)}"
    to = [option for recipient in RECIPIENTS for option in ("--to", recipient)]
    verbs = (
        ("send", servers.smtp_url, "--from", SENDER, *to, "-f", job.message_file.name),
        ("put", job.upload.name, remote),
        ("ls", f"{servers.ftp_url}/"),
        ("get", remote, job.download(face).name),
    )
    for verb in verbs:
        command(job.folder, *program, *verb, *common)


def built(variable: str) -> str:
    """The path of something built, from the environment."""
    path = os.environ.get(variable, "")
    if not Path(path).is_file():
        sys.exit(f"demo: {variable} names no file ({path!r}): run this by `make demo`")
    return str(Path(path).resolve())


def command(folder: Path, *words: str) -> None:
    """Run a command in the folder, shown; it must succeed."""
    print("$", shlex.join((Path(words[0]).name, *words[1:])), flush=True)
    done = subprocess.run(words, cwd=folder, stderr=subprocess.STDOUT, timeout=TIMEOUT, check=False)
    if done.returncode != 0:
        raise Differs(f"{Path(words[0]).name} exited with {done.returncode}")


def check(face: str, job: Job, before: set[Path]) -> None:
    """Compare what arrived with what was sent; ``before`` are the messages that were there already."""
    new = mailbox(job) - before
    if len(new) != 1:
        raise Differs(f"message on the server: {len(new)} new ones")
    message = new.pop()
    envelope = json.loads(message.with_suffix(".json").read_text())
    if envelope != {"sender": SENDER, "recipients": list(RECIPIENTS)}:
        raise Differs(f"envelope on the server: {envelope}")
    compare("message on the server", job.message_file, message)
    compare("file on the server", job.upload, Path(job.servers.files, job.remote(face)))
    compare("file downloaded", job.upload, job.download(face))


def mailbox(job: Job) -> set[Path]:
    """The messages the server has accepted so far."""
    return set(Path(job.servers.mail).glob("*.eml"))


def compare(what: str, sent: Path, arrived: Path) -> None:
    """Compare two files and say so."""
    if not arrived.is_file():
        raise Differs(f"{what}: {arrived.name} is not there")
    expected, found = sent.read_bytes(), arrived.read_bytes()
    if found != expected:
        raise Differs(f"{what}: {len(found)} bytes that differ from the {len(expected)} sent")
    print(f"= {what}: {len(found):,} bytes as sent, sha256 {hashlib.sha256(found).hexdigest()[:16]}…")


FACES: dict[str, Callable[[Job], None]] = {"python": with_python, "cli": with_cli, "component": with_component}


def main() -> int:
    """Do the job with every face asked for, all of them if none is named."""
    faces = sys.argv[1:] or list(FACES)
    with running() as servers, tempfile.TemporaryDirectory(prefix="starttls-demo-") as folder:
        job = prepare(servers, Path(folder))
        print(f"SMTP on port {servers.smtp}, FTP on port {servers.ftp}, a throwaway CA in {servers.ca_file}")
        failed = []
        for face in faces:
            print(f"\n=== {face} ===", flush=True)
            before = mailbox(job)
            try:
                FACES[face](job)
                check(face, job, before)
            except Exception as error:  # the other faces still have their turn
                print(f"! {type(error).__name__}: {error}")
                failed.append(face)
    print(f"\ndemo: {', '.join(failed)} failed" if failed else f"\ndemo: {', '.join(faces)}: all bytes as sent")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
