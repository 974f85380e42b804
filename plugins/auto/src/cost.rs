//! What a run costs, in products with A.
//!
//! S + iterations · (1 + T + vectors), where S = setup + setup_rows · n/nnz and T = apply + apply_rows · n/nnz say
//! how many products with A the method's setup and one application are worth: work that goes by the entries of A, and
//! work that goes by its rows. `vectors` counts the solver's own work on vectors: n/nnz · 6 for conjugate
//! gradients, n/nnz · 60 for GMRES(30), whose basis is 15 long on average. `apply` is entries of M over entries of A
//! where it is not given.
//!
//! Seconds would be what matters, but they differ from run to run: a model trained on them could not
//! be rebuilt. The worth of setups and applications is measured once, stated in the training
//! configuration and kept in the model; iterations are what a training run finds out.
use precondor_sdk::core::comm::Communicator;
use precondor_sdk::core::kernel::random::{Purpose, Stream};
use precondor_sdk::core::schema::named_method;
use precondor_sdk::core::solver::{Algorithm, Criterion, Outcome, Stop, solve};
use precondor_sdk::prelude::*;
use precondor_sdk::serde_json::Value;
use std::ops::ControlFlow;

/// A method that may be chosen, and what it is worth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "precondor_sdk::serde", deny_unknown_fields)]
#[schemars(crate = "precondor_sdk::schemars")]
pub struct Candidate {
    /// The method: its name, or a table with `name` and its parameters.
    #[schemars(extend("x-precondor-method" = true))]
    pub method: Value,
    /// Products with A that its setup is worth.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub setup: f64,
    /// And besides, times rows over entries of A.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0.0))]
    pub setup_rows: f64,
    /// Products with A that an application is worth; entries of M over entries of A where it is left
    /// out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub apply: Option<f64>,
    /// And besides, times rows over entries of A.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0.0))]
    pub apply_rows: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde asks for")]
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

impl Candidate {
    /// A method of which nothing is known.
    pub fn of(method: Value) -> Self {
        Candidate { method, setup: 0.0, setup_rows: 0.0, apply: None, apply_rows: 0.0 }
    }

    /// Name and parameters.
    ///
    /// # Errors
    /// [`Error::Parameter`] where the method has no name.
    pub fn named(&self) -> Result<(String, Value)> {
        named_method(&self.method).ok_or_else(|| {
            let why = "a candidate's 'method' is a name, or a table with 'name'";
            Error::Parameter(format!("{why}, not {}", self.method))
        })
    }
}

/// How far a run goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Relative residual to reach.
    pub tolerance: f64,
    /// Iterations allowed.
    pub max_iterations: usize,
}

/// What a method took on a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(crate = "precondor_sdk::serde")]
pub struct Run {
    /// Iterations.
    pub iterations: usize,
    /// Products with A that all of it is worth.
    pub cost: f32,
}

/// Vectors that an iteration reads or writes for itself.
const CG_VECTORS: f64 = 6.0;
const GMRES_VECTORS: f64 = 60.0;
const RESTART: usize = 30;

/// Sets a candidate up and solves with normal random numbers on the right, by conjugate gradients
/// where A and M allow them, else by GMRES. `Ok(Err(why))` where it refuses, or does not get there.
/// Collective.
///
/// # Errors
/// [`Error::Parameter`] for a method that is not there, or parameters that it does not have.
pub fn run(
    candidate: &Candidate,
    system: &System,
    limits: Limits,
    (seed, index): (u64, u64),
) -> Result<std::result::Result<Run, String>> {
    let (a, (name, params)) = (system.a(), candidate.named()?);
    let m = match system.host().inner(&name, &params, system) {
        Ok(m) => m,
        Err(e) if matches!(e.root(), Error::Parameter(_)) => {
            return Err(e.inside(format!("candidate {name}")));
        }
        Err(e) => return Ok(Err(e.to_string())),
    };
    let symmetric = a.first_unsymmetric()?.is_none();
    let (method, vectors) = match symmetric && m.properties().positive_definite {
        true => (Algorithm::Cg, CG_VECTORS),
        false => (Algorithm::Gmres { restart: RESTART }, GMRES_VECTORS),
    };
    let stream = Stream::new(Purpose::Training, seed, index, &[a.n_global()]);
    let rows = a.space().start()..a.space().start() + a.n_own() as u64;
    let b: Vec<f64> = rows.map(|row| stream.normal(row)).collect();
    let stop = Stop {
        criterion: Criterion::RelativeResidual,
        tolerance: limits.tolerance,
        max_iterations: limits.max_iterations,
        divergence: 1e8,
    };
    let mut x = vec![0.0; a.n_own()];
    let mut unwatched = |_: &_| ControlFlow::Continue(());
    let report = match solve(&method, a, m.as_ref(), &b, &mut x, &stop, &mut unwatched) {
        Ok(report) => report,
        Err(e) => return Ok(Err(e.to_string())),
    };
    if report.outcome != Outcome::Converged {
        let ended = match report.outcome {
            Outcome::Breakdown(why) | Outcome::Diverged(why) => why,
            _ => "too many iterations".into(),
        };
        return Ok(Err(format!("{ended} ({} iterations)", report.iterations)));
    }
    let mut entries = [m.stored_entries() as f64, a.nnz_own() as f64];
    a.space().comm().sum(&mut entries)?;
    let nnz = entries[1].max(1.0);
    let rows = a.n_global() as f64 / nnz;
    let apply = candidate.apply.unwrap_or(entries[0] / nnz) + candidate.apply_rows * rows;
    let each = 1.0 + apply + vectors * rows;
    let (iterations, setup) = (report.iterations, candidate.setup + candidate.setup_rows * rows);
    Ok(Ok(Run { iterations, cost: (setup + iterations as f64 * each) as f32 }))
}

/// The index of the least cost; `None` where nothing got there.
pub fn best(runs: &[Option<Run>]) -> Option<usize> {
    let costs = runs.iter().enumerate().filter_map(|(k, run)| Some((k, run.as_ref()?.cost)));
    costs.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(k, _)| k)
}
