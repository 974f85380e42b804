//! The table of docs/grids.md: iterations of conjugate gradients to 1e-8 on families of grids, `reference` beside what it is made of and
//! what competes. Nothing is timed. Words on the command line choose the families whose names, "2-D" or "3-D" among them, have all of
//! them.
#![allow(clippy::unwrap_used, missing_docs)]
#[path = "../tests/families/table.rs"]
mod table;

use precondor_plugin_amg::Amg;
use precondor_plugin_multigrid::Multigrid;
use precondor_plugin_reference::{FastPoisson, Reference};
use precondor_sdk::core::registry::{DynGenerator, Native};
use precondor_sdk::serde_json::json;
use std::sync::Arc;
use table::{FAMILIES, FEW, Family, count};

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let methods: [Arc<dyn DynGenerator>; 4] = [
        Native::<Reference>::method(),
        Native::<FastPoisson>::method(),
        Native::<Multigrid>::method(),
        Native::<Amg>::method(),
    ];
    println!(
        "| grid | nodes a side | `reference` | `fast-poisson` | `multigrid` | `amg` | tests: at most |"
    );
    println!("|---|---|---|---|---|---|---|");
    let named = |f: &&Family| format!("{}-D {}", f.dimension, f.name);
    for family in FAMILIES.iter().filter(|f| wanted.iter().all(|word| named(f).contains(word))) {
        let counts: Vec<Vec<String>> =
            family.sizes[1].iter().map(|&m| row(family, m, &methods)).collect();
        let column = |k: usize| {
            let all: Vec<&str> = counts.iter().map(|row| row[k].as_str()).collect();
            if all.iter().all(|count| *count == "–") { "–".to_owned() } else { all.join(" / ") }
        };
        let sizes: Vec<String> = family.sizes[1].iter().map(usize::to_string).collect();
        let columns: Vec<String> = (0..methods.len()).map(column).collect();
        let (name, sizes, columns) = (family.name, sizes.join(" / "), columns.join(" | "));
        let tested: Vec<String> = family.sizes[0].iter().map(usize::to_string).collect();
        println!("| {name} | {sizes} | {columns} | {} ({}) |", family.most, tested.join(", "));
    }
}

/// The largest counts of three systems, or of one with many unknowns.
fn row(family: &Family, nodes: usize, methods: &[Arc<dyn DynGenerator>]) -> Vec<String> {
    let few = nodes.pow(family.dimension as u32) > 40_000;
    let systems: Vec<_> = (0..if few { 1 } else { 3 }).map(|k| family.system(nodes, k)).collect();
    let most = |method: &Arc<dyn DynGenerator>| {
        let counts = systems.iter().map(|system| count(&**method, &json!({}), system));
        let counts: Option<Vec<usize>> = counts.map(|found| Some(found?.0)).collect();
        counts.map_or("–".to_owned(), |all| match all.into_iter().max().unwrap_or(0) {
            most if most > FEW => format!("> {FEW}"),
            most => most.to_string(),
        })
    };
    methods.iter().map(most).collect()
}
