//! Setup and application of IC(0): milliseconds, and products with A that last as long.
//!
//!     cargo bench -p precondor-plugin-ilu --bench ic [-- THREADS]
//!
//! "first" is a setup on a matrix of which nothing is known yet, its check of symmetry included; "again" one
//! on a matrix whose symmetry is known. Least of fifteen each.
use precondor_plugin_ilu::{Ic, ic};
use precondor_sdk::core::comm::Comm;
use precondor_sdk::core::problem::Problem;
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::json;
use std::time::Instant;

fn main() -> Result<()> {
    println!("| matrix | unknowns | entries | product, ms | first | again | refresh | apply |");
    println!("|---|---|---|---|---|---|---|---|");
    for (name, mut doc) in [
        ("poisson", json!({"kind": "poisson", "level": 9})),
        ("random-mesh", json!({"kind": "diffusion", "mesh": "random", "nodes": 400})),
        ("cube", json!({"kind": "cube", "nodes": 55})),
        ("tetrahedra", json!({"kind": "tetrahedra", "nodes": 55})),
    ] {
        doc["rhs"] = json!("random");
        let (system, b) = Problem::from_json(&doc)?.generate(Comm::solo())?;
        let own = system.a().own().view();
        let (params, mut z) = (ic::Params::default(), vec![0.0; b.len()]);
        let product = least(|| system.a().spmv(&b, &mut z).map(|()| 0.0))?;
        let first = least(|| {
            let a = system.a().with_values(own.values.to_vec(), vec![])?;
            let system = System::new(a);
            timed(|| Ic::generate(&params, &system).map(drop))
        })?;
        let mut m = Ic::generate(&params, &system)?;
        let again = least(|| Ic::generate(&params, &system).map(|_| 0.0))?;
        let refresh = least(|| Ic::refresh(&mut m, &params, &system).map(|()| 0.0))?;
        let apply = least(|| m.apply(&b, &mut z).map(|()| 0.0))?;
        print!("| {name} | {} | {} | {:.2}", b.len(), own.nnz(), 1e3 * product);
        for seconds in [first, again, refresh, apply] {
            print!(" | {:.2} ({:.1})", 1e3 * seconds, seconds / product);
        }
        println!(" |");
    }
    Ok(())
}

fn timed(f: impl FnOnce() -> Result<()>) -> Result<f64> {
    let begin = Instant::now();
    f()?;
    Ok(begin.elapsed().as_secs_f64())
}

/// Seconds: the least of fifteen calls of `f`, or what it returns where that is not zero.
fn least(mut f: impl FnMut() -> Result<f64>) -> Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..15 {
        let begin = Instant::now();
        let told = f()?;
        best = best.min(if told > 0.0 { told } else { begin.elapsed().as_secs_f64() });
    }
    Ok(best)
}
