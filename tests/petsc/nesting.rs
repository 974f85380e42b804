//! Our types inside PETSc's own preconditioners, and several at once.
use crate::support::{Petsc, run};

#[test]
fn our_types_work_inside_petscs() {
    let Some(ex2) = Petsc::Narrow.tutorial("ex2") else { return };
    let base = "-m 15 -n 15 -ksp_rtol 1e-8 -ksp_converged_reason -ksp_view";
    for ranks in 1..=3 {
        for (options, views) in [
            (
                "-pc_type bjacobi -sub_pc_type precondor_ilu -sub_pc_precondor_level 1",
                ["type: bjacobi", "type: precondor_ilu", "level = 1\n"],
            ),
            (
                "-pc_type asm -sub_pc_type precondor -sub_pc_precondor_name ilu",
                ["type: asm", "type: precondor\n", "method: ilu"],
            ),
            (
                "-pc_type gamg -mg_levels_pc_type precondor_spai -mg_levels_pc_precondor_power 2",
                ["type: gamg", "type: precondor_spai", "power = 2\n"],
            ),
            (
                "-pc_type composite -pc_composite_pcs precondor_spai,precondor_ilu \
                 -sub_0_pc_precondor_power 0",
                ["type: precondor_spai", "type: precondor_ilu", "power = 0\n"],
            ),
            (
                "-ksp_type fgmres -pc_type ksp -ksp_ksp_type cg -ksp_pc_type precondor_ic",
                ["type: fgmres", "type: cg", "type: precondor_ic"],
            ),
        ] {
            let ran = run(ranks, &ex2, &format!("{base} {options}"));
            ran.says(&views).says(&["Linear solve converged"]);
        }
    }
    // A level's own option comes before that of all levels; a misspelt one is found on the levels.
    let gamg = "-m 15 -n 15 -pc_type gamg -mg_levels_pc_type precondor_spai";
    let ran = run(1, &ex2, &format!("{gamg} -mg_levels_pc_precondor_powr 2"));
    ran.fails_with(&["-mg_levels_pc_precondor_powr", "did you mean 'power'?"]);
}

#[test]
fn a_block_solve_is_what_petscs_own_is() {
    // ILU(0) of each block, and Jacobi, are the same operator made by PETSc and by us.
    let Some(ex2) = Petsc::Narrow.tutorial("ex2") else { return };
    let base = "-m 15 -n 15 -ksp_type cg -ksp_rtol 1e-8 -ksp_norm_type unpreconditioned \
                -ksp_converged_reason";
    for ranks in 1..=3 {
        for (theirs, ours) in [
            ("-pc_type bjacobi -sub_pc_type ilu", "-pc_type bjacobi -sub_pc_type precondor_ilu"),
            ("-pc_type jacobi", "-pc_type precondor_jacobi"),
        ] {
            let count = |options: &str| run(ranks, &ex2, &format!("{base} {options}")).iterations();
            assert_eq!(count(theirs), count(ours), "{ours} on {ranks} ranks");
        }
    }
}
