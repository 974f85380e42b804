//! A comparison as JSON.
use super::{CaseInfo, Comparison, Entry, Provenance, reading};
use crate::scaling::reckon::Scaling;
use serde::Serialize;

/// What `compare --json` prints; the keys are stable.
#[derive(Serialize)]
pub struct Document<'a> {
    title: &'a str,
    config: &'a str,
    overrides: &'a [String],
    provenance: &'a Provenance,
    oversubscribed: bool,
    /// Whether all solves were done; why not, where a signal ended the comparison before.
    complete: bool,
    incomplete: Option<&'a str>,
    rules: Vec<String>,
    cases: Vec<Case<'a>>,
    /// Times on a cluster, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    scaling: Option<&'a Scaling>,
}

#[derive(Serialize)]
struct Case<'a> {
    #[serde(flatten)]
    info: &'a CaseInfo,
    rows: Vec<Line<'a>>,
    readings: Vec<Reading<'a>>,
}

#[derive(Serialize)]
struct Line<'a> {
    label: &'a str,
    group: &'a str,
    method: &'a str,
    preconditioner: &'a str,
    converged: bool,
    outcome: String,
    iterations_mean: Option<f64>,
    iterations_max: Option<usize>,
    /// The largest over the systems.
    true_relative_residual: Option<f64>,
    /// Medians over the systems.
    setup_seconds: Option<f64>,
    solve_seconds: Option<f64>,
    /// Systems whose preconditioner was set up, and those where it was refreshed.
    setups: u64,
    refreshes: u64,
    /// One for each system, in order; `error` where it failed. Of very many the first ones; how many are not here.
    systems: Vec<System<'a>>,
    systems_left_out: u64,
}

#[derive(Serialize)]
#[serde(untagged)]
enum System<'a> {
    Solved(&'a Entry),
    Failed { error: &'a str },
}

#[derive(Serialize)]
struct Reading<'a> {
    group: &'a str,
    text: String,
}

/// The whole comparison.
pub fn document(comparison: &Comparison) -> Document<'_> {
    let case = |k: usize| Case {
        info: &comparison.cases[k],
        rows: (0..comparison.rows.len()).map(|row| line(comparison, k, row)).collect(),
        readings: comparison
            .groups()
            .into_iter()
            .map(|(group, rows)| Reading { group, text: reading::of_group(comparison, k, &rows) })
            .collect(),
    };
    Document {
        title: &comparison.title,
        config: &comparison.config,
        overrides: &comparison.overrides,
        provenance: &comparison.provenance,
        oversubscribed: comparison.oversubscribed,
        complete: comparison.incomplete.is_none(),
        incomplete: comparison.incomplete.as_deref(),
        rules: comparison.rules(),
        cases: (0..comparison.cases.len()).map(case).collect(),
        scaling: comparison.scaling.as_ref(),
    }
}

fn line(comparison: &Comparison, case: usize, row: usize) -> Line<'_> {
    let (cell, row) = (&comparison.cells[case][row], &comparison.rows[row]);
    Line {
        label: &row.label,
        group: &row.group,
        method: row.solver.name(),
        preconditioner: &row.preconditioner,
        converged: cell.all_converged(),
        outcome: cell.outcome(),
        iterations_mean: cell.iterations().map(|(mean, _)| mean),
        iterations_max: cell.iterations().map(|(_, most)| most),
        true_relative_residual: cell.worst(),
        setup_seconds: cell.median(|n| Some(n.setup)),
        solve_seconds: cell.median(|n| Some(n.solve)),
        setups: cell.setups().0,
        refreshes: cell.setups().1,
        systems_left_out: cell.total() - cell.first.len() as u64,
        systems: cell
            .first
            .iter()
            .map(|entry| match entry {
                Ok(entry) => System::Solved(entry),
                Err(error) => System::Failed { error },
            })
            .collect(),
    }
}
