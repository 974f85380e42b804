//! Raw numbers of a comparison, one line a solve and one line an iteration.
use super::{Comparison, End, Entry, Pairing};
use crate::files::Draft;
use crate::measure::told;
use crate::traffic::{Extent, Sent};
use precondor::report::csv::line;
use precondor_core::comm::count::{Kind, Traffic};
use precondor_core::{Error, Result};
use std::io::Write as _;
use std::path::Path;

/// `results.csv` and `traffic.csv`, written while solves are done: every solve is in them, and none is kept
/// in memory. What goes wrong is told at the end, so that the comparison is not lost to a full disk.
pub struct Raw {
    results: Draft,
    traffic: Draft,
    /// Whether there was traffic to count.
    sent: bool,
    failed: Option<Error>,
}

/// What a solve is of: its case and number, the size of A, its row.
pub struct Solve<'a> {
    pub case: &'a str,
    pub system: u64,
    pub n: u64,
    pub nnz: u64,
    pub method: &'a Pairing,
    pub ranks: usize,
}

impl Raw {
    /// The files.
    pub const FILES: [&'static str; 2] = ["results.csv", "traffic.csv"];

    /// Begins them.
    pub fn new(folder: &Path) -> Result<Raw> {
        let [results, traffic] = Raw::FILES.map(|name| Draft::new(&folder.join(name)));
        let mut raw = Raw { results: results?, traffic: traffic?, sent: false, failed: None };
        let written = raw.results.write_all(RESULTS.as_bytes());
        let written = written.and_then(|()| raw.traffic.write_all(TRAFFIC.as_bytes()));
        raw.note(written);
        Ok(raw)
    }

    /// Adds a solve.
    pub fn add(&mut self, solve: &Solve<'_>, end: &End) {
        if self.failed.is_some() {
            return;
        }
        let written = self.results.write_all(result(solve, end).as_bytes());
        let written = written.and_then(|()| match end {
            Ok(Entry { ranks: Some(sent), .. }) => {
                self.sent = true;
                self.traffic.write_all(traffic(solve, sent).as_bytes())
            }
            _ => Ok(()),
        });
        self.note(written);
    }

    fn note(&mut self, written: std::io::Result<()>) {
        if let (None, Err(e)) = (&self.failed, written) {
            self.failed = Some(Error::file("results.csv", e));
        }
    }

    /// Puts them in their places, with a line for each row of a case that has systems it was not tried on.
    pub fn finish(mut self, comparison: &Comparison) -> Result<()> {
        for (case, tallies) in comparison.cases.iter().zip(&comparison.tallies) {
            for (method, tally) in comparison.methods.iter().zip(tallies) {
                if tally.total() < case.systems {
                    let (system, ranks) = (tally.total(), comparison.provenance.ranks);
                    let (label, n, nnz) = (case.label.as_str(), case.n, case.nnz);
                    let solve = Solve { case: label, system, n, nnz, method, ranks };
                    let many = case.systems - tally.total();
                    let why = format!("{many} systems from this one on");
                    let written =
                        self.results.write_all(nothing(&solve, "not-run", &why).as_bytes());
                    self.note(written);
                }
            }
        }
        if let Some(e) = self.failed {
            return Err(e);
        }
        if self.sent {
            self.traffic.finish()?;
        }
        self.results.finish()
    }
}

/// The first line of `results.csv`.
const RESULTS: &str = "case,system,n,nnz,label,group,method,preconditioner,parameters,outcome,iterations,\
                       measure,true_relative_residual,preconditioner_nnz,preconditioner_bytes,\
                       setup_seconds,solve_seconds,error,fallback,products,repeats,seconds_min,seconds_max,setup\n";

/// The first line of `traffic.csv`.
const TRAFFIC: &str = "case,system,label,ranks,part,kind,calls_max,messages_max,bytes_max,\
                       calls_sum,messages_sum,bytes_sum\n";

/// What a solve is of: the first fields of its line.
fn head(Solve { case, system, n, nnz, method, .. }: &Solve<'_>) -> [String; 9] {
    [
        (*case).to_owned(),
        system.to_string(),
        n.to_string(),
        nnz.to_string(),
        method.label.clone(),
        method.group.clone(),
        method.solver.name().to_owned(),
        method.preconditioner.clone(),
        method.parameters.clone(),
    ]
}

/// A line of `results.csv`.
fn result(solve: &Solve<'_>, end: &End) -> String {
    let e = match end {
        Ok(entry) => entry,
        Err(failure) => return nothing(solve, &failure.outcome, &failure.why),
    };
    let both = || e.times.iter().map(|[setup, solve]| setup + solve);
    let known = |number: Option<usize>| number.map_or(String::new(), |number| number.to_string());
    let tail = [
        e.outcome.to_string(),
        e.iterations.to_string(),
        format!("{:e}", e.measure),
        format!("{:e}", e.true_relative_residual),
        known(e.preconditioner_nnz),
        known(e.preconditioner_bytes),
        format!("{:e}", e.setup_seconds),
        format!("{:e}", e.solve_seconds),
        e.reason.clone().unwrap_or_default(),
        e.fallback.iter().map(told).collect::<Vec<_>>().join("; "),
        e.products.map_or(String::new(), |products| format!("{products:e}")),
        e.times.len().to_string(),
        both().reduce(f64::min).map_or(String::new(), |least| format!("{least:e}")),
        both().reduce(f64::max).map_or(String::new(), |most| format!("{most:e}")),
        e.setup.name().to_owned(),
    ];
    line(head(solve).into_iter().chain(tail))
}

/// A line of `results.csv` for what was not solved.
fn nothing(solve: &Solve<'_>, outcome: &str, why: &str) -> String {
    let tail =
        [outcome, "", "", "", "", "", "", "", why, "", "", "", "", "", ""].map(str::to_owned);
    line(head(solve).into_iter().chain(tail))
}

/// Lines of `traffic.csv`: what was counted in a solve, one for each part and kind.
fn traffic(solve: &Solve<'_>, sent: &Sent) -> String {
    let Sent { setup, application, iterations, solve: whole, .. } = sent;
    let parts: [(&str, &Extent<Traffic>); 4] = [
        ("setup", setup),
        ("application", application),
        ("iterations", iterations),
        ("solve", whole),
    ];
    let (system, ranks) = (solve.system.to_string(), solve.ranks.to_string());
    let mut out = String::new();
    for (part, extent) in parts {
        for kind in Kind::ALL {
            let (max, sum) = (extent.max[kind], extent.sum[kind]);
            let words = [solve.case, &system, &solve.method.label, &ranks, part, kind.name()];
            let numbers = [max.calls, max.messages, max.bytes, sum.calls, sum.messages, sum.bytes];
            let numbers = numbers.map(|number| number.to_string());
            out += &line(words.into_iter().chain(numbers.iter().map(String::as_str)));
        }
    }
    out
}

/// `history.csv`: the stopping measure of the first system of each case, iteration by iteration.
pub fn history(comparison: &Comparison) -> String {
    let mut out = String::from("case,label,iteration,measure\n");
    for (case, tallies) in comparison.cases.iter().zip(&comparison.tallies) {
        for (method, tally) in comparison.methods.iter().zip(tallies) {
            for (iteration, measure) in tally.course.history.iter().enumerate() {
                let (iteration, measure) = (iteration.to_string(), format!("{measure:e}"));
                out += &line([&case.label, &method.label, &iteration, &measure]);
            }
        }
    }
    out
}
