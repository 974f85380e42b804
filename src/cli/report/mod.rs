//! What a comparison found, as text, page, CSV and JSON.
pub mod csv;
mod document;
mod reading;
pub mod spread;
mod suite;
mod tally;
mod totals;

pub use csv::Raw;
pub use document::document;
pub use tally::{End, Numbers, Tally};

use crate::files;
use crate::traffic::Sent;
use precondor::report::{Provenance, groups, median, page};
use precondor_core::Result;
use precondor_core::config::{SolverConfig, StopRule};
use precondor_core::instance::Setup;
use precondor_core::solver::Norm;
use precondor_core::solver::Switch;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::borrow::Cow;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A finished comparison: `tallies[case][method]`.
pub struct Comparison {
    pub title: String,
    /// The configuration file and what the command line changed in it.
    pub config: String,
    pub overrides: Vec<String>,
    /// What is written in that file.
    pub text: String,
    pub provenance: Provenance,
    pub methods: Vec<Pairing>,
    pub cases: Vec<Case>,
    pub tallies: Vec<Vec<Tally>>,
    /// How often every solve was done.
    pub repeats: u32,
    /// A machine had more ranks than hardware threads.
    pub oversubscribed: bool,
    /// Why solves are missing, where a signal ended it before all were done.
    pub incomplete: Option<String>,
}

/// A method with its solver: a row of every table.
pub struct Pairing {
    pub label: String,
    pub group: String,
    pub solver: SolverConfig,
    pub preconditioner: String,
    /// Its parameters, in words, and as they were given.
    pub parameters: String,
    pub given: Value,
}

/// The systems that one table is about.
#[derive(Clone, Serialize)]
pub struct Case {
    pub label: String,
    pub description: String,
    pub systems: u64,
    /// Systems that all runs were tried on.
    pub systems_done: u64,
    /// Unknowns and entries of A (of the last system, where they differ).
    pub n: u64,
    pub nnz: u64,
    /// Nodes a side, where A is that of a square grid that is numbered row after row.
    pub side: Option<u64>,
    /// Whether it is one of a suite.
    #[serde(skip)]
    pub of_suite: bool,
    /// Whether its systems stand in an order that means something.
    pub sequence: bool,
    /// What they are called, where they have names.
    pub names: Vec<String>,
}

impl Case {
    /// None of its systems done yet.
    pub fn new(case: &crate::experiment::Case) -> Self {
        Case {
            label: case.label.clone(),
            description: case.describe(),
            systems: case.samples,
            systems_done: 0,
            n: 0,
            nnz: 0,
            side: None,
            of_suite: case.of_suite,
            sequence: case.sequence,
            names: case.names(),
        }
    }

    /// How many systems there are, and how many of them were done.
    fn counted(&self) -> String {
        let plural = if self.systems == 1 { "" } else { "s" };
        match self.systems_done == self.systems {
            true => format!("{} system{plural}", self.systems),
            false => format!("{} of {} system{plural} done", self.systems_done, self.systems),
        }
    }
}

/// The outcome of a run that was stopped at its time limit.
pub const TIME_LIMIT: &str = "time-limit";

/// One solve, or the same one done several times.
#[derive(Clone, Serialize, Deserialize)]
pub struct Entry {
    pub iterations: usize,
    pub outcome: Cow<'static, str>,
    pub reason: Option<String>,
    /// The stopping measure at the end.
    #[serde(deserialize_with = "number")]
    pub measure: f64,
    #[serde(deserialize_with = "number")]
    pub true_relative_residual: f64,
    /// Not known of PETSc's own preconditioners, as the next two.
    pub nnz_ratio: Option<f64>,
    pub preconditioner_nnz: Option<usize>,
    pub preconditioner_bytes: Option<usize>,
    /// Products with A, an application of M counted as nnz(M)/nnz(A) of one.
    pub products: Option<f64>,
    /// Medians of the times.
    pub setup_seconds: f64,
    pub solve_seconds: f64,
    /// Of setup and solve, each time that it was done.
    pub times: Vec<[f64; 2]>,
    /// How the preconditioner was come by.
    pub setup: Setup,
    /// Where the solve noticed that its preconditioner fails, and went on by other means.
    pub fallback: Vec<Switch>,
    pub notes: Vec<String>,
    /// What the ranks sent and held; none on a single one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranks: Option<Sent>,
}

impl Entry {
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
pub mod numbers {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(values: &[f64], to: S) -> Result<S::Ok, S::Error> {
        values.serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
        let values = Vec::<Option<f64>>::deserialize(from)?;
        Ok(values.into_iter().map(|value| value.unwrap_or(f64::NAN)).collect())
    }
}

impl Comparison {
    /// Groups in order, each with its methods.
    fn groups(&self) -> Vec<(&str, Range<usize>)> {
        groups(self.methods.iter().map(|method| method.group.as_str()))
    }

    /// The configuration as it was written, and what the command line changed in it.
    fn configuration(&self) -> String {
        let changed = self.overrides.iter().map(|flag| format!("# --set {flag}\n"));
        changed.chain([self.text.clone()]).collect()
    }

    /// All methods on all cases.
    pub fn tallies(&self) -> impl Iterator<Item = &Tally> {
        self.tallies.iter().flatten()
    }

    /// How it was stopped and measured: sentences that head every form of the report.
    fn rules(&self) -> Vec<String> {
        let mut rules: Vec<String> = self.incomplete.iter().cloned().collect();
        let mut stops: Vec<String> =
            self.methods.iter().map(|method| stop(&method.solver)).collect();
        stops.dedup();
        match stops.as_slice() {
            [one] => rules.push(format!("Stopped at {one}.")),
            _ => rules.push("Runs stop by different rules; see the column 'solver'.".to_owned()),
        }
        if self.cases.iter().any(|case| case.systems > 1) {
            rules.push(
                "Iterations are means over the systems (maximum in brackets), residuals the \
                 largest, times medians."
                    .to_owned(),
            );
        }
        if self.tallies().any(Tally::sampled) {
            let many = tally::SAMPLE;
            rules.push(format!(
                "Medians over more than {many} systems are those of {many} of them."
            ));
        }
        rules.push(
            "Model systems come from random streams that training never draws from.".to_owned(),
        );
        if self.repeats > 1 {
            rules.push(format!(
                "Every solve was done {} times, setup included: times are medians, from the shortest to the longest in brackets.",
                self.repeats
            ));
        }
        rules.push(
            "The fewest iterations of a group are marked, and the shortest times where three or more of each, \
             system by system, tell them from others at 97.5 %."
                .to_owned(),
        );
        rules.push(
            "Setup is everything after A is in memory; loading a library or a model file for the \
             first time is not in it."
                .to_owned(),
        );
        let ranks = self.provenance.ranks;
        if ranks > 1 {
            let times = match self.oversubscribed {
                true => {
                    "which share hardware threads: times are no scaling result, counts and bytes are"
                }
                false => "each on a hardware thread of its own",
            };
            rules.push(format!("Run on {ranks} ranks, {times}."));
        }
        rules
    }
}

/// The stopping rule in words.
fn stop(solver: &SolverConfig) -> String {
    let measure = match (solver.stop, solver.norm.unwrap_or_default()) {
        (StopRule::AbsoluteError, _) => "‖x − x*‖₂ ≤ {}",
        (_, Norm::Unpreconditioned) => "‖b − Ax‖₂ ≤ {} ‖b‖₂",
        (_, Norm::Preconditioned) => "‖M(b − Ax)‖₂ ≤ {} ‖Mb‖₂",
        (_, Norm::Natural) => "‖b − Ax‖ ≤ {} ‖b‖ in the norm of M",
    };
    let mut measure = measure.replace("{}", &format!("{:e}", solver.tolerance));
    if let Some(absolute) = solver.absolute_tolerance {
        measure += &format!(", or that norm of b − Ax ≤ {absolute:e}");
    }
    format!("{measure}, or after {} iterations", solver.max_iterations)
}

/// What may be written into the folder of a report, beside the raw numbers.
const FILES: [&str; 6] =
    ["history.csv", "index.html", "profile.csv", "sequences.csv", "solves.jsonl", "suite.csv"];

/// Makes the folder of a report, for this process alone, and sees to it that all can be written there.
pub fn ready(folder: &Path) -> Result<files::Claim> {
    files::make_folder(folder)?;
    let claim = files::Claim::folder(folder)?;
    let paths = FILES.into_iter().chain(Raw::FILES).map(|name| folder.join(name));
    let paths: Vec<PathBuf> = paths.collect();
    let wanted: Vec<_> = paths.iter().map(|path| ("--report", Some(path.as_path()))).collect();
    files::ready(&wanted)?;
    Ok(claim)
}

/// Writes the page and the raw numbers into `folder`, as many of the files as can be.
pub fn write(comparison: &Comparison, folder: &Path, raw: Raw) -> Result<()> {
    raw.finish(comparison)
        .and(files::write(&folder.join("history.csv"), csv::history(comparison).as_bytes()))
        .and(
            suite::files(comparison)
                .into_iter()
                .flatten()
                .chain(totals::file(comparison))
                .try_for_each(|(name, text)| files::write(&folder.join(name), text.as_bytes())),
        )
        .and(files::write(&folder.join("index.html"), page(&document(comparison)).as_bytes()))
}
