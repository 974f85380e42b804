//! What a comparison of several systems says over all of them: failures, shifted geometric means, performance profiles.
use crate::report::{Comparison, Solved, comparison};
use precondor::report::profile::{
    self, Curve, MEASURES, Measure, Values, ratios, share, shifted_mean,
};
use precondor::report::{Cell, Column, Row, Section, Table, median};
use pyo3::prelude::*;
use serde_json::json;

/// What is known of a solve here, by the key of its measure.
fn value(solved: &Solved, measure: &Measure) -> Option<f64> {
    let value = match measure.key {
        "time" => {
            let both = solved.setup_seconds.iter().zip(&solved.solve_seconds);
            median(both.map(|(a, b)| a + b).collect())
        }
        "iterations" => solved.iterations.map(|count| count as f64),
        _ => solved.products,
    };
    value.filter(|_| solved.converged).map(|value| value.max(measure.least))
}

/// The measures that are known, with what every method took, on the systems that all were tried on.
fn values(comparison: &Comparison) -> Vec<(&'static Measure, Values)> {
    let methods = comparison.cases.first().map_or(0, |case| case.rows.len());
    let whole = || comparison.cases.iter().filter(|case| case.rows.len() == methods);
    // What is not known of a solve that went well is no failure.
    let rows = || comparison.cases.iter().flat_map(|case| &case.rows).filter(|row| row.converged);
    let known = MEASURES
        .iter()
        .filter(|measure| measure.key != "products" || rows().all(|row| row.products.is_some()));
    let of = |measure: &'static Measure| {
        let of_method = |k: usize| whole().map(|case| value(&case.rows[k], measure)).collect();
        (measure, (0..methods).map(of_method).collect())
    };
    known.map(of).collect()
}

fn labels(comparison: &Comparison) -> Vec<&Solved> {
    comparison.cases.first().map_or_else(Vec::new, |case| case.rows.iter().collect())
}

/// The part of a report; none for a single system.
pub fn section(comparison: &Comparison) -> Option<Section> {
    let (values, of) = (values(comparison), labels(comparison));
    let systems = values.first()?.1.first()?.len();
    if systems < 2 {
        return None;
    }
    let measures: Vec<&Measure> = values.iter().map(|(measure, _)| *measure).collect();
    let all: Vec<&Values> = values.iter().map(|(_, values)| values).collect();
    let row = |(k, solved): (usize, &&Solved)| {
        let solver = Cell::Text(solved.solver.clone());
        Row {
            label: solved.label.clone(),
            group: solved.group.clone(),
            colour: Some(k),
            cells: [solver].into_iter().chain(profile::cells(&measures, &all, k)).collect(),
            ..Row::default()
        }
    };
    let solver = Column::new("solver", "solver", "");
    let columns = [solver].into_iter().chain(profile::columns(&measures, systems));
    let figures = values.iter().filter_map(|(measure, values)| {
        profile::figure(measure, &profile::curves(values, measure), |k| of[k].label.clone())
    });
    Some(Section {
        id: "systems".into(),
        title: "Over all systems".into(),
        notes: vec![format!(
            "{} ρ(1): the share of systems where a method takes the least.",
            profile::about_means("method")
        )],
        tables: vec![Table {
            id: "systems".into(),
            columns: columns.collect(),
            rows: of.iter().enumerate().map(row).collect(),
            ..Table::default()
        }],
        figures: figures.collect(),
        ..Section::default()
    })
}

/// For each measure, by its key, what every method did over all systems of a comparison, which comes as JSON; as JSON.
#[pyfunction]
pub fn over_systems(said: &str) -> PyResult<String> {
    let comparison = comparison(said)?;
    let of = labels(&comparison);
    let measures = values(&comparison).into_iter().map(|(measure, values)| {
        let curves = profile::curves(&values, measure);
        let method = |(k, points): &Curve| {
            json!({
                "label": of[*k].label,
                "group": of[*k].group,
                "solved": values[*k].iter().flatten().count(),
                "failed": values[*k].iter().filter(|value| value.is_none()).count(),
                "mean": shifted_mean(&values, *k, measure.shift),
                "least": share(&ratios(&values, *k), values[*k].len(), 1.0),
                "profile": points,
            })
        };
        (measure.key.to_owned(), curves.iter().map(method).collect())
    });
    Ok(serde_json::Value::Object(measures.collect()).to_string())
}
