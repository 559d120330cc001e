"""Networks of their own for a test: namespaces, joined by a router that translates addresses.

::

    public 192.0.2.7 ── 192.0.2.1 router 10.9.8.1 ── 10.9.8.7 private

Who is private reaches the public network as 192.0.2.1, and is reached there on the ports that are passed on. Nothing
outside of the namespaces is changed; they end with the test. Needs Linux, root and a kernel that translates addresses.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from . import install
from .process import ServerError, program

T = TypeVar("T")

PUBLIC, OUTSIDE, INSIDE, PRIVATE = "192.0.2.7", "192.0.2.1", "10.9.8.1", "10.9.8.7"
CLONE_NEWNET = 0x40000000


class Place:
    """A network namespace, and one thread that lives in it."""

    def __init__(self) -> None:
        command = ["unshare", "--net", "sh", "-c", "ip link set lo up && echo ready && exec cat"]
        self._holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != b"ready\n":
            self.close()
            raise ServerError("this kernel, or this user, cannot have network namespaces")
        self.name = str(self._holder.pid)
        self._thread = ThreadPoolExecutor(1, initializer=self._enter)

    def _enter(self) -> None:
        with Path(f"/proc/{self.name}/ns/net").open() as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")

    def run(self, work: Callable[[], T]) -> T:
        """Do something as somebody in this network; what is started there stays there."""
        return self._thread.submit(work).result()

    def shell(self, *command: str) -> None:
        """Run a command in this network."""
        environment = {"PATH": os.defpath + ":/usr/sbin:/sbin", **install.environment()}
        done = self.run(lambda: subprocess.run(command, capture_output=True, text=True, env=environment, check=False))
        if done.returncode:
            raise ServerError(f"{' '.join(command)}: {done.stderr.strip()}")

    def close(self) -> None:
        """Leave it; with its last process it is gone."""
        self._holder.communicate()
        if hasattr(self, "_thread"):
            self._thread.shutdown()


@dataclass(frozen=True)
class Translated:
    """Both sides of the router."""

    public: Place
    private: Place


@contextlib.contextmanager
def translated(passed_on: tuple[int, int]) -> Iterator[Translated]:
    """Both networks; connections to these ports of the router, first and last, are passed on to who is private."""
    with contextlib.ExitStack() as open_places:
        public, router, private = (
            open_places.enter_context(contextlib.closing(Place())) for _ in ("public", "router", "private")
        )
        for place, link, theirs, ours in (
            (public, "outside", PUBLIC, OUTSIDE),
            (private, "inside", PRIVATE, INSIDE),
        ):
            router.shell(*f"ip link add {link} type veth peer name uplink netns {place.name}".split())
            router.shell(*f"ip address add {ours}/24 dev {link}".split())
            router.shell(*f"ip link set {link} up".split())
            place.shell(*f"ip address add {theirs}/24 dev uplink".split())
            place.shell(*"ip link set uplink up".split())
        private.shell(*f"ip route add default via {INSIDE}".split())
        router.shell("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        first, last = passed_on
        router.shell(
            program("nft"),
            "table ip translation {\n"
            "chain incoming { type nat hook prerouting priority -100;"
            f' iifname "outside" tcp dport {first}-{last} dnat to {PRIVATE}; }}\n'
            'chain outgoing { type nat hook postrouting priority 100; oifname "outside" masquerade; }\n}',
        )
        yield Translated(public, private)
