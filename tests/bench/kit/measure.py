"""Runs a client once and says what it cost; interleaves clients and keeps the best of each."""

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import paths
from .clients import Client, Run
from .operations import Operation, Sizes
from .server import Served, Server

TIMEOUT = 120.0
"""Seconds a run may take."""
LEDGER = 5.0
"""Seconds the server may take to account for a run that has ended."""


@dataclass(frozen=True)
class Cost:
    """What a process took, by the meter's account."""

    wall: float
    """Seconds."""
    cpu: float
    """Seconds, user and system."""
    peak: int
    """Octets of resident memory."""


@dataclass(frozen=True)
class Sample:
    """One run that did its work."""

    seconds: float
    count: int
    growth: int | None
    """Octets of resident memory that the measured part added at its peak, where the program says so."""
    cost: Cost
    server_cpu: float
    served: Served


@dataclass
class Row:
    """A client in one operation."""

    client: Client
    samples: list[Sample] = field(default_factory=list)
    failure: str | None = None

    def best(self, operation: Operation, sizes: Sizes) -> float:
        """The best figure of all samples."""
        figures = [operation.figure(sample.seconds, sample.count, sizes) for sample in self.samples]
        return max(figures) if operation.unit.more_is_better else min(figures)

    @property
    def growth(self) -> int | None:
        """The largest of all samples."""
        return max((sample.growth for sample in self.samples if sample.growth is not None), default=None)


class Failure(Exception):
    """A run that did not do its work; the text says how."""


def metered(command: Sequence[str], environment: dict[str, str], *, is_silent: bool = False) -> tuple[Cost, str]:
    """Run a command under the meter: its cost and its standard output, if anybody wants that."""
    with tempfile.TemporaryDirectory(dir=paths.BUILD) as directory:
        report = Path(directory, "cost.json")
        process = subprocess.Popen(
            [str(paths.BINARIES / "meter"), str(report), *command],
            stdout=subprocess.DEVNULL if is_silent else subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
            start_new_session=True,
        )
        try:
            output, complaint = process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise Failure(f"took more than {TIMEOUT:.0f} s") from None
        if process.returncode != 0:
            lines = complaint.strip().splitlines() or ["said nothing"]
            raise Failure(f"ended with {process.returncode}: {lines[-1][:200]}")
        cost = json.loads(report.read_text())
    return Cost(cost["wall"], cost["cpu"], cost["peak"]), output or ""


def sample(client: Client, operation: Operation, run: Run, sizes: Sizes, server: Server) -> Sample:
    """Run ``client`` once and hold its word against the server's ledger."""
    mark, cpu = server.mark(), server.cpu()
    cost, output = metered(client.command(run), client.environment, is_silent=client.is_tool)
    # A command line tool did one step, and all of it counts.
    lines = [line for line in output.splitlines() if line.startswith('{"seconds"')]
    said = json.loads(lines[-1]) if lines else {"seconds": cost.wall, "count": 1}
    count = int(said["count"])
    steps = count if operation.count(sizes) > 1 else 1

    def is_complete(served: Served) -> bool:
        return served.count >= steps and served.octets >= steps * operation.octets(sizes)

    served = server.since(mark, is_complete, LEDGER)
    if not is_complete(served):
        raise Failure(f"the server saw {served.count} of {steps} and {served.octets} octets")
    if operation.name == "ftp-list" and lines and count != sizes.entries:
        raise Failure(f"listed {count} of {sizes.entries}")
    return Sample(said["seconds"], count, said.get("growth"), cost, server.cpu() - cpu, served)


def measure(
    clients: Sequence[Client], operation: Operation, run: Run, sizes: Sizes, server: Server, repeats: int
) -> list[Row]:
    """All clients in turn, ``repeats`` times over; one that fails is not run again."""
    rows = [Row(client) for client in clients]
    for _ in range(repeats):
        for row in rows:
            if row.failure is None:
                try:
                    row.samples.append(sample(row.client, operation, run, sizes, server))
                except Failure as failure:
                    row.failure = str(failure)
    return rows
