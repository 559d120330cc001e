"""Where everything lies."""

from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
ROOT = BENCH.parent.parent
BUILD = ROOT / "build" / "bench"
"""All that is installed, built and generated."""
CARGO_TARGET = BUILD / "target"
BINARIES = CARGO_TARGET / "release"
VENV_PYTHON = BUILD / "venv" / "bin" / "python"
NODE_MODULES = BUILD / "npm" / "node_modules"
DATA = BUILD / "data"
PKI = BUILD / "pki"
