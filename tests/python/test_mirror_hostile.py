"""Trees of servers that lie: nothing outside the local root is touched, and there is an end to everything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import starttls

from tests.cli import starttls as run
from tests.python.faces import Face
from tests.python.liar import liar
from tests.python.scripted import scripted
from tests.servers.pki import PKI


def entry(name: str, kind: str = "file") -> str:
    return f"type={kind};size=4;modify=20200102030405; {name}\r\n"


NAMES = ["..", ".", "/etc/x", "a/../../b", "sub/../../y", "../x", "C:\\x", "..\\z", "a\0b", "x" * 300, "\x7f", "ok"]

LINKS = {
    ".": "here",
    "..": "up",
    "/etc": "etc",
    "../../../etc/passwd": "passwd",
    "folder/..": "round",
    "folder": "folder2",
}


def everything(path: str) -> str:
    if path.strip("./"):
        return entry("inner") + entry("..", "dir") + entry("../../z", "dir")
    files = "".join(map(entry, NAMES))
    directories = "".join(entry(name, "dir") for name in ["folder", "..", "../out", "/abs"])
    return files + directories + "".join(entry(name, f"OS.unix=slink:{to}") for to, name in LINKS.items())


def check(outer: Path, stories: list[tuple[str, str]]) -> None:
    """Only what has a name of its own came, and it came where it belongs."""
    there = sorted(str(path.relative_to(outer)) for path in outer.rglob("*"))
    assert there == ["here", "here/folder", "here/folder/inner", "here/folder2", "here/folder2/inner", "here/ok"]
    assert (outer / "here/ok").read_text() == "evil"
    failed = [path for path, action in stories if action == "failed"]
    assert {"/etc/x", "a/../../b", "../x", "x" * 300, "../out", "/abs", "folder/../../z"} <= set(failed)
    skipped = {path for path, action in stories if action == "skipped"}
    assert skipped == {"here", "up", "etc", "passwd", "round"}


def test_names_and_links_that_would_be_other_places(face: Face, pki: PKI, tmp_path: Path) -> None:
    tls = starttls.TLSConfig(ca_file=pki.ca_file)
    here = tmp_path / "outer/here"
    with (
        scripted(liar(pki, everything)) as server,
        face.ftp(f"ftp://ann:secret@localhost:{server.port}", tls=tls) as ftp,
    ):
        report = ftp.mirror("", here, parallel=1, symlinks="follow")
    assert not report.complete
    check(tmp_path / "outer", [(file.path, file.action) for file in report.files])


def test_the_command_line_is_no_easier_to_fool(pki: PKI, tmp_path: Path) -> None:
    with scripted(liar(pki, everything)) as server:
        url = f"ftp://ann:secret@localhost:{server.port}"
        words: list[Any] = ["mirror", url, tmp_path / "outer/here", "-j", "1", "--symlinks", "follow", "--json"]
        done = run(*words, "--ca-file", pki.ca_file)
    assert done.code == 79
    *stories, report = [json.loads(line) for line in done.out.splitlines()]
    assert report["failed"] and not report["complete"]
    check(tmp_path / "outer", [(story["path"], story["action"]) for story in stories])


def test_a_tree_without_end_has_one(face: Face, pki: PKI, tmp_path: Path) -> None:
    tls = starttls.TLSConfig(ca_file=pki.ca_file)
    with (
        scripted(liar(pki, lambda _: entry("d", "dir"))) as server,
        face.ftp(f"ftp://ann:secret@localhost:{server.port}", tls=tls) as ftp,
    ):
        report = ftp.mirror("", tmp_path / "here", parallel=1)
    assert (report.created, report.failed) == (100, 1)
    assert report.failures[0].reason == "deeper than directories may be"


def test_links_planted_meanwhile_are_not_followed(face: Face, pki: PKI, tmp_path: Path) -> None:
    outside, here = tmp_path / "outside", tmp_path / "here"
    outside.mkdir()

    def listing(path: str) -> str:
        if path:
            # It was made for us, and now it is something else.
            (here / "folder").rmdir()
            (here / "folder").symlink_to(outside)
            return entry("stolen")
        return entry("folder", "dir")

    tls = starttls.TLSConfig(ca_file=pki.ca_file)
    with (
        scripted(liar(pki, listing)) as server,
        face.ftp(f"ftp://ann:secret@localhost:{server.port}", tls=tls) as ftp,
    ):
        report = ftp.mirror("", here, parallel=1)
    assert not list(outside.iterdir())
    assert report.failed == 1


@pytest.mark.parametrize("error", [ValueError("enough"), KeyboardInterrupt()])
def test_what_a_callback_raises_ends_it(face: Face, pki: PKI, tmp_path: Path, error: BaseException) -> None:
    tls = starttls.TLSConfig(ca_file=pki.ca_file)

    def on_file(_: starttls.FileReport) -> None:
        raise error

    with (
        scripted(liar(pki, lambda _: entry("a") + entry("b"))) as server,
        face.ftp(f"ftp://ann:secret@localhost:{server.port}", tls=tls) as ftp,
        pytest.raises(type(error)),
    ):
        ftp.mirror("", tmp_path / "here", parallel=1, on_file=on_file)
