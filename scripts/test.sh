#!/usr/bin/env bash
# All checks of the project, as the README's second command: formatting, lints, documentation, tests, the
# same under mpirun, those of the Python package. Needs a Rust toolchain with rustfmt and clippy (rust-toolchain
# components); installs the C compiler, MPI, PETSc and Python's modules that some checks need where that is
# possible (scripts/setup.sh), and says in the end which checks were left out for want of them.
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
install_missing cc mpi petsc python torch
if missing cc; then exit 1; fi

# The README's first command, read from the README, in a clone below target/: whatever the working tree has
# and the repository lacks is missing there. The clone is kept, so that a later run builds what has changed.
first_command_in_a_fresh_clone() (
    clone=$PWD/target/clone
    [ -d "$clone/.git" ] || git init --quiet "$clone"
    git -C "$clone" fetch --quiet --no-tags "$PWD" HEAD
    git -C "$clone" reset --quiet --hard FETCH_HEAD
    git -C "$clone" clean --quiet -ffdx --exclude=/target
    command=$(grep -m1 '^cargo run' README.md)
    cd "$clone"
    rm -rf target/report
    $command --report "$clone/target/report"
    test -s "$clone/target/report/index.html"
    # Built without MPI, the program does not run as many times as a launcher starts it.
    if said=$(OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=0 target/release/precondor plugins list 2>&1); then
        echo "error: one of two ranks ran by itself: $said" >&2
        exit 1
    fi
    grep -q -e "--features mpi" <<< "$said"
    carries_its_methods
)

# The program and a library that carry their methods along: alone in an empty folder, far from any library.
carries_its_methods() (
    alone=$(mktemp -d)
    trap 'rm -rf "$alone"' EXIT
    cargo build --release --quiet --features linked --bin precondor --example solve_csr
    cp target/release/precondor target/release/examples/solve_csr "$alone/"
    cd "$alone"
    export HOME="$PWD/home" XDG_DATA_HOME="$PWD/home"
    ./precondor plugins list
    ./precondor plugins list | grep -c 'linked in'
    ./solve_csr | grep '^Converged'
)

# What is there decides what is built. Always the whole workspace: cargo builds dependencies once for every
# choice of packages and features.
with=()
if missing mpi; then
    left_out+=("everything under mpirun and with PETSc: no MPI")
elif missing petsc; then
    left_out+=("everything with PETSc: no PETSc")
    with=(--features precondor/mpi,precondor-lab/mpi)
else
    with=(--features precondor/petsc,precondor-lab/mpi)
fi
if missing python; then left_out+=("the tests of the Python package: no Python with NumPy, SciPy and pytest"); fi
if missing torch; then left_out+=("the Python package with PyTorch: no PyTorch"); fi
step cargo fmt --all --check
# With the Python package, which the others are built without.
step cargo clippy --workspace --all-targets "${with[@]}" --features precondor-python/extension --locked -- -D warnings
RUSTDOCFLAGS="-D warnings" step cargo doc --workspace --no-deps "${with[@]}" --locked
step cargo test --workspace "${with[@]}" --locked
step first_command_in_a_fresh_clone

for what in "${left_out[@]}"; do
    echo "NOT RUN: $what" >&2
done
