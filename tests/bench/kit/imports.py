"""How long a Python program that only imports a module takes, over one that imports nothing."""

from dataclasses import dataclass

from . import paths
from .measure import Failure, metered

BUDGET_MS = 15.0
"""What importing our package may take."""
MODULES = ("starttls", "smtplib", "ftplib", "aiosmtplib", "aioftp", "pycurl")
REPEATS = 20


@dataclass(frozen=True)
class Imports:
    """Best times of whole processes, in milliseconds."""

    bare: float
    over_bare: dict[str, float]

    def markdown(self) -> str:
        lines = [
            "### import: a Python program that only imports a module, over a bare one",
            "",
            f"bare {self.bare:.1f} ms; budget for starttls {BUDGET_MS:.0f} ms",
            "",
            "| module | ms over bare |",
            "|---|--:|",
        ]
        for module, milliseconds in sorted(self.over_bare.items(), key=lambda item: item[1]):
            lines.append(f"| {f'**{module}**' if module == 'starttls' else module} | {milliseconds:.1f} |")
        return "\n".join(lines) + "\n"

    def is_within_budget(self) -> bool:
        """Whether our package is; without it there is nothing to hold against the budget."""
        return self.over_bare.get("starttls", 0.0) <= BUDGET_MS


def measure(with_ours: bool, repeats: int = REPEATS) -> Imports:
    """All modules in turn, ``repeats`` times over, the best of each."""
    programs = {module: f"import {module}" for module in MODULES if with_ours or module != "starttls"}
    best: dict[str, float] = {}
    for _ in range(repeats):
        for module, source in {"": "pass", **programs}.items():
            try:
                cost, _output = metered([str(paths.VENV_PYTHON), "-c", source], {})
            except Failure as failure:
                raise SystemExit(f"bench: import {module} {failure}") from None
            best[module] = min(best.get(module, cost.wall), cost.wall)
    bare = best.pop("")
    return Imports(bare * 1e3, {module: (seconds - bare) * 1e3 for module, seconds in best.items()})
