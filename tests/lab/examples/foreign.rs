//! What the guards of `mlp-fsai` that cost no product say about matrices that it was not trained on:
//!
//! ```text
//! cargo run --release -p precondor-lab --example foreign
//! ```
//!
//! A line is one matrix: conjugate gradients from zero to a relative residual of 1e-8, random
//! right-hand side, with FSAI, with the network's factor unseen, and with what the checks chose; then
//! the note that tells why.
#![allow(clippy::unwrap_used)]
use precondor_neural::random::Random;
use precondor_plugin_mlp::fsai::{MlpFsai, Params};
use precondor_plugin_spai::{Fsai, FsaiParams};
use precondor_sdk::prelude::*;
use precondor_testkit::foreign;
use precondor_testkit::learning::cg_iterations as iterations;

fn main() -> Result<()> {
    println!(
        "| matrix | n | FSAI | network, unseen | mlp-fsai | note |\n|---|---|---|---|---|---|"
    );
    let mut drawn = Random::new(8, 0);
    for (name, system) in foreign::all(&mut || drawn.unit()) {
        let a = system.a();
        let mut random = Random::new(6, 0);
        let b: Vec<f64> = (0..a.n_own()).map(|_| random.unit() - 0.5).collect();
        let fsai = iterations(a, &b, &Fsai::generate(&FsaiParams::default(), &system)?)?;
        let unseen = Params { trust: true, ..Params::default() };
        let unseen = iterations(a, &b, &MlpFsai::generate(&unseen, &system)?)?;
        let m = MlpFsai::generate(&Params { check: 0, ..Params::default() }, &system)?;
        let checked = iterations(a, &b, &m)?;
        let note = m.notes().join("; ");
        println!("| {name} | {} | {fsai} | {unseen} | {checked} | {note} |", a.n_own());
    }
    Ok(())
}
