#!/usr/bin/env bash
# Records docs/tables.md anew: what stands above its first table is kept, the rest is the output of the
# laboratory. One thread; about a quarter of an hour on an idle machine, half of it the whole budget at level 3.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release -p precondor -p precondor-lab --features precondor/cholesky --locked
export RAYON_NUM_THREADS=1
page=docs/tables.md
new=$(mktemp)
trap 'rm -f "$new"' EXIT
sed '/^## /,$d' "$page" > "$new"
for experiment in \
    "table2" \
    "table1 --levels 2,3" "table1 --levels 4" "table1 --levels 5,6" "table1 --levels 7,8" "table1 --levels 9" \
    "table3 --levels 2" "table3 --levels 3" "table4" "figure3" \
    "table1 --levels 2 --full" "table1 --levels 3 --full"; do
    read -ra arguments <<< "$experiment"
    echo "$experiment" >&2
    # The page has a title already; the name of the experiment goes before the command.
    target/release/precondor-lab reproduce "${arguments[0]}" --seed 2026 "${arguments[@]:1}" |
        awk '/^# / {next} /^## / {head = $0; next} {body = body $0 "\n"} END {print head "\n\n" body}' |
        cat -s >> "$new"
done
# Command substitution drops empty lines at the end.
printf '%s\n' "$(cat "$new")" > "$page"
