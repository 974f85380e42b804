#!/usr/bin/env bash
# All checks of the project, as the README's second command: formatting, lints, documentation, tests, the
# same under mpirun. Needs a Rust toolchain with rustfmt and clippy (rust-toolchain components); installs
# the C compiler, MPI and PETSc that some checks need where that is possible (scripts/setup.sh), and says in
# the end which checks were left out for want of them.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh

left_out=()

step() {
    printf '\n== %s\n' "$*" >&2
    "$@"
}

command -v cargo >/dev/null || {
    echo "error: no cargo found; install Rust from https://rustup.rs (Debian 12's own rustc is too old)" >&2
    exit 1
}
install_missing cc mpi petsc
if missing cc; then exit 1; fi

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
if missing mpi; then
    left_out+=("everything under mpirun: no MPI")
else
    step cargo clippy -p precondor -p precondor-mpi --features mpi --all-targets --locked -- -D warnings
    step cargo test -p precondor-mpi --features mpi --locked
    step cargo test --features mpi --test mpi --locked -- --test-threads 1
fi
if missing mpi || missing petsc; then
    left_out+=("everything with PETSc: no PETSc, or no MPI")
else
    step cargo clippy -p precondor -p precondor-petsc --features petsc --all-targets --locked -- -D warnings
    step cargo test -p precondor-petsc --features petsc --locked
    step cargo test --features petsc --test petsc_backend --locked -- --test-threads 1
    step cargo test --features petsc --test petsc --locked -- --test-threads 2
fi
step first_command_in_a_fresh_clone

for what in "${left_out[@]}"; do
    echo "NOT RUN: $what" >&2
done
