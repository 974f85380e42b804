//! A comparison as a document: Markdown, a page, a part of a notebook, CSV and JSON.
use crate::error::{exception, without_python};
use crate::methods::methods;
use crate::suite;
use precondor::report::plot::{self, Curve};
use precondor::report::{
    self, Cell, Document, Figure, Iterations, Provenance, Row, Section, Table, files,
};
use precondor::{Error, Result};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::path::PathBuf;

/// What was compared.
#[derive(Deserialize)]
pub struct Comparison {
    title: String,
    command: String,
    notes: Vec<String>,
    pub cases: Vec<Case>,
}

/// One system.
#[derive(Deserialize)]
pub struct Case {
    label: String,
    notes: Vec<String>,
    nnz: u64,
    pub rows: Vec<Solved>,
}

/// One method on it.
#[derive(Deserialize)]
pub struct Solved {
    pub label: String,
    pub group: String,
    pub solver: String,
    /// What `history` is of.
    measure: String,
    outcome: String,
    pub converged: bool,
    pub iterations: Option<usize>,
    pub products: Option<f64>,
    true_relative_residual: Option<f64>,
    stored_entries: Option<u64>,
    bytes: Option<u64>,
    /// Every time that it was done.
    pub setup_seconds: Vec<f64>,
    pub solve_seconds: Vec<f64>,
    history: Vec<Option<f64>>,
    remarks: Vec<String>,
    asides: Vec<String>,
    data: Map<String, Value>,
}

impl Solved {
    fn row(&self, colour: usize, nnz: u64) -> Row {
        let seconds = |of: &[f64]| Cell::of(report::median(of.to_vec()), Cell::Seconds);
        let both: Vec<f64> =
            self.setup_seconds.iter().zip(&self.solve_seconds).map(|(a, b)| a + b).collect();
        let ends = [f64::min, f64::max].map(|end| both.iter().copied().reduce(end));
        let spread = ends[0].zip(ends[1]).filter(|_| both.len() > 1);
        let timed = |seconds| Cell::Timed { seconds, spread, best: false };
        let ratio = |entries: u64| Cell::Number(entries as f64 / nnz.max(1) as f64);
        let counted = |iterations: usize| {
            let converged = if self.converged { vec![iterations] } else { Vec::new() };
            Cell::Iterations(Iterations::of(converged, 1))
        };
        let cells = vec![
            Cell::Text(self.solver.clone()),
            Cell::of(self.iterations, counted),
            Cell::Outcome(self.outcome.clone(), self.converged),
            Cell::of(self.true_relative_residual, Cell::Number),
            Cell::of(self.stored_entries, ratio),
            Cell::of(self.bytes, |bytes| Cell::Bytes(bytes as f64)),
            seconds(&self.setup_seconds),
            seconds(&self.solve_seconds),
            Cell::of(report::median(both), timed),
        ];
        Row {
            label: self.label.clone(),
            group: self.group.clone(),
            colour: Some(colour),
            cells,
            remarks: self.remarks.clone(),
            asides: self.asides.clone(),
            data: self.data.clone(),
        }
    }
}

impl Case {
    fn table(&self) -> Table {
        let rows = self.rows.iter().enumerate().map(|(k, solved)| solved.row(k, self.nnz));
        let mut table = Table {
            id: "solves".into(),
            columns: report::columns_of_solves(),
            rows: rows.collect(),
            ..Table::default()
        };
        let groups = report::groups(self.rows.iter().map(|row| row.group.as_str()));
        for (group, rows) in &groups {
            let (winners, least) = table.winners("iterations", group);
            let Some(least) = least.filter(|_| rows.len() > 1) else { continue };
            let need = if winners.len() == 1 { "needs" } else { "need" };
            let of = if groups.len() > 1 { format!("{group}: ") } else { String::new() };
            let reading =
                format!("{of}{} {need} the fewest iterations ({least})", winners.join(" and "));
            table.readings.push(reading);
        }
        table
    }

    fn figures(&self) -> Vec<Figure> {
        let mut measures: Vec<&str> = Vec::new();
        for solved in &self.rows {
            if !measures.contains(&solved.measure.as_str()) {
                measures.push(&solved.measure);
            }
        }
        let figure = |measure: &str| {
            let of_measure = self.rows.iter().enumerate().filter(|(_, row)| row.measure == measure);
            let histories: Vec<(usize, &str, Vec<f64>)> = of_measure
                .map(|(k, row)| {
                    let numbers = row.history.iter().map(|value| value.unwrap_or(f64::NAN));
                    (k, row.label.as_str(), numbers.collect())
                })
                .collect();
            let curves = histories.iter().map(|(colour, label, history)| Curve {
                label,
                colour: *colour,
                history,
            });
            let svg = plot::convergence(&curves.collect::<Vec<_>>(), measure)?;
            let caption = format!("Convergence, {}; both axes are logarithmic.", self.label);
            Some(Figure { svg, caption, half: true })
        };
        measures.into_iter().filter_map(figure).collect()
    }
}

fn document(comparison: &Comparison) -> Result<Document> {
    let section = |(k, case): (usize, &Case)| Section {
        id: format!("case_{k}"),
        title: case.label.clone(),
        notes: case.notes.clone(),
        tables: vec![case.table()],
        figures: case.figures(),
        ..Section::default()
    };
    Ok(Document {
        title: comparison.title.clone(),
        command: comparison.command.clone(),
        provenance: Provenance::of(&*methods()?),
        notes: comparison.notes.clone(),
        readings: Vec::new(),
        sections: suite::section(comparison)
            .into_iter()
            .chain(comparison.cases.iter().enumerate().map(section))
            .collect(),
        configuration: None,
        files: vec![("results.csv", "the table".to_owned())],
        data: Map::new(),
    })
}

/// A comparison, which comes as JSON.
pub fn comparison(said: &str) -> PyResult<Comparison> {
    serde_json::from_str(said).map_err(|e| exception(Error::Data(format!("a comparison: {e}"))))
}

/// The forms of a comparison, which comes as JSON: `text`, `fragment`, `page`, `csv` and `json`.
#[pyfunction]
pub fn forms_of_report<'py>(py: Python<'py>, comparison: &str) -> PyResult<Bound<'py, PyDict>> {
    let said = self::comparison(comparison)?;
    let document = without_python(py, || document(&said))?;
    let tables = document.sections.iter().flat_map(|section| &section.tables);
    let csv: Vec<String> = tables.map(report::csv::table).collect();
    let forms = PyDict::new(py);
    forms.set_item("text", report::text(&document))?;
    forms.set_item("fragment", report::fragment(&document))?;
    forms.set_item("page", report::page(&document))?;
    forms.set_item("csv", csv.join("\n"))?;
    forms.set_item("json", report::json(&document).to_string())?;
    Ok(forms)
}

/// Writes files into a folder, which is made where it is not there, each whole or not at all.
#[pyfunction]
pub fn write_report(py: Python<'_>, folder: PathBuf, texts: Vec<(String, String)>) -> PyResult<()> {
    without_python(py, || {
        files::make_folder(&folder)?;
        let _claim = files::Claim::folder(&folder)?;
        texts.iter().try_for_each(|(name, text)| files::write(&folder.join(name), text.as_bytes()))
    })
}
