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
        let options = format!("{GMRES} -da_refine 1 -pc_type precondor_{method}");
        equal(&ex45, &options, &[kept])
    };
    let (fast, reference) = (count("fast_poisson"), count("reference"));
    // In single precision the second one takes a few.
    assert!(fast <= 2 && reference <= 3, "{fast} and {reference}");
    let plain = run(1, &ex45, &format!("{GMRES} -da_refine 1 -pc_type ilu {ALIKE}"));
    assert!(plain.iterations() > 3 * reference);
}

#[test]
fn ex29_takes_both_ends_and_a_density() {
    let Some(ex29) = Petsc::Narrow.tutorial("ex29") else { return };
    let base = "-da_grid_x 25 -da_grid_y 22";
    let kept = "unknowns on the boundary have a diagonal entry only";
    for (ends, notes, ksp) in
        [("neumann", &["it is singular"][..], CG), ("dirichlet", &[kept][..], GMRES)]
    {
        let count = |method: &str, rho: &str| {
            let options =
                format!("{base} -bc_type {ends} -rho {rho} {ksp} -pc_type precondor_{method}");
            equal(&ex29, &options, notes)
        };
        assert!(count("fast_poisson", "1.0") <= 2, "{ends}");
        let (fast, reference) = (count("fast_poisson", "2.0"), count("reference", "2.0"));
        assert!(reference < fast && reference <= 6, "{ends}: {fast} and {reference}");
    }
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
