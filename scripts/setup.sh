#!/usr/bin/env bash
# What the checks need beside a Rust toolchain: a C compiler, MPI, PETSc, Python with NumPy, SciPy and pytest,
# and PyTorch, which two of its examples are in.
# Installs what is missing with apt-get where that is possible (Debian, as root or with sudo), else says what
# is missing. `missing mpi` and its like then tell whether checks have to be left out. Sourced by
# scripts/test.sh; to be run by itself before working with the feature `mpi` or `petsc`, or on the Python package:
#
#     scripts/setup.sh
packages_cc="gcc libc6-dev"
packages_mpi="libopenmpi-dev openmpi-bin libclang-dev pkg-config"
packages_petsc="petsc-dev petsc64-dev python3-petsc4py libpetsc3.18-dev-examples python3-matplotlib"
packages_python="python3-numpy python3-scipy python3-pytest python3-venv"
packages_torch="python3-torch"

there_cc() { command -v cc > /dev/null; }
# The compiler wrapper and the launcher of one library, and the libclang that reads its header.
there_mpi() {
    command -v "${MPICC:-mpicc}" > /dev/null && command -v "${MPIRUN:-mpirun}" > /dev/null && there_libclang
}
there_libclang() {
    local pattern
    [ -z "${LIBCLANG_PATH:-}" ] || return 0
    for pattern in '/usr/lib/llvm-*/lib/libclang*.so*' '/usr/lib*/libclang*.so*' '/usr/lib/*-linux-gnu/libclang*.so*'; do
        compgen -G "$pattern" > /dev/null && return 0
    done
    return 1
}
there_petsc() { [ -d /usr/lib/petsc ] && /usr/bin/python3 -c 'import petsc4py, matplotlib' 2> /dev/null; }
there_python() { /usr/bin/python3 -c 'import numpy, scipy, pytest, venv, ensurepip' 2> /dev/null; }
there_torch() { /usr/bin/python3 -c 'import torch' 2> /dev/null; }

# Whether something is not there: cc, mpi, petsc, python or torch.
missing() { ! "there_$1"; }

install_missing() {
    local what packages=() wanted=() sudo=""
    for what in "$@"; do
        if missing "$what"; then
            local list="packages_$what"
            wanted+=("$what")
            read -ra list <<< "${!list}"
            packages+=("${list[@]}")
        fi
    done
    [ ${#wanted[@]} -gt 0 ] || return 0
    [ "$(id -u)" = 0 ] || sudo="sudo -n"
    if command -v apt-get > /dev/null && { [ -z "$sudo" ] || $sudo true 2> /dev/null; }; then
        echo "installing ${packages[*]}" >&2
        $sudo apt-get update -qq || true
        $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" ||
            echo "apt-get could not install them" >&2
    fi
    for what in "${wanted[@]}"; do
        if missing "$what"; then
            local list="packages_$what"
            echo "missing: $what; on Debian: apt-get install ${!list}" >&2
        fi
    done
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    set -euo pipefail
    install_missing cc mpi petsc python torch
    for what in cc mpi petsc python; do
        if missing "$what"; then exit 1; fi
    done
fi
