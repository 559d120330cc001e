"""The page that says what shows it: every session and every test it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.bench.kit.operations import OPERATIONS
from tests.bench.kit.targets import TARGETS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/smtp-coverage.md").read_text()
SHORT = {"D": "tests/daemons/tests/smtp.rs", "P": "tests/python"}
FACES = {"R", "P", "W", "C"}


def rows() -> list[list[str]]:
    """The cells of every row of every table, without the heads."""
    lines = [line for line in PAGE.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if not line.startswith("| |")]


NAMES = sorted({name for row in rows() for name in re.findall(r"`([^`]*(?:/|::)[^`]*)`", row[1])})


def missing(name: str) -> str | None:
    """Why there is no such session or test."""
    file, _, test = name.partition("::")
    first, _, rest = file.partition("/")
    if not test:
        return None if first in ("transcripts", "hostile") and list((ROOT / "tests").glob(f"{file}.txt")) else "no file"
    path = ROOT / SHORT.get(first, first) / rest
    if not path.is_file():
        return "no file"
    mark = r"^(?:async )?def" if path.suffix == ".py" else r"#\[(?:tokio::)?test\]\s+(?:\S.*\n\s*)*?(?:async )?fn"
    return None if re.search(rf"{mark} {test}\(", path.read_text(), re.MULTILINE) else "no test"


@pytest.mark.parametrize("name", NAMES)
def test_what_is_named_is_there(name: str) -> None:
    assert missing(name) is None


def test_what_is_not_there_is_seen() -> None:
    assert len(NAMES) > 150
    for name in (
        "transcripts/smtp-nothing",
        "hostile/d9-*",
        "elsewhere/smtp-dots",
        "D::nothing",
        "P/test_smtp.py::test_nothing",
        "P/nothing.py::test_one_shot",
        "core/src/smtp/lines.rs::encode",  # a function, and no test
    ):
        assert missing(name) is not None, name


def test_every_row_is_shown_on_some_face() -> None:
    for row in rows():
        assert row[1].startswith("`"), row
        if row[0] and "::" in row[1] and len(row) == 3:
            assert set(row[2].split()) <= FACES and row[2], row


def test_figures_are_those_of_the_benchmark() -> None:
    keys = {operation.key for operation in OPERATIONS}
    told = re.findall(r"^\| .* \| `(smtp-[a-z, ]+)` \|", PAGE, re.MULTILINE)
    assert set(told) <= keys
    assert set(told) == {target.operation for target in TARGETS}
