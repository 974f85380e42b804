//! A document of tables and pictures: what an experiment hands over to be printed, drawn or saved.
//!
//! The text form is Markdown with padded columns: readable on a terminal, and it can be pasted.
mod html;
mod json;
mod text;

pub use html::page;
pub use json::document as json;
pub use text::page as text;

use super::Provenance;
use super::format::{bytes, mean, number, seconds};

/// What a command found.
pub struct Document {
    pub title: String,
    /// The command line that made it.
    pub command: String,
    pub provenance: Provenance,
    pub sections: Vec<Section>,
}

/// One experiment.
pub struct Section {
    /// Stable name for JSON and links.
    pub id: &'static str,
    pub title: String,
    /// What was done, what was left out, how to read it.
    pub notes: Vec<String>,
    pub tables: Vec<Table>,
    pub figures: Vec<Figure>,
    /// How long it took.
    pub seconds: f64,
}

/// A table; rows of a group stand together.
pub struct Table {
    /// Stable name within its section.
    pub id: String,
    pub title: String,
    pub columns: Vec<Column>,
    pub rows: Vec<Row>,
    /// What the numbers say.
    pub readings: Vec<String>,
}

/// A column.
pub struct Column {
    /// Stable name for JSON.
    pub key: String,
    pub head: String,
    /// A second line of the head: a unit, a rule.
    pub small: String,
    /// Whether the least of each group is marked.
    pub least_is_best: bool,
}

/// A row; as many cells as the table has columns.
pub struct Row {
    pub label: String,
    pub group: String,
    pub cells: Vec<Cell>,
    pub remarks: Vec<String>,
}

/// What stands in a cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Not known, or does not apply.
    None,
    Text(String),
    Count(u64),
    Number(f64),
    /// A share of one, shown in per cent.
    Share(f64),
    Bytes(f64),
    Seconds(f64),
    Iterations(Iterations),
}

/// Iterations over several systems.
#[derive(Clone, Debug, PartialEq)]
pub struct Iterations {
    /// Of the solves that converged.
    pub counts: Vec<usize>,
    /// Solves tried.
    pub systems: usize,
    /// How those ended that did not converge.
    pub otherwise: Option<String>,
    /// The solver, where it is not the one in the column's head.
    pub solver: Option<&'static str>,
    /// Calculated from a rate, not counted.
    pub predicted: bool,
}

/// A picture.
pub struct Figure {
    pub svg: String,
    pub caption: String,
    /// Half the page's width: stands beside its neighbour.
    pub half: bool,
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
    /// Mean and largest count, where all systems were solved.
    pub fn mean_max(&self) -> Option<(f64, usize)> {
        let most = *self.counts.iter().max().filter(|_| self.counts.len() == self.systems)?;
        Some((self.counts.iter().sum::<usize>() as f64 / self.counts.len() as f64, most))
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
            Cell::None | Cell::Text(_) => None,
            Cell::Count(count) => Some(*count as f64),
            Cell::Number(x) | Cell::Share(x) | Cell::Bytes(x) | Cell::Seconds(x) => Some(*x),
            Cell::Iterations(its) if its.predicted => None,
            Cell::Iterations(its) => its.mean_max().map(|(mean, _)| mean),
        }
    }

    /// As people read it.
    fn shown(&self) -> String {
        match self {
            Cell::None => "–".into(),
            Cell::Text(text) => text.clone(),
            Cell::Count(count) => count.to_string(),
            Cell::Number(x) => number(*x),
            Cell::Share(x) => format!("{} %", number(100.0 * x)),
            Cell::Bytes(x) => bytes(*x),
            Cell::Seconds(x) => seconds(*x),
            Cell::Iterations(its) => its.shown(),
        }
    }

    fn is_words(&self) -> bool {
        matches!(self, Cell::Text(_))
    }
}

impl Iterations {
    fn shown(&self) -> String {
        let with = self.solver.map_or(String::new(), |solver| format!(" {solver}"));
        match self.mean_max() {
            Some((average, _)) if self.predicted => format!("≈ {}", number(average)),
            Some((average, most)) if self.systems > 1 => {
                format!("{} ({most}){with}", mean(average))
            }
            Some((_, most)) => format!("{most}{with}"),
            None => {
                let how = self.otherwise.as_deref().unwrap_or("not solved");
                match self.counts.len() {
                    0 => how.to_owned(),
                    some => format!("{how} ({some} of {} solved)", self.systems),
                }
            }
        }
    }
}

impl Table {
    /// Rows of each group, in order.
    fn groups(&self) -> Vec<(&str, Vec<&Row>)> {
        let mut groups: Vec<(&str, Vec<&Row>)> = Vec::new();
        for row in &self.rows {
            match groups.last_mut() {
                Some((group, rows)) if *group == row.group => rows.push(row),
                _ => groups.push((&row.group, vec![row])),
            }
        }
        groups
    }

    /// The least value of each marked column among `rows`.
    fn least(&self, rows: &[&Row]) -> Vec<Option<f64>> {
        let of = |(k, column): (usize, &Column)| {
            let sizes = rows.iter().filter_map(|row| row.cells[k].size());
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

#[cfg(test)]
mod tests {
    use super::*;

    fn its(counts: &[usize], systems: usize) -> Iterations {
        let counts = counts.to_vec();
        Iterations { counts, systems, otherwise: None, solver: None, predicted: false }
    }

    #[test]
    fn iterations_are_shown_with_their_maximum_and_failures_by_name() {
        assert_eq!(its(&[3, 4, 4], 3).shown(), "3.67 (4)");
        assert_eq!(its(&[12], 1).shown(), "12");
        let some = Iterations { otherwise: Some("diverged".into()), ..its(&[3], 2) };
        assert_eq!(some.shown(), "diverged (1 of 2 solved)");
        assert_eq!(some.mean_max(), None);
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
            remarks: Vec::new(),
        };
        let table = Table {
            id: "t".into(),
            title: "T".into(),
            columns: vec![Column::new("its", "its", "").marked()],
            rows: vec![
                row("a", "one", Cell::Iterations(its(&[5], 1))),
                row("b", "one", Cell::Iterations(its(&[], 1))),
                row("c", "one", Cell::Iterations(its(&[7], 1))),
                row("d", "two", Cell::Count(3)),
            ],
            readings: Vec::new(),
        };
        assert_eq!(table.winners("its", "one"), (vec!["a"], Some(5.0)));
        let groups = table.groups();
        assert_eq!(groups.len(), 2);
        assert_eq!(table.least(&groups[0].1), [Some(5.0)]);
        // A group of one has no winner to mark.
        assert_eq!(table.least(&groups[1].1), [None]);
    }
}
