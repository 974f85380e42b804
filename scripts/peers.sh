#!/usr/bin/env bash
# Precondor beside PETSc, hypre and AMGCL on the same matrices, to a relative residual of 1e-8. Prints Markdown;
# benches/RESULTS.md keeps what it said. Needs root the first time (apt-get), and pip for AMGCL's headers and PyAMG.
#
#     scripts/peers.sh [GRID [ROUNDS]]       perturbed Poisson; level 9 has 261121 unknowns, 63^3 is a cube of tetrahedra; rounds take
#                                            turns among the programs
#     scripts/peers.sh --families [SIZE [ROUNDS [FAMILY,...]]]
#                                            amg on thirteen families of about SIZE unknowns (200000), 3 rounds
#     scripts/peers.sh --ic [SIZE [ROUNDS [FAMILY,...]]]
#                                            ic beside PETSc's ICC(0) on the symmetric ones
#
# FAMILIES_THREADS=1 leaves out the runs on two threads, of all three.
set -euo pipefail
cd "$(dirname "$0")/.."
kind=poisson
case ${1:-} in
    --families | --ic) kind=${1#--} && shift ;;
    -*) echo "peers.sh: unknown option $1" >&2 && exit 2 ;;
esac
here=$PWD/target/peers
mkdir -p "$here"

petsc=/usr/lib/petscdir/petsc3.18/x86_64-linux-gnu-real
if [ ! -d "$petsc" ] || ! command -v mpicc > /dev/null || [ ! -d /usr/include/boost ]; then
    apt-get install -y --no-install-recommends petsc-dev libopenmpi-dev openmpi-bin libboost-dev >&2
fi
if [ ! -d "$here/amgcl" ]; then
    pip download -q --no-deps --no-binary :all: pyamgcl==1.0.0.post4 -d "$here" >&2
    mkdir "$here/amgcl"
    tar xzf "$here"/pyamgcl-1.0.0.post4.tar.gz -C "$here/amgcl" --strip-components 1
fi
# Threads that wait do not spin: the machine may be shared.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1 \
    OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_mpi_yield_when_idle=1 OMP_WAIT_POLICY=passive

# compile PROGRAM COMPILER …: builds what is older than its source.
compile() {
    local program=$here/$1 source=benches/peers/$2
    shift 2
    if [ ! "$program" -nt "$source" ] || [ ! "$program" -nt benches/peers/read.h ]; then
        "$@" "$source" -o "$program" $libraries
    fi
}
libraries="-L$petsc/lib -lpetsc_real -lm"
c=(mpicc -O3 -march=native -w "-I$petsc/include")
cxx=(g++ -O3 -march=native -std=c++14 -fopenmp -w "-I$here/amgcl")

if [ "$kind" != poisson ]; then
    size=${1:-200000} rounds=${2:-3}
    compile petsc_families petsc_families.c "${c[@]}"
    if [ "$kind" = families ]; then
        libraries=-lm compile amgcl_families amgcl_families.cpp "${cxx[@]}"
        if [ ! -d "$here/venv" ]; then
            python3 -m venv "$here/venv" && "$here/venv/bin/pip" install -q pyamg >&2 ||
                { rm -rf "$here/venv" && echo "peers.sh: without PyAMG, which cannot be installed here" >&2; }
        fi
    fi
    cargo build -q --release --locked -p precondor-plugin-amg -p precondor-plugin-ilu
    cargo build -q --release --locked -p precondor-host --example families
    # Libraries are found beside the program.
    programs=target/release/examples
    ln -sf "$PWD/$programs/families" "$here/families"
    exec python3 benches/peers/families.py "$kind" "$here" "$size" "$rounds" ${3:+"$3"}
fi

grid=${1:-9} rounds=${2:-5} data=$here/grid-${1:-9}
case $grid in *^3) direct=iterative ;; *) direct= ;; esac
mkdir -p "$data"
compile petsc petsc.c "${c[@]}"
libraries=-lm compile amgcl-peer amgcl.cpp "${cxx[@]}"
for plugin in amg cholesky ilu mlp multigrid reference; do packages+=(-p "precondor-plugin-$plugin"); done
cargo build -q --release "${packages[@]}" --features precondor-plugin-cholesky/faer
cargo build -q --release -p precondor-host --example peers
cargo build -q --release -p precondor-petsc --features precondor-petsc/petsc
in_petsc="-dll_append $PWD/target/release/libprecondor_petsc.so"
peers=target/release/examples/peers
"$peers" write "$data" "$grid"

IFS=, read -ra threads_each <<< "${FAMILIES_THREADS:-1,2}"
lines=$here/lines.tsv
: > "$lines"
for ((round = 0; round < rounds; round++)); do
    for threads in "${threads_each[@]}"; do
        RAYON_NUM_THREADS=$threads "$peers" solve "$grid" 2 >> "$lines"
        OMP_NUM_THREADS=$threads "$here/amgcl-peer" "$data" 2 >> "$lines"
        PETSC_OPTIONS=$in_petsc OMP_NUM_THREADS=1 mpirun -n "$threads" "$here/petsc" "$data" 1 $direct >> "$lines"
    done
done
# The peak of a process that solves with one method only.
RAYON_NUM_THREADS=2 "$peers" solve "$grid" 1 "reference post-only, Richardson" | sed 's/^/alone: /' >> "$lines"
python3 benches/peers/table.py "$lines"
