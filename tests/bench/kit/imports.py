"""How long a Python program that only imports a module takes, over one that imports nothing."""

from dataclasses import dataclass

from . import paths
from .measure import Failure, metered

BUDGET_MS = 15.0
"""What importing our package may take."""
OURS = "starttls"
MODULES = (OURS, "smtplib", "ftplib", "aiosmtplib", "aioftp", "pycurl")
REPEATS = 20


@dataclass(frozen=True)
class Times:
    """Best times of whole processes, in milliseconds."""

    wall: float
    cpu: float

    def __sub__(self, other: "Times") -> "Times":
        return Times(self.wall - other.wall, self.cpu - other.cpu)


@dataclass(frozen=True)
class Imports:
    """What a bare process takes, and what each module adds."""

    bare: Times
    over_bare: dict[str, Times]

    def markdown(self) -> str:
        lines = [
            "### import: a Python program that only imports a module, over a bare one",
            "",
            f"bare {self.bare.wall:.1f} ms; budget for {OURS} {BUDGET_MS:.0f} ms",
            "",
            "| module | ms over bare | CPU ms over bare |",
            "|---|--:|--:|",
        ]
        for module, times in sorted(self.over_bare.items(), key=lambda item: item[1].cpu):
            name = f"**{module}**" if module == OURS else module
            lines.append(f"| {name} | {times.wall:.1f} | {times.cpu:.1f} |")
        return "\n".join(lines) + "\n"

    def is_within_budget(self) -> bool:
        """Whether our package is; without it there is nothing to hold against the budget.

        By CPU time: an import waits for nothing, and this is what other programs on the machine disturb least.
        """
        return OURS not in self.over_bare or self.over_bare[OURS].cpu <= BUDGET_MS


def measure(with_ours: bool, repeats: int = REPEATS) -> Imports:
    """All modules in turn, ``repeats`` times over, the best of each."""
    programs = {module: f"import {module}" for module in MODULES if with_ours or module != OURS}
    best: dict[str, Times] = {}
    for _ in range(repeats):
        for module, source in {"": "pass", **programs}.items():
            try:
                cost, _output = metered([str(paths.VENV_PYTHON), "-c", source], {})
            except Failure as failure:
                raise SystemExit(f"bench: import {module} {failure}") from None
            times = Times(cost.wall * 1e3, cost.cpu * 1e3)
            before = best.get(module, times)
            best[module] = Times(min(before.wall, times.wall), min(before.cpu, times.cpu))
    bare = best.pop("")
    return Imports(bare, {module: times - bare for module, times in best.items()})
