//! Raw numbers of a comparison, one line a solve and one line an iteration.
use super::cell::End;
use super::{Comparison, Entry, Row, ranks};
use crate::files::Draft;
use crate::measure::told;
use precondor_core::{Error, Result};
use std::fmt::Write as _;
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
    pub row: &'a Row,
    pub ranks: usize,
}

impl Raw {
    /// The files.
    pub const FILES: [&'static str; 2] = ["results.csv", "traffic.csv"];

    /// Begins them.
    pub fn new(folder: &Path) -> Result<Raw> {
        let [results, traffic] = Raw::FILES.map(|name| Draft::new(&folder.join(name)));
        let mut raw = Raw { results: results?, traffic: traffic?, sent: false, failed: None };
        let head = "case,system,n,nnz,label,group,method,preconditioner,parameters,outcome,iterations,\
                    measure,true_relative_residual,preconditioner_nnz,preconditioner_bytes,\
                    setup_seconds,solve_seconds,error,fallback\n";
        let written = raw.results.write_all(head.as_bytes());
        let written = written.and_then(|()| raw.traffic.write_all(ranks::CSV_HEAD.as_bytes()));
        raw.note(written);
        Ok(raw)
    }

    /// Adds a solve.
    pub fn add(&mut self, solve: &Solve<'_>, end: &End) {
        if self.failed.is_some() {
            return;
        }
        let written = self.results.write_all(line(solve, end).as_bytes());
        let written = written.and_then(|()| match end {
            Ok(Entry { ranks: Some(sent), .. }) => {
                self.sent = true;
                self.traffic.write_all(ranks::csv(solve, sent).as_bytes())
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
        for (case, cells) in comparison.cases.iter().zip(&comparison.cells) {
            for (row, cell) in comparison.rows.iter().zip(cells) {
                if cell.total() < case.systems {
                    let (system, ranks) = (cell.total(), comparison.provenance.ranks);
                    let (label, n, nnz) = (case.label.as_str(), case.n, case.nnz);
                    let solve = Solve { case: label, system, n, nnz, row, ranks };
                    let many = case.systems - cell.total();
                    let tail = format!(",not-run,,,,,,,,{many} systems from this one on,\n");
                    let written = self.results.write_all((head(&solve) + &tail).as_bytes());
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

/// What a solve is of.
fn head(solve: &Solve<'_>) -> String {
    let Solve { case, system, n, nnz, row, .. } = solve;
    format!(
        "{},{system},{n},{nnz},{},{},{},{},{}",
        field(case),
        field(&row.label),
        field(&row.group),
        row.solver.name(),
        field(&row.preconditioner),
        field(&row.parameters)
    )
}

/// A line of `results.csv`.
fn line(solve: &Solve<'_>, end: &End) -> String {
    let tail = match end {
        Ok(e) => format!(
            ",{},{},{:e},{:e},{},{},{:e},{:e},{},{}",
            e.outcome,
            e.iterations,
            e.measure,
            e.true_relative_residual,
            known(e.preconditioner_nnz),
            known(e.preconditioner_bytes),
            e.setup_seconds,
            e.solve_seconds,
            field(e.reason.as_deref().unwrap_or_default()),
            field(&e.fallback.iter().map(told).collect::<Vec<_>>().join("; "))
        ),
        Err(why) => format!(",failed,,,,,,,,{},", field(why)),
    };
    head(solve) + &tail + "\n"
}

/// `history.csv`: the stopping measure of the first system of each case, iteration by iteration.
pub fn history(comparison: &Comparison) -> String {
    let mut out = String::from("case,label,iteration,measure\n");
    for (case, cells) in comparison.cases.iter().zip(&comparison.cells) {
        for (row, cell) in comparison.rows.iter().zip(cells) {
            for (iteration, measure) in cell.history.iter().enumerate() {
                let (case, label) = (field(&case.label), field(&row.label));
                let _ = writeln!(out, "{case},{label},{iteration},{measure:e}");
            }
        }
    }
    out
}

/// A number, empty where it is not known.
fn known(number: Option<usize>) -> String {
    number.map_or(String::new(), |number| number.to_string())
}

/// A field as CSV quotes it.
pub(super) fn field(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn fields_with_separators_are_quoted() {
        assert_eq!(field("plain ω"), "plain ω");
        assert_eq!(field("a,\"b\"\nc"), "\"a,\"\"b\"\"\nc\"");
    }
}
