//! Table 2: numbers stored for A as a dense, a sparse and a symmetric banded matrix, and the bytes of
//! each M in three precisions.
use super::lab::{Candidate, Lab};
use super::{Wanted, paper};
use precondor::report::{Cell, Column, Row, Section, Table};
use precondor_core::Result;
use precondor_core::matrix::DistCsr;
use serde_json::json;
use std::collections::BTreeSet;

/// Levels that can be asked for, and those shown unless others are.
pub const LEVELS: [u32; 8] = [2, 3, 4, 5, 6, 7, 8, 9];
const SHOWN: [u32; 5] = [3, 4, 5, 6, 7];
/// Largest level for which a dense M is made.
const DENSE: u32 = 5;

pub fn run(lab: &Lab<'_>, wanted: &Wanted) -> Result<Section> {
    let levels = wanted.levels(&LEVELS, &SHOWN)?;
    let notes = vec![
        "Counted on assembled matrices: entries of A, and places of the diagonals that A has on and \
         above the main one, each at its full length."
            .to_owned(),
        "Bytes of values are numbers × 8, 4 and 2; 'memory' is what the method keeps as it is built, \
         indices and work space included."
            .to_owned(),
    ];
    let mut tables = vec![storage(lab, &levels)?];
    for &level in &levels {
        wanted.say(&format!("table2: level {level}"));
        tables.push(preconditioners(lab, level)?);
    }
    let title = "Table 2: storage".to_owned();
    Ok(Section { id: "table2".into(), title, notes, tables, ..Section::default() })
}

/// Numbers of the diagonals on and above the main one that hold an entry, at full length.
fn banded(a: &DistCsr) -> u64 {
    let (n, view) = (a.n_own(), a.own().view());
    let offsets: BTreeSet<usize> = (0..n)
        .flat_map(|i| view.row_cols(i).iter().filter_map(move |&j| (j as usize).checked_sub(i)))
        .collect();
    offsets.into_iter().map(|offset| (n - offset) as u64).sum()
}

fn storage(lab: &Lab<'_>, levels: &[u32]) -> Result<Table> {
    let mut columns = vec![Column::new("n", "n", "")];
    for (key, head) in [("dense", "dense"), ("sparse", "sparse"), ("bands", "symmetric bands")] {
        columns.push(Column::new(&format!("paper_{key}"), head, "paper"));
        columns.push(Column::new(key, head, "ours"));
    }
    columns.push(Column::new("exact", "equal", ""));
    let mut rows = Vec::new();
    for &level in levels {
        let task = lab.task(level, 0)?;
        let a = task.system.a();
        let n = a.n_own() as u64;
        let ours = [n * n, a.nnz_own() as u64, banded(a)];
        let known = paper::TABLE_2.iter().find(|row| row.0 == level);
        let paper = known.map(|&(_, dense, sparse, bands)| [dense, sparse, bands]);
        let mut cells = vec![Cell::Count(n)];
        for (k, count) in ours.into_iter().enumerate() {
            cells.push(Cell::of(paper, |paper| Cell::Count(paper[k])));
            cells.push(Cell::Count(count));
        }
        let word = |equal| Cell::Text(if equal { "yes" } else { "NO" }.into());
        cells.push(Cell::of(paper, |paper| word(paper == ours)));
        let label = format!("level {level}");
        rows.push(Row { label, cells, ..Row::default() });
    }
    let title = "Numbers stored for A".into();
    Ok(Table { id: "storage".into(), title, columns, rows, ..Table::default() })
}

/// What each M keeps.
fn preconditioners(lab: &Lab<'_>, level: u32) -> Result<Table> {
    let (sparse, global) = ("sparse or dense M", "with a global part");
    let new = |group, label: &str, config| Candidate::new(group, label, &config, 1.0);
    let mut methods = vec![
        new(sparse, "Jacobi", json!("jacobi")),
        new(sparse, "SPAI-1", json!("spai")),
        new(sparse, "FSAI", json!("fsai")),
        new(sparse, "IC(0)", json!("ic")),
        new(global, "A0⁻¹", json!("fast-poisson")),
        new(global, "reference", json!("reference")),
        new(global, "mlp-reference (spd)", json!({ "name": "mlp-reference", "variant": "spd" })),
        new(
            global,
            "mlp-reference (stencil)",
            json!({ "name": "mlp-reference", "variant": "stencil" }),
        ),
    ];
    if level <= DENSE {
        methods.insert(3, new(sparse, "dense inverse", json!("inverse")));
    }
    methods.retain(|method| method.is_there(lab.methods));
    let task = lab.task(level, 0)?;
    let mut rows = Vec::new();
    for method in &methods {
        let ready = lab.set_up(&task, method)?;
        let numbers = ready.m().stored_entries() as u64;
        let values = |width: u64| Cell::Bytes((width * numbers) as f64);
        rows.push(Row {
            label: method.label.clone(),
            group: method.group.into(),
            cells: vec![
                Cell::Count(numbers),
                Cell::Number(numbers as f64 / task.nnz as f64),
                values(8),
                values(4),
                values(2),
                Cell::Bytes(ready.m().bytes() as f64),
            ],
            ..Row::default()
        });
    }
    let columns = vec![
        Column::new("numbers", "numbers", ""),
        Column::new("nnz_ratio", "numbers", "/ nnz(A)"),
        Column::new("f64", "values", "f64"),
        Column::new("f32", "values", "f32"),
        Column::new("bf16", "values", "bf16"),
        Column::new("bytes", "memory", "as built"),
    ];
    let title = format!("Numbers and bytes of M, level {level}");
    Ok(Table { id: format!("level_{level}"), title, columns, rows, ..Table::default() })
}
