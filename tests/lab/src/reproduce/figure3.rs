//! Figure 3: setup, iterations and time of all kinds of methods for 225 unknowns, to 10⁻³ and to 10⁻¹⁰.
//!
//! The paper prints 10⁻³ over both of its lists; the rates say that the second is for 10⁻¹⁰.
use super::lab::{Candidate, Counter, Lab, Rule, Sample, median};
use super::library::{Library, once};
use super::trial::its;
use super::{Wanted, paper, pictures, recipes};
use precondor::report::{Cell, Column, Row, Section, Table};
use precondor_core::Result;
use precondor_core::solver::Algorithm;
use serde_json::{Value, json};

/// Levels that can be asked for.
pub const LEVELS: [u32; 3] = [2, 3, 4];
const SHOWN: [u32; 1] = [4];
const SYSTEMS: u64 = 10;
/// ‖x − x*‖₂ to reach.
const TOLERANCES: [f64; 2] = [1e-3, 1e-10];
/// Solves that a time is the median of, on each system.
const REPEATED: usize = 3;
/// Largest accuracy that x* is asked for; refinement goes on to rounding in any case.
const EXACT: f64 = 1e-8;

struct Line {
    method: Candidate,
    solver: Algorithm,
    name: &'static str,
    /// Seconds of training, where it was trained here.
    training: Option<f64>,
}

#[derive(Default)]
struct Found {
    counts: [Counter; 2],
    setup: Vec<f64>,
    solve: [Vec<f64>; 2],
    history: Vec<f64>,
    remarks: Vec<String>,
}

pub fn run(lab: &Lab<'_>, library: &Library<'_>, wanted: &Wanted) -> Result<Section> {
    let mut notes = vec![
        format!(
            "Until ‖x − x*‖₂ ≤ 1e-3 and ≤ 1e-10; seed {}, {} systems. Iterations are mean (maximum), times medians \
             over systems of {REPEATED} repetitions each, all methods in turn on each system.",
            lab.seed,
            wanted.matrices.unwrap_or(SYSTEMS)
        ),
        "The paper prints 10⁻³ over both of its lists; the rates say that the second is for 10⁻¹⁰. It \
         gives counts for four methods."
            .to_owned(),
        "Setup is everything after A is in memory; a model's file is read in the first one only, which \
         the median leaves out. Training is a column of its own."
            .to_owned(),
    ];
    let (mut tables, mut figures) = (Vec::new(), Vec::new());
    for level in wanted.levels(&LEVELS, &SHOWN)? {
        let lines = lines(lab, library, level, &mut notes)?;
        let methods: Vec<Candidate> = lines.iter().map(|line| line.method.clone()).collect();
        lab.refuse_training_seeds(&methods)?;
        let mut found: Vec<Found> = lines.iter().map(|_| Found::default()).collect();
        for index in 0..wanted.matrices.unwrap_or(SYSTEMS) {
            let sample = lab.sample(level, index, EXACT)?;
            for (line, found) in lines.iter().zip(&mut found) {
                wanted.say(&format!("figure3: system {index}, {}", line.method.label));
                for repetition in 0..REPEATED {
                    found.take(lab, &sample, line, index == 0 && repetition == 0, repetition == 0);
                }
            }
        }
        let curves = lines.iter().zip(&found);
        let curves = curves.map(|(line, f)| (line.method.label.as_str(), f.history.as_slice()));
        let caption = format!("The first system of level {level}");
        figures.extend(pictures::convergence(curves, "error ‖x − x*‖", &caption));
        tables.push(table(level, &lines, &found));
    }
    let title = "Figure 3: setup, iterations and time".to_owned();
    Ok(Section { id: "figure3".into(), title, notes, tables, figures, ..Section::default() })
}

/// The methods; what this build has not is said.
fn lines(
    lab: &Lab<'_>,
    library: &Library<'_>,
    level: u32,
    notes: &mut Vec<String>,
) -> Result<Vec<Line>> {
    let (stationary, krylov) = ("Richardson", "Krylov and direct");
    let richardson = |damping: f64| Algorithm::Richardson { damping };
    let line = |group, label: &str, config: &Value, solver: Algorithm, name| Line {
        method: Candidate::new(group, label, config, 1.0),
        solver,
        name,
        training: None,
    };
    let one = richardson(1.0);
    let mut all = vec![
        line(stationary, "Jacobi", &json!({ "name": "jacobi", "damping": 0.7 }), one, "ω = 0.7"),
        line(stationary, "Gauss–Seidel", &json!("gauss-seidel"), one, "ω = 1"),
    ];
    for width in [50, 225] {
        let recipe = recipes::of_width(library.budget, level, width);
        if !recipes::can_be_trained(lab.methods, &recipe) {
            once(notes, format!("{}: this build cannot train it.", recipe.label));
            continue;
        }
        let trained = library.trained(&recipe, level, notes)?;
        let config = json!({ "name": recipe.method, "model": trained.file });
        let solver = richardson(recipe.damping);
        let mut line = line(stationary, &recipe.label, &config, solver, "ω = 0.8");
        line.training = trained.seconds;
        all.push(line);
    }
    let pgp = |variant: &str| json!({ "name": "mlp-reference", "variant": variant });
    let symmetric = json!({ "name": "spai", "symmetrize": true });
    let gmres = Algorithm::Gmres { restart: 100 };
    all.extend([
        line(stationary, "mlp-reference (spd)", &pgp("spd"), one, "ω = 1"),
        line(stationary, "mlp-reference (stencil)", &pgp("stencil"), one, "ω = 1"),
        line(stationary, "reference (unlearned)", &json!("reference"), one, "ω = 1"),
        line(stationary, "SPAI-1", &json!("spai"), one, "ω = 1"),
        line(stationary, "ILU(0)", &json!("ilu"), one, "ω = 1"),
        line(krylov, "SPAI-1, symmetrized", &symmetric, Algorithm::Cg, "CG"),
        line(krylov, "ILU(0), GMRES", &json!("ilu"), gmres, "GMRES"),
        line(krylov, "IC(0)-CG", &json!("ic"), Algorithm::Cg, "CG"),
        line(krylov, "mlp-reference (spd), CG", &pgp("spd"), Algorithm::Cg, "CG"),
        line(krylov, "reference (unlearned), CG", &json!("reference"), Algorithm::Cg, "CG"),
        line(krylov, "multigrid V(1,1), CG", &json!("multigrid"), Algorithm::Cg, "CG"),
        line(krylov, "exact inverse", &json!("inverse"), one, "direct"),
        line(krylov, "sparse Cholesky", &json!("cholesky"), one, "direct"),
    ]);
    for gone in all.extract_if(.., |line| !line.method.is_there(lab.methods)) {
        once(notes, format!("{} is not in this build.", gone.method.label));
    }
    Ok(all)
}

impl Found {
    fn take(&mut self, lab: &Lab<'_>, sample: &Sample, line: &Line, first: bool, counted: bool) {
        let ready = match lab.set_up(&sample.task, &line.method) {
            Ok(ready) => ready,
            Err(e) => return once(&mut self.remarks, e.to_string()),
        };
        self.setup.push(ready.taken.as_secs_f64());
        for (k, tolerance) in TOLERANCES.into_iter().enumerate() {
            let solve = sample.solve(ready.m(), &line.solver, Rule::Error(tolerance));
            match &solve {
                Ok(solve) => {
                    self.solve[k].push(solve.seconds);
                    if first && k == 1 {
                        self.history.clone_from(&solve.report.history);
                    }
                }
                Err(e) => once(&mut self.remarks, e.to_string()),
            }
            if counted {
                self.counts[k].add(&solve);
            }
        }
    }
}

fn table(level: u32, lines: &[Line], found: &[Found]) -> Table {
    let columns = vec![
        Column::new("solver", "solver", ""),
        Column::new("paper_1e-3", "its to 1e-3", "paper"),
        Column::new("its_1e-3", "its to 1e-3", "ours").marked(),
        Column::new("paper_1e-10", "its to 1e-10", "paper"),
        Column::new("its_1e-10", "its to 1e-10", "ours").marked(),
        Column::new("setup_seconds", "setup", ""),
        Column::new("solve_seconds_1e-3", "solve", "1e-3"),
        Column::new("solve_seconds_1e-10", "solve", "1e-10"),
        Column::new("total_seconds_1e-3", "both", "1e-3").marked(),
        Column::new("total_seconds_1e-10", "both", "1e-10").marked(),
        Column::new("training_seconds", "training", ""),
    ];
    let row = |(line, found): (&Line, &Found)| {
        let paper = paper::FIGURE_3.iter().find(|row| level == 4 && row.0 == line.method.label);
        let setup = median(&found.setup);
        let solve = [0, 1].map(|k| median(&found.solve[k]));
        let both = solve.map(|solve| Some(setup? + solve?));
        Row {
            label: line.method.label.clone(),
            group: line.method.group.into(),
            cells: vec![
                Cell::Text(line.name.into()),
                Cell::of(paper, |row| Cell::Count(row.1)),
                its(&found.counts[0]),
                Cell::of(paper, |row| Cell::Count(row.2)),
                its(&found.counts[1]),
                Cell::of(setup, Cell::Seconds),
                Cell::of(solve[0], Cell::Seconds),
                Cell::of(solve[1], Cell::Seconds),
                Cell::of(both[0], Cell::Seconds),
                Cell::of(both[1], Cell::Seconds),
                Cell::of(line.training, Cell::Seconds),
            ],
            remarks: found.remarks.clone(),
            ..Row::default()
        }
    };
    let n = ((1u64 << level) - 1).pow(2);
    Table {
        id: format!("level_{level}"),
        title: format!("Level {level}: {n} unknowns"),
        columns,
        rows: lines.iter().zip(found).map(row).collect(),
        readings: Vec::new(),
    }
}
