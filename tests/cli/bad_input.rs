//! Bad input: each case exits with status 1 and says what is wrong, where, and what would be right.
use crate::support::{Folder, matrix, precondor, program, run, solve};
use std::os::unix::fs::PermissionsExt;

const POISSON: &str = "[problem]\nkind = 'poisson'\nlevel = 3\n";

#[test]
fn a_preconditioner_that_is_not_there() {
    let folder = Folder::new("unknown");
    let ran = solve(&folder, &format!("{POISSON}[preconditioner]\nname = 'jacoby'\n"), &[]);
    ran.fails_with(&[
        "config.toml:5:8: no preconditioner 'jacoby'; did you mean 'jacobi'? (there are: ",
        "gauss-seidel, ",
        "looked for plugins in /",
        "\n 5 | name = 'jacoby'\n   |        ^^^^^^^^",
    ]);
}

#[test]
fn keys_and_values_that_a_schema_does_not_allow() {
    let folder = Folder::new("keys");
    for (section, parts) in [
        (
            "[preconditioner]\nname = 'jacobi'\ndampin = 0.5",
            ["6:1: 'dampin': there is no such key; did you mean 'damping'?", "^^^^^^"],
        ),
        (
            "[preconditioner]\nname = 'jacobi'\ndamping = 2.5",
            ["6:11: 'damping': 2.5 must be less than 2", "^^^"],
        ),
        (
            "[preconditioner]\nname = 'jacobi'\ndamping = 'big'",
            ["6:11: 'damping': \"big\" is not of type number", "^^^^^"],
        ),
        (
            "[preconditioner]\nname = 'gauss-seidel'\nsweep = 'forwards'",
            ["6:9: 'sweep': \"forwards\" is not one of", "did you mean \"forward\"?"],
        ),
        (
            "[preconditioner]\nname = 'reference'\nsolver = { name = 'jacobi', omega = 1 }",
            ["6:29: 'omega': there is no such key", "(known: damping)"],
        ),
        ("[preconditioner]\ndamping = 0.5", ["4:1: 'name' is missing", "[preconditioner]"]),
        (
            "[solver]\nmethod = 'cgs'",
            ["5:10: 'method': \"cgs\" is not one of", "did you mean \"cg\"?"],
        ),
        ("[solver]\nrestart = 0", ["5:11: 'restart': 0 must be at least 1", "^"]),
        ("[solver]\nmethod = 'cg'\nrestart = 9", ["6:1: 'restart': cg has no such parameter", "^"]),
        (
            "[solvr]\nmethod = 'cg'",
            ["4:2: 'solvr': there is no such key; did you mean 'solver'?", "^"],
        ),
        ("[solver]\nmethod = cg", ["5:10: ", "^"]),
        ("[solver", ["config.toml:4:", "[solver"]),
    ] {
        let ran = solve(&folder, &format!("{POISSON}{section}\n"), &[]);
        ran.fails_with(&parts);
    }
}

#[test]
fn problems_that_make_no_sense() {
    let folder = Folder::new("problems");
    for (config, why) in [
        ("[solver]\nmethod = 'cg'\n", "section [problem] is missing"),
        ("[problem]\nlevel = 3\n", "1:1: 'kind' is missing"),
        (
            "[problem]\nkind = 'poison'\n",
            "2:8: no problem of kind 'poison'; did you mean 'poisson'?",
        ),
        ("[problem]\nkind = 'poisson'\nlevel = 99\n", "3:9: 'level': 99 must be at most 14"),
        ("[problem]\nkind = 'poisson'\nlevle = 3\n", "did you mean 'level'?"),
        (
            "[problem]\nkind = 'poisson'\nlevels = [3]\n",
            "only `compare` and `tune` take several systems",
        ),
        ("[[problem]]\nkind = 'poisson'\n", "only `compare` and `tune` take several [[problem]]"),
        ("[problem]\nmatrix = 'a.mtx'\nlevel = 3\n", "3:1: 'level': there is no such key"),
        ("[problem]\nmatrix = 'nowhere.mtx'\n", "nowhere.mtx: "),
    ] {
        solve(&folder, config, &[]).fails_with(&[why]);
    }
}

#[test]
fn configurations_that_cannot_be_read() {
    let folder = Folder::new("unreadable");
    let missing = folder.path().join("missing.toml");
    run(program().arg("solve").arg(&missing))
        .fails_with(&["missing.toml: cannot read the configuration: No such file"]);
    run(program().arg("solve").arg(folder.path())).fails_with(&["cannot read the configuration"]);
    let binary = folder.path().join("binary.toml");
    std::fs::write(&binary, [0xff, 0xfe, 0x00]).unwrap();
    run(program().arg("solve").arg(&binary)).fails_with(&["is not a text file in UTF-8"]);
}

#[test]
fn overrides_that_lead_nowhere_name_the_flag() {
    let folder = Folder::new("overrides");
    let config = format!("{POISSON}[preconditioner]\nname = 'jacobi'\n");
    for (flag, why) in [
        ("preconditioner", "it must look like section.key=value"),
        ("preconditioner.damping=7", "'damping': 7 must be less than 2"),
        ("problem.level.x=7", "there is the value 3 where 'x' would go"),
        ("sover.method=cg", "did you mean 'solver'?"),
    ] {
        let ran = solve(&folder, &config, &["--set", flag]);
        ran.fails_with(&[&format!("--set {flag}: "), why]);
    }
}

#[test]
fn matrices_that_do_not_fit() {
    let folder = Folder::new("matrices");
    let dense = |values: &[f64]| {
        let n = values.len().isqrt();
        let entries = values.iter().enumerate().map(|(k, &v)| (k / n + 1, k % n + 1, v));
        matrix(n, n, &entries.collect::<Vec<_>>())
    };
    folder.file("wide.mtx", &matrix(2, 3, &[(1, 1, 1.0), (2, 2, 1.0)]));
    folder.file("empty-row.mtx", &matrix(2, 2, &[(1, 1, 1.0)]));
    folder.file("singular.mtx", &dense(&[1.0, 1.0, 1.0, 1.0]));
    folder.file("unsymmetric.mtx", &dense(&[4.0, 1.0, 2.0, 4.0]));
    folder.file("good.mtx", &dense(&[4.0, 1.0, 1.0, 4.0]));
    folder.file("long.mtx", "%%MatrixMarket matrix array real general\n3 1\n1\n1\n1\n");
    folder.file("nan.mtx", "%%MatrixMarket matrix array real general\n2 1\n1\nnan\n");
    folder.file("tiny.mtx", "%%MatrixMarket matrix array real general\n2 1\n1e-320\n0\n");
    folder.file("truncated.mtx", "%%MatrixMarket matrix coordinate real general\n2 2 3\n1 1 1\n");
    folder.file("beyond.mtx", "%%MatrixMarket matrix coordinate real general\n2 2 1\n1 9 1\n");
    for (problem, solver, method, why) in [
        (
            "matrix = 'wide.mtx'",
            "gmres",
            "jacobi",
            "wide.mtx: the matrix is 2×3; it must be square",
        ),
        ("matrix = 'empty-row.mtx'", "gmres", "jacobi", "global row 1: the diagonal entry is 0"),
        ("matrix = 'empty-row.mtx'", "gmres", "ilu", "global row 1"),
        ("matrix = 'empty-row.mtx'", "gmres", "spai", "global row 1"),
        ("matrix = 'empty-row.mtx'", "gmres", "gauss-seidel", "global row 1"),
        ("matrix = 'singular.mtx'", "gmres", "ilu", "global row 1"),
        ("matrix = 'unsymmetric.mtx'", "cg", "jacobi", "global row 0: a(0, 1) = 1 but a(1, 0) = 2"),
        ("matrix = 'unsymmetric.mtx'", "gmres", "ic", "a(0, 1) = 1 but a(1, 0) = 2"),
        ("matrix = 'unsymmetric.mtx'", "gmres", "fsai", "a(0, 1) = 1 but a(1, 0) = 2"),
        (
            "matrix = 'good.mtx'\nrhs = 'long.mtx'",
            "cg",
            "jacobi",
            "long.mtx: this right-hand side has 3 entries, the matrix 2 rows",
        ),
        (
            "matrix = 'good.mtx'\nx0 = 'long.mtx'",
            "cg",
            "jacobi",
            "long.mtx: this initial guess has 3 entries",
        ),
        ("matrix = 'good.mtx'\nrhs = 'nan.mtx'", "cg", "jacobi", "nan.mtx"),
        (
            "matrix = 'good.mtx'\nrhs = 'tiny.mtx'",
            "cg",
            "jacobi",
            "outside of what floating point holds",
        ),
        ("matrix = 'truncated.mtx'", "cg", "jacobi", "truncated.mtx:"),
        ("matrix = 'beyond.mtx'", "cg", "jacobi", "beyond.mtx:3"),
        ("matrix = 'good.mtx'", "cg", "spai", "conjugate gradients"),
    ] {
        let config = format!(
            "[problem]\n{problem}\n[solver]\nmethod = '{solver}'\n[preconditioner]\nname = '{method}'\n"
        );
        solve(&folder, &config, &[]).fails_with(&[why]);
    }
}

#[test]
fn a_singular_system_without_a_solution_does_not_converge() {
    let folder = Folder::new("singular");
    let entries = [(1, 1, 1.0), (1, 2, 1.0), (2, 1, 1.0), (2, 2, 1.0)];
    folder.file("a.mtx", &matrix(2, 2, &entries));
    folder.file("b.mtx", "%%MatrixMarket matrix array real general\n2 1\n1\n-1\n");
    let config = "[problem]\nmatrix = 'a.mtx'\nrhs = 'b.mtx'\n[solver]\nmethod = 'gmres'\n";
    let ran = solve(&folder, config, &["--json"]);
    assert_eq!(ran.code, 2, "{}{}", ran.out, ran.err);
    assert_eq!(ran.json()["converged"], false);
}

#[test]
fn model_files_that_are_none() {
    let folder = Folder::new("models");
    folder.file("garbage.safetensors", "this is no model");
    folder.file("short.safetensors", "\x10\0\0");
    for file in ["garbage.safetensors", "short.safetensors", "missing.safetensors"] {
        let config =
            format!("{POISSON}[preconditioner]\nname = 'mlp-reference'\nmodel = '{file}'\n");
        solve(&folder, &config, &[]).fails_with(&[file]);
    }
    // Models of the house: cut short, and of another method.
    let models = concat!(env!("CARGO_MANIFEST_DIR"), "/plugins/mlp/models");
    let whole = std::fs::read(format!("{models}/mlp-reference-spd.safetensors")).unwrap();
    for keep in [whole.len() - 1, whole.len() / 2, 100] {
        std::fs::write(folder.path().join("cut.safetensors"), &whole[..keep]).unwrap();
        let config = format!(
            "{POISSON}[preconditioner]\nname = 'mlp-reference'\nmodel = 'cut.safetensors'\n"
        );
        solve(&folder, &config, &[]).fails_with(&["cut.safetensors"]);
    }
    let other =
        concat!(env!("CARGO_MANIFEST_DIR"), "/plugins/dense/models/mlp-dense-level2.safetensors");
    let config = format!("{POISSON}[preconditioner]\nname = 'mlp-reference'\nmodel = '{other}'\n");
    solve(&folder, &config, &[]).fails_with(&["mlp-dense"]);
}

#[test]
fn a_folder_that_anybody_may_write_to_is_not_trusted() {
    let folder = Folder::new("shared");
    let library = concat!("libprecondor_plugin_", "jacobi.so");
    let built = std::path::Path::new(env!("CARGO_BIN_EXE_precondor")).with_file_name("deps");
    std::fs::copy(built.join(library), folder.path().join(library)).unwrap();
    let open = |mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(folder.path(), permissions).unwrap();
    };
    let list = || {
        let ran = precondor([
            "plugins".as_ref(),
            "list".as_ref(),
            "--json".as_ref(),
            "--plugin-path".as_ref(),
            folder.path().as_os_str(),
        ]);
        ran.json()["problems"].to_string()
    };
    open(0o755);
    assert!(!list().contains("writ"), "{}", list());
    open(0o777);
    assert!(list().contains(library) && list().contains("writ"), "{}", list());
    let config = format!("{POISSON}[preconditioner]\nname = 'jacobi'\n");
    let path = folder.path().to_str().unwrap();
    let ran = solve(&folder, &config, &["--plugin-path", path]);
    assert!(ran.err.contains("writ"), "{}", ran.err);
}

#[test]
fn plugin_paths_that_are_not_there() {
    let folder = Folder::new("no-plugins");
    let config = format!("{POISSON}[preconditioner]\nname = 'jacobi'\n");
    let missing = ["--plugin-path", "/nonexistent/plugins"];
    let told = "/nonexistent/plugins: there is no such folder to look for plugins in";
    solve(&folder, &config, &missing).fails_with(&[told]);
    // Whoever looks for plugins says so.
    for command in [
        &["plugins", "list"][..],
        &["plugins", "describe", "ilu"],
        &["plugins", "check", "jacobi"],
        &["describe", "preconditioner", "ilu"],
        &["schema"],
    ] {
        precondor(command.iter().chain(&missing)).fails_with(&[told]);
    }
}

#[test]
fn one_file_cannot_take_both_matrix_and_right_hand_side() {
    let folder = Folder::new("same-file");
    let file = folder.path().join("both.mtx");
    let ran = run(program().arg("problem").arg("-o").arg(&file).arg("--rhs").arg(&file));
    ran.fails_with(&["both.mtx: cannot take both the matrix and the right-hand side"]);
    assert!(!file.exists());
}

#[test]
fn keys_of_another_backend_are_refused() {
    let folder = Folder::new("backends");
    let petsc = "backend = 'petsc'\n";
    for (solver, preconditioner, wanted) in [
        ("ksp = 'tfqmr'\n", "'jacobi'", "'ksp': only with backend = \"petsc\""),
        ("options = { a = 1 }\n", "'jacobi'", "'options': only with backend = \"petsc\""),
        ("", "'petsc:gamg'", "'petsc:gamg' is PETSc's own: it runs with backend = \"petsc\""),
        ("", "'petsc:'", "the type of PETSc's preconditioner is missing"),
        ("", "'petsc:gamg'\noption = { a = 1 }", "there is no such key; did you mean 'options'?"),
        ("", "'petsc:gamg'\noptions = { -a = 1 }", "'-a': without the dash, 'a'"),
        ("", "'petsc:gamg'\noptions = { a = [1] }", "'a': an option has one value"),
        ("", "'petsc:gamg'\noptions = 1", "is not a table of PETSc's options"),
    ] {
        let config =
            format!("{POISSON}[solver]\n{solver}[preconditioner]\nname = {preconditioner}\n");
        solve(&folder, &config, &[]).fails_with(&[wanted]);
    }
    for (more, wanted) in [
        ("fallback = true\n", "'fallback': only Precondor's own iterations have it"),
        ("check = 'lanczos'\n", "'check': only Precondor's own iterations have it"),
        ("stop = 'absolute-error'\n", "PETSc's iterations measure the residual"),
        ("ksp = 'cg'\nmethod = 'cg'\n", "'ksp' is given: it takes the place of 'method'"),
    ] {
        let config = format!("{POISSON}[solver]\n{petsc}{more}");
        solve(&folder, &config, &[]).fails_with(&[wanted]);
    }
    if !cfg!(feature = "petsc") {
        let config = format!("{POISSON}[solver]\n{petsc}");
        let wanted = ["built without PETSc", "cargo build --release --features petsc", "^^^^"];
        solve(&folder, &config, &[]).fails_with(&wanted);
    }
}

#[test]
#[cfg(not(feature = "mpi"))]
fn several_ranks_in_a_build_without_mpi() {
    for (size, rank) in [("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"), ("PMI_SIZE", "PMI_RANK")]
    {
        let on = |k: &str| run(program().args(["plugins", "list"]).env(size, "2").env(rank, k));
        let told = "precondor was started on 2 ranks, but this build is one without MPI; install an MPI \
                    library and build it with `cargo build --release --features mpi`";
        on("0").fails_with(&[told]);
        // The other one leaves the word to the first.
        let other = on("1");
        assert_eq!((other.code, &*other.out, &*other.err), (0, "", ""));
        // One rank is no several.
        assert_eq!(run(program().args(["plugins", "list"]).env(size, "1").env(rank, "0")).code, 0);
    }
}

/// A key that must be there is looked for among those that are.
#[test]
fn misspelt_keys_are_named_and_not_what_is_missing_for_them() {
    let folder = Folder::new("misspelt");
    for (config, why) in [
        ("[problem]\nknd = 'poisson'\n", "2:1: 'knd': there is no such key; did you mean 'kind'?"),
        (
            "[problem]\nmatrx = 'a.mtx'\n",
            "2:1: 'matrx': there is no such key; did you mean 'matrix'?",
        ),
        ("[problem]\nlevle = 3\n", "2:1: 'levle': there is no such key; did you mean 'level'?"),
        ("[problem]\nlevel = 3\n", "'kind' is missing: the kind of model problem, or 'matrix'"),
        (
            "[problem]\nkind = 'poisson'\n[preconditioner]\nnmae = 'ilu'\n",
            "4:1: 'nmae': there is no such key; did you mean 'name'?",
        ),
        ("[problem]\nkind = 'poisson'\n[preconditioner]\ndamping = 0.5\n", "'name' is missing"),
        ("[problm]\nkind = 'poisson'\n", "'problm': there is no such key; did you mean 'problem'?"),
    ] {
        crate::support::solve(&folder, config, &[]).fails_with(&[why]);
    }
}
