"""What our rows are to reach, beyond being ahead of their own language's peers."""

from collections.abc import Sequence
from dataclasses import dataclass

from .measure import Row
from .operations import MEBI, OPERATIONS
from .report import Table


@dataclass(frozen=True)
class Target:
    """One of our rows, held against a peer's or a fixed figure."""

    operation: str
    """An operation's key."""
    language: str
    bound: float
    peer: str | None = None
    """Whose figure the row's is divided by: at least ``bound`` is to be reached."""
    measure: str = "ratio"
    """Or, without a peer, at most ``bound`` of this: ``flights`` or ``growth`` (MiB)."""

    def describe(self) -> str:
        return f"{self.bound:g} times {self.peer}" if self.peer else f"{self.measure}: at most {self.bound:g}"


TARGETS = (
    Target("smtp-messages", "Rust", 1.3, "pycurl"),
    Target("smtp-messages", "Python", 1, "pycurl"),
    Target("smtp-batch", "Python", 10, "pycurl"),
    Target("smtp-batch, delayed", "Python", 20, "smtplib"),
    Target("smtp-large", "Rust", 2, "pycurl"),
    Target("smtp-large", "Python", 2, "pycurl"),
    Target("smtp-large", "Rust", 8, measure="growth"),
    Target("smtp-large", "Python", 8, measure="growth"),
    Target("smtp-oneshot, delayed", "Rust", 6, measure="flights"),
    Target("smtp-oneshot, delayed", "Python", 6, measure="flights"),
    Target("smtp-oneshot, delayed", "Python asyncio", 6, measure="flights"),
    Target("smtp-connections", "Python asyncio", 5, "aiosmtplib"),
    Target("ftp-download", "Rust", 1, "suppaftp"),
    Target("ftp-download", "Rust", 8, measure="growth"),
    Target("ftp-download", "Python", 8, measure="growth"),
    Target("ftp-download", "Python asyncio", 3, "aioftp"),
    Target("ftp-upload", "Rust", 1, "suppaftp"),
    Target("ftp-upload", "Rust", 8, measure="growth"),
    Target("ftp-upload", "Python", 8, measure="growth"),
    Target("ftp-upload", "Python asyncio", 3, "aioftp"),
    Target("ftp-files", "Python asyncio", 3, "aioftp"),
    Target("ftp-files, delayed", "Rust", 1.3, "pycurl"),
    Target("ftp-files, delayed", "Python", 1.3, "pycurl"),
    Target("ftp-tree, delayed", "Rust", 8, "pycurl"),
    Target("ftp-tree, delayed", "Python", 8, "pycurl"),
)


def judged(protocol: str) -> set[str]:
    """The operations that are held against a target."""
    named = {target.operation for target in TARGETS if target.operation.startswith(f"{protocol}-")}
    unknown = named - {operation.key for operation in OPERATIONS}
    if unknown:
        raise ValueError(f"no such operations: {unknown}")
    return named


def reached(target: Target, table: Table) -> float | None:
    """What the row has, or ``None`` if one of the two did not take part or failed."""
    rows = [row for row in table.rows if row.samples]
    ours = next((row for row in rows if row.client.is_ours and row.client.language == target.language), None)
    if ours is None:
        return None
    if target.measure == "growth":
        return None if ours.growth is None else ours.growth / MEBI
    if target.measure == "flights":
        served = ours.samples[-1].served
        return served.flights / max(served.count, 1)
    peer: Row | None = next((row for row in rows if row.client.name == target.peer and not row.client.is_ours), None)
    if peer is None:
        return None
    quotient = table.figure(ours) / table.figure(peer)
    return quotient if table.operation.unit.more_is_better else 1 / quotient


def markdown(tables: Sequence[Table], *, is_quick: bool = False) -> str:
    """Every target whose operation was measured, and whether it was reached."""
    by_key = {table.operation.key: table for table in tables}
    lines = ["## Targets", "", "| operation | our client | to reach | is | |", "|---|---|---|--:|---|"]
    for target in TARGETS:
        if target.operation not in by_key:
            continue
        value = reached(target, by_key[target.operation])
        if value is None:
            cells = ["", "not measured"]
        else:
            is_met = value >= target.bound if target.peer else value <= target.bound
            cells = [f"{value:.2f}", "reached" if is_met else "MISSED"]
        lines.append(f"| {' | '.join([target.operation, target.language, target.describe(), *cells])} |")
    if is_quick:
        lines += ["", "These sizes are too small to judge by."]
    return "\n".join(lines) + "\n"
