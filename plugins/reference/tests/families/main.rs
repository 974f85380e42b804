//! Counts on the families of grids of practice, as docs/grids.md states them.
//!
//! Everything of `reference` is at its default: seven products with A an iteration.
#![allow(clippy::unwrap_used)]
mod table;

use precondor_plugin_reference::Reference;
use precondor_sdk::core::registry::Native;
use precondor_sdk::serde_json::json;
use table::{FAMILIES, count};

#[test]
fn families_take_the_iterations_that_the_page_says() {
    let mut wrong = Vec::new();
    for family in FAMILIES {
        for &nodes in family.sizes[0] {
            for index in 0..2 {
                let system = family.system(nodes, index);
                let (found, notes) =
                    count(&*Native::<Reference>::method(), &json!({}), &system).unwrap();
                println!("{} {nodes}: {found} of {} {notes:?}", family.name, family.most);
                if found > family.most {
                    let why =
                        format!("{}, {nodes} nodes: {found}, not {}", family.name, family.most);
                    wrong.push(why);
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
