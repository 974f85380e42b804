#!/usr/bin/env bash
# Fuzzes the parsers for so many minutes, all of them in turn or one: changed inputs of tests/fuzz/corpus, in
# one process, on the stable toolchain. Prints the inputs a second of each.
#
#     scripts/fuzz.sh MINUTES [PARSER]
#
# FUZZ_SEED=N repeats a run. What crashes is kept in the folder that is printed; in tests/fuzz/crashes, under
# the parser's name and a dash, it becomes part of the tests.
set -euo pipefail
cd "$(dirname "$0")/.."
minutes=${1:?"usage: scripts/fuzz.sh MINUTES [PARSER]"}
export FUZZ_SECONDS=$((minutes * 60)) FUZZ_PARSER=${2:-} FUZZ_SEED=${FUZZ_SEED:-$(date +%s)}
# The same packages and features as the program: their builds serve both.
with=()
if command -v "${MPICC:-mpicc}" > /dev/null; then with=(--features precondor/petsc); fi
test=$(cargo test -p precondor "${with[@]}" --locked --test fuzz --no-run --message-format short 2>&1 |
    tee /dev/stderr | sed -n 's/.*Executable.*(\(.*fuzz-[0-9a-f]*\)).*/\1/p')
kept=target/tmp/fuzz
status=0
# An input may take long, but none takes minutes: what hangs is ended with its input kept.
timeout --kill-after=10 $((FUZZ_SECONDS + 120)) nice "$test" --ignored --exact long --nocapture || status=$?
for current in "$kept"/current-*; do
    [ -e "$current" ] || continue
    name=${current##*/current-}
    # Its length stands before the input, in a line.
    tail -c +10 "$current" | head -c $((10#$(head -c 8 "$current"))) > "$kept/crash-$name-$FUZZ_SEED"
    rm "$current"
    echo "the process ended at $kept/crash-$name-$FUZZ_SEED" >&2
    status=1
done
exit "$status"
