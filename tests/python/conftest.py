"""Fixtures for the package's tests."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.python.faces import Asyncio, Face, Sync


@pytest.fixture(params=["sync", "asyncio"])
def face(request: pytest.FixtureRequest) -> Iterator[Face]:
    """The blocking face and the asyncio one, in turn."""
    if request.param == "sync":
        yield Sync()
        return
    with asyncio.Runner() as runner:
        yield Asyncio(runner)


@pytest.fixture(scope="session")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100 MB of noise."""
    path = tmp_path_factory.mktemp("large") / "large.bin"
    noise = random.Random(1).randbytes(10_000_000)
    with path.open("wb") as file:
        for i in range(10):
            file.write(bytes([i]) + noise[1:])
    return path
