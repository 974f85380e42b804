//! Systems that follow each other: time steps of heat that flows while its conductivity changes, under each policy.
//!
//!     cargo run --example sequence
use precondor::core::problem::{Heat, Problem};
use precondor::prelude::*;

fn main() -> Result<()> {
    let methods = Methods::find()?;
    let heat = Problem::Heat(Heat { nodes: 31, ..Heat::default() });
    for (reuse, warm) in [
        (Reuse::Refresh, false),
        (Reuse::Refresh, true),
        (Reuse::Keep, true),
        (Reuse::Adaptive, true),
    ] {
        let solver = Solver::cg().tolerance(1e-6);
        let mut sequence = methods.sequence("ic", json!({}), solver)?.reuse(reuse).warm_start(warm);
        for step in 0..30 {
            let (system, b) = heat.generate_nth(Comm::solo(), step)?;
            sequence.solve(&system, &b)?;
        }
        let totals = sequence.totals();
        let start = if warm { "from the last step" } else { "from zero" };
        println!(
            "{} {start}: {} of {} solved, {} setups, {} refreshed, {} kept, {} iterations",
            reuse.name(),
            totals.converged,
            totals.systems,
            totals.made.setups,
            totals.made.refreshes,
            totals.made.kept,
            totals.iterations
        );
    }
    Ok(())
}
