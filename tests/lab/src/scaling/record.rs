//! What `precondor compare --json` printed, as far as it is needed here.
use super::reckon::Subject;
use precondor_core::comm::count::Traffic;
use precondor_core::comm::predict::{Layout, Stencil};
use precondor_core::config::SolverConfig;
use precondor_core::{Error, Result, input};
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;

/// A comparison that was run.
#[derive(Deserialize)]
struct Printed {
    title: String,
    command: String,
    provenance: Ran,
    sections: Vec<Case>,
}

#[derive(Deserialize)]
struct Ran {
    ranks: u64,
}

/// A comparison that was run.
pub struct Record {
    pub title: String,
    pub command: String,
    pub ranks: u64,
    pub cases: Vec<Case>,
}

/// The systems of one table.
#[derive(Deserialize)]
pub struct Case {
    pub label: String,
    n: u64,
    nnz: u64,
    /// Nodes a side of a square grid.
    side: Option<u64>,
    tables: Vec<Table>,
}

#[derive(Deserialize)]
struct Table {
    id: String,
    #[serde(default)]
    rows: Vec<Value>,
}

/// A method on the systems of a case.
#[derive(Deserialize)]
pub struct Row {
    pub label: String,
    pub group: String,
    pub solver: SolverConfig,
    /// The method's name, and its parameters.
    pub preconditioner: String,
    pub parameters: Value,
    converged: bool,
    values: Values,
    systems: Vec<System>,
}

#[derive(Deserialize)]
struct Values {
    iterations: Option<Iterations>,
}

#[derive(Deserialize)]
struct Iterations {
    mean: Option<f64>,
}

/// A solve.
#[derive(Deserialize)]
pub struct System {
    #[serde(default)]
    pub iterations: u64,
    pub ranks: Option<Sent>,
}

/// What ranks sent in a solve.
#[derive(Deserialize)]
pub struct Sent {
    pub setup: Extent,
    pub application: Extent,
    pub iterations: Extent,
}

/// The most of any rank, number by number, and all together.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Extent {
    pub max: Traffic,
    pub sum: Traffic,
}

impl Extent {
    /// Of what each rank sends.
    pub fn of(ranks: impl Iterator<Item = Traffic> + Clone) -> Self {
        let max = ranks.clone().fold(Traffic::default(), Traffic::max);
        Extent { max, sum: ranks.sum() }
    }
}

/// Reads it.
///
/// # Errors
/// [`Error::File`] where it cannot be read, or is something else.
pub fn read(path: &Path) -> Result<Record> {
    let bytes = input::read(path).map_err(|e| Error::file(path, e))?;
    let other =
        |e| Error::file(path, format!("this is not what `precondor compare --json` prints: {e}"));
    let Printed { title, command, provenance, sections } =
        serde_json::from_slice(&bytes).map_err(other)?;
    // Rows are read here, so that one that is none is an error.
    for case in &sections {
        case.try_rows().map_err(other)?;
    }
    Ok(Record { title, command, ranks: provenance.ranks, cases: sections })
}

impl Case {
    fn try_rows(&self) -> serde_json::Result<Vec<Row>> {
        let solves = self.tables.iter().find(|table| table.id == "solves");
        solves.into_iter().flat_map(|table| &table.rows).map(Row::deserialize).collect()
    }

    /// The methods.
    pub fn rows(&self) -> Vec<Row> {
        self.try_rows().unwrap_or_default()
    }

    /// The grid and the ranks, where the matrix has the pattern that the formulas are about.
    pub fn layout(&self, ranks: u64) -> Option<Layout> {
        let layout = Layout { m: self.side?, p: ranks };
        let entries = Stencil::seven().entries_of(layout.m, 0..self.n);
        (self.n > 0 && layout.n() == self.n && entries == self.nnz).then_some(layout)
    }
}

impl Row {
    /// The first system speaks for all: its plans are those of every one on the same grid.
    pub fn first(&self) -> Option<(&System, &Sent)> {
        self.systems.iter().find_map(|system| Some((system, system.ranks.as_ref()?)))
    }
}

impl Record {
    /// The methods with what they took on each grid.
    pub fn subjects(&self) -> Vec<Subject> {
        let mut subjects: Vec<Subject> = Vec::new();
        for case in &self.cases {
            let side = case.layout(1).map(|layout| layout.m);
            for (k, row) in case.rows().into_iter().enumerate() {
                let mean = row.values.iterations.as_ref().and_then(|its| its.mean);
                let count = side.map(|side| (side, mean.filter(|_| row.converged)));
                if subjects.len() == k {
                    let Row { label, group, solver, preconditioner: name, parameters, .. } = row;
                    let counts = Vec::new();
                    subjects.push(Subject { label, group, solver, name, parameters, counts });
                }
                subjects[k].counts.extend(count);
            }
        }
        subjects
    }
}
