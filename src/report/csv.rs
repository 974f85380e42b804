//! Raw numbers of a comparison, one line a solve and one line an iteration.
use super::Comparison;
use crate::measure::told;
use std::fmt::Write as _;

/// `results.csv`: every solve.
pub fn results(comparison: &Comparison) -> String {
    let mut out = String::from(
        "case,system,n,nnz,label,group,method,preconditioner,parameters,outcome,iterations,measure,\
         true_relative_residual,preconditioner_nnz,preconditioner_bytes,setup_seconds,\
         solve_seconds,error,fallback\n",
    );
    for (case, cells) in comparison.cases.iter().zip(&comparison.cells) {
        for (row, cell) in comparison.rows.iter().zip(cells) {
            for (system, entry) in cell.entries.iter().enumerate() {
                // Writing to a string cannot fail.
                let _ = write!(
                    out,
                    "{},{system},{},{},{},{},{},{},{}",
                    field(&case.label),
                    case.n,
                    case.nnz,
                    field(&row.label),
                    field(&row.group),
                    row.solver.name(),
                    field(&row.preconditioner),
                    field(&row.parameters)
                );
                let _ = match entry {
                    Ok(e) => writeln!(
                        out,
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
                    Err(why) => writeln!(out, ",failed,,,,,,,,{},", field(why)),
                };
            }
        }
    }
    out
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
