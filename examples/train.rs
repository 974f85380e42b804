//! Trains a small network on some systems and uses it on another one.
//!
//! The command `precondor train` does the same from a configuration, with progress and checkpoints.
//!
//!     cargo run --release --example train
use precondor::core::problem::{Families, Poisson, Problem};
use precondor::prelude::*;

fn main() -> Result<()> {
    let methods = Methods::find()?;
    let distorted = |level| Problem::Poisson(Poisson { shift: 0.3, ..Poisson::at_level(level) });
    // Systems to learn from never share a random number with systems to solve, whatever the seeds.
    let samples = Families::new(vec![distorted(3)])?;
    let budget = json!({ "steps": 400, "hidden": [8], "pool": 100, "batch": 4, "vectors": 2 });
    let model = methods.train("mlp-reference", budget, &samples)?;
    let file =
        std::env::temp_dir().join(format!("precondor-example-{}.safetensors", std::process::id()));
    std::fs::write(&file, &model).map_err(|e| Error::file(&file, e))?;

    let (system, b) = distorted(5).generate(Comm::solo())?;
    for (what, params) in
        [("trained here", json!({ "model": file })), ("shipped", json!({ "variant": "spd" }))]
    {
        let m = methods.make("mlp-reference", params, &system)?;
        let solution = Solver::cg().tolerance(1e-8).solve(system.a(), &*m, &b)?;
        println!("{what}: {} iterations", solution.report.iterations);
    }
    std::fs::remove_file(&file).map_err(|e| Error::file(&file, e))
}
