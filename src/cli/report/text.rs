//! A comparison for the terminal.
use super::format::{bytes, mean, number, seconds};
use super::{Comparison, ranks, reading, scaling};
use std::fmt::Write as _;

const HEADS: [&str; 9] = [
    "method",
    "solver",
    "iterations",
    "outcome",
    "‖b−Ax‖/‖b‖",
    "nnz(M)/nnz(A)",
    "memory",
    "setup",
    "solve",
];
/// Columns that are words; the others are numbers and stand to the right.
const WORDS: [usize; 3] = [0, 1, 3];

/// Tables and readings of all cases.
pub fn page(comparison: &Comparison) -> String {
    let mut out = format!("{}\n\n", comparison.title);
    // Writing to a string cannot fail.
    let _ =
        writeln!(out, "{} on {}", comparison.provenance.program(), comparison.provenance.machine());
    for file in &comparison.provenance.files {
        let _ = writeln!(out, "Read {}.", file.told());
    }
    for rule in comparison.rules() {
        let _ = writeln!(out, "{rule}");
    }
    for case in 0..comparison.cases.len() {
        table(&mut out, comparison, case);
        out.push_str(&ranks::text(comparison, case));
    }
    if let Some(growth) = reading::growth(comparison) {
        let _ = writeln!(out, "\n{growth}");
    }
    if let Some(reckoned) = &comparison.scaling {
        out.push_str(&scaling::text(reckoned));
    }
    out
}

fn table(out: &mut String, comparison: &Comparison, case: usize) {
    let info = &comparison.cases[case];
    let systems = info.counted();
    let _ = writeln!(
        out,
        "\n{}: {} unknowns, {} entries, {systems} ({})\n",
        info.label, info.n, info.nnz, info.description
    );
    let cells: Vec<[String; 9]> =
        (0..comparison.rows.len()).map(|row| cells(comparison, case, row)).collect();
    let width = |column: usize| {
        let lengths = cells.iter().map(|row| row[column].chars().count());
        lengths.chain([HEADS[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: [usize; 9] = std::array::from_fn(width);
    let line = |texts: &[String; 9]| {
        let padded = texts.iter().zip(widths).enumerate().map(|(k, (text, width))| {
            match WORDS.contains(&k) {
                true => format!("{text:<width$}"),
                false => format!("{text:>width$}"),
            }
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let _ = writeln!(out, "  {}", line(&HEADS.map(str::to_owned)));
    let groups = comparison.groups();
    for (group, rows) in &groups {
        if groups.len() > 1 {
            let _ = writeln!(out, "– {group}");
        }
        for &row in rows {
            let _ = writeln!(out, "  {}", line(&cells[row]));
            if let Some(fallback) = comparison.cells[case][row].fallback() {
                let _ = writeln!(out, "      {fallback}");
            }
            if comparison.cells[case][row].any_failed() {
                for remark in comparison.cells[case][row].remarks() {
                    let _ = writeln!(out, "      {remark}");
                }
            }
        }
        let _ = writeln!(out, "  → {}", reading::of_group(comparison, case, rows));
    }
}

fn cells(comparison: &Comparison, case: usize, row: usize) -> [String; 9] {
    let cell = &comparison.cells[case][row];
    let of = &comparison.rows[row];
    let several = comparison.cases[case].systems > 1;
    let none = || "–".to_owned();
    [
        of.label.clone(),
        of.solver.name().to_owned(),
        cell.iterations().map_or_else(none, |(average, most)| match several {
            true => format!("{} ({most})", mean(average)),
            false => most.to_string(),
        }),
        cell.outcome(),
        cell.worst().map_or_else(none, number),
        cell.median(|n| n.nnz_ratio).map_or_else(none, |ratio| format!("{ratio:.2}")),
        cell.median(|n| n.bytes).map_or_else(none, bytes),
        cell.median(|n| Some(n.setup)).map_or_else(none, seconds),
        cell.median(|n| Some(n.solve)).map_or_else(none, seconds),
    ]
}
