//! Table 1: iterations and condition, level by level, for both stopping rules and for conjugate
//! gradients.
//!
//! Every form of `reference` that needs no training is a row of its own, so that the best one is
//! there for each level and solver.
use super::lab::{Candidate, Lab, TOLERANCE, mean, median};
use super::library::{self, Library, Recipe};
use super::trial::{Scope, Trial, its};
use super::{Wanted, paper, pictures, recipes};
use precondor::models;
use precondor::report::format;
use precondor::report::{Cell, Column, Figure, Row, Section, Table};
use precondor_core::Result;
use precondor_core::ready::Ready;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Levels that can be asked for.
pub const LEVELS: [u32; 8] = [2, 3, 4, 5, 6, 7, 8, 9];
/// Systems of the levels from 2 on, unless fewer are asked for.
const SYSTEMS: [u64; 8] = [20, 20, 20, 20, 6, 3, 2, 1];
/// Stationary methods run up to this level.
const STATIONARY: u32 = 6;

const LOCAL: &str = "stationary and sparse M";
const DENSE: &str = "dense M, one size a model";
const GLOBAL: &str = "with a global part, nothing learned";
const LEARNED: &str = "with a global part, learned";

/// A level: its methods and what they gave.
struct Level {
    level: u32,
    n: u64,
    nnz: u64,
    methods: Vec<Candidate>,
    trials: Vec<Trial>,
}

pub fn run(lab: &Lab<'_>, library: &Library<'_>, wanted: &Wanted) -> Result<Section> {
    let levels = wanted.levels(&LEVELS, &LEVELS)?;
    let mut notes = vec![
        format!(
            "P1 Poisson, shifts of a quarter mesh width, b = 1, seed {}; systems a level: {}.",
            lab.seed,
            levels
                .iter()
                .map(|&l| format!("{l}: {}", systems(wanted, l)))
                .collect::<Vec<_>>()
                .join(", ")
        ),
        format!(
            "Iterations are mean (maximum). 'error': Richardson until ‖x − x*‖₂ ≤ {TOLERANCE:e}, the paper's \
             rule; 'residual': until ‖b − Ax‖₂ ≤ {TOLERANCE:e} ‖b‖₂; 'best ω': the same with ω = 2/(λmin + λmax) \
             of each system; 'CG': conjugate gradients by the residual, GMRES(100) where M is not \
             symmetric positive definite (then named)."
        ),
        "κ(MA) is λmax/λmin for symmetric M (Lanczos in the A-inner product), cond₂(MA) for \
         unsymmetric M (dense, first system, up to 1000 unknowns); ρ is the radius of I − ωMA."
            .to_owned(),
        format!(
            "Jacobi and Gauss–Seidel run up to level {STATIONARY}; beyond, Jacobi's count by the error is \
             calculated as ln(‖x*‖₂/{TOLERANCE:e})/−ln(1 − ωλmin) and marked ≈, the others are left out."
        ),
    ];
    let mut all = Vec::new();
    for &level in &levels {
        let methods = methods(lab, library, level, &mut notes)?;
        lab.refuse_training_seeds(&methods)?;
        all.push(measure(lab, wanted, level, methods)?);
    }
    let mut tables = vec![conditions(&all), overview(&all)];
    tables.extend(all.iter().map(details));
    let mut figures = Vec::new();
    for level in &all {
        for (which, axis) in
            ["error ‖x − x*‖", "relative residual ‖b − Ax‖ / ‖b‖"].iter().enumerate()
        {
            let curves = level.methods.iter().zip(&level.trials).filter(|(m, _)| is_drawn(m));
            let curves = curves.map(|(m, t)| (m.label.as_str(), t.histories[which].as_slice()));
            let caption = format!("Richardson on the first system of level {}", level.level);
            figures.extend(pictures::convergence(curves, axis, &caption));
        }
    }
    figures.extend(spectra(lab, &all)?);
    let title = "Table 1: iterations and condition numbers".to_owned();
    Ok(Section { id: "table1".into(), title, notes, tables, figures, ..Section::default() })
}

fn systems(wanted: &Wanted, level: u32) -> u64 {
    let most = SYSTEMS[level as usize - 2];
    wanted.matrices.map_or(most, |n| if level <= 5 { n } else { n.min(most) })
}

/// The rows of a level. What has to be trained is trained; what cannot be is said.
fn methods(
    lab: &Lab<'_>,
    library: &Library<'_>,
    level: u32,
    notes: &mut Vec<String>,
) -> Result<Vec<Candidate>> {
    let form = |smoother: &str, damping: Option<f64>, c: f64| -> Value {
        let mut form = json!({ "name": "reference", "smoother": smoother, "interpolation": c });
        if let Some(damping) = damping {
            form["damping"] = damping.into();
        }
        form
    };
    let mut all = vec![
        Candidate::new(LOCAL, "Jacobi 0.7", &json!({ "name": "jacobi", "damping": 0.7 }), 1.0),
        Candidate::new(LOCAL, "Gauss–Seidel", &json!("gauss-seidel"), 1.0),
        Candidate::new(GLOBAL, "multigrid V(1,1)", &json!("multigrid"), 1.0),
        Candidate::new(GLOBAL, "A0⁻¹, ω = 0.8", &json!("fast-poisson"), 0.8),
    ];
    for (label, smoother, damping) in [
        ("Jacobi", "jacobi", Some([0.5, 0.6])),
        ("Chebyshev(2)", "chebyshev", None),
        ("Gauss–Seidel", "gauss-seidel", None),
        ("sym. GS", "symmetric-gauss-seidel", None),
    ] {
        for (k, (map, c)) in [("I", 0.0), ("I + ½E", 0.5)].into_iter().enumerate() {
            let damping = damping.map(|of| of[k]);
            let said = damping.map_or(String::new(), |omega| format!(" {omega}"));
            let label = format!("reference: {label}{said}, P = {map}");
            all.push(Candidate::new(GLOBAL, &label, &form(smoother, damping, c), 1.0));
        }
    }
    // Each model that comes with the method and is a variant of it.
    let brought = lab.methods.get("mlp-reference").map(|m| models::shipped(m.as_ref()));
    for model in brought.unwrap_or_default() {
        let config = json!({ "name": "mlp-reference", "variant": model.label });
        let method =
            Candidate::new(LEARNED, &format!("mlp-reference ({})", model.label), &config, 1.0);
        if method.is_there(lab.methods) {
            all.push(method);
        }
    }
    for method in all.extract_if(.., |method| !method.is_there(lab.methods)) {
        library::once(notes, format!("{} is not in this build.", method.label));
    }
    for recipe in recipes::dense(lab.methods, library.budget, level) {
        let config = Some(library.method(&recipe, level, notes)?);
        let Recipe { label, damping, .. } = recipe;
        all.push(Candidate { label, group: DENSE, config, damping });
    }
    if level > recipes::LARGEST {
        let why = format!(
            "Dense networks stop at level {}: at level 5 the paper's has {} million weights.",
            recipes::LARGEST,
            887
        );
        library::once(notes, why);
    }
    let order = [LOCAL, DENSE, GLOBAL, LEARNED];
    all.sort_by_key(|method| order.iter().position(|group| *group == method.group));
    Ok(all)
}

fn measure(lab: &Lab<'_>, wanted: &Wanted, level: u32, methods: Vec<Candidate>) -> Result<Level> {
    let none = Candidate { label: "none (M = I)".into(), group: LOCAL, config: None, damping: 0.0 };
    let methods: Vec<Candidate> = std::iter::once(none).chain(methods).collect();
    let mut trials: Vec<Trial> = methods.iter().map(|_| Trial::default()).collect();
    let (mut n, mut nnz) = (0, 0);
    let count = systems(wanted, level);
    for index in 0..count {
        let sample = lab.sample(level, index, TOLERANCE)?;
        (n, nnz) = (sample.task.b.len() as u64, sample.task.nnz);
        for (method, trial) in methods.iter().zip(&mut trials) {
            wanted.say(&format!(
                "table1: level {level}, system {} of {count}, {}",
                index + 1,
                method.label
            ));
            let ready = match &method.config {
                None => Ok(Ready::identity()),
                Some(_) => lab.set_up(&sample.task, method),
            };
            match ready {
                Ok(ready) => {
                    let local = method.group == LOCAL;
                    let what = Scope {
                        richardson: method.config.is_some() && !(local && level > STATIONARY),
                        best_damping: !local,
                        // Thousands of steps of GMRES else.
                        krylov: level <= STATIONARY || ready.m().properties().symmetric,
                        ..Scope::USUAL
                    };
                    trial.take(&sample, index, method, &ready, what);
                    if method.config.is_some() && !what.richardson {
                        trial.predict(&sample, method.damping);
                    }
                }
                Err(e) => trial.fail(&e.to_string()),
            }
        }
    }
    Ok(Level { level, n, nnz, methods, trials })
}

/// κ(A) beside the paper's.
fn conditions(all: &[Level]) -> Table {
    let columns = vec![
        Column::new("n", "n", ""),
        Column::new("nnz", "nnz(A)", ""),
        Column::new("paper", "κ(A)", "paper"),
        Column::new("condition", "κ(A)", "ours, mean"),
        Column::new("systems", "systems", ""),
    ];
    let row = |level: &Level| Row {
        label: format!("level {}", level.level),
        cells: vec![
            Cell::Count(level.n),
            Cell::Count(level.nnz),
            Cell::of(paper::table_1(level.level), |row| Cell::Number(row.condition)),
            Cell::of(level.trials[0].condition(), Cell::Number),
            Cell::Count(level.trials[0].spectra.len() as u64),
        ],
        ..Row::default()
    };
    let title = "Condition of the systems".into();
    let rows = all.iter().map(row).collect();
    Table { id: "conditions".into(), title, columns, rows, ..Table::default() }
}

/// Iterations by the paper's rule beside the paper's, all levels.
fn overview(all: &[Level]) -> Table {
    let mut columns = Vec::new();
    let mut order: Vec<(String, &'static str)> = Vec::new();
    for level in all {
        let l = level.level;
        if paper::table_1(l).is_some() {
            columns.push(Column::new(&format!("paper_{l}"), &format!("level {l}"), "paper"));
        }
        columns.push(Column::new(&format!("error_{l}"), &format!("level {l}"), "ours").marked());
        for method in level.methods.iter().filter(|method| method.config.is_some()) {
            if !order.iter().any(|(label, _)| *label == method.label) {
                order.push((method.label.clone(), method.group));
            }
        }
    }
    let groups = [LOCAL, DENSE, GLOBAL, LEARNED];
    order.sort_by_key(|(_, group)| groups.iter().position(|g| g == group));
    let row = |(label, group): (String, &'static str)| {
        let mut cells = Vec::new();
        for level in all {
            if let Some(paper) = paper::table_1(level.level) {
                cells.push(match label.as_str() {
                    "Jacobi 0.7" => Cell::Number(paper.jacobi),
                    "Gauss–Seidel" => Cell::Number(paper.gauss_seidel),
                    label if label.starts_with(recipes::PLAIN) => Cell::Number(paper.network),
                    _ => Cell::None,
                });
            }
            let place = level.methods.iter().position(|method| method.label == label);
            let its = place.and_then(|k| level.trials[k].by_error());
            cells.push(Cell::of(its, Cell::Iterations));
        }
        Row { label, group: group.into(), cells, ..Row::default() }
    };
    let title = "Iterations by the paper's rule, ‖x − x*‖₂ ≤ 1e-5".into();
    let rows = order.into_iter().map(row).collect();
    Table { id: "iterations".into(), title, columns, rows, ..Table::default() }
}

/// Everything about one level.
fn details(level: &Level) -> Table {
    let columns = vec![
        Column::new("error", "its", "error").marked(),
        Column::new("residual", "its", "residual").marked(),
        Column::new("best_damping", "its", "best ω"),
        Column::new("krylov", "its", "CG").marked(),
        Column::new("condition", "κ(MA)", ""),
        Column::new("lambda_min", "λmin", ""),
        Column::new("lambda_max", "λmax", ""),
        Column::new("radius", "ρ", ""),
        Column::new("lanczos_steps", "Lanczos", "steps"),
        Column::new("nnz_ratio", "numbers", "/ nnz(A)"),
        Column::new("bytes", "memory", ""),
        Column::new("setup_seconds", "setup", "median"),
        Column::new("solve_seconds", "solve", "residual").marked(),
    ];
    let row = |(method, trial): (&Candidate, &Trial)| {
        let ends = trial.ends();
        let radius = trial.radius().filter(|_| method.config.is_some());
        let steps = trial.spectra.iter().filter_map(|s| s.steps).max();
        Row {
            label: method.label.clone(),
            group: method.group.into(),
            cells: vec![
                Cell::of(trial.by_error(), Cell::Iterations),
                its(&trial.residual),
                its(&trial.best_damping),
                its(&trial.krylov),
                Cell::of(trial.condition(), Cell::Number),
                Cell::of(ends, |[min, _]| Cell::Number(min)),
                Cell::of(ends, |[_, max]| Cell::Number(max)),
                Cell::of(radius, Cell::Number),
                Cell::of(steps, |steps| Cell::Count(steps as u64)),
                Cell::of(mean(&trial.ratios), Cell::Number),
                Cell::of(mean(&trial.bytes), Cell::Bytes),
                Cell::of(median(&trial.setup), Cell::Seconds),
                Cell::of(median(&trial.solve), Cell::Seconds),
            ],
            remarks: trial.told(),
            ..Row::default()
        }
    };
    let rows = level.methods.iter().zip(&level.trials).map(row).collect();
    let mut table = Table {
        id: format!("level_{}", level.level),
        title: format!("Level {}: {} unknowns, {} entries", level.level, level.n, level.nnz),
        columns,
        rows,
        ..Table::default()
    };
    table.readings = readings(level, &table);
    table
}

/// Best unlearned form against best network, by iterations and by time.
fn readings(level: &Level, table: &Table) -> Vec<String> {
    let by = |key: &str, what: &str| {
        let (unlearned, least) = table.winners(key, GLOBAL);
        let (network, fewest) = table.winners(key, LEARNED);
        let (least, fewest) = (least?, fewest?);
        Some(format!(
            "{what}: best unlearned form {} ({}), best network {} ({})",
            unlearned.join(" and "),
            format::mean(least),
            network.join(" and "),
            format::mean(fewest)
        ))
    };
    let mut fastest: BTreeMap<&str, (f64, &str)> = BTreeMap::new();
    for (method, trial) in level.methods.iter().zip(&level.trials) {
        if let Some(seconds) = trial.seconds() {
            let of = fastest.entry(method.group).or_insert((f64::INFINITY, ""));
            if seconds < of.0 {
                *of = (seconds, &method.label);
            }
        }
    }
    let time = fastest.get(GLOBAL).zip(fastest.get(LEARNED)).map(|(unlearned, network)| {
        let told = |(seconds, label): &(f64, &str)| format!("{label} ({})", format::seconds(*seconds));
        format!(
            "Setup and Richardson by the residual together: best unlearned form {}, best network {}",
            told(unlearned),
            told(network)
        )
    });
    [by("residual", "Richardson by the residual"), by("krylov", "Conjugate gradients"), time]
        .into_iter()
        .flatten()
        .map(|text| text + ".")
        .collect()
}

/// Spectra of A and of MA on the first system of level 4.
fn spectra(lab: &Lab<'_>, all: &[Level]) -> Result<Option<Figure>> {
    let Some(level) = all.iter().find(|level| level.level == 4) else { return Ok(None) };
    let sample = lab.sample(4, 0, TOLERANCE)?;
    let methods: Vec<&Candidate> = level.methods.iter().filter(|m| is_drawn(m)).collect();
    pictures::spectra(lab, &sample, &methods)
}

/// Whether a method is in the pictures: of the unlearned forms, two.
fn is_drawn(method: &Candidate) -> bool {
    let form = method.label.strip_prefix("reference: ");
    method.config.is_some()
        && form.is_none_or(|form| form.starts_with("sym") && form.ends_with('E'))
}
