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
use std::ops::ControlFlow;

use precondor_neural::random::Random;
use precondor_plugin_mlp::fsai::{MlpFsai, Params};
use precondor_plugin_spai::{Fsai, FsaiParams};
use precondor_sdk::core::solver::{Criterion, Method, Stop, solve};
use precondor_sdk::prelude::*;

#[path = "../../../plugins/mlp/tests/mlp/foreign.rs"]
mod foreign;

fn iterations(a: &DistCsr, b: &[f64], m: &dyn Preconditioner) -> Result<usize> {
    let criterion = Criterion::RelativeResidual;
    let stop =
        Stop { criterion, tolerance: 1e-8, max_iterations: 100_000, divergence: f64::INFINITY };
    let mut x = vec![0.0; b.len()];
    let watch = &mut |_: &_| ControlFlow::Continue(());
    Ok(solve(&Method::Cg, a, m, b, &mut x, &stop, watch)?.iterations)
}

fn main() -> Result<()> {
    println!(
        "| matrix | n | FSAI | network, unseen | mlp-fsai | note |\n|---|---|---|---|---|---|"
    );
    for (name, system) in foreign::all() {
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
