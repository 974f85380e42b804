//! What a comparison found, as text, page, CSV and JSON.
pub mod csv;
mod document;
mod reading;
mod suite;
mod totals;

pub use csv::Raw;
pub use document::document;
pub use precondor::report::solves::{Course, End, Entry, Failure, TIME_LIMIT, together};
pub use precondor::report::spread;
pub use precondor::report::tally::Tally;

use crate::files;
use precondor::report::{Provenance, groups, page, tally};
use precondor_core::Result;
use precondor_core::config::{SolverConfig, StopRule};
use precondor_core::solver::Norm;
use serde::Serialize;
use serde_json::Value;
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
