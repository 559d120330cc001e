"""The page that says what shows it: every session and every test it names is there."""

from __future__ import annotations

import pytest

from tests.bench.kit.targets import judged
from tests.python.coverage_page import CoveragePage

PAGE = CoveragePage("smtp-coverage.md", {"D": "tests/daemons/tests/smtp.rs", "P": "tests/python"})


@pytest.mark.parametrize("name", PAGE.names)
def test_what_is_named_is_there(name: str) -> None:
    assert PAGE.missing(name) is None


def test_what_is_not_there_is_seen() -> None:
    assert len(PAGE.names) > 150
    for name in (
        "transcripts/smtp-nothing",
        "hostile/d9-*",
        "elsewhere/smtp-dots",
        "D::nothing",
        "P/test_smtp.py::test_nothing",
        "P/nothing.py::test_one_shot",
        "core/src/smtp/lines.rs::encode",  # a function, and no test
    ):
        assert PAGE.missing(name) is not None, name


def test_every_row_is_shown_on_some_face() -> None:
    assert PAGE.without_proof() == []


def test_figures_are_those_of_the_benchmark() -> None:
    assert PAGE.figures("smtp") == judged("smtp")
