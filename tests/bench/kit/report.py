"""Tables, the summary, and the same as JSON."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .measure import Row
from .operations import MEBI, Operation, Sizes

EVEN = 0.03
"""Ratios this close to 1 are even: repeats of one client differ by more."""


@dataclass(frozen=True)
class Standing:
    """One of our rows against the best peer of its language."""

    operation: str
    client: str
    language: str
    ratio: float | None
    """Above 1 we are ahead; None without a peer, or when our run failed."""
    peer: str | None
    failure: str | None = None

    @property
    def verdict(self) -> str:
        if self.failure is not None:
            return "FAILED"
        if self.ratio is None:
            return "no peer"
        if self.ratio < 1 - EVEN:
            return "BEHIND"
        return "ahead" if self.ratio > 1 + EVEN else "even"


@dataclass(frozen=True)
class Table:
    """The rows of one operation, best first."""

    operation: Operation
    sizes: Sizes
    rows: Sequence[Row]

    def figure(self, row: Row) -> float:
        """The row's best."""
        return row.best(self.operation, self.sizes)

    def _best_peer(self, language: str) -> Row | None:
        """The fastest that is not ours."""
        peers = [row for row in self.rows if row.samples and row.client.language == language and not row.client.is_ours]
        sign = 1 if self.operation.unit.more_is_better else -1
        return max(peers, key=lambda row: sign * self.figure(row), default=None)

    def _ratio(self, row: Row) -> float | None:
        peer = self._best_peer(row.client.language)
        if peer is None or not row.samples:
            return None
        quotient = self.figure(row) / self.figure(peer)
        return quotient if self.operation.unit.more_is_better else 1 / quotient

    def _sorted(self) -> list[Row]:
        sign = -1 if self.operation.unit.more_is_better else 1
        return sorted((row for row in self.rows if row.samples), key=lambda row: sign * self.figure(row))

    def title(self) -> str:
        return f"{self.operation.name}: {self.operation.title}"

    def markdown(self) -> str:
        """The table for people."""
        unit = self.operation.unit.value
        lines = [
            f"### {self.title()}",
            "",
            f"| client | language | {unit} | to best peer "
            "| CPU s | peak MiB | growth MiB | server CPU s | flights | full/resumed |",
            "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|",
        ]
        for row in self._sorted():
            ratio = self._ratio(row)
            served = row.samples[-1].served
            data = f"{served.full}/{served.resumed}" if self.operation.protocol == "ftp" else ""
            name = f"**{row.client.name}**" if row.client.is_ours else row.client.name
            cells = [
                name,
                row.client.language,
                f"{self.figure(row):.1f}",
                "" if ratio is None else f"{ratio:.2f}",
                f"{min(sample.cost.cpu for sample in row.samples):.3f}",
                f"{min(sample.cost.peak for sample in row.samples) / MEBI:.0f}",
                "" if row.growth is None else f"{row.growth / MEBI:.1f}",
                f"{min(sample.server_cpu for sample in row.samples):.2f}",
                f"{served.flights / max(served.count, 1):.1f}",
                data,
            ]
            lines.append(f"| {' | '.join(cells)} |")
        for row in self.rows:
            if row.failure is not None:
                lines.append(f"| {row.client.name} | {row.client.language} | failed: {row.failure} |")
        return "\n".join(lines) + "\n"

    def standings(self) -> list[Standing]:
        """Where each of our rows stands."""
        standings = []
        for row in self.rows:
            if row.client.is_ours:
                peer = self._best_peer(row.client.language)
                name = peer.client.name if peer else None
                ratio = self._ratio(row)
                key, client = self.operation.key, row.client
                standings.append(Standing(key, client.name, client.language, ratio, name, row.failure))
        return standings

    def data(self) -> dict[str, Any]:
        """The table as JSON."""
        return {
            "operation": self.operation.name,
            "delayed": self.operation.is_delayed,
            "unit": self.operation.unit.value,
            "rows": [self._row_data(row) for row in self.rows],
        }

    def _row_data(self, row: Row) -> dict[str, Any]:
        data: dict[str, Any] = {"client": row.client.name, "language": row.client.language, "ours": row.client.is_ours}
        if row.failure is not None:
            return data | {"failure": row.failure}
        return data | {
            "figure": self.figure(row),
            "ratio": self._ratio(row),
            "samples": [
                {
                    "seconds": sample.seconds,
                    "count": sample.count,
                    "growth": sample.growth,
                    "wall": sample.cost.wall,
                    "cpu": sample.cost.cpu,
                    "peak": sample.cost.peak,
                    "server_cpu": sample.server_cpu,
                    "flights": sample.served.flights,
                    "full": sample.served.full,
                    "resumed": sample.served.resumed,
                }
                for sample in row.samples
            ],
        }


def summary(standings: Sequence[Standing], *, is_quick: bool = False) -> str:
    """Our rows by language, and a last line that says whether any is behind."""
    header = "| language | operation | our client | ratio | best peer | |"
    lines = ["## Summary", "", header, "|---|---|---|--:|---|---|"]
    for standing in sorted(standings, key=lambda standing: standing.language):
        ratio = "" if standing.ratio is None else f"{standing.ratio:.2f}"
        cells = [standing.language, standing.operation, standing.client, ratio, standing.peer or "", standing.verdict]
        lines.append(f"| {' | '.join(cells)} |")
    wrong = [standing for standing in standings if standing.verdict in ("BEHIND", "FAILED")]
    if not standings:
        lines += ["", "None of our clients took part."]
    elif wrong:
        lines += ["", f"{len(wrong)} of our {len(standings)} rows behind the best peer of their language, or failed."]
    else:
        lines += ["", "None of our rows is behind the best peer of its language."]
    if is_quick:
        lines += ["", "These sizes are too small to judge by."]
    return "\n".join(lines) + "\n"


def machine() -> str:
    """What it ran on."""
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    return f"{os.cpu_count()} CPUs, {system}, Python {platform.python_version()}"
