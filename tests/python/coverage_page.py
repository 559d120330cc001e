"""Pages that say what shows what: their tables, and whether each session and test they name is there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
FACES = {"R", "P", "W", "C"}


@dataclass
class CoveragePage:
    """A page below ``docs``; ``short`` has its own names for folders and files of tests."""

    name: str
    short: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def text(self) -> str:
        """The page itself."""
        return (ROOT / "docs" / self.name).read_text()

    @cached_property
    def rows(self) -> list[list[str]]:
        """The cells of every row of every table, without the heads."""
        lines = [line for line in self.text.splitlines() if line.startswith("| ")]
        return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if not line.startswith("| |")]

    @cached_property
    def names(self) -> list[str]:
        """Every session and test that a row names."""
        return sorted({name for row in self.rows for name in re.findall(r"`([^`]*(?:/|::)[^`]*)`", row[1])})

    def missing(self, name: str) -> str | None:
        """Why there is no such session or test."""
        file, _, test = name.partition("::")
        first, _, rest = file.partition("/")
        if not test:
            is_session = first in ("transcripts", "hostile") and list((ROOT / "tests").glob(f"{file}.txt"))
            return None if is_session else "no file"
        path = ROOT / self.short.get(first, first) / rest
        if not path.is_file():
            return "no file"
        mark = r"^(?:async )?def" if path.suffix == ".py" else r"#\[(?:tokio::)?test\]\s+(?:\S.*\n\s*)*?(?:async )?fn"
        return None if re.search(rf"{mark} {test}\(", path.read_text(), re.MULTILINE) else "no test"

    def figures(self, protocol: str) -> set[str]:
        """Operations of the benchmark that the page names."""
        return set(re.findall(rf"^\| .* \| `({protocol}-[a-z, ]+)` \|", self.text, re.MULTILINE))

    def without_proof(self) -> list[list[str]]:
        """Rows that name nothing that shows them, or no face."""

        def is_shown(row: list[str]) -> bool:
            faced = len(row) != 3 or not ("::" in row[1] and row[0]) or (row[2] and set(row[2].split()) <= FACES)
            return row[1].startswith("`") and bool(faced)

        return [row for row in self.rows if not is_shown(row)]
