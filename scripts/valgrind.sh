#!/usr/bin/env bash
# The program and loaded plugins under valgrind's memcheck: no invalid access, no jump that depends on memory
# that was never written, no block that is definitely lost. Installs valgrind where it can.
#
#     scripts/valgrind.sh [PROGRAM]
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh
packages_valgrind="valgrind"
there_valgrind() { command -v valgrind > /dev/null; }
install_missing valgrind
if missing valgrind; then exit 1; fi

program=${1:-}
for built in target/release/precondor target/debug/precondor; do
    [ -n "$program" ] || [ ! -x "$built" ] || program=$built
done
: "${program:?build the program first: cargo build --release}"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# One thread: valgrind runs threads one after the other anyway.
export RAYON_NUM_THREADS=1
check() {
    echo "valgrind: $*"
    valgrind --quiet --error-exitcode=99 --errors-for-leak-kinds=definite --leak-check=full \
        "$program" "$@" > "$folder/out" 2> "$folder/err" || {
        status=$?
        # Statuses of the program itself are all below 99.
        if [ "$status" -ge 99 ]; then
            cat "$folder/err" >&2
            exit 1
        fi
    }
}

small=(--set problem.level=3)
for method in $("$program" plugins list --json | sed -n 's/^ *"name": "\(.*\)",$/\1/p'); do
    # Of a dense method the shipped models are for level 2 and 3.
    check solve examples/solve.toml "${small[@]}" --set solver.method=gmres --set "preconditioner.name=$method"
done
check solve examples/solve.toml "${small[@]}" --save-preconditioner "$folder/saved" \
    --save-solution "$folder/x.petsc" --set preconditioner.name=fsai
check solve examples/solve.toml "${small[@]}" --load-preconditioner "$folder/saved" --set preconditioner.name=fsai
check problem --output "$folder/A.mtx" --rhs "$folder/b.mtx" --set problem.level=3
check problem --output "$folder/A.petsc" --rhs "$folder/A.petsc" --set problem.level=3
check matrix "$folder/A.mtx"
check matrix "$folder/A.petsc"
# Errors, too: their paths free what was made so far.
head -c 700 "$folder/A.mtx" > "$folder/cut.mtx"
head -c 700 "$folder/A.petsc" > "$folder/cut.petsc"
check matrix "$folder/cut.mtx"
check matrix "$folder/cut.petsc"
head -c 100 "$folder/saved" > "$folder/cut"
check solve examples/solve.toml "${small[@]}" --load-preconditioner "$folder/cut"
echo "valgrind: nothing found"
