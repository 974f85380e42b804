//! What several tests here need: fresh systems, iteration counts, training without a host.
use std::ops::ControlFlow;
use std::sync::Arc;

use precondor_core::host::{Alone, Host};
use precondor_core::prelude::*;
use precondor_core::problem::{Families, Poisson, Problem};
use precondor_core::solver::{Algorithm, Criterion, Outcome, Stop, solve};
use precondor_core::train::{Progress, Trainable, Training, Watch};
use serde_json::Value;

pub use crate::threads::ThreeThreads;

/// Test system `index` of a level; never one of the training systems, whatever the seed.
pub fn system(level: u32, shift: f64, index: u64) -> System {
    let poisson = Poisson { shift, seed: 900, ..Poisson::at_level(level) };
    Problem::Poisson(poisson).generate_nth(Comm::solo(), index).unwrap().0
}

/// Iterations and solution of a solve that converges.
pub fn run(
    method: Algorithm,
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

/// Iterations of conjugate gradients from zero to a relative residual of 1e-8.
///
/// # Errors
/// What the solver reports.
pub fn cg_iterations(a: &DistCsr, b: &[f64], m: &dyn Preconditioner) -> Result<usize> {
    let criterion = Criterion::RelativeResidual;
    let stop =
        Stop { criterion, tolerance: 1e-8, max_iterations: 100_000, divergence: f64::INFINITY };
    let mut x = vec![0.0; b.len()];
    let watch = &mut |_: &_| ControlFlow::Continue(());
    Ok(solve(&Algorithm::Cg, a, m, b, &mut x, &stop, watch)?.iterations)
}

/// Richardson iterations with ω = 1 from zero with b = 1, until ‖x − x*‖ < 1e-5.
pub fn absolute_iterations(a: &DistCsr, m: &dyn Preconditioner) -> usize {
    let ones = vec![1.0; a.n_own()];
    let gmres = Algorithm::Gmres { restart: 100 };
    let exact = run(gmres, a, m, &ones, (Criterion::RelativeResidual, 1e-12)).1;
    let method = Algorithm::Richardson { damping: 1.0 };
    run(method, a, m, &ones, (Criterion::AbsoluteError(&exact), 1e-5)).0
}

/// Mean and maximum.
pub fn summary(counts: &[usize]) -> (f64, usize) {
    let mean = counts.iter().sum::<usize>() as f64 / counts.len() as f64;
    (mean, counts.iter().copied().max().unwrap_or(0))
}

/// Keeps checkpoints, and stops where it is told to.
#[derive(Default)]
pub struct Keeper {
    /// Steps between checkpoints.
    pub every: u64,
    /// Steps to stop after.
    pub stop_after: Option<u64>,
    /// Whether checkpoints cannot be kept.
    pub full: bool,
    /// Losses seen.
    pub losses: Vec<f64>,
    /// Losses on the systems for validation, at every look.
    pub validated: Vec<f64>,
    /// Checkpoints kept.
    pub checkpoints: Vec<Vec<u8>>,
}

impl Watch for Keeper {
    fn progress(&mut self, progress: &Progress) {
        self.losses.push(progress.loss);
    }
    fn validated(&mut self, _: u64, loss: f64) {
        self.validated.push(loss);
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
    train_with::<T>(Arc::new(Alone), params, levels, shift, resume, watch)
}

/// The same with a host whose file `model.safetensors` is `model`.
pub fn train_from<T: Trainable>(
    model: &[u8],
    params: &T::TrainParams,
    levels: &[u32],
    shift: f64,
    watch: &mut Keeper,
) -> Result<Vec<u8>> {
    train_with::<T>(Arc::new(OneFile(model.to_vec())), params, levels, shift, None, watch)
}

fn train_with<T: Trainable>(
    host: Arc<dyn Host>,
    params: &T::TrainParams,
    levels: &[u32],
    shift: f64,
    resume: Option<&[u8]>,
    watch: &mut Keeper,
) -> Result<Vec<u8>> {
    let problem = |&level| Problem::Poisson(Poisson { shift, ..Poisson::at_level(level) });
    let samples = Families::new(levels.iter().map(problem).collect())?;
    T::train(
        params,
        Training { comm: &Comm::solo(), host: &host, samples: &samples, resume, watch },
    )
}

/// All columns of a preconditioner, row after row.
pub fn columns(m: &dyn Preconditioner, n: usize) -> Vec<f64> {
    let mut all = vec![0.0; n * n];
    let (mut unit, mut column) = (vec![0.0; n], vec![0.0; n]);
    for j in 0..n {
        unit.fill(0.0);
        unit[j] = 1.0;
        m.apply(&unit, &mut column).unwrap();
        for i in 0..n {
            all[i * n + j] = column[i];
        }
    }
    all
}

/// The product of two dense matrices.
pub fn product(a: &[f64], b: &[f64], n: usize) -> Vec<f64> {
    let mut c = vec![0.0; n * n];
    for i in 0..n {
        for k in 0..n {
            for j in 0..n {
                c[i * n + j] += a[i * n + k] * b[k * n + j];
            }
        }
    }
    c
}

/// The inverse of a dense matrix.
pub fn inverse(a: &[f64], n: usize) -> Vec<f64> {
    let mut a = a.to_vec();
    for k in 0..n {
        let pivot = 1.0 / std::mem::replace(&mut a[k * n + k], 1.0);
        for j in 0..n {
            a[k * n + j] *= pivot;
        }
        for i in (0..n).filter(|&i| i != k) {
            let factor = std::mem::replace(&mut a[i * n + k], 0.0);
            for j in 0..n {
                a[i * n + j] -= factor * a[k * n + j];
            }
        }
    }
    a
}

/// A host with one file.
pub struct OneFile(pub Vec<u8>);

impl Host for OneFile {
    fn inner(&self, _: &str, _: &Value, _: &System) -> Result<Box<dyn Instance>> {
        Err(Error::Unsupported("no other methods".into()))
    }
    fn read(&self, path: &str) -> Result<Vec<u8>> {
        if path == "model.safetensors" {
            return Ok(self.0.clone());
        }
        Err(Error::file(path, "no such file"))
    }
    fn log(&self, _: precondor_core::host::Level, _: &str) {}
}

/// A run that is stopped at each of its checkpoints and gone on with gives the bytes of a whole one.
pub fn resumes<T: Trainable>(params: &T::TrainParams, levels: &[u32]) {
    let mut whole = Keeper { every: 25, ..Keeper::default() };
    let model = train::<T>(params, levels, 0.3, None, &mut whole).unwrap();
    assert_eq!(whole.checkpoints.len(), 2);
    for (k, checkpoint) in whole.checkpoints.iter().enumerate() {
        let mut rest = Keeper::default();
        let again = train::<T>(params, levels, 0.3, Some(checkpoint), &mut rest).unwrap();
        assert!(again == model, "resumed from checkpoint {k}");
        assert_eq!(rest.losses, whole.losses[25 * (k + 1)..]);
    }
    let mut stopped = Keeper { stop_after: Some(37), ..Keeper::default() };
    let error = train::<T>(params, levels, 0.3, None, &mut stopped).unwrap_err();
    assert_eq!(error, Error::Interrupted);
    let last = stopped.checkpoints.last().unwrap();
    let again = train::<T>(params, levels, 0.3, Some(last), &mut Keeper::default()).unwrap();
    assert!(again == model, "resumed after a stop");
}
