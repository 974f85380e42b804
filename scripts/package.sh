#!/usr/bin/env bash
# Packs all crates as they would be published, and builds each from what was packed alone. Takes a full build in a
# target folder of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
# Cargo keeps what it unpacked, and built, of a version, and takes that for what was packed anew.
rm -rf target/package/{package,tmp-registry} target/package/*/.fingerprint/precondor-* target/package/*/deps/*precondor*
rm -rf "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/precondor-*
exec cargo package --workspace --exclude precondor-lab --exclude precondor-testkit --locked --target-dir target/package "$@"
