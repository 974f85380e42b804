#!/usr/bin/env bash
# All checks of the project, as the README's second command: formatting, lints, documentation, tests.
# Needs a Rust toolchain with rustfmt and clippy (rust-toolchain components) and a C compiler, which
# the linker needs anyway; installs the C compiler where it is missing and that is possible.
set -euo pipefail
cd "$(dirname "$0")/.."

need_c_compiler() {
    command -v cc >/dev/null && return
    echo "installing a C compiler" >&2
    local sudo=""
    [ "$(id -u)" = 0 ] || sudo="sudo"
    if command -v apt-get >/dev/null && { [ -z "$sudo" ] || command -v sudo >/dev/null; }; then
        $sudo apt-get update -qq && $sudo apt-get install -y -qq gcc libc6-dev
    else
        echo "error: no C compiler 'cc' found; install one (Debian: apt-get install gcc libc6-dev)" >&2
        exit 1
    fi
}

step() {
    printf '\n== %s\n' "$*" >&2
    "$@"
}

command -v cargo >/dev/null || {
    echo "error: no cargo found; install Rust from https://rustup.rs (Debian 12's own rustc is too old)" >&2
    exit 1
}
need_c_compiler

# The README's first command, read from the README, in a clone under a temporary folder: whatever the
# working tree has and the repository lacks is missing there.
first_command_in_a_fresh_clone() (
    clone=$(mktemp -d)
    trap 'rm -rf "$clone"' EXIT
    git clone --quiet "$PWD" "$clone/precondor"
    command=$(grep -m1 '^cargo run' README.md)
    cd "$clone/precondor"
    $command --report "$clone/report"
    test -s "$clone/report/index.html"
)

step cargo fmt --all --check
step cargo clippy --workspace --all-targets --locked -- -D warnings
RUSTDOCFLAGS="-D warnings" step cargo doc --workspace --no-deps --locked
step cargo test --workspace --locked
step first_command_in_a_fresh_clone
