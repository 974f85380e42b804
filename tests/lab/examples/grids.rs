//! What the checks of `mlp-fsai` say on regular grids:
//!
//! ```text
//! cargo run --release -p precondor-lab --example grids -- [NODES …]
//! ```
//!
//! A line is one grid: conjugate gradients from zero to a relative residual of 1e-8 with FSAI, with the
//! network's factor unseen, and with what the checks chose, for a right-hand side of ones and (mean) three
//! random ones; then the note that tells why.
#![allow(clippy::unwrap_used)]
use precondor_neural::random::Random;
use precondor_plugin_mlp::fsai::{MlpFsai, Params};
use precondor_plugin_spai::{Fsai, FsaiParams};
use precondor_sdk::prelude::*;
use precondor_testkit::grids;
use precondor_testkit::learning::cg_iterations as iterations;

fn main() -> Result<()> {
    let sizes: Vec<usize> = std::env::args().skip(1).map(|m| m.parse().unwrap()).collect();
    let sizes = if sizes.is_empty() { vec![31, 63, 100, 127] } else { sizes };
    println!(
        "| grid | ones: FSAI | unseen | mlp-fsai | random: FSAI | unseen | mlp-fsai | note |\n\
         |---|---|---|---|---|---|---|---|"
    );
    for (name, system) in grids::all(&sizes) {
        let a = system.a();
        let unseen = Params { trust: true, ..Params::default() };
        let plain = Fsai::generate(&FsaiParams::default(), &system)?;
        let unseen = MlpFsai::generate(&unseen, &system)?;
        let m = MlpFsai::generate(&Params::default(), &system)?;
        let all: [&dyn Preconditioner; 3] = [&plain, &unseen, &m];
        let mut line = format!("| {name}");
        for m in all {
            line += &format!(" | {}", iterations(a, &vec![1.0; a.n_own()], m)?);
        }
        for m in all {
            let mut sum = 0;
            for seed in 0..3 {
                let mut random = Random::new(6 + seed, 0);
                let b: Vec<f64> = (0..a.n_own()).map(|_| random.unit() - 0.5).collect();
                sum += iterations(a, &b, m)?;
            }
            line += &format!(" | {:.1}", sum as f64 / 3.0);
        }
        println!("{line} | {} |", m.notes().join("; "));
    }
    Ok(())
}
