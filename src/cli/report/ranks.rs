//! What the ranks of a job sent and held: a table a case, and the raw numbers.
use super::csv::{Solve, field};
use super::format::{bytes, mean};
use super::{Cell, Comparison};
use crate::traffic::Sent;
use precondor_core::comm::count::{Kind, Traffic};
use std::fmt::Write as _;

/// Heads of the table's columns; the first is words, the others are numbers.
pub const HEADS: [&str; 9] = [
    "method",
    "setup",
    "application",
    "iteration",
    "reductions",
    "solve",
    "M",
    "peak",
    "as predicted",
];

/// What the numbers of the table are.
pub const CAPTION: &str = "Per rank, the most of any: messages and bytes sent in setup, in one application of M \
     and in a mean iteration (in which 'reductions' are collective), bytes sent in the whole solve, memory of M, \
     and the most memory of a process.";

/// A row of the table for each row of the comparison that has one: its index and the texts after the
/// label.
pub fn rows(comparison: &Comparison, case: usize) -> Vec<(usize, [String; 8])> {
    let cells = comparison.cells[case].iter().enumerate();
    cells.filter_map(|(row, cell)| Some((row, texts(cell)?))).collect()
}

/// The first system of a cell speaks for all: its plans are those of every one on the same grid.
fn texts(cell: &Cell) -> Option<[String; 8]> {
    let (count, sent) = cell.sent()?;
    let both = |messages: f64, sent: f64| format!("{} in {}", bytes(sent), mean(messages));
    let flow = |t: &Traffic| both(t.messages() as f64, t.bytes() as f64);
    let each = |total: u64| total as f64 / count.max(1) as f64;
    let iterations = &sent.iterations.max;
    Some([
        flow(&sent.setup.max),
        flow(&sent.application.max),
        both(each(iterations.messages()), each(iterations.bytes())),
        mean(each(iterations.gather.calls)),
        bytes(sent.solve.max.bytes() as f64),
        bytes(sent.preconditioner_bytes.max as f64),
        sent.peak_bytes.map_or("–".into(), |peak| bytes(peak as f64)),
        agreement(sent).into(),
    ])
}

fn agreement(sent: &Sent) -> &'static str {
    match &sent.predicted {
        None => "no formula",
        Some(p) if p.application_agrees && p.iterations_agree => "yes",
        Some(p) if p.application_agrees => "application only",
        Some(_) => "NO",
    }
}

/// The table of a case for the terminal; nothing on a single rank.
pub fn text(comparison: &Comparison, case: usize) -> String {
    let rows = rows(comparison, case);
    if rows.is_empty() {
        return String::new();
    }
    let mut lines: Vec<Vec<&str>> = vec![HEADS.to_vec()];
    for (row, texts) in &rows {
        let label = comparison.rows[*row].label.as_str();
        lines.push([label].into_iter().chain(texts.iter().map(String::as_str)).collect());
    }
    let width = |k: usize| lines.iter().map(|line| line[k].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEADS.len()).map(width).collect();
    let mut out = format!("\n{CAPTION}\n\n");
    for line in lines {
        let padded = line.iter().zip(&widths).enumerate().map(|(k, (text, &width))| match k {
            0 => format!("{text:<width$}"),
            _ => format!("{text:>width$}"),
        });
        // Writing to a string cannot fail.
        let _ = writeln!(out, "  {}", padded.collect::<Vec<_>>().join("  "));
    }
    out
}

/// The first line of `traffic.csv`.
pub const CSV_HEAD: &str = "case,system,label,ranks,part,kind,calls_max,messages_max,bytes_max,\
                            calls_sum,messages_sum,bytes_sum\n";

/// Lines of `traffic.csv`: what was counted in a solve, one for each part and kind.
pub fn csv(solve: &Solve<'_>, sent: &Sent) -> String {
    let mut out = String::new();
    let parts = [
        ("setup", &sent.setup),
        ("application", &sent.application),
        ("iterations", &sent.iterations),
        ("solve", &sent.solve),
    ];
    for ((part, extent), kind) in
        parts.into_iter().flat_map(|part| Kind::ALL.map(|kind| (part, kind)))
    {
        let (max, sum) = (extent.max[kind], extent.sum[kind]);
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "{},{},{},{},{part},{},{},{},{},{},{},{}",
            field(solve.case),
            solve.system,
            field(&solve.row.label),
            solve.ranks,
            kind.name(),
            max.calls,
            max.messages,
            max.bytes,
            sum.calls,
            sum.messages,
            sum.bytes
        );
    }
    out
}
