"""The page that says what shows it: every session and every test it names is there."""

from __future__ import annotations

import pytest

from tests.bench.kit.targets import judged
from tests.python.coverage_page import ROOT, CoveragePage

PAGE = CoveragePage("ftp-coverage.md", {"D": "tests/daemons/tests", "P": "tests/python"})
HOSTILE = [f"{letter}{number}" for letter, last in (("b", 8), ("c", 7)) for number in range(1, last + 1)]


@pytest.mark.parametrize("name", PAGE.names)
def test_what_is_named_is_there(name: str) -> None:
    assert PAGE.missing(name) is None


def test_what_is_not_there_is_seen() -> None:
    assert len(PAGE.names) > 100
    for name in ("transcripts/ftp-nothing", "hostile/b9-*", "D/flights.rs::nothing", "P/test_ftp.py::test_nothing"):
        assert PAGE.missing(name) is not None, name


def test_every_row_is_shown_on_some_face() -> None:
    assert PAGE.without_proof() == []


@pytest.mark.parametrize("row", HOSTILE)
def test_what_is_done_to_data_and_replies_is_played_on_every_face(row: str) -> None:
    assert list((ROOT / "tests/hostile").glob(f"{row}-*.txt")), "no session"
    assert f"`hostile/{row}-" in PAGE.text, "not on the page"


def test_figures_are_those_of_the_benchmark() -> None:
    assert PAGE.figures("ftp") == judged("ftp")
