#!/usr/bin/env bash
# Make the machine ready: each step says what it installs, and is quiet when nothing is missing.
#
#   tests/setup/setup.sh STEP...
#
#   wasm      the wasm32-wasip2 target (rustup), clang for ring's C code (Debian)
#   demo      .venv with what building the package and running the demo need
#   python    .venv with that, the test runner and the linters
#   lint      rustfmt, clippy (rustup), cargo-deny (built into build/tools)
#   daemons   the servers of the tests, unpacked into build/daemons
#
# PYTHON names the interpreter of .venv (default: python3; 3.11 or later).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

PYTHON=${PYTHON:-python3}
CARGO_DENY=0.20.2

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

apt_install() { # PACKAGE...
    have apt-get || die "please install $* by this system's package manager, then run this again"
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        have sudo || die "please install $* as root (apt-get install $*), then run this again"
        as_root=(sudo)
    fi
    say "installing Debian packages: $*"
    local install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300
        -qq -y --no-install-recommends install "$@")
    # Package lists may be absent (a fresh image) or out of date: refresh them only then.
    if ! "${install[@]}" >/dev/null 2>&1; then
        "${as_root[@]}" apt-get -qq update
        "${install[@]}" >/dev/null
    fi
}

need_rust() {
    have cargo && have rustup || die "Rust is not here: please install it with rustup, then run this again"
}

step_wasm() {
    need_rust
    # Into a variable first: a `grep -q` that stops reading early would fail the pipe.
    local targets
    targets=$(rustup target list --installed)
    if ! grep -qx wasm32-wasip2 <<<"$targets"; then
        say "adding the Rust target wasm32-wasip2"
        rustup target add wasm32-wasip2
    fi
    have clang || apt_install clang
}

venv() { # REQUIREMENTS
    local wanted=tests/setup/$1 stamp=.venv/$1
    have "$PYTHON" || die "$PYTHON is not here: please install Python 3.11 or later, or set PYTHON"
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        die "$PYTHON is older than Python 3.11: set PYTHON to a later one"
    if [ ! -x .venv/bin/python ]; then
        "$PYTHON" -c 'import ensurepip' 2>/dev/null || apt_install python3-venv
        say "creating .venv with $("$PYTHON" --version)"
        "$PYTHON" -m venv .venv
    fi
    cmp -s "$wanted" "$stamp" && return
    say "installing into .venv: $(grep -hE '^[^#-]' "$wanted" | tr '\n' ' ')"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -r "$wanted"
    cp "$wanted" "$stamp"
}

step_demo() { venv requirements-demo.txt; }

step_python() {
    step_demo
    venv requirements.txt
}

step_lint() {
    need_rust
    local component tool=build/tools/bin/cargo-deny
    for component in rustfmt clippy; do
        cargo "${component#rust}" --version >/dev/null 2>&1 && continue
        say "adding the Rust component $component"
        rustup component add "$component"
    done
    [ -x $tool ] && [ "$($tool --version)" = "cargo-deny $CARGO_DENY" ] && return
    say "building cargo-deny $CARGO_DENY into build/tools (about two minutes, once)"
    # Unoptimised and without debug information: building it takes longer than it will ever run.
    CARGO_PROFILE_DEV_DEBUG=false CARGO_TARGET_DIR=build/tools/target cargo install --quiet --locked --debug \
        --no-default-features --root build/tools --version "$CARGO_DENY" cargo-deny
    rm -rf build/tools/target
}

step_daemons() { "$PYTHON" tests/servers/install.py; }

[ $# -gt 0 ] || die "which step? wasm, demo, python, lint or daemons"
for step in "$@"; do
    declare -F "step_$step" >/dev/null || die "no such step: $step"
    "step_$step"
done
