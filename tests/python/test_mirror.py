"""Trees made equal, by the command line against real daemons."""

from __future__ import annotations

import json
import os
import pickle
import random
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import starttls as package

from tests.cli import PROGRAM, Done, ca, environment, starttls
from tests.conftest import FTP_DAEMONS, Servers
from tests.python import measured
from tests.python.faces import Face, trusting
from tests.python.measured import CHECKOUT, command, measure
from tests.servers.ftp import FTPServer
from tests.servers.pki import PKI
from tests.servers.process import SERVANT

Tree = dict[str, bytes | None]
"""What is below a root: the contents of files, ``None`` for directories."""


def tree(root: Path) -> Tree:
    """What is there."""
    found: Tree = {}
    for folder, folders, files in os.walk(root):
        base = Path(folder).relative_to(root)
        found |= {str(base / name): None for name in folders}
        found |= {str(base / name): (Path(folder) / name).read_bytes() for name in files}
    return found


def grow(root: Path, files: int, *, size: int = 300, owner: bool = False) -> Tree:
    """Make a tree of so many files, ten in each directory, with times in the past."""
    source = random.Random(files)
    for number in range(files):
        folder = root / f"d{number // 100}" / f"e{number // 10 % 10} ü"
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"file {number}.dat"
        file.write_bytes(source.randbytes(source.randrange(size)))
        os.utime(file, (1_600_000_000, 1_600_000_000 + number))
    (root / "empty").mkdir()
    if owner:
        give(root)
    return tree(root)


def give(root: Path) -> None:
    """Make all of it the server's user's."""
    for folder, folders, files in os.walk(root):
        for name in [".", *folders, *files]:
            os.chown(Path(folder) / name, SERVANT.pw_uid, SERVANT.pw_gid)


def mirror(server: FTPServer, *arguments: str | Path) -> tuple[Done, list[dict[str, Any]], dict[str, Any]]:
    """Run it; what it told of each file, and of all."""
    words = [PROGRAM, "mirror", *map(str, arguments), *map(str, ca(server)), "--json"]
    ran = subprocess.run(words, capture_output=True, timeout=300, check=False, env=environment())
    done = Done(ran.returncode, ran.stdout, ran.stderr.decode())
    *stories, report = [json.loads(line) for line in done.out.splitlines()]
    return done, stories, report


@pytest.mark.parametrize("daemon", FTP_DAEMONS)
def test_a_tree_comes_and_goes_and_is_compared(servers: Servers, daemon: str, tmp_path: Path) -> None:
    server = servers.ftp(daemon, None)
    wanted = grow(server.root / "tree", 200, owner=True)
    url, here, back = server.url + "/tree", tmp_path / "here", server.url + "/a/b/back"
    done, stories, report = mirror(server, url, here)
    assert (done.code, done.err, report["failed"], report["complete"]) == (0, "", 0, True), done
    assert tree(here) == wanted
    files = sum(content is not None for content in wanted.values())
    assert (report["created"], report["updated"]) == (len(wanted), 0)
    assert sorted(story["path"] for story in stories) == sorted(wanted)
    # What is there is not transferred again.
    _, _, report = mirror(server, url, here)
    assert (report["created"], report["updated"], report["unchanged"], report["bytes"]) == (0, 0, files, 0)
    # The other way, into a directory that is not there yet; and again.
    done, _, report = mirror(server, here, back)
    assert (done.code, done.err) == (0, "")
    assert report["created"] == len(wanted)
    assert tree(server.root / "a/b/back") == wanted
    _, _, report = mirror(server, here, back)
    assert (report["created"], report["updated"], report["unchanged"], report["bytes"]) == (0, 0, files, 0), report
    # A file that changed, one that is new, and one that is gone.
    changed = here / "d0/e0 ü/file 1.dat"
    changed.write_bytes(b"changed")
    (here / "new").write_bytes(b"new")
    (here / "d0/e0 ü/file 2.dat").unlink()
    _, stories, report = mirror(server, here, back, "--delete", "--max-delete", "0")
    assert (report["updated"], report["created"], report["deleted"]) == (1, 1, 0)
    assert "at most 0" in report["deletions_refused"] and not report["complete"]
    _, stories, report = mirror(server, here, back, "--delete", "--max-delete", "1")
    assert [story["path"] for story in stories if story["action"] == "deleted"] == ["d0/e0 ü/file 2.dat"]
    assert report["complete"] and tree(server.root / "a/b/back") == tree(here)


def test_rules_links_and_what_cannot_be(vsftpd: FTPServer, tmp_path: Path) -> None:
    here, url = tmp_path / "here", vsftpd.url + "/there"
    (here / "sub").mkdir(parents=True)
    for name in ["a.txt", "b.log", "keep.log", "sub/c.txt", "new\nline"]:
        (here / name).write_text(name)
    (here / "link").symlink_to("a.txt")
    (here / "folder").symlink_to("sub")
    (here / "up").symlink_to(".")
    (here / "out").symlink_to("/etc/hostname")
    os.mkfifo(here / "pipe")
    rules = ("--include", "keep.log", "--exclude", "*.log")
    # A dry run does nothing.
    done, stories, report = mirror(vsftpd, here, url, *rules, "--dry-run")
    assert (done.code, report["dry_run"], report["created"]) == (79, True, 4)
    assert not (vsftpd.root / "there").exists()
    done, stories, report = mirror(vsftpd, here, url, *rules)
    actions = {story["path"]: (story["action"], story["reason"]) for story in stories}
    assert actions == {
        "a.txt": ("created", None),
        "keep.log": ("created", None),
        "b.log": ("skipped", "excluded"),
        "sub": ("created", None),
        "sub/c.txt": ("created", None),
        "new\nline": ("failed", "a name that cannot be said to a server"),
        "link": ("skipped", "symbolic link"),
        "folder": ("skipped", "symbolic link"),
        "up": ("skipped", "symbolic link"),
        "out": ("skipped", "symbolic link"),
        "pipe": ("skipped", "neither file, directory nor link"),
    }
    assert (done.code, report["failed"]) == (79, 1)
    (here / "new\nline").unlink()
    # Links that stay in the tree, as what they lead to.
    done, stories, report = mirror(vsftpd, here, url, *rules, "--symlinks", "follow")
    actions = {story["path"]: (story["action"], story["reason"]) for story in stories if story["action"] != "unchanged"}
    assert actions == {
        "b.log": ("skipped", "excluded"),
        "link": ("created", None),
        "folder": ("created", None),
        "folder/c.txt": ("created", None),
        "up": ("skipped", "a link to a directory above it"),
        "out": ("skipped", "a link that leads out of the tree"),
        "pipe": ("skipped", "neither file, directory nor link"),
    }
    assert (vsftpd.root / "there/link").read_text() == "a.txt"
    # Here they can be links again, as long as they lead nowhere else.
    (vsftpd.root / "there/to-a").symlink_to("a.txt")
    (vsftpd.root / "there/away").symlink_to("/etc")
    (vsftpd.root / "there/sub/over").symlink_to("../../..")
    back = tmp_path / "back"
    done, stories, report = mirror(vsftpd, url, back, "--symlinks", "copy")
    skipped = {story["path"]: story["reason"] for story in stories if story["action"] == "skipped"}
    out = "a link that leads out of the tree"
    assert skipped == {"away": out, "sub/over": out}
    assert (back / "to-a").readlink() == Path("a.txt") and not (back / "away").is_symlink()
    # What is excluded is not deleted; what is not is, directories and all.
    (vsftpd.put("there/old/deep/x.txt", b"x"), vsftpd.put("there/old2/x.log", b"x"), vsftpd.put("there/y.log", b"y"))
    done, stories, report = mirror(vsftpd, here, url, *rules, "--symlinks", "follow", "--delete")
    deleted = [story["path"] for story in stories if story["action"] == "deleted"]
    assert sorted(deleted) == ["away", "old", "old/deep", "old/deep/x.txt", "sub/over", "to-a"], stories
    assert (vsftpd.root / "there/y.log").exists() and (vsftpd.root / "there/old2/x.log").exists()


def test_a_file_for_a_directory_and_the_other_way(proftpd: FTPServer, tmp_path: Path) -> None:
    here, url = tmp_path / "here", proftpd.url + "/there"
    (here / "one/two").mkdir(parents=True)
    (here / "one/two/three").write_text("3")
    (here / "file").write_text("f")
    for name in ["one", "file/inner/x"]:
        proftpd.put(f"there/{name}", b"old")
    done, stories, report = mirror(proftpd, here, url)
    assert (done.code, report["failed"]) == (79, 2)
    assert {story["path"] for story in stories if story["action"] == "failed"} == {"one", "file"}
    done, stories, report = mirror(proftpd, here, url, "--delete")
    assert (done.code, report["deleted"]) == (0, 4), stories
    assert tree(proftpd.root / "there") == tree(here)
    # And here.
    back = tmp_path / "back"
    (back / "file/inner").mkdir(parents=True)
    (back / "one").write_text("old")
    done, _, report = mirror(proftpd, url, back, "--delete")
    assert (done.code, tree(back)) == (0, tree(here))


def test_deletions_are_guarded(vsftpd: FTPServer, tmp_path: Path) -> None:
    here, url = tmp_path / "here", vsftpd.url + "/there"
    here.mkdir()
    (here / "precious").write_text("p")
    vsftpd.put("there/sub/x", b"x").parent.parent.joinpath("empty").mkdir()
    # An empty source is more likely a mistake.
    done, _, report = mirror(vsftpd, vsftpd.url + "/there/empty", here, "--delete")
    assert (done.code, report["deletions_refused"]) == (79, "the source is empty")
    # A directory that is not there, although this server lists it as if it were.
    done = starttls("mirror", vsftpd.url + "/nowhere", here, "--delete", *ca(vsftpd))
    assert done.code == 66, done
    # One that cannot be listed, which this server tells as a success.
    (vsftpd.root / "there/sub").chmod(0)
    (here / "sub").mkdir()
    (here / "sub/x").write_text("x")
    _, stories, report = mirror(vsftpd, url, here, "--delete")
    assert report["deletions_refused"] == "a directory could not be listed"
    assert [story["path"] for story in stories if story["action"] == "failed"] == ["sub"]
    assert (here / "precious").exists() and (here / "sub/x").exists()
    assert starttls("mirror", here, tmp_path, *ca(vsftpd)).code == 64
    assert starttls("mirror", tmp_path / "no", url, *ca(vsftpd)).code == 66


@pytest.mark.parametrize("compare", ["size+time", "size", "newer", "hash", "always"])
def test_comparisons(servers: Servers, tmp_path: Path, compare: str) -> None:
    server = servers.ftp("proftpd-modules", None)
    here, url = tmp_path / "here", server.url + "/there"
    here.mkdir()
    past = 1_600_000_000
    contents = {"same": b"same", "touched": b"same", "older": b"other", "newer": b"other", "longer": b"longer"}
    for name, content in contents.items():
        (here / name).write_bytes(content)
        os.utime(here / name, (past, past + {"touched": 60, "older": -60, "newer": 60}.get(name, 0)))
        old = server.put(f"there/{name}", content if name in ("same", "touched") else b"there")
        os.utime(old, (past, past))
    give(server.root / "there")
    _, stories, _ = mirror(server, here, url, "--compare", compare)
    updated = {story["path"] for story in stories if story["action"] == "updated"}
    assert (
        updated
        == {
            "size+time": {"touched", "older", "newer", "longer"},
            "size": {"longer"},
            "newer": {"touched", "newer"},
            "hash": {"older", "newer", "longer"},
            "always": set(contents),
        }[compare]
    )


def killed(server: FTPServer, source: str | Path, destination: str | Path, *, when: int) -> None:
    """Run it until it told of so many files, and end it without a warning."""
    words = command(measured.mirror, server.url, server.ca_file, source, destination, True)
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=CHECKOUT) as running:
        assert running.stdout is not None
        for _ in range(when):
            assert running.stdout.readline(), "it ended before it was to be killed"
        running.send_signal(signal.SIGKILL)
        running.stdout.read()
    assert running.returncode == -signal.SIGKILL


@pytest.mark.parametrize(("daemon", "files"), [("vsftpd", 10_000), ("proftpd", 1_000)])
def test_many_files_both_ways_killed_and_resumed(servers: Servers, daemon: str, files: int, tmp_path: Path) -> None:
    # Of TLS 1.2, since its sessions are resumed at less cost: the time goes into a handshake for each file.
    server = servers.ftp(daemon, "1.2")
    wanted = grow(server.root / "tree", files, owner=True)
    here = tmp_path / "here"
    for source, destination, there in (("tree", here, here), (here, "back", server.root / "back")):
        killed(server, source, destination, when=files // 2)
        resumed = measure(measured.mirror, server.url, server.ca_file, source, destination, False)
        assert (resumed.told["failed"], resumed.told["updated"], tree(there) == wanted) == (0, 0, True)
        # Half of it was not transferred again.
        assert files // 3 < resumed.told["unchanged"] < files and resumed.told["created"] < files * 2 // 3
        assert resumed.peak < 64 * 2**20


def test_a_large_file_is_continued(proftpd: FTPServer, tmp_path: Path) -> None:
    content = random.Random(1).randbytes(8 << 20)
    url, here = proftpd.url + "/there", tmp_path / "here"
    source = proftpd.put("there/large", content)
    os.utime(source, (1_600_000_000, 1_600_000_000))
    here.mkdir()
    (here / "large.part").write_bytes(content[: 6 << 20])
    _, _, report = mirror(proftpd, url, here)
    assert (tree(here), report["created"]) == ({"large": content}, 1)
    assert report["bytes"] == 2 << 20
    # What was begun is of another file: nothing of it is used.
    (here / "large").unlink()
    (here / "large.part").write_bytes(bytes(6 << 20))
    _, _, report = mirror(proftpd, url, here)
    assert (tree(here), report["bytes"]) == ({"large": content}, 8 << 20)
    # The same to the server.
    back = proftpd.url + "/back"
    proftpd.put("back/large.part", content[: 6 << 20])
    _, _, report = mirror(proftpd, here, back)
    assert (tree(proftpd.root / "back"), report["bytes"]) == ({"large": content}, 2 << 20)
    # A leftover goes when its file is whole.
    proftpd.put("back/large.part", b"old")
    _, _, report = mirror(proftpd, here, back)
    assert (tree(proftpd.root / "back"), report["unchanged"]) == ({"large": content}, 1)


def test_a_server_with_few_sessions(pki: PKI, tmp_path: Path) -> None:
    from tests.servers import vsftpd as daemon

    with daemon.serve(pki, settings={"max_per_ip": "2"}) as server:
        wanted = grow(server.root / "tree", 100, owner=True)
        done, _, report = mirror(server, server.url + "/tree", tmp_path / "here", "-j", "8")
        assert (done.code, report["sessions"], tree(tmp_path / "here")) == (0, 2, wanted)


@pytest.mark.parametrize(("most", "sessions"), [("1", 1), ("3", 3), ("64", 5)])
def test_no_more_sessions_than_the_command_line_allows(
    vsftpd: FTPServer, tmp_path: Path, most: str, sessions: int
) -> None:
    wanted = grow(vsftpd.root / "tree", 100, owner=True)
    words = ("-j", "5", "--max-connections", most)
    done, _, report = mirror(vsftpd, vsftpd.url + "/tree", tmp_path / "here", *words)
    assert (done.code, report["sessions"], tree(tmp_path / "here")) == (0, sessions, wanted)


def test_sessions_of_a_process_are_counted_together(face: Face, vsftpd: FTPServer, tmp_path: Path) -> None:
    grow(vsftpd.root / "tree", 40, owner=True)
    package.forget_server(vsftpd.url)
    options = {"tls": trusting(vsftpd), "max_connections": 3}
    with face.ftp(vsftpd.url, **options) as one:
        with face.ftp(vsftpd.url, **options):
            assert one.mirror("tree", tmp_path / "a", parallel=8).sessions == 2
        assert one.mirror("tree", tmp_path / "b", parallel=8).sessions == 3
    assert tree(tmp_path / "a") == tree(tmp_path / "b") == tree(vsftpd.root / "tree")
    with pytest.raises(ValueError, match="at least one"):
        face.ftp(vsftpd.url, max_connections=0)


@pytest.mark.parametrize("daemon", ["vsftpd", "proftpd"])
def test_both_faces_of_the_package(face: Face, servers: Servers, daemon: str, tmp_path: Path) -> None:
    server = servers.ftp(daemon, None)
    wanted = grow(server.root / "tree", 100, owner=True)
    here = tmp_path / "here"
    with face.ftp(server.url, tls=trusting(server)) as ftp:
        report = ftp.mirror("tree", here, parallel=3)
        assert (report.complete, report.created, report.sessions) == (True, len(wanted), 3)
        assert tree(here) == wanted
        assert {file.path for file in report.files} == set(wanted)
        assert pickle.loads(pickle.dumps(report)) == report
        assert json.loads(report.to_json())["files"][0]["action"] == "created"
        told: list[package.FileReport] = []
        report = ftp.mirror(here, "back", direction="upload", exclude=["*7.dat"], on_file=told.append)
        assert (report.files, len(told)) == ((), len(wanted))
        assert report.skipped == 10 and report.created == len(wanted) - 10
        # The session goes on, where it was.
        assert ftp.pwd() == server.directory
    kept = {name: content for name, content in wanted.items() if not name.endswith("7.dat")}
    assert tree(server.root / "back") == kept


def test_one_call(vsftpd: FTPServer, tmp_path: Path) -> None:
    wanted = grow(vsftpd.root / "tree", 30, owner=True)
    report = package.mirror(vsftpd.url + "/tree", tmp_path / "here", tls=trusting(vsftpd), include=["*.dat"])
    assert (report.complete, tree(tmp_path / "here")) == (True, wanted)
    report = package.mirror(tmp_path / "here", vsftpd.url + "/new/back", tls=trusting(vsftpd), parallel=2)
    assert (report.complete, tree(vsftpd.root / "new/back")) == (True, wanted)
    with pytest.raises(package.InvalidArgument):
        package.mirror(tmp_path / "here", tmp_path / "back")
    with pytest.raises(package.InvalidArgument):
        package.mirror(vsftpd.url, tmp_path / "here", tls=trusting(vsftpd), include=["[a"])
    with pytest.raises(package.RemoteFileNotFound):
        package.mirror(vsftpd.url + "/nowhere", tmp_path / "here", tls=trusting(vsftpd))
