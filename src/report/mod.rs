//! What a comparison found, as text, page, CSV and JSON.
pub mod csv;
pub mod document;
pub mod format;
mod html;
pub mod json;
mod page;
pub mod plot;
mod provenance;
mod ranks;
mod reading;
mod scaling;
pub mod spy;
pub mod text;

pub use provenance::Provenance;

use crate::files;
use crate::scaling::reckon::Scaling;
use crate::traffic::Sent;
use precondor_core::Result;
use precondor_core::config::{SolverConfig, StopRule};
use precondor_core::solver::Norm;
use precondor_core::solver::Switch;
use serde::Serialize;
use std::path::Path;

/// A finished comparison: `cells[case][row]`.
pub struct Comparison {
    pub title: String,
    /// The configuration file and what the command line changed in it.
    pub config: String,
    pub overrides: Vec<String>,
    pub provenance: Provenance,
    pub rows: Vec<Row>,
    pub cases: Vec<CaseInfo>,
    pub cells: Vec<Vec<Cell>>,
    /// A machine had more ranks than hardware threads.
    pub oversubscribed: bool,
    /// Times on a cluster, where they were asked for.
    pub scaling: Option<Scaling>,
}

/// A method with its solver: a row of every table.
pub struct Row {
    pub label: String,
    pub group: String,
    pub solver: SolverConfig,
    pub preconditioner: String,
    /// Its parameters, in words.
    pub parameters: String,
}

/// The systems that one table is about.
#[derive(Serialize)]
pub struct CaseInfo {
    pub label: String,
    pub description: String,
    pub systems: u64,
    /// Unknowns and entries of A (of the last system, where they differ).
    pub n: u64,
    pub nnz: u64,
    /// Nodes a side, where it is a grid that the formulas of traffic cover.
    #[serde(skip)]
    pub side: Option<u64>,
}

/// A method on all systems of a case.
#[derive(Default)]
pub struct Cell {
    /// One for each system; the reason where it failed.
    pub entries: Vec<std::result::Result<Entry, String>>,
    /// The stopping measure of the first system, iteration by iteration.
    pub history: Vec<f64>,
}

/// One solve.
#[derive(Clone, Serialize)]
pub struct Entry {
    pub iterations: usize,
    pub outcome: &'static str,
    pub reason: Option<String>,
    /// The stopping measure at the end.
    pub measure: f64,
    pub true_relative_residual: f64,
    /// Not known of PETSc's own preconditioners, as the next two.
    pub nnz_ratio: Option<f64>,
    pub preconditioner_nnz: Option<usize>,
    pub preconditioner_bytes: Option<usize>,
    pub setup_seconds: f64,
    pub solve_seconds: f64,
    /// The preconditioner was refreshed from that of the system before, not set up.
    pub refreshed: bool,
    /// Where the solve noticed that its preconditioner fails, and went on by other means.
    pub fallback: Vec<Switch>,
    pub notes: Vec<String>,
    /// What the ranks sent and held; none on a single one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ranks: Option<Sent>,
}

impl Entry {
    pub fn converged(&self) -> bool {
        self.outcome == "converged"
    }
}

impl Cell {
    fn solved(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().flatten()
    }
    fn converged(&self) -> impl Iterator<Item = &Entry> {
        self.solved().filter(|entry| entry.converged())
    }
    pub fn all_converged(&self) -> bool {
        !self.entries.is_empty() && self.converged().count() == self.entries.len()
    }
    /// Mean and maximum of the iterations of the solves that converged.
    pub fn iterations(&self) -> Option<(f64, usize)> {
        let count = self.converged().count();
        let sum: usize = self.converged().map(|entry| entry.iterations).sum();
        let most = self.converged().map(|entry| entry.iterations).max()?;
        Some((sum as f64 / count as f64, most))
    }
    /// The median of what is known.
    fn median(&self, of: impl Fn(&Entry) -> Option<f64>) -> Option<f64> {
        let mut values: Vec<f64> = self.solved().filter_map(of).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        match values.len() {
            0 => None,
            n if n % 2 == 0 => Some(0.5 * (values[middle - 1] + values[middle])),
            _ => Some(values[middle]),
        }
    }
    fn worst(&self, of: impl Fn(&Entry) -> f64) -> Option<f64> {
        self.solved().map(of).reduce(f64::max)
    }
    /// Median seconds of setup and solve together.
    fn seconds(&self) -> Option<f64> {
        self.median(|entry| Some(entry.setup_seconds + entry.solve_seconds))
    }
    /// `converged`, or how the solves ended, by count.
    fn outcome(&self) -> String {
        let total = self.entries.len();
        let ends = self.entries.iter().map(|entry| match entry {
            Ok(entry) if entry.converged() && !entry.fallback.is_empty() => "converged by fallback",
            Ok(entry) => entry.outcome,
            Err(_) => "failed",
        });
        let mut counts: Vec<(&str, usize)> = Vec::new();
        for end in ends {
            match counts.iter_mut().find(|(name, _)| *name == end) {
                Some((_, count)) => *count += 1,
                None => counts.push((end, 1)),
            }
        }
        match counts.as_slice() {
            [(name, _)] => (*name).to_owned(),
            several => {
                let words = several.iter().map(|(name, count)| format!("{count} {name}"));
                format!("{} of {total}", words.collect::<Vec<_>>().join(", "))
            }
        }
    }
    /// On how many systems a solve went on by other means, and the first such case.
    fn fallback(&self) -> Option<String> {
        let all = || self.solved().flat_map(|entry| entry.fallback.first());
        let (count, total) = (all().count(), self.entries.len());
        let first = crate::measure::told(all().next()?);
        Some(format!("fallback on {count} of {total}: {first}"))
    }
    /// Why it failed or broke down, and what the method noted; each once.
    fn remarks(&self) -> Vec<&str> {
        let mut all: Vec<&str> = Vec::new();
        for entry in &self.entries {
            let remarks: Vec<&str> = match entry {
                Err(why) => vec![why],
                Ok(e) => e.reason.iter().chain(&e.notes).map(String::as_str).collect(),
            };
            for remark in remarks {
                if !all.contains(&remark) {
                    all.push(remark);
                }
            }
        }
        all
    }
}

impl Comparison {
    /// Groups in order, each with the indices of its rows.
    fn groups(&self) -> Vec<(&str, Vec<usize>)> {
        let mut groups: Vec<(&str, Vec<usize>)> = Vec::new();
        for (k, row) in self.rows.iter().enumerate() {
            match groups.last_mut() {
                Some((group, rows)) if *group == row.group => rows.push(k),
                _ => groups.push((&row.group, vec![k])),
            }
        }
        groups
    }

    /// How it was stopped and measured: sentences that head every form of the report.
    fn rules(&self) -> Vec<String> {
        let mut rules = Vec::new();
        let mut stops: Vec<String> = self.rows.iter().map(|row| stop(&row.solver)).collect();
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
        rules.push(
            "Model systems come from random streams that training never draws from.".to_owned(),
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

/// Writes the page and the raw numbers into `folder`.
pub fn write(comparison: &Comparison, folder: &Path) -> Result<()> {
    files::make_folder(folder)?;
    files::write(&folder.join("results.csv"), csv::results(comparison).as_bytes())?;
    files::write(&folder.join("history.csv"), csv::history(comparison).as_bytes())?;
    if let Some(traffic) = ranks::csv(comparison) {
        files::write(&folder.join("traffic.csv"), traffic.as_bytes())?;
    }
    if let Some(scaling) = &comparison.scaling {
        files::write(&folder.join("scaling.csv"), scaling::csv(scaling).as_bytes())?;
    }
    files::write(&folder.join("index.html"), html::page(comparison).as_bytes())
}
