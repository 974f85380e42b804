#!/usr/bin/env bash
# Injects faults from outside and looks at what is left: the program killed while it writes, no room on the
# disk, signals, ranks that differ, libraries that are none. A line for each kind: how often, and how often
# it went wrong. Exit status 1 where anything did.
#
#     scripts/faults.sh [PROGRAM]
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
program=${1:-}
for built in target/release/precondor target/debug/precondor; do
    [ -n "$program" ] || [ ! -x "$built" ] || program=$built
done
: "${program:?build the program first: cargo build --release}"
program=$(realpath "$program")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
# Nothing here takes longer unless it hangs.
limit=120
bad=0 tried=0 wrong=0 kind=""

begin() { kind=$1 tried=0 wrong=0; }
end() {
    printf '%-58s %4d tried, %d wrong\n' "$kind" "$tried" "$wrong"
    bad=$((bad + wrong))
}
# A try that went wrong, with what to say of it.
fault() {
    wrong=$((wrong + 1))
    echo "  WRONG ($kind): $*" >&2
}
run() { timeout --kill-after=5 "$limit" "$program" "$@"; }
# A command that is to fail with status 1 and one message that holds the first argument.
refused() {
    local text=$1 status
    shift
    tried=$((tried + 1))
    "$@" > "$folder/out" 2> "$folder/err"
    status=$?
    if [ "$status" != 1 ]; then
        fault "status $status: $*"
    elif [ "$(grep -c '^error: ' "$folder/err")" != 1 ] || ! grep -q -e "$text" "$folder/err"; then
        fault "no '$text' in one message: $(cat "$folder/err")"
    fi
}

cat > "$folder/solve.toml" << 'EOF'
[problem]
kind = "poisson"
level = 5
seed = 1
[solver]
method = "cg"
tolerance = 1e-8
[preconditioner]
name = "fsai"
EOF
cat > "$folder/train.toml" << 'EOF'
[model]
method = "mlp-reference"
output = "model.safetensors"
checkpoint_every = 1
[train]
steps = 100000
hidden = [4]
pool = 20
vectors = 1
[data]
kind = "poisson"
levels = [3]
EOF

begin "kill -9 while a file is replaced: the old one or the new"
# An existing file is as it was, or whole; reading it says which.
run solve "$folder/solve.toml" --save-preconditioner "$folder/m" > /dev/null
for k in $(seq 1 40); do
    tried=$((tried + 1))
    "$program" solve "$folder/solve.toml" --save-preconditioner "$folder/m" \
        --save-solution "$folder/x.mtx" > /dev/null 2>&1 &
    sleep "0.$(printf %03d $((k * 8)))"
    kill -9 $! 2> /dev/null
    wait $! 2> /dev/null
    run solve "$folder/solve.toml" --load-preconditioner "$folder/m" > /dev/null 2> "$folder/err" ||
        fault "after a kill the file cannot be loaded: $(cat "$folder/err")"
done
end

begin "kill -9 while training: --resume goes on"
for k in 1 2 3 4 5; do
    tried=$((tried + 1))
    rm -f "$folder"/model.safetensors*
    "$program" train "$folder/train.toml" > /dev/null 2>&1 &
    sleep 1.$k
    kill -9 $! 2> /dev/null
    wait $! 2> /dev/null
    if [ -e "$folder/model.safetensors.checkpoint" ]; then
        # The number of steps is part of what a checkpoint belongs to: another kill ends this one.
        { timeout -s KILL 3 "$program" train "$folder/train.toml" --resume > /dev/null; } 2> "$folder/err"
        ! grep -q '^error: ' "$folder/err" || fault "$(cat "$folder/err")"
    fi
done
end

begin "no room on the disk (RLIMIT_FSIZE): an error, the old file"
for size in 0 1 4 8; do
    for what in "--save-preconditioner $folder/full" "--save-solution $folder/full"; do
        tried=$((tried + 1))
        echo old > "$folder/full"
        # shellcheck disable=SC2086
        (ulimit -f "$size" && exec timeout "$limit" "$program" solve "$folder/solve.toml" $what) \
            > "$folder/out" 2> "$folder/err"
        status=$?
        [ "$status" = 1 ] || [ "$status" = 0 ] || fault "status $status at $size blocks: $what"
        [ "$status" = 0 ] || [ "$(cat "$folder/full")" = old ] || fault "the old file is gone"
    done
done
end

begin "no room on the disk (tmpfs): an error, the old file"
mkdir "$folder/small"
if mount -t tmpfs -o size=64k tmpfs "$folder/small" 2> /dev/null; then
    for what in --save-preconditioner --save-solution; do
        for taken in 60 40 20; do
            rm -f "$folder"/small/*
            echo old > "$folder/small/file"
            head -c "${taken}k" /dev/zero > "$folder/small/taken"
            tried=$((tried + 1))
            run solve "$folder/solve.toml" --set problem.level=6 $what "$folder/small/file" \
                > "$folder/out" 2> "$folder/err"
            [ $? = 1 ] || fault "$what with ${taken} of 64 KiB taken: $(cat "$folder/err")"
            [ "$(cat "$folder/small/file")" = old ] || fault "the old file is gone"
            [ "$(find "$folder/small" -type f | wc -l)" = 2 ] || fault "a file stays behind"
        done
    done
    umount "$folder/small"
    end
else
    echo "$kind: NOT TRIED, tmpfs cannot be mounted"
fi

begin "signals: ends soon, with 128 + the signal's number"
for signal in INT TERM; do
    number=$(kill -l "$signal")
    for command in \
        "solve $folder/solve.toml --set solver.method=richardson --set solver.damping=1e-9 --set solver.max_iterations=2000000000" \
        "compare examples/nn-vs-spai.toml --set problem.samples=100000" \
        "train $folder/train.toml"; do
        rm -f "$folder"/model.safetensors*
        tried=$((tried + 1))
        # shellcheck disable=SC2086
        timeout -s "$signal" --kill-after=30 4 "$program" $command > "$folder/out" 2> "$folder/err"
        status=$?
        # 124: timeout(1) says that it sent the signal and the program ended.
        [ "$status" = 124 ] || [ "$status" = $((128 + number)) ] || fault "$signal: status $status: $command"
    done
done
end

begin "ranks that differ: one message names the first"
if command -v mpirun > /dev/null && timeout "$limit" mpirun -n 2 "$program" solve "$folder/solve.toml" > /dev/null 2>&1; then
    mkdir -p "$folder/other"
    for change in 's/seed = 1/seed = 2/' 's/1e-8/1e-3/' 's/"cg"/"gmres"/' 's/level = 5/level = 4/' 's/fsai/ic/'; do
        sed "$change" "$folder/solve.toml" > "$folder/other/solve.toml"
        refused 'rank 2: the configuration is another one than on rank 0' timeout "$limit" mpirun -n 2 \
            "$program" solve "$folder/solve.toml" : -n 1 "$program" solve "$folder/other/solve.toml"
    done
    end
else
    echo "$kind: NOT TRIED, no MPI here or in this build"
fi

begin "libraries that are none: told, and nothing else is lost"
plugins=$(dirname "$program")
[ -d "$plugins/deps" ] && plugins=$plugins/deps
good=$plugins/libprecondor_plugin_jacobi.so
mkdir "$folder/plugins"
broken=$folder/plugins/libprecondor_plugin_broken.so
make_broken() {
    case $1 in
        empty) : > "$broken" ;;
        text) echo "no library" > "$broken" ;;
        half) head -c $(($(stat -c %s "$good") / 2)) "$good" > "$broken" ;;
        header) head -c 64 "$good" > "$broken" ;;
        zeros) { head -c 4096 "$good" && head -c 100000 /dev/zero; } > "$broken" ;;
        stranger) cp "$(ldd "$program" | sed -n 's/.*=> \(.*libc\.so[^ ]*\).*/\1/p')" "$broken" ;;
        *) echo "$2" | cc -shared -fPIC -x c -o "$broken" - ;;
    esac
}
for form in empty text half header zeros stranger; do
    tried=$((tried + 1))
    make_broken "$form"
    run plugins check "$broken" > "$folder/out" 2>&1
    [ $? = 1 ] || fault "plugins check takes a library that is $form: $(cat "$folder/out")"
    run solve "$folder/solve.toml" --plugin-path "$folder/plugins" > "$folder/out" 2> "$folder/err" ||
        fault "a library that is $form keeps others from being used: $(cat "$folder/err")"
done
for body in \
    'void precondor_plugin(void) {}' \
    '#include <stdio.h>
     __attribute__((constructor)) static void hi(void) { puts("hello"); fflush(stdout); }
     int x;' \
    '#include <unistd.h>
     __attribute__((constructor)) static void sleepy(void) { for (;;) sleep(1); }' \
    '#include <stdlib.h>
     __attribute__((constructor)) static void gone(void) { abort(); }'; do
    tried=$((tried + 1))
    make_broken source "$body"
    run plugins check "$broken" > "$folder/out" 2>&1
    status=$?
    [ "$status" = 1 ] || fault "plugins check: status $status: $(cat "$folder/out")"
done
end

exit $((bad > 0))
