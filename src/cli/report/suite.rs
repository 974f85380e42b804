//! What a comparison says over a suite: failures, shifted geometric means, performance profiles
//! ([`precondor::report::profile`]).
use super::{Case, Comparison, Entry, Pairing, document};
use precondor::report::format::{mean, number};
use precondor::report::profile::{self, Curve, MEASURES, Values, ratios, share};
use precondor::report::{Cell, Column, Row, Section, Table, csv};
use serde_json::json;

/// What each of the [`MEASURES`] is of a solve.
const OF: [fn(&Entry) -> Option<f64>; 3] = [
    |entry| Some(entry.setup_seconds + entry.solve_seconds),
    |entry| Some(entry.iterations as f64),
    |entry| entry.products,
];

/// The values of each measure, of the systems that all methods were tried on.
fn values(comparison: &Comparison) -> [Values; 3] {
    let one = |measure: usize, method: usize| {
        let tallies = comparison.tallies.iter();
        let systems = tallies.flat_map(|case| {
            let tried = case.iter().map(|tally| tally.first.len()).min().unwrap_or(0);
            case[method].first[..tried].iter().map(|end| {
                let solved = end.as_ref().ok().filter(|entry| entry.converged());
                solved.and_then(OF[measure]).map(|value| value.max(MEASURES[measure].least))
            })
        });
        systems.collect()
    };
    let methods = comparison.methods.len();
    [0, 1, 2].map(|measure| (0..methods).map(|method| one(measure, method)).collect())
}

/// The sections over the suite; none where no matrices are one.
pub fn sections(comparison: &Comparison) -> Vec<Section> {
    if !comparison.cases.iter().any(|case| case.of_suite) {
        return Vec::new();
    }
    let values = values(comparison);
    let profiles = profiles(&values);
    let label = |k: usize| comparison.methods[k].label.clone();
    let figures = MEASURES.iter().zip(&profiles);
    let figures = figures.filter_map(|(of, curves)| profile::figure(of, curves, label)).collect();
    let over = Section {
        id: "suite".into(),
        title: "Over the suite".into(),
        notes: vec![format!(
            "{} ρ(1): the share of systems where a run takes the least.",
            profile::about_means("run")
        )],
        tables: vec![summary(comparison, &values)],
        figures,
        data: document::fields(json!({ "profiles": data(comparison, &profiles) })),
        ..Section::default()
    };
    vec![over, by_matrix(comparison)]
}

/// `[measure][method]`: profiles of what some method was measured in.
fn profiles(values: &[Values; 3]) -> Vec<Vec<Curve>> {
    MEASURES.iter().zip(values).map(|(measure, values)| profile::curves(values, measure)).collect()
}

/// Failures, means and shares of every run.
fn summary(comparison: &Comparison, all: &[Values; 3]) -> Table {
    let measures = MEASURES.each_ref();
    let row = |(k, method): (usize, &Pairing)| {
        let solver = Cell::Text(method.solver.name().into());
        let cells = profile::cells(&measures, &all.each_ref(), k);
        Row { cells: [solver].into_iter().chain(cells).collect(), ..document::row(method, k) }
    };
    let columns = profile::columns(&measures, all[0].first().map_or(0, Vec::len));
    Table {
        id: "suite".into(),
        columns: [Column::new("solver", "solver", "")].into_iter().chain(columns).collect(),
        rows: comparison.methods.iter().enumerate().map(row).collect(),
        readings: readings(comparison, all),
        ..Table::default()
    }
}

/// Which run solves most, and which takes the least on most systems.
fn readings(comparison: &Comparison, all: &[Values]) -> Vec<String> {
    let label = |k: usize| comparison.methods[k].label.as_str();
    let systems = all[0].first().map_or(0, Vec::len);
    if systems == 0 {
        return Vec::new();
    }
    let solved = |k: usize| all[0][k].iter().flatten().count();
    let most = (0..all[0].len()).map(solved).max().unwrap_or(0);
    let who: Vec<&str> = (0..all[0].len()).filter(|&k| solved(k) == most).map(label).collect();
    let who = if who.len() == all[0].len() && who.len() > 1 { vec!["all"] } else { who };
    let verb = if who.len() == 1 && who != ["all"] { "solves" } else { "solve" };
    let mut readings =
        vec![format!("{} {verb} the most systems, {most} of {systems}.", who.join(", "))];
    for (measure, values) in MEASURES.iter().zip(all) {
        let least = |k: usize| share(&ratios(values, k), systems, 1.0);
        let best = (0..values.len()).max_by(|&a, &b| least(a).total_cmp(&least(b)));
        let Some(best) = best.filter(|&k| least(k) > 0.0) else { continue };
        let twice = share(&ratios(values, best), systems, 2.0);
        let percent = |share: f64| format!("{} %", number(100.0 * share));
        readings.push(format!(
            "{}: {} takes the least on {} of the systems, and at most twice the least on {}.",
            measure.name,
            label(best),
            percent(least(best)),
            percent(twice)
        ));
    }
    readings
}

/// Iterations and times of every run on every matrix.
fn by_matrix(comparison: &Comparison) -> Section {
    let table = |id: &str, title: &str, cell: &dyn Fn(usize, usize) -> Cell| {
        let row = |(k, case): (usize, &Case)| {
            // One that could not be made has no size.
            let known = |count| if case.n > 0 { Cell::Count(count) } else { Cell::None };
            let size = [known(case.n), known(case.nnz)];
            let of = (0..comparison.methods.len()).map(|method| cell(k, method));
            Row {
                label: case.label.clone(),
                group: "matrices".into(),
                cells: size.into_iter().chain(of).collect(),
                ..Row::default()
            }
        };
        let methods = comparison.methods.iter().enumerate();
        let heads = methods.map(|(k, method)| Column::new(&format!("run_{k}"), &method.label, ""));
        Table {
            id: id.into(),
            title: title.into(),
            columns: [Column::new("n", "n", ""), Column::new("nnz", "entries", "")]
                .into_iter()
                .chain(heads)
                .collect(),
            rows: comparison.cases.iter().enumerate().map(row).collect(),
            ..Table::default()
        }
    };
    let solved = |case: usize, method: usize| {
        let tally = &comparison.tallies[case][method];
        (tally.total() > 0).then_some(tally)
    };
    let iterations = |case: usize, method: usize| match solved(case, method) {
        Some(tally) if tally.all_converged() => {
            let (average, _) = tally.iterations().unwrap_or_default();
            Cell::Text(mean(average))
        }
        Some(tally) => Cell::Outcome(tally.outcome(), false),
        None => Cell::None,
    };
    let times = |case: usize, method: usize| {
        let tally = solved(case, method).filter(|tally| tally.all_converged());
        Cell::of(tally.and_then(super::Tally::seconds), Cell::Seconds)
    };
    Section {
        id: "matrices".into(),
        title: "By matrix".into(),
        tables: vec![
            table("iterations", "Iterations", &iterations),
            table("seconds", "Setup and solve", &times),
        ],
        ..Section::default()
    }
}

/// The profiles as JSON: `{ measure: { label: [[τ, ρ], …] } }`.
fn data(comparison: &Comparison, profiles: &[Vec<Curve>]) -> serde_json::Value {
    let of = |curves: &Vec<Curve>| -> serde_json::Value {
        let curves = curves.iter();
        let named = curves.map(|(k, points)| (comparison.methods[*k].label.clone(), json!(points)));
        serde_json::Value::Object(named.collect())
    };
    let measures = MEASURES.iter().zip(profiles);
    serde_json::Value::Object(measures.map(|(m, curves)| (m.key.to_owned(), of(curves))).collect())
}

/// `suite.csv` and `profile.csv`; none where no matrices are a suite.
pub fn files(comparison: &Comparison) -> Option<[(&'static str, String); 2]> {
    if !comparison.cases.iter().any(|case| case.of_suite) {
        return None;
    }
    let mut lines = csv::line(["measure", "label", "tau", "share"]);
    let values = values(comparison);
    for (measure, curves) in MEASURES.iter().zip(profiles(&values)) {
        for (k, points) in curves {
            for (tau, share) in points {
                let label = &comparison.methods[k].label;
                lines +=
                    &csv::line([measure.key, label, &format!("{tau:e}"), &format!("{share:e}")]);
            }
        }
    }
    Some([("suite.csv", csv::table(&summary(comparison, &values))), ("profile.csv", lines)])
}
