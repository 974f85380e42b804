//! What the systems of a sequence took in all, run by run.
use super::tally::Totals;
use super::{Comparison, Pairing, Tally, document};
use precondor::report::profile::PRODUCT;
use precondor::report::{Cell, Column, Row, Table, csv};

/// The table of a case whose systems are a sequence.
pub fn table(comparison: &Comparison, case: usize) -> Option<Table> {
    let info = &comparison.cases[case];
    let tallies = comparison.methods.iter().zip(&comparison.tallies[case]).enumerate();
    info.sequence.then(|| Table {
        id: "totals".into(),
        title: "In all".into(),
        columns: vec![
            Column::new("solver", "solver", ""),
            Column::new("unsolved", "not solved", &format!("of {}", info.systems)),
            Column::new("setups", "setups", ""),
            Column::new("refreshes", "refreshed", ""),
            Column::new("kept", "kept", ""),
            Column::new("iterations", "iterations", "all").marked(),
            Column::new("products", "products", "all").marked(),
            Column::new("setup_seconds", "setup", "all"),
            Column::new("solve_seconds", "solve", "all"),
            Column::new("seconds", "both", "all"),
        ],
        rows: tallies.map(|(k, (method, tally))| row(method, tally, k)).collect(),
        readings: vec![format!(
            "Sums over the systems, those that were not solved among them. {PRODUCT}"
        )],
    })
}

fn row(method: &Pairing, tally: &Tally, k: usize) -> Row {
    let Totals { made, iterations, products, seconds: [setup, solve] } = *tally.totals();
    let (solved, ..) = tally.solved();
    let all = tally.total() - tally.failed();
    // Of some alone it would be no total.
    let products = Some(products.0).filter(|_| products.1 == all);
    // Without any solve there is none.
    let of = |cell: Cell| if all > 0 { cell } else { Cell::None };
    let cells = vec![
        Cell::Text(method.solver.name().into()),
        Cell::Count(tally.total() - solved),
        of(Cell::Count(made.setups as u64)),
        of(Cell::Count(made.refreshes as u64)),
        of(Cell::Count(made.kept as u64)),
        of(Cell::Count(iterations)),
        of(Cell::of(products, Cell::Number)),
        of(Cell::Seconds(setup)),
        of(Cell::Seconds(solve)),
        of(Cell::Seconds(setup + solve)),
    ];
    Row { cells, ..document::row(method, k) }
}

/// `sequences.csv`, with the case before each row; none where no systems are a sequence.
pub fn file(comparison: &Comparison) -> Option<(&'static str, String)> {
    let mut text = String::new();
    for (k, case) in comparison.cases.iter().enumerate() {
        let Some(table) = table(comparison, k) else { continue };
        let lines = csv::table(&table);
        let mut lines = lines.lines();
        let head = lines.next().unwrap_or_default();
        if text.is_empty() {
            text = format!("case,{head}\n");
        }
        let label = csv::line([&case.label]);
        lines.for_each(|line| text += &format!("{},{line}\n", label.trim_end()));
    }
    (!text.is_empty()).then_some(("sequences.csv", text))
}
