//! What the numbers say, in a sentence each: computed, never written by hand.
use super::spread::{self, Fastest};
use super::{Comparison, Tally};
use precondor::report::format::{mean, number, seconds};
use std::ops::Range;

/// What a case says about a group of methods.
pub fn of_group(comparison: &Comparison, case: usize, rows: Range<usize>) -> String {
    let cells = &comparison.tallies[case];
    let label = |row: usize| comparison.methods[row].label.as_str();
    let good: Vec<usize> = rows.clone().filter(|&row| cells[row].all_converged()).collect();
    let mut sentences = Vec::new();
    let count = |row: usize| cells[row].iterations().map_or(f64::INFINITY, |(mean, _)| mean);
    let time = |row: usize| cells[row].seconds().unwrap_or(f64::INFINITY);
    let fewest = good.iter().copied().min_by(|&a, &b| count(a).total_cmp(&count(b)));
    let fastest = spread::fastest(cells, &good);
    if let (Some(fewest), Some(fastest)) = (fewest, fastest) {
        let iterations = mean(count(fewest));
        let others = good.iter().copied().filter(|&row| count(row) > count(fewest));
        let next = others.min_by(|&a, &b| count(a).total_cmp(&count(b)));
        let times = |next: usize| number(count(next) / count(fewest).max(1.0));
        let beside = next.map_or(String::new(), |next| {
            format!(", {}× fewer than {}, the next", times(next), label(next))
        });
        let ties = good.iter().copied().filter(|&row| count(row) == count(fewest));
        let winners: Vec<&str> = ties.map(label).collect();
        let need = if winners.len() == 1 { "needs" } else { "need" };
        sentences.push(format!(
            "{} {need} the fewest iterations ({iterations}{beside})",
            winners.join(" and ")
        ));
        let only = (winners.len() == 1).then_some(fewest);
        sentences.extend((good.len() > 1).then(|| times_of(&fastest, only, &label, &time)));
    }
    let tried = rows.clone().filter(|&row| cells[row].total() > 0);
    let failed: Vec<&str> = tried.filter(|row| !good.contains(row)).map(label).collect();
    if rows.clone().all(|row| cells[row].total() == 0) {
        sentences.push("nothing was done".to_owned());
    }
    if !failed.is_empty() {
        sentences.push(format!("not solved on every system: {}", failed.join(", ")));
    }
    sentences.join("; ") + "."
}

/// Who is the fastest, as far as the spread of the times tells. `only` alone has the fewest iterations.
fn times_of<'l>(
    fastest: &Fastest,
    only: Option<usize>,
    label: &impl Fn(usize) -> &'l str,
    time: &impl Fn(usize) -> f64,
) -> String {
    let Fastest { shortest, equal } = fastest;
    let taken = seconds(time(*shortest));
    match equal.as_deref() {
        None => format!(
            "{} took the shortest time from matrix to solution ({taken}), measured too seldom to say that it is the \
             fastest: repeats = 7",
            label(*shortest)
        ),
        Some([one]) => {
            let also = if only == Some(*one) { "also " } else { "" };
            format!("{} is {also}the fastest from matrix to solution ({taken})", label(*one))
        }
        Some(several) => {
            let named: Vec<String> = several
                .iter()
                .map(|&row| format!("{} ({})", label(row), seconds(time(row))))
                .collect();
            format!(
                "the times of the fastest differ by no more than they spread: {}",
                named.join(", ")
            )
        }
    }
}

/// How iterations grow from the first case to the last; `None` where there is nothing to say.
pub fn growth(comparison: &Comparison) -> Option<String> {
    let (first, last) = (comparison.tallies.first()?, comparison.tallies.last()?);
    let (from, to) = (comparison.cases.first()?, comparison.cases.last()?);
    // Matrices of a suite do not grow out of one another.
    if to.n <= from.n || from.of_suite || to.of_suite {
        return None;
    }
    let grown = |cells: (&Tally, &Tally)| {
        let both = cells.0.all_converged() && cells.1.all_converged();
        let ((before, _), (after, _)) = (cells.0.iterations()?, cells.1.iterations()?);
        (both && before > 0.0).then_some(after / before)
    };
    let mut factors: Vec<(f64, &str)> = comparison
        .methods
        .iter()
        .zip(first.iter().zip(last))
        .filter_map(|(row, cells)| Some((grown(cells)?, row.label.as_str())))
        .collect();
    factors.sort_by(|a, b| a.0.total_cmp(&b.0));
    if factors.len() < 2 {
        return None;
    }
    let words = factors.iter().map(|(factor, label)| format!("{label} {factor:.1}×"));
    Some(format!(
        "From {} to {} the unknowns grow {:.0}× and the iterations: {}.",
        from.label,
        to.label,
        to.n as f64 / from.n as f64,
        words.collect::<Vec<_>>().join(", ")
    ))
}
