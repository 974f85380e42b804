//! What a program tells: a [`Document`] of tables and pictures, printed as text or JSON, or written as a page.
//!
//! | file | what |
//! |---|---|
//! | `text.rs`, `html.rs`, `json.rs`, `csv.rs` | the forms of a document |
//! | `format.rs` | numbers as people read them |
//! | `plot.rs`, `spy.rs` | pictures |
//! | `profile.rs` | methods over many systems: means, performance profiles |
//! | `page.rs` | what every page has in common |
//! | `provenance.rs` | what ran where |
//! | `solves.rs`, `tally.rs` | how a solve ended; those of a method on many systems |
//! | `spread.rs` | which of several times are shorter than others, beyond chance |
//! | `traffic.rs` | what ranks sent and held in a solve |
//! | `files.rs`, `terminal.rs` | files that are whole or not there; what reaches a terminal |
pub mod csv;
pub mod files;
pub mod format;
mod html;
mod json;
mod page;
pub mod plot;
pub mod profile;
mod provenance;
pub mod solves;
pub mod spread;
pub mod spy;
pub mod tally;
pub mod terminal;
mod text;
pub mod traffic;

pub use html::{fragment, page};
pub use json::document as json;
pub use page::esc;
pub use provenance::{Input, Provenance};
pub use text::page as text;

use format::{bytes, mean, number, seconds};
use serde_json::{Map, Value};
use std::ops::Range;

/// What a command found.
pub struct Document {
    /// What it is about.
    pub title: String,
    /// The command line that made it.
    pub command: String,
    /// What ran where.
    pub provenance: Provenance,
    /// How it was done: what holds for all sections.
    pub notes: Vec<String>,
    /// What all sections together say.
    pub readings: Vec<String>,
    /// Its parts, in order.
    pub sections: Vec<Section>,
    /// The configuration that it follows from, as it was written, which pages have to copy.
    pub configuration: Option<String>,
    /// Files beside the page, and what is in them.
    pub files: Vec<(&'static str, String)>,
    /// More values for JSON.
    pub data: Map<String, Value>,
}

/// A part of a document.
#[derive(Default)]
pub struct Section {
    /// Stable name for JSON and links.
    pub id: String,
    /// Its heading.
    pub title: String,
    /// What was done, what was left out, how to read it.
    pub notes: Vec<String>,
    /// Its tables, in order.
    pub tables: Vec<Table>,
    /// Its pictures, which stand on pages only.
    pub figures: Vec<Figure>,
    /// How long it took.
    pub seconds: Option<f64>,
    /// Whether it stands on pages only: what it says is said elsewhere, too.
    pub on_pages_only: bool,
    /// More values for JSON.
    pub data: Map<String, Value>,
}

/// A table; rows of a group stand together.
#[derive(Default)]
pub struct Table {
    /// Stable name within its section.
    pub id: String,
    /// Its heading; none where it is empty.
    pub title: String,
    /// Its columns, beside that of labels.
    pub columns: Vec<Column>,
    /// Its rows, in order.
    pub rows: Vec<Row>,
    /// What the numbers say.
    pub readings: Vec<String>,
}

/// A column.
pub struct Column {
    /// Stable name for JSON and CSV.
    pub key: String,
    /// What stands above it.
    pub head: String,
    /// A second line of the head: a unit, a rule.
    pub small: String,
    /// Whether the least of each group is marked.
    pub least_is_best: bool,
}

/// A row; as many cells as the table has columns.
#[derive(Default)]
pub struct Row {
    /// What it is of.
    pub label: String,
    /// With which it stands together.
    pub group: String,
    /// The colour of its curve in the pictures of the page.
    pub colour: Option<usize>,
    /// A value for each column.
    pub cells: Vec<Cell>,
    /// What has to be said of it.
    pub remarks: Vec<String>,
    /// What may be said of it, on pages only.
    pub asides: Vec<String>,
    /// More values for JSON.
    pub data: Map<String, Value>,
}

/// What stands in a cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Not known, or does not apply.
    None,
    /// Words.
    Text(String),
    /// How something ended, and whether that is good.
    Outcome(String, bool),
    /// How many.
    Count(u64),
    /// A number without a unit.
    Number(f64),
    /// A share of one, shown in per cent.
    Share(f64),
    /// Bytes.
    Bytes(f64),
    /// Bytes in so many messages.
    Sent(f64, f64),
    /// Seconds.
    Seconds(f64),
    /// Seconds that were measured, from the least to the most of several times, and whether they are marked as the least
    /// of their group: whoever knows the spread decides.
    Timed {
        /// The median.
        seconds: f64,
        /// The least and the most.
        spread: Option<(f64, f64)>,
        /// Whether it is marked.
        best: bool,
    },
    /// Iterations over several systems.
    Iterations(Iterations),
}

/// Iterations over several systems.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Iterations {
    /// Of the solves that converged: how many, the sum and the most.
    pub solved: (u64, u64, usize),
    /// Each of them, where they are few.
    pub counts: Vec<usize>,
    /// Solves tried.
    pub systems: u64,
    /// How those ended that did not converge, where no other column tells.
    pub otherwise: Option<String>,
    /// The solver, where it is not the one in the column's head.
    pub solver: Option<&'static str>,
    /// Calculated from a rate, not counted.
    pub predicted: bool,
}

/// A picture.
pub struct Figure {
    /// The picture, and the key to its curves.
    pub svg: String,
    /// What stands below it.
    pub caption: String,
    /// Half the page's width: stands beside its neighbour.
    pub half: bool,
}

/// The columns of a table that has a solve, or what many came to, in every row.
pub fn columns_of_solves() -> Vec<Column> {
    vec![
        Column::new("solver", "solver", ""),
        Column::new("iterations", "iterations", "").marked(),
        Column::new("outcome", "outcome", ""),
        Column::new("true_relative_residual", "‖b−Ax‖/‖b‖", "true"),
        Column::new("nnz_ratio", "nnz(M)/nnz(A)", ""),
        Column::new("bytes", "memory", ""),
        Column::new("setup_seconds", "setup", ""),
        Column::new("solve_seconds", "solve", ""),
        Column::new("seconds", "both", ""),
    ]
}

/// The middle of numbers, the mean of the two there where they are even in number.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 0 => Some(0.5 * (values[middle - 1] + values[middle])),
        _ => Some(values[middle]),
    }
}

/// Neighbours of one group: its name, and which they are.
pub fn groups<'a>(names: impl Iterator<Item = &'a str>) -> Vec<(&'a str, Range<usize>)> {
    let mut groups: Vec<(&str, Range<usize>)> = Vec::new();
    for (k, name) in names.enumerate() {
        match groups.last_mut() {
            Some((group, range)) if *group == name => range.end = k + 1,
            _ => groups.push((name, k..k + 1)),
        }
    }
    groups
}

impl Column {
    /// A plain column.
    pub fn new(key: &str, head: &str, small: &str) -> Self {
        let (key, head, small) = (key.to_owned(), head.to_owned(), small.to_owned());
        Column { key, head, small, least_is_best: false }
    }

    /// The same column with the least of each group marked.
    pub fn marked(self) -> Self {
        Column { least_is_best: true, ..self }
    }
}

impl Iterations {
    /// The counts of the solves that converged, of so many that were tried.
    pub fn of(counts: Vec<usize>, systems: usize) -> Self {
        let sum = counts.iter().map(|&count| count as u64).sum();
        let most = counts.iter().copied().max().unwrap_or(0);
        let solved = (counts.len() as u64, sum, most);
        Iterations { solved, counts, systems: systems as u64, ..Iterations::default() }
    }

    /// Mean and largest count, where all systems were solved.
    pub fn mean_max(&self) -> Option<(f64, usize)> {
        self.of_solved().filter(|_| self.solved.0 == self.systems)
    }

    /// Mean and largest count of those that were solved.
    pub fn of_solved(&self) -> Option<(f64, usize)> {
        let (solved, sum, most) = self.solved;
        (solved > 0).then(|| (sum as f64 / solved as f64, most))
    }

    /// How the solves ended, where that is one way.
    fn outcome(&self) -> Option<&str> {
        let all = self.solved.0 == self.systems;
        self.otherwise.as_deref().or(all.then_some("converged"))
    }

    fn shown(&self) -> String {
        let with = self.solver.map_or(String::new(), |solver| format!(" {solver}"));
        let range = |(average, most): (f64, usize)| format!("{} ({most}){with}", mean(average));
        match (self.mean_max(), self.of_solved(), &self.otherwise) {
            (Some((average, _)), ..) if self.predicted => format!("≈ {}", number(average)),
            (Some(all), ..) if self.systems > 1 => range(all),
            (Some((_, most)), ..) => format!("{most}{with}"),
            (None, None, Some(how)) => how.clone(),
            (None, Some(_), Some(how)) => {
                format!("{how} ({} of {} solved)", self.solved.0, self.systems)
            }
            (None, Some(some), None) => format!("some {}", range(some)),
            (None, None, None) => "–".into(),
        }
    }
}

impl Cell {
    /// `None` where there is no value.
    pub fn of<T>(value: Option<T>, cell: impl Fn(T) -> Cell) -> Cell {
        value.map_or(Cell::None, cell)
    }

    /// The size that decides which cell is the least; what was not counted takes no part.
    fn size(&self) -> Option<f64> {
        match self {
            Cell::None | Cell::Text(_) | Cell::Outcome(..) | Cell::Sent(..) => None,
            Cell::Count(count) => Some(*count as f64),
            Cell::Timed { seconds, .. } => Some(*seconds),
            Cell::Number(x) | Cell::Share(x) | Cell::Bytes(x) | Cell::Seconds(x) => Some(*x),
            Cell::Iterations(its) if its.predicted => None,
            Cell::Iterations(its) => its.mean_max().map(|(mean, _)| mean),
        }
    }

    /// As people read it.
    fn shown(&self) -> String {
        match self {
            Cell::None => "–".into(),
            Cell::Text(text) | Cell::Outcome(text, _) => text.clone(),
            Cell::Count(count) => count.to_string(),
            Cell::Number(x) => number(*x),
            Cell::Share(x) => format!("{} %", number(100.0 * x)),
            Cell::Bytes(x) => bytes(*x),
            Cell::Sent(x, messages) => format!("{} in {}", bytes(*x), mean(*messages)),
            Cell::Seconds(x) => seconds(*x),
            Cell::Timed { seconds: x, spread: None, .. } => seconds(*x),
            Cell::Timed { seconds: x, spread: Some((least, most)), .. } => {
                format!("{} ({}–{})", seconds(*x), seconds(*least), seconds(*most))
            }
            Cell::Iterations(its) => its.shown(),
        }
    }

    fn is_words(&self) -> bool {
        matches!(self, Cell::Text(_) | Cell::Outcome(..))
    }
}

impl Table {
    /// Rows of each group, in order.
    fn groups(&self) -> Vec<(&str, &[Row])> {
        let groups = groups(self.rows.iter().map(|row| row.group.as_str()));
        groups.into_iter().map(|(group, range)| (group, &self.rows[range])).collect()
    }

    /// Whether a column has words, which stand to the left.
    fn has_words(&self, column: usize) -> bool {
        self.rows.iter().any(|row| row.cells[column].is_words())
    }

    /// The least value of each marked column among `rows`. What is not solved everywhere takes no part.
    fn least(&self, rows: &[Row]) -> Vec<Option<f64>> {
        let of = |(k, column): (usize, &Column)| {
            let sizes =
                rows.iter().filter(|row| !row.failed()).filter_map(|row| row.cells[k].size());
            let several = rows.len() > 1 && column.least_is_best;
            sizes.reduce(f64::min).filter(|_| several)
        };
        self.columns.iter().enumerate().map(of).collect()
    }

    /// The labels of all rows whose cell in column `key` is the least of their group.
    pub fn winners(&self, key: &str, group: &str) -> (Vec<&str>, Option<f64>) {
        let column = self.columns.iter().position(|column| column.key == key);
        let rows: Vec<&Row> = self.rows.iter().filter(|row| row.group == group).collect();
        let size = |row: &Row| column.and_then(|k| row.cells[k].size());
        let least = rows.iter().filter_map(|row| size(row)).reduce(f64::min);
        let best = rows.into_iter().filter(|row| least.is_some() && size(row) == least);
        (best.map(|row| row.label.as_str()).collect(), least)
    }
}

impl Row {
    /// Whether it says that something did not end well.
    fn failed(&self) -> bool {
        self.cells.iter().any(|cell| matches!(cell, Cell::Outcome(_, false)))
    }

    /// Whether cell `column` is the `least` of its group.
    fn is_best(&self, column: usize, least: Option<f64>) -> bool {
        if let Cell::Timed { best, .. } = self.cells[column] {
            return best;
        }
        least.is_some() && !self.failed() && self.cells[column].size() == least
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn its(counts: &[usize], systems: usize) -> Iterations {
        Iterations::of(counts.to_vec(), systems)
    }

    #[test]
    fn iterations_are_shown_with_their_maximum_and_failures_by_name() {
        assert_eq!(its(&[3, 4, 4], 3).shown(), "3.67 (4)");
        assert_eq!(its(&[12], 1).shown(), "12");
        let some = Iterations { otherwise: Some("diverged".into()), ..its(&[3], 2) };
        assert_eq!(some.shown(), "diverged (1 of 2 solved)");
        assert_eq!(some.mean_max(), None);
        // Another column tells how the others ended.
        assert_eq!(its(&[3, 4], 3).shown(), "some 3.50 (4)");
        assert_eq!(its(&[], 3).shown(), "–");
        let guess = Iterations { predicted: true, ..its(&[24_000], 1) };
        assert_eq!(guess.shown(), "≈ 24000");
        let other = Iterations { solver: Some("gmres"), ..its(&[7], 1) };
        assert_eq!(other.shown(), "7 gmres");
    }

    #[test]
    fn the_least_of_a_group_wins_and_what_failed_does_not_count() {
        let row = |label: &str, group: &str, cell| Row {
            label: label.into(),
            group: group.into(),
            cells: vec![cell],
            ..Row::default()
        };
        let table = Table {
            columns: vec![Column::new("its", "its", "").marked()],
            rows: vec![
                row("a", "one", Cell::Iterations(its(&[5], 1))),
                row("b", "one", Cell::Iterations(its(&[], 1))),
                row("c", "one", Cell::Iterations(its(&[7], 1))),
                row("d", "two", Cell::Count(3)),
            ],
            ..Table::default()
        };
        assert_eq!(table.winners("its", "one"), (vec!["a"], Some(5.0)));
        let groups = table.groups();
        assert_eq!(groups.len(), 2);
        assert_eq!(table.least(groups[0].1), [Some(5.0)]);
        // A group of one has no winner to mark.
        assert_eq!(table.least(groups[1].1), [None]);
        // A time is no merit where the outcome is none.
        let ended = |text: &str, good, time| Row {
            cells: vec![Cell::Outcome(text.into(), good), Cell::Seconds(time)],
            ..Row::default()
        };
        let columns = vec![Column::new("o", "o", ""), Column::new("t", "t", "").marked()];
        let rows = vec![ended("diverged", false, 1.0), ended("converged", true, 2.0)];
        let table = Table { columns, rows, ..Table::default() };
        assert_eq!(table.least(&table.rows), [None, Some(2.0)]);
    }
}
