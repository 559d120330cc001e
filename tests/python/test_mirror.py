"""Trees made equal, by the command line against real daemons."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from tests.cli import Done, ca, starttls
from tests.conftest import FTP_DAEMONS, Servers
from tests.servers.ftp import FTPServer
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
    done = starttls("mirror", *map(str, arguments), *ca(server), "--json")
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
    assert (done.code, done.err, report["created"]) == (0, "", len(wanted)), done
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
