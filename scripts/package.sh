#!/usr/bin/env bash
# Packs all crates as they would be published, and builds each from what was packed alone. Takes a full build in a
# target folder of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
exec cargo package --workspace --exclude precondor-lab --exclude precondor-testkit --locked --target-dir target/package "$@"
