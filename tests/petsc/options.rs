//! Options: help, views, configurations, and what is said about wrong ones.
use crate::support::{Petsc, folder, run};

#[test]
fn help_lists_every_parameter_with_description_range_and_default() {
    let Some(ex2) = Petsc::Narrow.tutorial("ex2") else { return };
    for ranks in 1..=2 {
        let ran = run(ranks, &ex2, "-pc_type precondor -pc_precondor_name spai -help");
        ran.says(&[
            "-pc_precondor_name <spai>: the method, one of amg auto",
            "-pc_precondor_config",
            "-pc_precondor_explicit",
            "-pc_precondor_power <1>: M has the pattern of this power of A, the diagonal included.",
            "(integer ≥ 0 ≤ 8)",
            "-pc_precondor_threshold <0.0>: Entries with",
            "(number ≥ 0 < 1)",
            "precondor_mlp_reference",
        ]);
        assert_eq!(ran.text.matches("-pc_precondor_power").count(), 1, "once, and by one rank");
    }
    // Methods inside methods, and a prefix.
    let options =
        "-pc_type bjacobi -sub_pc_type precondor_filter -sub_pc_precondor_method fsai -help";
    run(1, &ex2, options).says(&[
        "-sub_pc_precondor_precision <f64>",
        "(one of f64 f32 bf16 int8)",
        "-sub_pc_precondor_method <inverse>",
        "-sub_pc_precondor_method_steps <0>",
    ]);
}

#[test]
fn a_view_shows_method_parameters_storage_and_notes() {
    let Some(ex2) = Petsc::Narrow.tutorial("ex2") else { return };
    for ranks in 1..=3 {
        let ran = run(ranks, &ex2, "-pc_type precondor_spai -pc_precondor_power 2 -ksp_view");
        ran.says(&[
            "type: precondor_spai",
            "method: spai (sparse approximate inverse",
            "power = 2\n",
            "threshold = 0.0 (default)",
            // What M stores does not depend on the ranks, its bytes do.
            "stores 582 numbers, 2.33 for each entry of the matrix",
            "note: ",
            "setups: 1 from nothing, 0 refreshed",
        ]);
    }
}

#[test]
fn a_configuration_is_read_and_options_override_it() {
    let Some(ex2) = Petsc::Narrow.tutorial("ex2") else { return };
    let folder = folder("options");
    let config = folder.join("ilu.toml");
    let write = |text: &str| std::fs::write(&config, text).expect("written");
    write("[solver]\nmethod = \"cg\"\n[preconditioner]\nname = \"ilu\"\nlevel = 2\n");
    let with = |more: &str| {
        let config = config.display();
        format!("-pc_type precondor -pc_precondor_config {config} -ksp_view {more}")
    };
    for ranks in 1..=2 {
        run(ranks, &ex2, &with("")).says(&["method: ilu", "level = 2\n"]);
        run(ranks, &ex2, &with("-pc_precondor_level 1")).says(&["level = 1\n"]);
        let refused = run(ranks, &ex2, &with("-pc_precondor_shift 2"));
        refused.fails_with(&["-pc_precondor_shift 2: 'shift': 2 must be at most 1"]);
    }
    // A method inside a method, by either.
    write("[preconditioner]\nname = \"filter\"\nmethod = { name = \"spai\", power = 3 }\n");
    run(1, &ex2, &with("")).says(&["\"power\":3"]);
    run(1, &ex2, &with("-pc_precondor_method_power 2")).says(&["\"power\":2"]);
    // Another method has no use for the parameters of the one it takes the place of.
    run(1, &ex2, &with("-pc_precondor_method_name fsai")).says(&["method = fsai\n"]);
    write("[preconditioner]\nname = \"ilu\"\nlevle = 2\n");
    let misspelt = run(2, &ex2, &with(""));
    misspelt.fails_with(&["ilu.toml:3:1: 'levle'", "did you mean 'level'?", "levle = 2", "^^^^^"]);
    write("[solver]\nmethod = \"cg\"\n");
    run(1, &ex2, &with("")).fails_with(&["no section [preconditioner]"]);
    write("preconditioner = \"jacobi\"\n");
    run(1, &ex2, &with("")).says(&["method: jacobi"]);
    run(1, &ex2, &with("").replace("ilu.toml", "none.toml"))
        .fails_with(&["none.toml", "No such file"]);
    write("[preconditioner]\nname = \"ilu\"\n");
    let other = with("").replace("-pc_type precondor ", "-pc_type precondor_jacobi ");
    run(1, &ex2, &other).fails_with(&["\"ilu\" is not what -pc_type precondor_jacobi is"]);
}

#[test]
fn methods_of_a_list_are_named_one_by_one_or_all_at_once() {
    let Some(ex2) = Petsc::Narrow.tutorial("ex2") else { return };
    let composite =
        "-pc_type precondor -pc_precondor_name composite -ksp_view -ksp_converged_reason";
    for ranks in 1..=2 {
        let with = |more: &str| run(ranks, &ex2, &format!("{composite} {more}"));
        with(
            "-pc_precondor_methods_0_name jacobi -pc_precondor_methods_0_damping 0.5 \
              -pc_precondor_methods_1_name ilu -pc_precondor_kind multiplicative",
        )
        .says(&["{\"damping\":0.5,\"name\":\"jacobi\"},\"ilu\"]", "Linear solve converged"]);
        with("-pc_precondor_methods gauss_seidel,ilu -pc_precondor_methods_1_level 2")
            .says(&["[\"gauss-seidel\",{\"level\":2,\"name\":\"ilu\"}]"]);
        // The default list has one method, jacobi.
        with("-pc_precondor_methods_0_damping 0.25").says(&["\"damping\":0.25"]);
        with("-pc_precondor_methods_1 ilu").says(&["[\"jacobi\",\"ilu\"]"]);
        // PETSc reads an option without numbers for those with any; it adds no method.
        with("-pc_precondor_methods_name ilu").says(&["[\"ilu\"]"]);
        with("-pc_precondor_methods_0_dampng 1")
            .fails_with(&["-pc_precondor_methods_0_dampng: there is no such option"]);
        with("-pc_precondor_methods jacobi,nothing").fails_with(&["no preconditioner 'nothing'"]);
        with("-pc_precondor_methods_2 ilu").fails_with(&["-pc_precondor_methods_2: there is no"]);
    }
    run(1, &ex2, &format!("{composite} -pc_precondor_methods jacobi,spai -help")).says(&[
        "-pc_precondor_methods <[\"jacobi\"]>",
        "-pc_precondor_methods_0_damping <1.0>",
        "-pc_precondor_methods_1_power <1>",
    ]);
    // A list of lists, and a configuration under the options.
    let split = "-pc_type precondor_fieldsplit -ksp_view -ksp_converged_reason \
                 -pc_precondor_stride 4 -pc_precondor_fields 0,1,3;2";
    let says = ["fields of 42 and 14 rows", "[[0,1,3],[2]]", "Linear solve converged"];
    run(
        2,
        &ex2,
        &format!("{split} -pc_precondor_methods_1_name jacobi -pc_precondor_methods_0 ilu"),
    )
    .says(&says);
    let folder = folder("lists");
    let config = folder.join("list.toml");
    let text = "[preconditioner]\nname = \"composite\"\nmethods = [\"ilu\", { name = \"spai\", power = 2 }]\n";
    std::fs::write(&config, text).expect("written");
    let from = format!("{composite} -pc_precondor_config {}", config.display());
    run(1, &ex2, &format!("{from} -pc_precondor_methods_1_power 3"))
        .says(&["[\"ilu\",{\"name\":\"spai\",\"power\":3}]"]);
}

#[test]
fn wrong_options_end_with_an_error_that_says_what_is_right() {
    let Some(ex2) = Petsc::Narrow.tutorial("ex2") else { return };
    for (options, parts) in [
        (
            "-pc_type precondor",
            [
                "-pc_precondor_name is missing",
                "auto, cholesky, composite, fast-poisson, fieldsplit, filter, fsai",
            ],
        ),
        (
            "-pc_type precondor -pc_precondor_name jacoby",
            ["no preconditioner 'jacoby'; did you mean 'jacobi'?", "looked for plugins in"],
        ),
        (
            "-pc_type precondor_jacobi -pc_precondor_damping 2.5",
            ["-pc_precondor_damping 2.5: 'damping': 2.5 must be less than 2", "[0]PETSC ERROR"],
        ),
        (
            "-pc_type precondor_jacobi -pc_precondor_damping much",
            ["-pc_precondor_damping much", "\"much\" is not of type number"],
        ),
        (
            "-pc_type precondor_jacobi -pc_precondor_dampng 0.5",
            ["-pc_precondor_dampng: there is no such option", "did you mean 'damping'?"],
        ),
        (
            "-pc_type precondor_jacobi -pc_precondor_name spai",
            ["-pc_precondor_name spai", "is not what -pc_type precondor_jacobi is"],
        ),
        (
            "-pc_type precondor_gauss_seidel -pc_precondor_sweep symetric",
            ["is not one of \"forward\", \"backward\"", "did you mean \"symmetric\"?"],
        ),
        (
            "-pc_type precondor_spai -pc_precondor_explicit perhaps",
            ["-pc_precondor_explicit perhaps", "neither true nor false"],
        ),
        (
            "-pc_type precondor_filter -pc_precondor_method nothing",
            ["-pc_precondor_method nothing", "no preconditioner 'nothing'"],
        ),
        (
            "-pc_type precondor_fast_poisson -pc_precondor_grid 7",
            ["-pc_precondor_grid 7", "1 items, at least 2 are needed"],
        ),
        (
            "-pc_type precondor_fast_poisson -pc_precondor_grid 8,7",
            ["fast-poisson: ", "global row 0 does not fit a grid of 8 by 7 nodes"],
        ),
        (
            "-pc_type precondor_ridge -pc_precondor_model missing.safetensors",
            ["ridge: ", "missing.safetensors"],
        ),
        ("-pc_type precondor_gauss_seidel -pc_precondor_explicit", ["gauss-seidel", "no inverse"]),
    ] {
        for ranks in 1..=2 {
            run(ranks, &ex2, options).fails_with(&parts);
        }
    }
}

#[test]
fn names_may_have_underscores_for_hyphens() {
    let Some(ex2) = Petsc::Narrow.tutorial("ex2") else { return };
    for name in ["gauss-seidel", "gauss_seidel"] {
        let options = format!("-pc_type precondor -pc_precondor_name {name} -ksp_view");
        run(1, &ex2, &options).says(&["method: gauss-seidel"]);
    }
    let options = "-pc_type precondor_reference -pc_precondor_smoother symmetric_gauss_seidel \
                   -pc_precondor_method fast_poisson -pc_precondor_method_grid 7,8 -ksp_view";
    run(1, &ex2, options).says(&["smoother = symmetric-gauss-seidel\n", "\"grid\":[7,8]"]);
}

#[test]
fn a_method_that_has_another_name_now_is_understood() {
    let Some(ex2) = Petsc::Narrow.tutorial("ex2") else { return };
    for options in ["-pc_type precondor_sine", "-pc_type precondor -pc_precondor_name sine"] {
        run(2, &ex2, &format!("{options} -ksp_view")).says(&["method: fast-poisson"]);
    }
}

#[test]
fn options_of_parameters_that_have_another_name_now_are_understood() {
    let Some(ex2) = Petsc::Narrow.tutorial("ex2") else { return };
    let options =
        "-pc_type precondor_schwarz -pc_precondor_inner ilu -pc_precondor_inner_level 1 -ksp_view";
    run(2, &ex2, options).says(&["\"level\":1", "'inner' is called 'method' now"]);
    let both = "-pc_type precondor_schwarz -pc_precondor_inner ic -pc_precondor_method spai";
    run(1, &ex2, both).fails_with(&["is what 'method' was called before"]);
}

#[test]
fn a_stored_inverse_is_applied_and_shown_as_a_matrix() {
    let Some(ex2) = Petsc::Narrow.tutorial("ex2") else { return };
    let alike = "-ksp_type cg -ksp_converged_reason -ksp_rtol 1e-8";
    for ranks in 1..=2 {
        let ours = run(ranks, &ex2, &format!("{alike} -pc_type precondor_fsai")).iterations();
        let options = format!(
            "{alike} -pc_type precondor_fsai -pc_precondor_explicit -pc_precondor_explicit_view \
             ::ascii_info -ksp_view"
        );
        let ran = run(ranks, &ex2, &options);
        ran.says(&["Mat Object: factor G of the inverse", "applied as a matrix of PETSc"]);
        assert_eq!(ran.iterations(), ours);
        let options = "-pc_type precondor_spai -pc_precondor_explicit_view ::ascii_info -ksp_view";
        let ran = run(ranks, &ex2, options);
        ran.says(&["Mat Object: inverse M", "total: nonzeros=250"]);
        assert!(!ran.text.contains("applied as a matrix"), "{}", ran.text);
    }
}
