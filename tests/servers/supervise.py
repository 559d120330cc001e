"""Run one daemon for as long as somebody holds the other end of standard input.

Started by ``process.Daemon`` as a program of its own: ``supervise.py COMMAND...``. When
standard input reaches its end (the test process closed it, or died in any way whatever),
the daemon gets SIGTERM, then everything it left behind gets SIGKILL. The supervisor is
the subreaper of all its descendants, so a server's session processes cannot escape by
being orphaned. (A parent-death signal would not do: it is cleared when a daemon changes
its user.)
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

GRACE = 3.0
"""Seconds a daemon has between SIGTERM and SIGKILL."""
PR_SET_CHILD_SUBREAPER = 36


def children() -> list[int]:
    """The process ids of this process's own children, zombies included."""
    mine = str(os.getpid())
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = stat.read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue  # it ended while we looked
        if parent == mine:
            found.append(int(stat.parent.name))
    return found


def stop(daemon: subprocess.Popen[bytes]) -> None:
    """End the daemon, then all that is left of its descendants, and reap them."""
    if daemon.poll() is None:
        daemon.terminate()
        try:
            daemon.wait(GRACE)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
    deadline = time.monotonic() + GRACE
    while time.monotonic() < deadline:
        left = children()
        if not left:
            return
        for pid in left:
            os.kill(pid, signal.SIGKILL)  # its own children become ours, for the next round
        for pid in left:
            os.waitpid(pid, 0)


def main(command: list[str]) -> int:
    """Run the command until it ends or standard input does; its exit status."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # Descriptor 0 is the log, too: some daemons say there why they do not start.
    daemon = subprocess.Popen(command, stdin=sys.stdout, start_new_session=True)
    try:
        watched = select.poll()
        watched.register(os.pidfd_open(daemon.pid), select.POLLIN)
        watched.register(sys.stdin.fileno(), select.POLLIN | select.POLLHUP)
        watched.poll()
    finally:
        stop(daemon)
    return daemon.returncode if daemon.returncode >= 0 else 128 - daemon.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
