//! What a comparison says over a suite: failures, shifted geometric means, performance profiles.
//!
//! The profile of a method is the share ρ(τ) of systems that it solves with at most τ times what the best method takes
//! there: E. D. Dolan, J. J. Moré, *Benchmarking optimization software with performance profiles*, Mathematical
//! Programming 91 (2002). ρ(1) is the share where it is the best, and the right end the share that it solves at all.
use super::{Case, Comparison, Entry, Pairing, document};
use precondor::report::format::{mean, number};
use precondor::report::plot::{self, Points};
use precondor::report::{Cell, Column, Figure, Row, Section, Table, csv};
use serde_json::json;

/// What is measured of a solve.
struct Measure {
    key: &'static str,
    name: &'static str,
    /// Of the shifted geometric mean: differences well below it do not count.
    shift: f64,
    of: fn(&Entry) -> Option<f64>,
    cell: fn(f64) -> Cell,
}

const MEASURES: [Measure; 3] = [
    Measure {
        key: "time",
        name: "time",
        shift: 0.01,
        of: |entry| Some(entry.setup_seconds + entry.solve_seconds),
        cell: Cell::Seconds,
    },
    Measure {
        key: "iterations",
        name: "iterations",
        shift: 10.0,
        of: |entry| Some(entry.iterations as f64),
        cell: Cell::Number,
    },
    Measure {
        key: "products",
        name: "products",
        shift: 10.0,
        of: |entry| entry.products,
        cell: Cell::Number,
    },
];

/// A failure counts as so many times the dearest solve of its system.
const PENALTY: f64 = 10.0;

/// Values of a measure: `[method][system]`, none where it was not solved; systems that all methods were tried on.
type Values = Vec<Vec<Option<f64>>>;

fn values(comparison: &Comparison, measure: &Measure) -> Values {
    let of = |method: usize| {
        let tallies = comparison.tallies.iter();
        let systems = tallies.flat_map(|case| {
            let tried = case.iter().map(|tally| tally.first.len()).min().unwrap_or(0);
            case[method].first[..tried].iter().map(|end| {
                let solved = end.as_ref().ok().filter(|entry| entry.converged());
                // Nothing is a zero-th part of something.
                solved.and_then(measure.of).map(|value| match measure.key {
                    "time" => value.max(1e-9),
                    _ => value.max(1.0),
                })
            })
        });
        systems.collect()
    };
    (0..comparison.methods.len()).map(of).collect()
}

/// `exp(mean ln(v + shift)) − shift`, over the systems that some method solved; what one did not solve counts as
/// [`PENALTY`] times the dearest solve there.
fn shifted_mean(values: &Values, method: usize, shift: f64) -> Option<f64> {
    let systems = values.first().map_or(0, Vec::len);
    let (mut sum, mut count) = (0.0, 0);
    for system in 0..systems {
        let solved = values.iter().filter_map(|of| of[system]);
        let Some(dearest) = solved.reduce(f64::max) else { continue };
        let value = values[method][system].unwrap_or(PENALTY * dearest);
        sum += (value + shift).ln();
        count += 1;
    }
    let known = values[method].iter().any(Option::is_some);
    (known && count > 0).then(|| (sum / f64::from(count)).exp() - shift)
}

/// Ratios to the best of each system that a method solved, from small to large.
fn ratios(values: &Values, method: usize) -> Vec<f64> {
    let best = |system: usize| values.iter().filter_map(|of| of[system]).reduce(f64::min);
    let of = |(system, value): (usize, &Option<f64>)| Some((*value)? / best(system)?);
    let mut ratios: Vec<f64> = values[method].iter().enumerate().filter_map(of).collect();
    ratios.sort_by(f64::total_cmp);
    ratios
}

/// The share of systems within `tau` times the best.
fn share(ratios: &[f64], systems: usize, tau: f64) -> f64 {
    ratios.partition_point(|&ratio| ratio <= tau) as f64 / systems.max(1) as f64
}

/// The profile as the corners of its steps, from τ = 1 to `last`.
fn steps(ratios: &[f64], systems: usize, last: f64) -> Vec<(f64, f64)> {
    let mut points = vec![(1.0, share(ratios, systems, 1.0))];
    for (k, &ratio) in ratios.iter().enumerate().filter(|(_, ratio)| **ratio > 1.0) {
        if ratios.get(k + 1) == Some(&ratio) {
            continue;
        }
        points
            .extend([(ratio, points[points.len() - 1].1), (ratio, share(ratios, systems, ratio))]);
    }
    points.push((last, share(ratios, systems, last)));
    points
}

/// A method, and the corners (τ, ρ) of its profile.
type Curve = (usize, Vec<(f64, f64)>);
/// Those of all methods, in one measure.
type Curves = Vec<Curve>;

/// The sections over the suite; none where no matrices are one.
pub fn sections(comparison: &Comparison) -> Vec<Section> {
    if !comparison.cases.iter().any(|case| case.of_suite) {
        return Vec::new();
    }
    let profiles = profiles(comparison);
    let figure = |(measure, curves): (&Measure, &Curves)| {
        let curve = |(k, points): &Curve| Points {
            label: &comparison.methods[*k].label,
            colour: *k,
            points: points.clone(),
        };
        let axes = [format!("τ, times the least {}", measure.name), "share of systems".to_owned()];
        let curves: Vec<Points> = curves.iter().map(curve).collect();
        let svg = plot::shares(&curves, [&axes[0], &axes[1]])?;
        let caption = format!(
            "Performance profile of the {}: systems solved with at most τ times the least.",
            measure.name
        );
        Some(Figure { svg, caption, half: true })
    };
    let figures = MEASURES.iter().zip(&profiles).filter_map(figure).collect();
    let over = Section {
        id: "suite".into(),
        title: "Over the suite".into(),
        notes: vec![format!(
            "Means are geometric, of value + shift (time 10 ms, iterations and products 10), over the systems that some run \
             solved; what a run did not solve counts as {PENALTY} times the dearest solve of that system. A product is one \
             with A; an application of M counts as nnz(M)/nnz(A) of one. ρ(1): the share of systems where a run takes the least."
        )],
        tables: vec![summary(comparison)],
        figures,
        data: document::fields(json!({ "profiles": data(comparison, &profiles) })),
        ..Section::default()
    };
    vec![over, by_matrix(comparison)]
}

/// `[measure][method]`: profiles of what some method was measured in.
fn profiles(comparison: &Comparison) -> Vec<Curves> {
    let of = |measure: &Measure| {
        let values = values(comparison, measure);
        let systems = values.first().map_or(0, Vec::len);
        let all: Vec<Vec<f64>> = (0..values.len()).map(|method| ratios(&values, method)).collect();
        let last = all.iter().filter_map(|ratios| ratios.last()).copied().fold(1.0, f64::max) * 1.1;
        let known = all.iter().enumerate().filter(|(method, _)| {
            // PETSc does not tell its products.
            measure.key != "products" || values[*method].iter().any(Option::is_some)
        });
        known.map(|(method, ratios)| (method, steps(ratios, systems, last))).collect()
    };
    MEASURES.iter().map(of).collect()
}

/// Failures, means and shares of every run.
fn summary(comparison: &Comparison) -> Table {
    let all: Vec<Values> = MEASURES.iter().map(|measure| values(comparison, measure)).collect();
    let row = |(k, method): (usize, &Pairing)| {
        let systems = all[0][k].len() as u64;
        let solved = all[0][k].iter().flatten().count() as u64;
        let means = MEASURES.iter().zip(&all).map(|(measure, values)| {
            Cell::of(shifted_mean(values, k, measure.shift), measure.cell)
        });
        let least = all.iter().map(|values| {
            let ratios = ratios(values, k);
            if ratios.is_empty() {
                Cell::None
            } else {
                Cell::Share(share(&ratios, values[k].len(), 1.0))
            }
        });
        let cells = [Cell::Text(method.solver.name().into()), Cell::Count(systems - solved)];
        Row {
            cells: cells.into_iter().chain(means).chain(least).collect(),
            ..document::row(method, k)
        }
    };
    let mut columns = vec![
        Column::new("solver", "solver", ""),
        Column::new("failed", "not solved", &format!("of {}", all[0].first().map_or(0, Vec::len)))
            .marked(),
    ];
    let means = MEASURES.iter().map(|measure| Column::new(measure.key, measure.name, "mean"));
    // Whether times are told apart is said of every system.
    columns.extend(means.map(|column| if column.key == "time" { column } else { column.marked() }));
    let shares = MEASURES.iter();
    columns.extend(
        shares.map(|measure| Column::new(&format!("least_{}", measure.key), "ρ(1)", measure.name)),
    );
    Table {
        id: "suite".into(),
        columns,
        rows: comparison.methods.iter().enumerate().map(row).collect(),
        readings: readings(comparison, &all),
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
fn data(comparison: &Comparison, profiles: &[Curves]) -> serde_json::Value {
    let of = |curves: &Curves| -> serde_json::Value {
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
    for (measure, curves) in MEASURES.iter().zip(profiles(comparison)) {
        for (k, points) in curves {
            for (tau, share) in points {
                let label = &comparison.methods[k].label;
                lines +=
                    &csv::line([measure.key, label, &format!("{tau:e}"), &format!("{share:e}")]);
            }
        }
    }
    Some([("suite.csv", csv::table(&summary(comparison))), ("profile.csv", lines)])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two methods on three systems; the second fails on the last, nobody solves a fourth.
    fn two() -> Values {
        vec![vec![Some(2.0), Some(8.0), Some(3.0), None], vec![Some(4.0), Some(2.0), None, None]]
    }

    #[test]
    fn a_profile_is_the_share_within_a_ratio_of_the_best() {
        let values = two();
        assert_eq!(ratios(&values, 0), [1.0, 1.0, 4.0]);
        assert_eq!(ratios(&values, 1), [1.0, 2.0]);
        assert_eq!([1.0, 3.9, 4.0].map(|tau| share(&ratios(&values, 0), 4, tau)), [0.5, 0.5, 0.75]);
        let steps = steps(&ratios(&values, 0), 4, 5.0);
        assert_eq!(steps, [(1.0, 0.5), (4.0, 0.5), (4.0, 0.75), (5.0, 0.75)]);
    }

    #[test]
    fn a_mean_counts_what_failed_as_ten_times_the_dearest() {
        let values = two();
        let mean = shifted_mean(&values, 1, 1.0).expect("known");
        assert!((mean - ((5.0f64 * 3.0 * 31.0).cbrt() - 1.0)).abs() < 1e-12, "{mean}");
        let mean = shifted_mean(&values, 0, 0.0).expect("known");
        assert!((mean - 48.0f64.cbrt()).abs() < 1e-12, "{mean}");
        assert_eq!(shifted_mean(&vec![vec![None]], 0, 1.0), None);
    }
}
