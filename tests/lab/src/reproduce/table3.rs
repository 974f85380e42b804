//! Table 3: what the dense network is told of the matrix (its bands, or all of it), the damping it is
//! used with, how many matrices it was trained on and for how long; and what its assembly costs.
use super::lab::{Candidate, Lab, Rule, Sample, TOLERANCE, median};
use super::library::{Library, Recipe, once};
use super::{Wanted, recipes};
use precondor::report::{Cell, Column, Row, Section, Table};
use precondor_core::Result;
use serde_json::{Value, json};

/// Levels that can be asked for; the tables of the training are about the first one asked for.
pub const LEVELS: [u32; 3] = [2, 3, 4];
const SHOWN: [u32; 1] = [3];
const SYSTEMS: u64 = 20;
const DAMPINGS: [f64; 4] = [0.6, 0.7, 0.8, 1.0];
/// Assemblies that a time is the median of.
const REPEATED: usize = 20;

pub fn run(lab: &Lab<'_>, library: &Library<'_>, wanted: &Wanted) -> Result<Section> {
    let mut notes = vec![
        "The paper's values of this table are not known to this project.".to_owned(),
        format!(
            "Plain networks, three hidden layers as wide as the matrix, Adam; Richardson until \
             ‖x − x*‖₂ ≤ {TOLERANCE:e}, mean (maximum), for each damping ω, and by relative residual \
             for ω = 0.8; seed {}, {} systems.",
            lab.seed,
            wanted.matrices.unwrap_or(SYSTEMS)
        ),
    ];
    let mut tables = Vec::new();
    for level in wanted.levels(&LEVELS, &SHOWN)? {
        tables.extend(of_level(lab, library, wanted, level, &mut notes)?);
    }
    tables.push(assembly(lab, library, wanted, &mut notes)?);
    let title = "Table 3: input, damping, training set and epochs".to_owned();
    Ok(Section { id: "table3".into(), title, notes, tables, ..Section::default() })
}

fn of_level(
    lab: &Lab<'_>,
    library: &Library<'_>,
    wanted: &Wanted,
    level: u32,
    notes: &mut Vec<String>,
) -> Result<Vec<Table>> {
    let (matrices, epochs) = library.budget.at(level);
    if !library.budget.full {
        once(
            notes,
            format!(
                "Level {level}: at most {matrices} matrices and {epochs} epochs; the paper's 10000 and \
                 1000 with --full."
            ),
        );
    }
    let at_least_one = |part: u64| part.max(1);
    let inputs = ["bands", "full"].map(|inputs| recipes::varied(inputs, matrices, epochs));
    // As many steps each, so that only the set differs.
    let sets = [100, 10, 1].map(|part| recipes::varied("bands", matrices / part, epochs * part));
    let times =
        [100, 10, 1].map(|part| recipes::varied("bands", matrices, at_least_one(epochs / part)));
    let count = wanted.matrices.unwrap_or(SYSTEMS);
    let samples: Result<Vec<Sample>> =
        (0..count).map(|index| lab.sample(level, index, TOLERANCE)).collect();
    let samples = samples?;
    let mut table = |id: &str, title: &str, recipes: &[Recipe]| -> Result<Table> {
        let mut rows = Vec::new();
        for recipe in recipes {
            wanted.say(&format!("table3: level {level}, {}", recipe.label));
            rows.push(row(lab, library, recipe, level, &samples, notes)?);
        }
        let mut columns: Vec<Column> = DAMPINGS
            .iter()
            .map(|w| Column::new(&format!("omega_{w:.1}"), "its", &format!("ω = {w:.1}")).marked())
            .collect();
        columns.push(Column::new("residual", "its, residual", "ω = 0.8").marked());
        columns.push(Column::new("parameters", "weights", ""));
        columns.push(Column::new("assembly_seconds", "assembly", "median"));
        columns.push(Column::new("training_seconds", "training", ""));
        let (id, title) = (format!("{id}_level_{level}"), format!("{title}, level {level}"));
        Ok(Table { id, title, columns, rows, ..Table::default() })
    };
    Ok(vec![
        table("inputs", "Band against full input", &inputs)?,
        table("matrices", "Training-set size, equal numbers of steps", &sets)?,
        table("epochs", "Epochs", &times)?,
    ])
}

fn row(
    lab: &Lab<'_>,
    library: &Library<'_>,
    recipe: &Recipe,
    level: u32,
    samples: &[Sample],
    notes: &mut Vec<String>,
) -> Result<Row> {
    let trained = library.trained(recipe, level, notes)?;
    let model = precondor::models::of_file(&trained.file)?;
    let config = json!({ "name": recipe.method, "model": trained.file });
    let method = Candidate::new("", &recipe.label, &config, recipes::DAMPING);
    lab.refuse_training_seeds(std::slice::from_ref(&method))?;
    let mut counters: Vec<super::lab::Counter> = Vec::new();
    counters.resize_with(DAMPINGS.len() + 1, Default::default);
    let mut assembly = Vec::new();
    for sample in samples {
        let ready = lab.set_up(&sample.task, &method)?;
        assembly.push(ready.taken.as_secs_f64());
        let m = ready.m();
        for (damping, counter) in DAMPINGS.iter().zip(&mut counters) {
            counter.add(&sample.richardson(m, *damping, Rule::Error(TOLERANCE)));
        }
        let by_residual = sample.richardson(m, recipes::DAMPING, Rule::Residual(TOLERANCE));
        counters[DAMPINGS.len()].add(&by_residual);
    }
    let mut cells: Vec<Cell> = counters.iter().map(super::trial::its).collect();
    cells.push(weights(&model.card));
    cells.push(Cell::of(median(&assembly), Cell::Seconds));
    cells.push(Cell::of(trained.seconds, Cell::Seconds));
    Ok(Row { label: recipe.label.clone(), cells, ..Row::default() })
}

fn weights(card: &Value) -> Cell {
    Cell::of(card["metrics"]["parameters"].as_u64(), Cell::Count)
}

/// What an assembly costs with either input.
fn assembly(
    lab: &Lab<'_>,
    library: &Library<'_>,
    wanted: &Wanted,
    notes: &mut Vec<String>,
) -> Result<Table> {
    let mut aside = Vec::new();
    let mut rows = Vec::new();
    for level in LEVELS {
        let task = lab.task(level, 0)?;
        let mut cells = Vec::new();
        for inputs in ["bands", "full"] {
            wanted.say(&format!("table3: assembly, level {level}, {inputs}"));
            // The time does not depend on the weights: one step is enough.
            let recipe = recipes::varied(inputs, 2, 1);
            let trained = library.trained(&recipe, level, &mut aside)?;
            let config = json!({ "name": recipe.method, "model": trained.file });
            let method = Candidate::new("", &recipe.label, &config, 1.0);
            let seconds: Result<Vec<f64>> = (0..REPEATED)
                .map(|_| Ok(lab.set_up(&task, &method)?.taken.as_secs_f64()))
                .collect();
            cells.push(weights(&precondor::models::of_file(&trained.file)?.card));
            cells.push(Cell::of(median(&seconds?), Cell::Seconds));
        }
        rows.push(Row { label: format!("level {level}"), cells, ..Row::default() });
    }
    once(
        notes,
        format!(
            "Assembly: evaluating the network and storing M, median of {REPEATED} (the first one also \
             reads the model file); networks of one training step, because the time does not depend on the weights."
        ),
    );
    let columns = vec![
        Column::new("bands_parameters", "weights", "bands"),
        Column::new("bands_seconds", "assembly", "bands"),
        Column::new("full_parameters", "weights", "full"),
        Column::new("full_seconds", "assembly", "full"),
    ];
    let title = "Assembly, band against full input".into();
    Ok(Table { id: "assembly".into(), title, columns, rows, ..Table::default() })
}
