//! What a call into a plugin costs beside a call of the same method linked in: nanoseconds, for a
//! vector of one entry.
//!
//!     cargo run --release -p precondor-host --example call_overhead
use precondor_core::Result;
use precondor_core::matrix::{Csr, DistCsr};
use precondor_core::precond::Preconditioner;
use precondor_core::registry::Native;
use precondor_core::system::System;
use precondor_host::{Plugins, Search};
use serde_json::json;
use std::hint::black_box;
use std::time::Instant;

/// Nanoseconds an application: the median of 21 runs of a million.
fn measure(m: &dyn Preconditioner) -> Result<f64> {
    const CALLS: u32 = 1_000_000;
    let (r, mut z) = ([1.0], [0.0]);
    let mut runs = Vec::new();
    for _ in 0..21 {
        let begin = Instant::now();
        for _ in 0..CALLS {
            m.apply(black_box(&r), black_box(&mut z))?;
        }
        runs.push(begin.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS));
    }
    runs.sort_by(f64::total_cmp);
    Ok(runs[runs.len() / 2])
}

fn main() -> Result<()> {
    let begin = Instant::now();
    let plugins = Plugins::load(&Search { extra: vec![], base: ".".into() })?;
    let load = begin.elapsed().as_secs_f64() * 1e3;
    println!("{} libraries loaded in {load:.1} ms", plugins.libraries().len());
    let a = Csr::new(1, vec![0, 1], vec![0], vec![2.0])?;
    let system = System::new(DistCsr::solo(a)?);
    let linked = Native::<precondor_plugin_jacobi::Jacobi>::method();
    let linked = measure(&*linked.generate(&json!({}), &system)?)?;
    let loaded = measure(&*plugins.get("jacobi")?.generate(&json!({}), &system)?)?;
    println!("linked in {linked:.1} ns, loaded {loaded:.1} ns, overhead {:.1} ns", loaded - linked);
    Ok(())
}
