#!/usr/bin/env bash
# All benchmarks, one after the other; benches/RESULTS.md keeps what they said.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo bench --bench matrix
cargo bench -p precondor-plugin-spai --bench setup
cargo bench -p precondor-plugin-mlp --bench assembly
cargo run --release -p precondor-host --example call_overhead
