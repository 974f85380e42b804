#!/usr/bin/env bash
# A wheel of the Python package for any Linux with glibc 2.28 (2018) or newer on x86-64, in target/wheels: zig links against the
# symbols of that C library, and maturin refuses a wheel that needs newer ones. Needs Python with venv and a network; maturin and zig
# come from PyPI into target/wheel-tools.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$PWD/target/wheel-tools
[ -x "$tools/bin/maturin" ] || { python3 -m venv "$tools" && "$tools/bin/pip" install -q 'maturin>=1.7,<2' ziglang >&2; }
# As a target folder of its own: what is compiled for zig is of no use to others.
cd bindings/python
CARGO_TARGET_DIR=../../target/zig PATH="$tools/bin:$PATH" exec maturin build --release --locked --zig --compatibility manylinux_2_28 --out ../../target/wheels "$@"
