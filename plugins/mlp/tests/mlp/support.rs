//! What several tests here need: fresh systems, iteration counts, training without a host.
use std::ops::ControlFlow;
use std::sync::Arc;

use precondor_sdk::core::host::{Alone, Host};
use precondor_sdk::core::problem::{Families, Poisson, Problem};
use precondor_sdk::core::solver::{Criterion, Method, Outcome, Stop, solve};
use precondor_sdk::core::train::{Progress, Trainable, Training, Watch};
use precondor_sdk::prelude::*;

use precondor_testkit::threads as threads_lent;
pub use threads_lent::ThreeThreads;

/// Test system `index` of a level; never one of the training systems, whatever the seed.
pub fn system(level: u32, shift: f64, index: u64) -> System {
    let poisson = Poisson { shift, seed: 900, ..Poisson::at_level(level) };
    Problem::Poisson(poisson).generate_nth(Comm::solo(), index).unwrap().0
}

fn run(
    method: Method,
    a: &DistCsr,
    m: &dyn Preconditioner,
    b: &[f64],
    (criterion, tolerance): (Criterion<'_>, f64),
) -> (usize, Vec<f64>) {
    let mut x = vec![0.0; a.n_own()];
    let stop = Stop { criterion, tolerance, max_iterations: 300, divergence: 1e6 };
    let report =
        solve(&method, a, m, b, &mut x, &stop, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(report.outcome, Outcome::Converged);
    (report.iterations, x)
}

const RELATIVE: (Criterion<'_>, f64) = (Criterion::RelativeResidual, 1e-5);

/// Richardson iterations with ω = 1 from zero with b = 1, until ‖x − x*‖ < 1e-5.
pub fn absolute_iterations(a: &DistCsr, m: &dyn Preconditioner) -> usize {
    let ones = vec![1.0; a.n_own()];
    let gmres = Method::Gmres { restart: 100 };
    let exact = run(gmres, a, m, &ones, (Criterion::RelativeResidual, 1e-12)).1;
    let method = Method::Richardson { damping: 1.0 };
    run(method, a, m, &ones, (Criterion::AbsoluteError(&exact), 1e-5)).0
}

/// Richardson iterations with ω = 1 from zero with b = 1, until ‖b − A x‖ ≤ 1e-5 ‖b‖.
pub fn relative_iterations(a: &DistCsr, m: &dyn Preconditioner) -> usize {
    richardson(a, m, &vec![1.0; a.n_own()])
}

/// Richardson iterations with ω = 1 from zero, until ‖b − A x‖ ≤ 1e-5 ‖b‖.
pub fn richardson(a: &DistCsr, m: &dyn Preconditioner, b: &[f64]) -> usize {
    run(Method::Richardson { damping: 1.0 }, a, m, b, RELATIVE).0
}

/// Iterations of conjugate gradients from zero, until ‖b − A x‖ ≤ 1e-5 ‖b‖.
pub fn cg(a: &DistCsr, m: &dyn Preconditioner, b: &[f64]) -> usize {
    run(Method::Cg, a, m, b, RELATIVE).0
}

/// Mean and maximum.
pub fn summary(counts: &[usize]) -> (f64, usize) {
    let mean = counts.iter().sum::<usize>() as f64 / counts.len() as f64;
    (mean, counts.iter().copied().max().unwrap_or(0))
}

/// Keeps checkpoints, and stops where it is told to.
#[derive(Default)]
pub struct Keeper {
    pub every: u64,
    pub stop_after: Option<u64>,
    /// Whether checkpoints cannot be kept.
    pub full: bool,
    pub losses: Vec<f64>,
    pub checkpoints: Vec<Vec<u8>>,
}

impl Watch for Keeper {
    fn progress(&mut self, progress: &Progress) {
        self.losses.push(progress.loss);
    }
    fn checkpoint(&mut self, state: &[u8]) -> Result<()> {
        if self.full {
            return Err(Error::file("model.checkpoint", "the disk is full"));
        }
        self.checkpoints.push(state.to_vec());
        Ok(())
    }
    fn checkpoint_every(&self) -> u64 {
        self.every
    }
    fn cancelled(&self) -> bool {
        self.stop_after.is_some_and(|n| self.losses.len() as u64 >= n)
    }
}

/// Trains on Poisson problems of these levels.
pub fn train<T: Trainable>(
    params: &T::TrainParams,
    levels: &[u32],
    shift: f64,
    resume: Option<&[u8]>,
    watch: &mut Keeper,
) -> Result<Vec<u8>> {
    let problem = |&level| Problem::Poisson(Poisson { shift, ..Poisson::at_level(level) });
    let samples = Families::new(levels.iter().map(problem).collect())?;
    let host: Arc<dyn Host> = Arc::new(Alone);
    T::train(
        params,
        Training { comm: &Comm::solo(), host: &host, samples: &samples, resume, watch },
    )
}
