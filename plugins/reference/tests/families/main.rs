//! Counts on the families of grids of practice, as docs/grids.md states them.
//!
//! Everything of `reference` is at its default: seven products with A an iteration.
#![allow(clippy::unwrap_used)]
mod table;

use precondor_plugin_reference::Reference;
use precondor_sdk::core::instance::Kept;
use precondor_sdk::core::registry::Native;
use precondor_sdk::serde_json::json;
use table::{FAMILIES, Family, count, iterations, system};

#[test]
fn families_take_the_iterations_that_the_page_says() {
    let mut wrong = Vec::new();
    for family in FAMILIES {
        for &nodes in family.sizes[0] {
            for index in 0..2 {
                let system = family.system(nodes, index);
                let (found, notes) =
                    count(&*Native::<Reference>::method(), &json!({}), &system).unwrap();
                if found > family.most {
                    let Family { name, most, .. } = family;
                    wrong.push(format!("{name}, {nodes} nodes: {found}, not {most}: {notes:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Cells nine times as long as wide whose nodes are shifted take more, and ever more: couplings overstate the weak direction.
#[test]
fn a_whole_annulus_takes_few_iterations_where_its_cells_are_about_square() {
    let keys = r#"{"map": "annulus", "ends": ["dirichlet", "periodic"], "shift": 0.25}"#;
    let found = |nodes: [usize; 2]| {
        let system = system(keys, &nodes, 0);
        count(&*Native::<Reference>::method(), &json!({}), &system).unwrap().0
    };
    for nodes in [[15, 150], [31, 300], [63, 600]] {
        let found = found(nodes);
        assert!(found <= 6, "{nodes:?}: {found}");
    }
    let [coarse, fine] = [found([31, 31]), found([63, 63])];
    assert!(coarse > 9 && fine > coarse, "{coarse}, {fine}");
}

#[test]
fn a_mesh_that_moves_is_refreshed_and_takes_the_same_count_all_along() {
    let keys = r#"{"motion": 0.08, "period": 20, "shift": 0.25}"#;
    for nodes in [&[63; 2][..], &[15; 3]] {
        let mut kept = Kept::new(&Native::<Reference>::method(), &json!({}));
        for step in 0..20 {
            let (system, b) = system(keys, nodes, step);
            let m = kept.update(&system).unwrap();
            let fresh = Native::<Reference>::method().generate(&json!({}), &system).unwrap();
            let [mut z, mut again] = [(); 2].map(|()| vec![f64::NAN; b.len()]);
            m.apply(&b, &mut z).unwrap();
            fresh.apply(&b, &mut again).unwrap();
            assert_eq!(z, again, "{nodes:?}, step {step}");
            let found = iterations(m, &(system, b));
            assert!(found <= 8, "{nodes:?}, step {step}: {found}");
        }
        assert_eq!((kept.counts().setups, kept.counts().refreshes), (1, 19));
    }
}
