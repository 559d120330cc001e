"""The load server as a child process, and what it says about each session."""

import json
import os
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from . import paths

START = 10.0
"""Seconds the server has to come up."""


@dataclass(frozen=True)
class Served:
    """What the server counted over some sessions."""

    count: int = 0
    octets: int = 0
    flights: int = 0
    full: int = 0
    resumed: int = 0

    def __add__(self, other: "Served") -> "Served":
        return Served(
            self.count + other.count,
            self.octets + other.octets,
            self.flights + other.flights,
            self.full + other.full,
            self.resumed + other.resumed,
        )


class Server:
    """Runs from entering the context until leaving it."""

    def __init__(self, round_trip: int) -> None:
        command = [str(paths.BINARIES / "bench-server"), "--pki", str(paths.PKI), "--round-trip", str(round_trip)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._news = threading.Condition()
        self._ports: dict[str, int] = {}
        self._ca_file: str | None = None
        self._sessions: list[Served] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            with self._news:
                if "ports" in said:
                    self._ports, self._ca_file = said["ports"], said["ca_file"]
                else:
                    self._sessions.append(Served(*(said[name] for name in Served.__dataclass_fields__)))
                self._news.notify_all()

    def __enter__(self) -> Self:
        with self._news:
            if not self._news.wait_for(lambda: self._ca_file is not None, START):
                self._process.kill()
                raise SystemExit("bench: the load server did not start")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait(10)

    def port(self, service: str) -> int:
        return self._ports[service]

    @property
    def ca_file(self) -> str:
        assert self._ca_file is not None
        return self._ca_file

    def mark(self) -> int:
        """A point in the ledger, for ``since``."""
        return len(self._sessions)

    def since(self, mark: int, is_complete: Callable[[Served], bool], seconds: float) -> Served:
        """What was served since ``mark``, once it is complete or the time is up."""

        def total() -> Served:
            return sum(self._sessions[mark:], Served())

        with self._news:
            self._news.wait_for(lambda: is_complete(total()), seconds)
            return total()

    def cpu(self) -> float:
        """CPU seconds used so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
