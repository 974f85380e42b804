#!/usr/bin/env bash
# Precondor beside PETSc, hypre and AMGCL on the same matrix: perturbed Poisson, relative residual 1e-8.
# Prints one table; benches/RESULTS.md keeps what it said. Needs root the first time (apt-get), and pip for AMGCL's headers.
#
#     scripts/peers.sh [LEVEL [ROUNDS]]     level 9 has 261121 unknowns; rounds take turns among the programs
set -euo pipefail
cd "$(dirname "$0")/.."
level=${1:-9} rounds=${2:-5}
here=$PWD/target/peers data=$PWD/target/peers/level-$level
mkdir -p "$data"

petsc=/usr/lib/petscdir/petsc3.18/x86_64-linux-gnu-real
if [ ! -d "$petsc" ] || ! command -v mpicc > /dev/null || [ ! -d /usr/include/boost ]; then
    apt-get install -y --no-install-recommends petsc-dev libopenmpi-dev openmpi-bin libboost-dev >&2
fi
if [ ! -d "$here/amgcl" ]; then
    pip download -q --no-deps --no-binary :all: pyamgcl==1.0.0.post4 -d "$here" >&2
    mkdir "$here/amgcl"
    tar xzf "$here"/pyamgcl-1.0.0.post4.tar.gz -C "$here/amgcl" --strip-components 1
fi
mpicc -O3 -march=native -w -I"$petsc/include" benches/peers/petsc.c -o "$here/petsc" -L"$petsc/lib" -lpetsc_real -lm
g++ -O3 -march=native -std=c++14 -fopenmp -w -I"$here/amgcl" benches/peers/amgcl.cpp -o "$here/amgcl-peer"
for plugin in ilu mlp multigrid reference; do packages+=(-p "precondor-plugin-$plugin"); done
cargo build -q --release "${packages[@]}"
cargo build -q --release -p precondor-host --example peers
peers=target/release/examples/peers
"$peers" write "$data" "$level"

# Threads that wait do not spin: the machine may be shared.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 \
    OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_mpi_yield_when_idle=1 OMP_WAIT_POLICY=passive
lines=$here/lines.tsv
: > "$lines"
for ((round = 0; round < rounds; round++)); do
    for threads in 1 2; do
        RAYON_NUM_THREADS=$threads "$peers" solve "$level" 2 >> "$lines"
        OMP_NUM_THREADS=$threads "$here/amgcl-peer" "$data" 2 >> "$lines"
        OMP_NUM_THREADS=1 mpirun -n "$threads" "$here/petsc" "$data" 1 >> "$lines"
    done
done
# The peak of a process that solves with one method only.
RAYON_NUM_THREADS=2 "$peers" solve "$level" 1 "mlp-reference spd, Richardson" | sed 's/^/alone: /' >> "$lines"
python3 benches/peers/table.py "$lines"
