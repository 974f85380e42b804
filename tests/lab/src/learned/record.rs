//! What a comparison printed, as far as it is needed here: how each method ended on each system.
use precondor::report::profile::MEASURES;
use precondor::report::profile::Values;
use precondor_core::{Error, Result, input};
use serde::Deserialize;
use std::path::Path;

#[derive(Deserialize)]
struct Printed {
    complete: bool,
    sections: Vec<Section>,
}

#[derive(Deserialize)]
struct Section {
    id: String,
    #[serde(default)]
    n: u64,
    #[serde(default)]
    nnz: u64,
    tables: Vec<Table>,
}

#[derive(Deserialize)]
struct Table {
    id: String,
    rows: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Row {
    label: String,
    group: String,
    systems: Vec<Solve>,
}

/// How a solve ended.
#[derive(Clone, Deserialize)]
pub struct Solve {
    pub outcome: String,
    #[serde(default)]
    pub iterations: usize,
    pub products: Option<f64>,
    #[serde(default)]
    pub setup_seconds: f64,
    #[serde(default)]
    pub solve_seconds: f64,
    pub nnz_ratio: Option<f64>,
    #[serde(default)]
    fallback: Vec<serde_json::Value>,
    /// Why there are no numbers.
    error: Option<String>,
    reason: Option<String>,
}

impl Solve {
    pub fn solved(&self) -> bool {
        self.outcome == "converged"
    }

    /// Whether the solve went on without its preconditioner.
    pub fn fell_back(&self) -> bool {
        !self.fallback.is_empty()
    }

    /// Why it was not solved.
    pub fn why(&self) -> Option<String> {
        let why = self.error.as_ref().or(self.reason.as_ref());
        (!self.solved()).then(|| why.unwrap_or(&self.outcome).clone())
    }
}

/// A method on all systems, in order.
pub struct Of {
    pub label: String,
    pub group: String,
    pub solves: Vec<Solve>,
}

/// All methods on the same systems.
pub struct Record {
    pub methods: Vec<Of>,
    /// The least and the largest number of unknowns, and of entries.
    pub n: [u64; 2],
    pub nnz: [u64; 2],
}

/// Reads it.
///
/// # Errors
/// [`Error::File`] where it cannot be read, is something else, or was interrupted.
pub fn read(path: &Path) -> Result<Record> {
    let other = |e: String| Error::file(path, format!("this is no whole comparison: {e}"));
    let bytes = input::read(path).map_err(|e| Error::file(path, e))?;
    let printed: Printed = serde_json::from_slice(&bytes).map_err(|e| other(e.to_string()))?;
    if !printed.complete {
        return Err(other("it was interrupted; --resume goes on".into()));
    }
    let mut methods: Vec<Of> = Vec::new();
    let (mut n, mut nnz) = ([u64::MAX, 0], [u64::MAX, 0]);
    for section in printed.sections.into_iter().filter(|section| section.id.starts_with("case_")) {
        for (range, value) in [(&mut n, section.n), (&mut nnz, section.nnz)] {
            *range = [range[0].min(value), range[1].max(value)];
        }
        let rows = section.tables.into_iter().filter(|table| table.id == "solves");
        for (k, row) in rows.flat_map(|table| table.rows).enumerate() {
            let row: Row = serde_json::from_value(row).map_err(|e| other(e.to_string()))?;
            match methods.get_mut(k) {
                Some(of) => of.solves.extend(row.systems),
                None => {
                    methods.push(Of { label: row.label, group: row.group, solves: row.systems })
                }
            }
        }
    }
    let systems = methods.first().map_or(0, |of| of.solves.len());
    match systems > 0 && methods.iter().all(|of| of.solves.len() == systems) {
        true => Ok(Record { methods, n, nnz }),
        false => Err(other("methods were tried on different systems".into())),
    }
}

impl Record {
    pub fn systems(&self) -> usize {
        self.methods.first().map_or(0, |of| of.solves.len())
    }

    /// The values of each measure of what was solved: `[measure][method][system]`.
    pub fn values(&self) -> [Values; 3] {
        let of: [fn(&Solve) -> Option<f64>; 3] = [
            |solve| Some(solve.setup_seconds + solve.solve_seconds),
            |solve| Some(solve.iterations as f64),
            |solve| solve.products,
        ];
        [0, 1, 2].map(|k| {
            let value = |solve: &Solve| {
                let value = solve.solved().then(|| of[k](solve)).flatten();
                value.map(|value| value.max(MEASURES[k].least))
            };
            self.methods.iter().map(|of| of.solves.iter().map(value).collect()).collect()
        })
    }
}
