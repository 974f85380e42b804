//! Methods for structured grids on the grid of a DMDA: any boundary types, cut in any way, with Dirichlet nodes among the unknowns, on 1 to
//! 4 ranks with equal counts; coordinates out of the DM.
use crate::support::{Petsc, run};
use std::path::{Path, PathBuf};

const ALIKE: &str = "-ksp_norm_type unpreconditioned -ksp_rtol 1e-8 -ksp_converged_reason";
const CG: &str = "-ksp_type cg";
const GMRES: &str = "-ksp_type gmres -ksp_pc_side right";

/// Ways to cut a grid: ranks, and PETSc's options.
const CUTS: [(usize, &str); 6] = [
    (1, ""),
    (2, "-da_processors_x 2"),
    (2, "-da_processors_x 1"),
    (3, "-da_processors_x 3"),
    (4, "-da_processors_x 2 -da_processors_y 2"),
    (4, ""),
];

/// The iterations that all cuts take; what `-ksp_view` says last has to be in the output of each cut that is none in rows.
fn equal(program: &Path, options: &str, notes: &[&str]) -> usize {
    let counts = CUTS.map(|(ranks, cut)| {
        let ran = run(ranks, program, &format!("{options} {cut} {ALIKE} -ksp_view"));
        ran.says(notes);
        if cut.contains("_x 2") {
            ran.says(&["the DMDA is cut into 2 by "]);
        }
        ran.number_after("CONVERGED_RTOL iterations")
    });
    assert!(counts.windows(2).all(|pair| pair[0] == pair[1]), "{options}: {counts:?}");
    counts[0]
}

/// Our own program, with what both widths of PETSc have.
fn grid(petsc: Petsc) -> Option<PathBuf> {
    petsc.compile(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/petsc/grid.c")), "grid")
}

#[test]
fn ex45_takes_an_exact_solve_on_its_inner_nodes() {
    let Some(ex45) = Petsc::Narrow.tutorial("ex45") else { return };
    let kept = "unknowns on the boundary have a diagonal entry only";
    let count = |method: &str| {
        // In double precision on one rank, too: it shows where M is A's inverse.
        let method = method.replace("reference", "reference -pc_precondor_precision f64");
        let options = format!("{GMRES} -da_refine 1 -pc_type precondor_{method}");
        equal(&ex45, &options, &[kept])
    };
    let (fast, reference) = (count("fast_poisson"), count("reference"));
    assert!(fast <= 2 && reference <= 2, "{fast} and {reference}");
    let plain = run(1, &ex45, &format!("{GMRES} -da_refine 1 -pc_type ilu {ALIKE}"));
    assert!(plain.iterations() > 3 * reference);
}

#[test]
fn ex29_takes_both_ends_and_a_density() {
    let Some(ex29) = Petsc::Narrow.tutorial("ex29") else { return };
    let base = "-da_grid_x 25 -da_grid_y 22";
    let kept = "unknowns on the boundary have a diagonal entry only";
    let count = |ends: &str, rho: &str, ksp: &str, method: &str, notes: &[&str]| {
        let options =
            format!("{base} -bc_type {ends} -rho {rho} {ksp} -pc_type precondor_{method}");
        equal(&ex29, &options, notes)
    };
    for method in ["fast_poisson", "reference -pc_precondor_precision f64"] {
        assert!(count("neumann", "1.0", CG, method, &["it is singular"]) <= 2, "{method}");
        assert!(count("dirichlet", "1.0", GMRES, method, &[kept]) <= 2, "{method}");
    }
    // With another density in the middle A is not symmetric: `reference` refuses it, naming a row of the DMDA.
    let fast = count("dirichlet", "2.0", GMRES, "fast_poisson", &[kept]);
    assert!(fast > 2 && fast <= 16, "{fast}");
    let options =
        format!("{base} -rho 2.0 {GMRES} -pc_type precondor_reference -da_processors_x 2");
    run(2, &ex29, &options).fails_with(&["needs a symmetric matrix; global row "]);
}

#[test]
fn rings_and_free_ends_in_three_dimensions_take_equal_counts() {
    for petsc in Petsc::ALL {
        let Some(grid) = grid(petsc) else { continue };
        for rings in if petsc == Petsc::Narrow { 0..=3 } else { 2..=2 } {
            let count = |method: &str| {
                let options =
                    format!("-dim 3 -m 13 -rings {rings} {CG} -pc_type precondor_{method}");
                equal(&grid, &options, &["it is singular"])
            };
            let (fast, reference) = (count("fast_poisson"), count("reference"));
            assert!(reference <= 6 && 2 * reference <= fast + 1, "{rings}: {fast} and {reference}");
        }
    }
}

#[test]
fn coordinates_of_the_dm_say_where_nodes_are() {
    let Some(grid) = grid(Petsc::Narrow) else { return };
    let count = |positions: &str| {
        let method = format!("-pc_type precondor_reference -pc_precondor_positions {positions}");
        equal(&grid, &format!("-dim 2 -m 31 -shift .25 {CG} {method}"), &["reference"])
    };
    let (none, given) = (count("none"), count("given"));
    assert!(none <= 7 && given <= 4 && given < none, "{none}, {given} with coordinates");
    let left = run(
        4,
        &grid,
        &format!(
            "-dim 2 -m 9 {CG} -pc_type precondor_reference {ALIKE} -ksp_view -pc_precondor_positions auto"
        ),
    );
    assert!(!left.says(&[]).text.contains("left out"), "{}", left.text);
}

#[test]
fn methods_of_two_dimensions_refuse_three() {
    let Some(grid) = grid(Petsc::Narrow) else { return };
    let refused = run(2, &grid, &format!("-dim 3 -m 9 {CG} -pc_type precondor_multigrid"));
    refused.fails_with(&["does not fit a grid of two dimensions", "9 by 8 by 7"]);
}
