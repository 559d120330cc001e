"""The page that says what shows it: every session and every test it names is there."""

from __future__ import annotations

import pytest

from tests.python.coverage_page import CoveragePage

SHORT = {"U": "core/tests/upgrade/main.rs", "M": "core/tests/machine.rs", "P": "tests/python", "W": "tests/wasm"}
PAGE = CoveragePage("upgrade-coverage.md", SHORT)


@pytest.mark.parametrize("name", PAGE.names)
def test_what_is_named_is_there(name: str) -> None:
    assert PAGE.missing(name) is None


def test_what_is_not_there_is_seen() -> None:
    assert len(PAGE.names) > 50
    for name in ("U::nothing", "P/test_upgrade.py::test_nothing", "transcripts/smtp-nothing"):
        assert PAGE.missing(name) is not None, name


def test_every_row_is_shown_on_some_face() -> None:
    assert PAGE.without_proof() == []
