//! Table 4: inverses without their small entries, for 225 unknowns: the exact one (ω = 1) and the
//! network's (ω = 0.8), beside SPAI and FSAI with as many entries; M split into a coarse and a sparse
//! part; and fewer bits an entry.
use super::lab::{Candidate, Lab, Sample, TOLERANCE, mean};
use super::library::{Library, once};
use super::trial::{Scope, Trial, its};
use super::{Wanted, paper, pictures, recipes};
use precondor::report::{Cell, Column, Row, Section, Table};
use precondor_core::Result;
use serde_json::{Value, json};

/// Levels that can be asked for.
pub const LEVELS: [u32; 3] = [2, 3, 4];
const SHOWN: [u32; 1] = [4];
const SYSTEMS: u64 = 10;
/// Largest power of A whose pattern SPAI and FSAI take.
const POWERS: u32 = 8;
const SCOPE: Scope = Scope { best_damping: true, ..Scope::USUAL };

/// A row: what the paper says of it, and the method.
struct Line {
    /// ε.
    threshold: Option<f64>,
    paper: Option<(f64, &'static str)>,
    method: Candidate,
}

pub fn run(lab: &Lab<'_>, library: &Library<'_>, wanted: &Wanted) -> Result<Section> {
    let mut notes = vec![
        format!(
            "Richardson until ‖x − x*‖₂ ≤ {TOLERANCE:e} (error) or ‖b − Ax‖₂ ≤ {TOLERANCE:e} ‖b‖₂ \
             (residual), mean (maximum); 'best ω' with 2/(λmin + λmax) of each system where M is symmetric and \
             MA definite; seed {}, {} systems.",
            lab.seed,
            wanted.matrices.unwrap_or(SYSTEMS)
        ),
        "ε is absolute: entries |mᵢⱼ| ≤ ε are dropped. 'entries' is the share of n² that is left.".to_owned(),
        "SPAI and FSAI beside a threshold: SPAI on the smallest power of A's pattern with at least as \
         many entries, of which the largest are kept, as many as the thresholded inverse has; FSAI on \
         the power whose G and Gᵀ come closest to that number. The exact inverse is SPAI on the full \
         pattern."
            .to_owned(),
        "The paper's iterations of its network are not known to this project.".to_owned(),
    ];
    let (mut tables, mut figures) = (Vec::new(), Vec::new());
    for level in wanted.levels(&LEVELS, &SHOWN)? {
        let count = wanted.matrices.unwrap_or(SYSTEMS);
        let samples: Result<Vec<Sample>> =
            (0..count).map(|index| lab.sample(level, index, TOLERANCE)).collect();
        let samples = samples?;
        let recipe = recipes::paper(lab.methods, library.budget, level);
        let config = library.method(&recipe, level, &mut notes)?;
        let mut network = config.params;
        network["name"] = config.name.into();
        if !library.budget.full && recipe.train.is_some() {
            let (matrices, epochs) = library.budget.at(level);
            once(
                &mut notes,
                format!(
                    "The network of level {level} saw {matrices} matrices in {epochs} epochs, not the \
                     paper's 10000 in 1000 (--full)."
                ),
            );
        }
        let lines = thresholds(lab, &samples[0], &network, level)?;
        let drawn: Vec<Candidate> = lines
            .iter()
            .filter(|line| {
                // The exact inverse as it is stands there already.
                let whole = line.method.group == NETWORK && line.threshold == Some(0.0);
                whole || line.threshold == Some(0.02)
            })
            .map(|line| line.method.clone())
            .collect();
        let measure = |id: &str, title: &str, lines: Vec<Line>| {
            table(lab, wanted, level, &samples, (id, title), lines)
        };
        tables.push(measure("thresholds", "Thresholded inverses, SPAI and FSAI", lines)?);
        tables.push(measure(
            "splitting",
            "A coarse part kept apart, and global methods",
            splittings(level, &network),
        )?);
        tables.push(measure("precision", "Bits an entry", precisions(&network))?);
        let drawn: Vec<&Candidate> = drawn.iter().collect();
        figures.extend(pictures::entries(lab, &samples[0], &drawn)?);
        figures.extend(pictures::spectra(lab, &samples[0], &drawn)?);
    }
    let title = "Table 4: thresholded inverses".to_owned();
    Ok(Section { id: "table4".into(), title, notes, tables, figures, ..Section::default() })
}

fn filtered(method: &Value, more: Value) -> Value {
    let mut filter = json!({ "name": "filter", "method": method });
    if let (Some(filter), Value::Object(more)) = (filter.as_object_mut(), more) {
        filter.extend(more);
    }
    filter
}

const EXACT: &str = "exact inverse, ω = 1";
const NETWORK: &str = "plain dense network, ω = 0.8";
const SPAI: &str = "SPAI with as many entries as the exact inverse above ε";
const FSAI: &str = "FSAI, G and Gᵀ together nearest to that (the columns count G)";

fn thresholds(lab: &Lab<'_>, first: &Sample, network: &Value, level: u32) -> Result<Vec<Line>> {
    let (mut exact, mut learned, mut spai, mut fsai) = (vec![], vec![], vec![], vec![]);
    let n = first.task.b.len() as f64;
    let entries = |config: &Value| -> Result<f64> {
        let method = Candidate::new("", "", config, 1.0);
        Ok(lab.set_up(&first.task, &method)?.m().stored_entries() as f64)
    };
    for &(threshold, share, iterations) in &paper::TABLE_4_EXACT {
        let label = |what: &str| format!("{what}, ε = {threshold}");
        let config = filtered(&json!("inverse"), json!({ "threshold": threshold }));
        let target = entries(&config)?;
        exact.push(Line {
            threshold: Some(threshold),
            paper: (level == 4).then_some((share, iterations)),
            method: Candidate::new(EXACT, &label("inverse"), &config, 1.0),
        });
        let config = filtered(network, json!({ "threshold": threshold }));
        let method = Candidate::new(NETWORK, &label("network"), &config, recipes::DAMPING);
        learned.push(Line { threshold: Some(threshold), paper: None, method });
        if threshold == 0.0 {
            continue;
        }
        for power in 1..=POWERS {
            let config = json!({ "name": "spai", "power": power });
            if entries(&config)? >= target {
                let config = filtered(&config, json!({ "keep": target / n }));
                let label = format!("SPAI of A^{power}, {:.0} a row", target / n);
                let method = Candidate::new(SPAI, &label, &config, 1.0);
                spai.push(Line { threshold: None, paper: None, method });
                break;
            }
        }
        let mut nearest: Option<(f64, u32)> = None;
        for power in 1..=POWERS {
            let config = json!({ "name": "fsai", "power": power });
            // G and Gᵀ are both applied, so both count.
            let off = (2.0 * entries(&config)? - target).abs();
            if nearest.is_none_or(|(least, _)| off < least) {
                nearest = Some((off, power));
            }
        }
        if let Some((_, power)) = nearest {
            let config = json!({ "name": "fsai", "power": power });
            let label = format!("FSAI of A^{power}");
            if !fsai.iter().any(|line: &Line| line.method.label == label) {
                let method = Candidate::new(FSAI, &label, &config, 1.0);
                fsai.push(Line { threshold: None, paper: None, method });
            }
        }
    }
    for (group, name) in [(SPAI, "spai"), (FSAI, "fsai")] {
        let method =
            Candidate::new(group, &format!("{} of A", name.to_uppercase()), &json!(name), 1.0);
        let line = Line { threshold: None, paper: None, method };
        let list = if name == "spai" { &mut spai } else { &mut fsai };
        if !list.iter().any(|there| there.method.label == format!("{} of A^1", name.to_uppercase()))
        {
            list.push(line);
        }
    }
    // The same pattern and as many numbers as FSAI of A.
    let method = Candidate::new(FSAI, "mlp-fsai of A", &json!("mlp-fsai"), 1.0);
    if method.is_there(lab.methods) {
        fsai.push(Line { threshold: None, paper: None, method });
    }
    Ok(exact.into_iter().chain(learned).chain(spai).chain(fsai).collect())
}

fn splittings(level: u32, network: &Value) -> Vec<Line> {
    let coarse = (1u32 << (level - 1)) - 1;
    let (split, global) = ("coarse part and sparse remainder", "stencils around a reference solve");
    let mut lines = Vec::new();
    let mut push = |group, label: String, config: &Value, damping| {
        let method = Candidate::new(group, &label, config, damping);
        lines.push(Line { threshold: None, paper: None, method });
    };
    for threshold in [0.01, 0.02, 0.05, 0.1] {
        let more = json!({ "threshold": threshold, "coarse": [coarse, coarse] });
        let config = filtered(&json!("inverse"), more.clone());
        push(split, format!("inverse, {coarse} × {coarse} coarse, ε = {threshold}"), &config, 1.0);
        let config = filtered(network, more);
        let label = format!("network, {coarse} × {coarse} coarse, ε = {threshold}");
        push(split, label, &config, recipes::DAMPING);
    }
    push(global, "reference (unlearned)".into(), &json!("reference"), 1.0);
    for variant in ["spd", "stencil"] {
        let config = json!({ "name": "mlp-reference", "variant": variant });
        push(global, format!("mlp-reference ({variant})"), &config, 1.0);
    }
    lines
}

fn precisions(network: &Value) -> Vec<Line> {
    let of = [
        ("exact inverse", json!("inverse"), json!({}), 1.0),
        ("exact inverse above ε = 0.02", json!("inverse"), json!({ "threshold": 0.02 }), 1.0),
        ("network", network.clone(), json!({}), recipes::DAMPING),
        ("SPAI-1", json!("spai"), json!({}), 1.0),
    ];
    let mut lines = Vec::new();
    for (what, method, more, damping) in of {
        for precision in ["f64", "f32", "bf16", "int8"] {
            let mut more = more.clone();
            more["precision"] = precision.into();
            let config = filtered(&method, more);
            let method = Candidate::new(what, &format!("{what}, {precision}"), &config, damping);
            lines.push(Line { threshold: None, paper: None, method });
        }
    }
    lines
}

fn table(
    lab: &Lab<'_>,
    wanted: &Wanted,
    level: u32,
    samples: &[Sample],
    (id, title): (&str, &str),
    lines: Vec<Line>,
) -> Result<Table> {
    let methods: Vec<Candidate> = lines.iter().map(|line| line.method.clone()).collect();
    lab.refuse_training_seeds(&methods)?;
    let mut trials: Vec<Trial> = lines.iter().map(|_| Trial::default()).collect();
    for (index, sample) in samples.iter().enumerate() {
        for (method, trial) in methods.iter().zip(&mut trials) {
            wanted.say(&format!("table4: level {level}, system {index}, {}", method.label));
            match lab.set_up(&sample.task, method) {
                Ok(ready) => trial.take(sample, index as u64, method, &ready, SCOPE),
                Err(e) => trial.fail(&e.to_string()),
            }
        }
    }
    let with_paper = lines.iter().any(|line| line.paper.is_some());
    let mut columns = Vec::new();
    if with_paper {
        columns.push(Column::new("paper_share", "entries", "paper"));
        columns.push(Column::new("paper_error", "its", "paper"));
    }
    columns.extend([
        Column::new("share", "entries", "of n²"),
        Column::new("ratio", "entries", "/ nnz(A)"),
        Column::new("error", "its", "error").marked(),
        Column::new("residual", "its", "residual").marked(),
        Column::new("best_damping", "its", "best ω"),
        Column::new("krylov", "its", "CG").marked(),
        Column::new("condition", "κ(MA)", ""),
        Column::new("radius", "ρ", ""),
        Column::new("bytes", "memory", ""),
    ]);
    let row = |(line, trial): (&Line, &Trial)| {
        let mut cells = Vec::new();
        if with_paper {
            cells.push(Cell::of(line.paper, |(share, _)| Cell::Share(share)));
            cells.push(Cell::of(line.paper, |(_, its)| Cell::Text(its.into())));
        }
        cells.extend([
            Cell::of(mean(&trial.shares), Cell::Share),
            Cell::of(mean(&trial.ratios), Cell::Number),
            its(&trial.error),
            its(&trial.residual),
            its(&trial.best_damping),
            its(&trial.krylov),
            Cell::of(trial.condition(), Cell::Number),
            Cell::of(trial.radius(), Cell::Number),
            Cell::of(mean(&trial.bytes), Cell::Bytes),
        ]);
        let (label, group) = (line.method.label.clone(), line.method.group.to_owned());
        Row { label, group, cells, remarks: trial.told(), ..Row::default() }
    };
    let rows = lines.iter().zip(&trials).map(row).collect();
    let (id, title) = (format!("{id}_level_{level}"), format!("{title}, level {level}"));
    Ok(Table { id, title, columns, rows, ..Table::default() })
}
