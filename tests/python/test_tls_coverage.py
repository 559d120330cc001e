"""The page about trust, identity and settings: every test it names is there."""

from __future__ import annotations

import pytest

from tests.python.coverage_page import CoveragePage

SHORT = {
    "T": "core/tests/trust/main.rs",
    "S": "core/tests/tls_settings/main.rs",
    "I": "core/tests/identity/main.rs",
    "E": "core/tests/sessions.rs",
    "P": "tests/python",
    "W": "tests/wasm",
    "K": "core/src/tls",
}
PAGE = CoveragePage("tls.md", SHORT)


@pytest.mark.parametrize("name", PAGE.names)
def test_what_is_named_is_there(name: str) -> None:
    assert PAGE.missing(name) is None


def test_what_is_not_there_is_seen() -> None:
    assert len(PAGE.names) > 25
    for name in ("T::nothing", "P/test_trust.py::test_nothing", "K/pem.rs::certificates"):
        assert PAGE.missing(name) is not None, name
