#!/usr/bin/env bash
# The tests under mpirun with MPICH instead of the default MPI, built into a target folder of their own.
# Takes a full build; not a part of scripts/test.sh. On Debian: apt-get install mpich libmpich-dev.
#
# Ranks of MPICH that wait do not give way: where there are more of them than cores, each step takes a time
# slice of the system, and jobs last minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
export PRECONDOR_TEST_LIMIT=1200 MPICC=${MPICC:-mpicc.mpich} MPIRUN=${MPIRUN:-mpirun.mpich} CARGO_TARGET_DIR=target/mpich
for program in "$MPICC" "$MPIRUN"; do
    command -v "$program" > /dev/null || {
        echo "error: no $program; on Debian: apt-get install mpich libmpich-dev libclang-dev" >&2
        exit 1
    }
done
cargo build --workspace --features precondor/mpi,precondor-lab/mpi --bins --examples --locked
cargo test --workspace --features precondor/mpi,precondor-lab/mpi --test world --test mpi --locked
