//! How solves ended, and what was measured of them.
use super::median;
use super::traffic::Sent;
use precondor_core::instance::Setup;
use precondor_core::solver::Switch;
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;

/// How a solve ended: numbers and notes, or why there was none.
pub type End = std::result::Result<Entry, Failure>;

/// The outcome of a run that was stopped at its time limit.
pub const TIME_LIMIT: &str = "time-limit";

/// One solve, or the same one done several times.
#[derive(Clone, Serialize, Deserialize)]
pub struct Entry {
    /// Iterations.
    pub iterations: usize,
    /// `converged`, `max-iterations`, …
    pub outcome: Cow<'static, str>,
    /// Why it did not converge, where there is more to say.
    pub reason: Option<String>,
    /// The stopping measure at the end.
    #[serde(deserialize_with = "number")]
    pub measure: f64,
    /// ‖b − Ax‖₂/‖b‖₂, computed afresh.
    #[serde(deserialize_with = "number")]
    pub true_relative_residual: f64,
    /// nnz(M)/nnz(A). Not known of PETSc's own preconditioners, as the next two.
    pub nnz_ratio: Option<f64>,
    /// Numbers that M is made of.
    pub preconditioner_nnz: Option<usize>,
    /// Bytes of M.
    pub preconditioner_bytes: Option<usize>,
    /// Products with A, an application of M counted as nnz(M)/nnz(A) of one, times [`passes`](crate::measure::passes).
    pub products: Option<f64>,
    /// The median time of setup.
    pub setup_seconds: f64,
    /// The median time of the solve.
    pub solve_seconds: f64,
    /// Of setup and solve, each time that it was done.
    pub times: Vec<[f64; 2]>,
    /// How the preconditioner was come by.
    pub setup: Setup,
    /// Where the solve noticed that its preconditioner fails, and went on by other means.
    pub fallback: Vec<Switch>,
    /// What files, method and solver had to say.
    pub notes: Vec<String>,
    /// What the ranks sent and held; none on a single one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranks: Option<Sent>,
}

impl Entry {
    /// Whether it converged.
    pub fn converged(&self) -> bool {
        self.outcome == "converged"
    }
}

/// The stopping measure in the course of a solve.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Course {
    /// Before the first and after every iteration.
    #[serde(with = "numbers")]
    pub history: Vec<f64>,
    /// Seconds since the setup began, each time that it was measured, and the measure.
    #[serde(with = "numbers")]
    pub seconds: Vec<f64>,
    /// The measure then.
    #[serde(with = "numbers")]
    pub measures: Vec<f64>,
}

impl Course {
    /// The measure over the seconds, where a logarithm can show it.
    pub fn over_time(&self) -> Vec<(f64, f64)> {
        let points = self.seconds.iter().copied().zip(self.measures.iter().copied());
        points
            .filter(|(seconds, measure)| *seconds > 0.0 && *measure > 0.0 && measure.is_finite())
            .collect()
    }
}

/// Why there are no numbers of a solve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// `failed`, `time-limit` or `crashed`.
    pub outcome: Cow<'static, str>,
    /// Why.
    #[serde(rename = "error")]
    pub why: String,
}

impl Failure {
    /// What a method refuses or reports.
    pub fn new(why: String) -> Self {
        Failure { outcome: "failed".into(), why }
    }

    /// A run that took too long before there was anything to measure.
    pub fn late(why: String) -> Self {
        Failure { outcome: TIME_LIMIT.into(), why }
    }

    /// A run that ended its process.
    pub fn crashed(why: String) -> Self {
        Failure { outcome: "crashed".into(), why }
    }
}

/// What is told of a solve that was done several times: how the first one ended, unless one failed, and the medians of
/// their times; none where it was not done.
pub fn together(mut ends: Vec<End>) -> Option<End> {
    if let Some(failed) = ends.iter().position(|end| end.is_err()) {
        return Some(ends.swap_remove(failed));
    }
    let times: Vec<[f64; 2]> =
        ends.iter().flatten().flat_map(|entry| entry.times.clone()).collect();
    let of = |k: usize| median(times.iter().map(|time| time[k]).collect());
    let entry = ends.into_iter().flatten().next()?;
    let (setup, solve) = (of(0)?, of(1)?);
    Some(Ok(Entry { setup_seconds: setup, solve_seconds: solve, times, ..entry }))
}

/// A number; JSON has nothing for those that are not finite.
fn number<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

/// Lists of such numbers.
mod numbers {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(values: &[f64], to: S) -> Result<S::Ok, S::Error> {
        values.serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
        let values = Vec::<Option<f64>>::deserialize(from)?;
        Ok(values.into_iter().map(|value| value.unwrap_or(f64::NAN)).collect())
    }
}
